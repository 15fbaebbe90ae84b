"""Evidence: up to 64 packets for each incident, half of them from before it was raised."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from nettriage.engine.packet_history import Kept, PacketHistory, spread
from nettriage.model.columns import I64, U64, Rows
from nettriage.model.finding import Endpoint, Finding
from nettriage.model.health import Gauge
from nettriage.model.slices import Slice
from nettriage.model.tables import Tables

PACKETS_MAX = 64
"""Packets kept of an incident."""
PACKETS_BEFORE = 32
"""Of these, at most as many from up to the judgement that raised it."""
PACKETS_A_CELL = 8
"""Packets that one cell may add to an incident, so that the rest is spread over its life."""
RAISES_A_CELL = 16
"""Incidents that may search the history at one judgement; more at once keep only what follows."""
WATCHED_MAX = 64
"""Incidents that are followed in one cell, in turn."""
MATCHES_MAX = 4_096
"""Matching packets of a cell that are looked at more closely, evenly spread."""
BYTES_MAX = 32 * 1024 * 1024
"""Memory of all kept packets; the longest-kept incidents lose theirs first."""
_OVERHEAD_BYTES = 200
_BUCKETS = 4_096


@dataclass(slots=True)
class _Watch:
    """What to look for, and what was kept."""

    subject: U64
    """`u8`, keys of the acting host; of the objects where the subject has no packets of its own."""
    objects: U64
    serials: I64
    kept: list[Kept] = field(default_factory=list)
    size_bytes: int = 0
    over: bool = False

    @property
    def room(self) -> int:
        return PACKETS_MAX - len(self.kept)


class Evidence:
    """The packets kept for each incident.

    Work is done at judgements only, over rows of the history, so that the packets kept do not depend on how the
    source cut its batches; Python runs over incidents and over packets that are kept, within the budgets above.
    """

    def __init__(self) -> None:
        self._history = PacketHistory()
        self._watches: dict[str, _Watch] = {}
        self._looked_at = 0
        self._raised = 0
        self._turn = 0
        self._bytes = 0
        self._given_up = 0
        self._not_searched = 0

    def remember(self, seen: Slice) -> None:
        """Remember the packets of a slice, for incidents that are yet to be raised."""
        self._history.add(seen)

    def count(self, alert_id: str) -> int:
        """Return how many packets are kept for an incident."""
        watch = self._watches.get(alert_id)
        return len(watch.kept) if watch else 0

    def packets(self, alert_id: str) -> list[Kept]:
        """Return the packets kept for an incident, in order of time."""
        watch = self._watches.get(alert_id)
        return sorted(watch.kept, key=lambda kept: kept.ts_ns) if watch else []

    def gauges(self) -> dict[str, Gauge]:
        """Return how full history and evidence are."""
        return {
            "evidence.history_packets": self._history.gauge,
            "evidence.bytes": Gauge(
                cap=BYTES_MAX, used=self._bytes, evicted=self._given_up, refused=self._not_searched
            ),
        }  # fmt: skip

    def follow(self) -> list[str]:
        """Keep packets of the cell that just ended for the incidents that have room; return their ids."""
        since, self._looked_at = self._looked_at, self._history.total
        self._raised = 0
        open_watches = [(name, watch) for name, watch in self._watches.items() if watch.room and not watch.over]
        if not open_watches or since == self._history.total:
            return []
        first, src, dst, serial = self._history.columns(since)
        followed = self._in_turn(open_watches)
        rows = spread(_hits(src, dst, np.concatenate([watch.subject for _, watch in followed])), MATCHES_MAX)
        if not len(rows):
            return []
        grown = []
        for name, watch in followed:
            chosen = _chosen(watch, src[rows], dst[rows], serial[rows], min(watch.room, PACKETS_A_CELL))
            if len(chosen):
                self._keep(watch, first + rows[chosen])
                grown.append(name)
        return grown

    def raise_for(self, alert_id: str, finding: Finding, tables: Tables) -> None:
        """Keep packets from before for an incident that is just raised."""
        watch = _Watch(*_targets(finding, tables))
        self._watches[alert_id] = watch
        self._raised += 1
        if self._raised > RAISES_A_CELL:
            self._not_searched += 1
            return
        first, src, dst, serial = self._history.columns(0)
        rows = _rows_of(watch.subject, src, dst)
        chosen = _chosen(watch, src[rows], dst[rows], serial[rows], PACKETS_BEFORE)
        self._keep(watch, first + rows[chosen])

    def renew(self, alert_id: str, finding: Finding, tables: Tables) -> None:
        """Take in what the newest finding of an incident says of whom to look for."""
        watch = self._watches.get(alert_id)
        if watch is None:
            return
        watch.over = finding.closed
        if watch.room and not watch.over:
            watch.subject, watch.objects, watch.serials = _targets(finding, tables)

    def forget(self, alert_id: str) -> None:
        """Give up the packets of an incident."""
        watch = self._watches.pop(alert_id, None)
        if watch is not None:
            self._bytes -= watch.size_bytes

    def _in_turn(self, watches: list[tuple[str, _Watch]]) -> list[tuple[str, _Watch]]:
        """Return at most `WATCHED_MAX` of the watches, the others first at the next cells."""
        start = self._turn % len(watches)
        self._turn += WATCHED_MAX
        return (watches + watches)[start : start + min(len(watches), WATCHED_MAX)]

    def _keep(self, watch: _Watch, numbers: Rows) -> None:
        for number in numbers.tolist():
            kept = self._history.packet(number)
            watch.kept.append(kept)
            watch.size_bytes += len(kept.data) + _OVERHEAD_BYTES
            self._bytes += len(kept.data) + _OVERHEAD_BYTES
        while self._bytes > BYTES_MAX:
            self._give_up_oldest()

    def _give_up_oldest(self) -> None:
        watch = next(watch for watch in self._watches.values() if watch.kept)
        self._bytes -= watch.size_bytes
        self._given_up += watch.size_bytes
        watch.kept, watch.size_bytes, watch.over = [], 0, True


def _targets(finding: Finding, tables: Tables) -> tuple[U64, U64, I64]:
    subject = _keys([finding.subject], tables)
    objects = _keys([*finding.objects, *finding.via], tables)
    serials = np.array([flow.serial for flow in finding.flows if flow.serial], np.int64)
    return (subject if len(subject) else objects), objects, serials


def _keys(ends: list[Endpoint], tables: Tables) -> U64:
    high = np.array([end.addr[0] for end in ends], np.uint64)
    low = np.array([end.addr[1] for end in ends], np.uint64)
    rows = tables.hosts.find(high, low)
    return tables.hosts.key[rows[rows >= 0]]


def _hits(src: U64, dst: U64, keys: U64) -> Rows:
    """Return the rows with one of many keys, and a few others: keys are hashes, so a small table of bits finds them."""
    hot = np.zeros(_BUCKETS, np.bool_)
    mask = np.uint64(_BUCKETS - 1)
    hot[keys & mask] = True
    return np.flatnonzero(hot[src & mask] | hot[dst & mask])


def _rows_of(keys: U64, src: U64, dst: U64) -> Rows:
    """Return the rows with one of few keys as source or destination."""
    hit = np.zeros(len(src), np.bool_)
    for key in keys:
        hit |= (src == key) | (dst == key)
    return np.flatnonzero(hit)


def _chosen(watch: _Watch, src: U64, dst: U64, serial: I64, count: int) -> Rows:
    """Return at most `count` rows: of its flows first, then between subject and objects, then of the subject."""
    from_subject, to_subject = np.isin(src, watch.subject), np.isin(dst, watch.subject)
    pair = (from_subject & np.isin(dst, watch.objects)) | (to_subject & np.isin(src, watch.objects))
    tier = np.select([np.isin(serial, watch.serials), pair, from_subject | to_subject], [3, 2, 1], 0)
    chosen = np.zeros(0, np.intp)
    for rank in (3, 2, 1):
        chosen = np.concatenate((chosen, spread(np.flatnonzero(tier == rank), count - len(chosen))))
    return np.sort(chosen)
