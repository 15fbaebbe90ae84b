"""Scans that come round: the same targets at the same period are the work of a scanner or monitor with a schedule."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np

from detectors._kit.incidents import Incident
from detectors._kit.reasons import duration
from nettriage.model.alert import BenignCheck
from nettriage.model.columns import U64, Mixer, Rows
from nettriage.model.finding import Address
from nettriage.model.slices import Slice
from nettriage.model.tables import ORIGINATOR, RESPONDER, HostTable

ROUNDS_MIN = 3
ROUND_POINTS = 25.0
"""What a learned schedule takes off the score, as a declared one does."""
READS = frozenset({"new_flows", "tables"})
"""What `Rounds.note` reads of a slice."""
_PERIOD_MIN_NS = 60 * 1_000_000_000
"""Shorter periods are the retries of one scan."""
_SAME_SET, _SAME_PERIOD = 0.9, 0.1
"""Least Jaccard similarity of two rounds, and greatest difference of two periods."""
_TARGETS_MAX = 512
"""Larger scans are not followed: no monitor has so many targets in one incident."""
_TRACKS_MAX = 32


@dataclass(slots=True)
class _Track:
    """The rounds of one incident."""

    source: Address
    first: frozenset[int]
    """Hashes of the targets of the first round."""
    starts_ns: list[int]
    """When the last rounds began, newest last."""
    seen: set[int] = field(default_factory=set)
    """Targets of the present round."""
    rounds: int = 1
    """Rounds in a row with the same targets at the same period."""

    @property
    def is_same(self) -> bool:
        """Whether the present round has the targets of the first."""
        return len(self.seen & self.first) >= _SAME_SET * len(self.seen | self.first)


class Rounds:
    """The rounds of open incidents, at most `_TRACKS_MAX` of them; those of the oldest are given up."""

    def __init__(self, mixer: Mixer) -> None:
        """Follow nothing."""
        self._mixer = mixer
        self._tracks: dict[int, _Track] = {}

    @property
    def nbytes(self) -> int:
        """Memory of the rounds, in bytes, at most."""
        return sum(512 + 80 * (len(track.first) + len(track.seen)) for track in self._tracks.values())

    def note(self, seen: Slice) -> None:
        """Take in new flows of the sources that are followed."""
        rows = seen.new_flows
        if not self._tracks or not len(rows):
            return
        flows, hosts = seen.tables.flows, seen.tables.hosts
        followed = _host_rows([track.source for track in self._tracks.values()], hosts)
        rows = rows[np.isin(flows.host[rows, ORIGINATOR], followed[followed >= 0])]
        rows = rows[flows.host[rows, RESPONDER] >= 0]
        if not len(rows):
            return
        source, target = flows.host[rows, ORIGINATOR], flows.host[rows, RESPONDER]
        keys = self._mixer(hosts.addr_hi[target], hosts.addr_lo[target], flows.port[rows, RESPONDER])
        for track, host in zip(self._tracks.values(), followed.tolist(), strict=True):
            mine = source == host
            for key, ts_ns in zip(keys[mine].tolist(), flows.first_ns[rows[mine]].tolist(), strict=True):
                _enter(track, key, ts_ns)

    def follow(self, incident: Incident) -> None:
        """Follow a reported incident from its last new contact on."""
        cells = incident.results.cells
        known = self._tracks.get(incident.key)
        if known is not None and len(known.first) == len(cells):
            return
        self._tracks.pop(incident.key, None)
        if len(cells) > _TARGETS_MAX:
            return
        keys: U64 = self._mixer(cells["hi"], cells["lo"], cells["port"])
        first = frozenset(keys.tolist())
        self._tracks[incident.key] = _Track(incident.src, first, [incident.first_ns], set(first))
        while len(self._tracks) > _TRACKS_MAX:
            del self._tracks[next(iter(self._tracks))]

    def settle(self, incidents: Iterable[Incident]) -> None:
        """Forget what is over, and have those incidents judged again whose schedule was just learned."""
        if not self._tracks:
            return
        open_now = {incident.key: incident for incident in incidents}
        self._tracks = {key: track for key, track in self._tracks.items() if key in open_now}
        for key, track in self._tracks.items():
            if track.is_same and track.rounds >= ROUNDS_MIN and not open_now[key].scheduled:
                open_now[key].scheduled = open_now[key].changed = True

    def check(self, incident: Incident) -> BenignCheck:
        """Return whether the incident comes round, with the numbers that say so."""
        track = self._tracks.get(incident.key)
        rounds = track.rounds if track is not None else 1
        if not incident.scheduled or track is None:
            because = f"its targets came in {rounds} round{'s' * (rounds != 1)} of one period, not in {ROUNDS_MIN}"
            return BenignCheck(hypothesis="a scanner or monitor with a schedule", rejected_because=because)
        period = duration(track.starts_ns[-1] - track.starts_ns[-2])
        because = (
            f"{rounds} rounds, {period} apart, had at least {_SAME_SET:.0%} of their {len(track.first):,} targets in "
            f"common, so the score is lowered by {ROUND_POINTS:g}"
        )
        return BenignCheck(hypothesis="a scanner or monitor with a schedule", rejected_because=because, holds=True)


def _host_rows(addresses: list[Address], hosts: HostTable) -> Rows:
    high, low = (np.array([address[word] for address in addresses], np.uint64) for word in (0, 1))
    return hosts.find(high, low)


def _enter(track: _Track, key: int, ts_ns: int) -> None:
    """Count a target for the present round, or begin the next one."""
    if key in track.seen and ts_ns - track.starts_ns[-1] >= _PERIOD_MIN_NS:
        _begin(track, ts_ns)
    if len(track.seen) < 2 * _TARGETS_MAX:
        track.seen.add(key)


def _begin(track: _Track, ts_ns: int) -> None:
    starts, same = track.starts_ns, track.is_same
    if len(starts) > 1:
        before, now = starts[-1] - starts[-2], ts_ns - starts[-1]
        same = same and abs(now - before) <= _SAME_PERIOD * before
    track.rounds = track.rounds + 1 if same else 1
    track.starts_ns = [*starts[-1:], ts_ns]
    track.seen = set()
