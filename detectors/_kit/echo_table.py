"""Pairs of flows that answer each other's resumes at a shared host, with the odds that chance did it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

import numpy as np
import numpy.typing as npt

from nettriage.model.columns import I64, U64, Mixer, Rows, group
from nettriage.model.health import Gauge
from nettriage.model.keytable import KeyTable
from nettriage.model.slices import Slice
from nettriage.model.tables import Tables

from .binomial import F64, chance_within, log10_tail
from .resume_log import Echoes, ResumeEvents, ResumeLog, echoes

SCALES_NS = (200_000_000, 500_000_000, 3_500_000_000)
"""Silences that make a resume: a fifth of a second for short sessions, Zhang and Paxson's half a second, and one that
outlasts the dummy keystrokes of OpenSSH 9.5 (up to 3 s after the last key)."""
_IN_SHARE = 0.8
"""What comes in may have been silent for a little less: jitter must not break a pair."""
_RESUME_NS = 200_000_000
"""Shortest silence that the flow table reports as one."""
WINDOWS_NS = (1_000_000, 5_000_000, 20_000_000, 80_000_000)
"""Lags that are tried; the last is Zhang and Paxson's, the shorter ones tighten it to what the relay needs."""
HITS_MIN, SHARE_MIN = 4, 0.5
_PAIRS, _PAIRS_PER_HOST = 8_192, 256
_TIMES = 32
_CREDIT_NS = 10_000_000_000
"""Life that a pair earns with each hit."""
_MAD_MIN = 0.1
"""Spread of the resume intervals over their median, below which they are a clock's and meet by themselves."""
_BEATS_MISSED_MAX = 3.0
_TRIALS = np.log10(len(SCALES_NS) * len(WINDOWS_NS))


_MESSAGE_BYTES = 80
"""What encryption and framing may add to a message: a TLS record 22 to 29 bytes, an SSH packet 28 to 52."""


class Likeness(Enum):
    """How what goes out of the host compares with what came in, by volume, in the worse direction."""

    TRANSPARENT = "transparent"
    """Within 10 %: passed on as it is."""
    REFRAMED = "reframed"
    """Within 40 % and 80 bytes a message: encrypted, decrypted or framed anew."""
    OTHER = "other"
    """Other volumes: what comes in only triggers what goes out, as in an application tier."""


@dataclass(frozen=True, slots=True)
class Echo:
    """Two flows that answer each other's resumes, and the odds."""

    flow: int
    partner: int
    host_key: int
    log10_chance: float
    hits: int
    """Coincidences of the rarer direction."""
    tries: int
    """Resumes of that direction."""
    idle_s: float
    window_ms: float
    likeness: Likeness


class EchoTable:
    """Counts coincidences by pair; at most 256 pairs at one host and 8,192 in all, the least used give way."""

    def __init__(self, mix: Mixer) -> None:
        """Know no pair."""
        self._mix = mix
        self._log = ResumeLog(_RESUME_NS, WINDOWS_NS[-1])
        self._table = KeyTable("resume pairs", _PAIRS)
        self._rows = np.zeros((_PAIRS, 2), np.intp)
        self._serial = np.zeros((_PAIRS, 2), np.int64)
        self._side = np.zeros((_PAIRS, 2), np.uint8)
        """Side of the shared host in both flows."""
        self._host: U64 = np.zeros(_PAIRS, np.uint64)
        self._since_ns: I64 = np.zeros(_PAIRS, np.int64)
        self._hits = np.zeros((_PAIRS, 2, len(SCALES_NS), len(WINDOWS_NS)), np.uint32)
        """By direction (into the first and out of the second flow, and back), scale and window; not cumulated."""
        self._before = np.zeros((_PAIRS, 2, 2, len(SCALES_NS), 2), np.uint32)
        """Resumes of both flows before they met, as `_seen`."""
        self._volume = np.zeros((_PAIRS, 2, 2, 2), np.int64)
        """Payload bytes and packets (last axis) of both sides of both flows before they met."""
        self._times: I64 = np.zeros((_PAIRS, _TIMES), np.int64)
        self._turn = np.zeros(_PAIRS, np.uint32)
        self._judged = np.zeros(_PAIRS, np.uint32)
        self._seen = np.zeros((0, 2, len(SCALES_NS), 2), np.uint32)
        """By flow row, side and scale: resumes after the whole silence, and after the share that suffices coming in."""
        self._owner: I64 = np.zeros(0, np.int64)
        self._crowded = 0

    @property
    def nbytes(self) -> int:
        """Memory, in bytes."""
        arrays = (
            self._rows, self._serial, self._side, self._host, self._since_ns, self._hits, self._before, self._volume,
            self._times, self._turn, self._judged, self._seen, self._owner,
        )  # fmt: skip
        return sum(array.nbytes for array in arrays) + 24 * _PAIRS + self._log.nbytes

    def gauges(self) -> dict[str, Gauge]:
        """Return how full table and log are, and how many pairs a crowded host was refused."""
        gauge = self._table.gauge
        pairs = Gauge(cap=gauge.cap, used=gauge.used, evicted=gauge.evicted, refused=gauge.refused + self._crowded)
        return {"resume pairs": pairs, "resumes": self._log.gauge}

    def note(self, seen: Slice) -> None:
        """Take in the resumes of a slice."""
        self._log.note(seen)

    def proved(self, tables: Tables) -> list[Echo]:
        """Count what happened since the last look; return the pairs that no chance explains, surest first."""
        events, known = self._log.drain(tables)
        if len(events) == known:
            return []
        self._own(tables, events.rows(np.arange(known, len(events))))
        met = echoes(events, known, tables, WINDOWS_NS[-1])
        rows = self._count_hits(events, met, tables) if len(met.out) else np.zeros(0, np.intp)
        self._count_resumes(events.rows(np.arange(known, len(events))))
        return self._judge(np.unique(rows), int(events.ts_ns[-1]), tables)

    def _own(self, tables: Tables, events: ResumeEvents) -> None:
        """Begin to count the flows that are new in their rows."""
        size = len(tables.flows.serial)
        if len(self._owner) < size:
            self._owner = np.zeros(size, np.int64)
            self._seen = np.zeros((size, *self._seen.shape[1:]), np.uint32)
        fresh = events.flow[self._owner[events.flow] != events.serial]
        self._seen[fresh] = 0
        self._owner[events.flow] = events.serial

    def _count_resumes(self, events: ResumeEvents) -> None:
        for scale, idle_ns in enumerate(SCALES_NS):
            for share, least_ns in enumerate((idle_ns, int(idle_ns * _IN_SHARE))):
                at = np.flatnonzero(events.idle_ns >= least_ns)
                if len(at):
                    np.add.at(self._seen[:, :, scale, share], (events.flow[at], events.side[at]), np.uint32(1))

    def _count_hits(self, events: ResumeEvents, met: Echoes, tables: Tables) -> Rows:
        """Enter the coincidences; return the row of each that has one."""
        swapped = events.serial[met.into] > events.serial[met.out]
        first, second = np.where(swapped, met.out, met.into), np.where(swapped, met.into, met.out)
        keys = self._mix(events.serial[first], events.serial[second])
        fits = self._fitting(keys, met.host)
        keys, met = keys[fits], Echoes(met.into[fits], met.out[fits], met.host[fits], met.lag_ns[fits])
        if not len(keys):
            return np.zeros(0, np.intp)
        swapped, first, second = swapped[fits], first[fits], second[fits]
        found = self._table.locate(keys, events.ts_ns[met.out])
        if len(found.new_rows):
            at = found.new_first
            sides = np.stack((events.side[first[at]], events.side[second[at]]), axis=1)
            inward = np.stack((~swapped[at], swapped[at]), axis=1)
            self._begin(found.new_rows, events, first[at], second[at], np.where(inward, 1 - sides, sides), met.host[at])
            self._snapshot(found.new_rows, tables)
        placed = np.flatnonzero(found.rows >= 0)
        return self._add(found.rows[placed], events, met, placed, swapped[placed])

    def _fitting(self, keys: U64, host: U64) -> Rows:
        """Return the coincidences of known pairs, and of new ones at hosts that have room."""
        known = self._table.find(keys) >= 0
        if known.all():
            return np.arange(len(keys))
        crowd, count = np.unique(self._host[self._table.rows_in_use()], return_counts=True)
        crowd = crowd[count >= _PAIRS_PER_HOST]
        fits = known | ~np.isin(host, crowd)
        self._crowded += int(np.count_nonzero(~fits))
        return np.flatnonzero(fits)

    def _begin(
        self, rows: Rows, events: ResumeEvents, first: Rows, second: Rows, sides: npt.NDArray[np.uint8], host: U64
    ) -> None:  # fmt: skip
        for place, at in enumerate((first, second)):
            self._rows[rows, place], self._serial[rows, place] = events.flow[at], events.serial[at]
        self._side[rows], self._host[rows] = sides, host
        self._since_ns[rows] = np.maximum(events.ts_ns[first], events.ts_ns[second])
        self._hits[rows] = 0
        self._times[rows] = 0
        self._turn[rows] = 0
        self._judged[rows] = 0

    def _snapshot(self, rows: Rows, tables: Tables) -> None:
        flows = self._rows[rows]
        self._before[rows] = self._seen[flows]
        self._volume[rows] = _volumes(tables, flows)

    def _add(self, rows: Rows, events: ResumeEvents, met: Echoes, at: Rows, back: npt.NDArray[np.bool_]) -> Rows:
        into, out = met.into[at], met.out[at]
        window = np.searchsorted(WINDOWS_NS, met.lag_ns[at])
        way = back.astype(np.intp)
        for scale, idle_ns in enumerate(SCALES_NS):
            long = (events.idle_ns[out] >= idle_ns) & (events.idle_ns[into] >= int(idle_ns * _IN_SHARE))
            np.add.at(self._hits[:, :, scale], (rows[long], way[long], window[long]), np.uint32(1))
        self._note_times(rows, events.ts_ns[out])
        self._table.credit_ns[rows] = _CREDIT_NS * np.minimum(self._hits[rows].sum(axis=(1, 2, 3)), 60).astype(np.int64)
        return rows

    def _note_times(self, rows: Rows, ts_ns: I64) -> None:
        """Keep the latest times of hits, of both directions."""
        groups = group(rows)
        rank = np.arange(len(rows)) - np.repeat(groups.starts, groups.counts)
        row = rows[groups.order]
        self._times[row, (self._turn[row] + rank) % _TIMES] = ts_ns[groups.order]
        self._turn[row[groups.starts]] += groups.counts.astype(np.uint32)

    def _judge(self, rows: Rows, now_ns: int, tables: Tables) -> list[Echo]:
        """Return those of the touched pairs that pass; one that fails is judged again after two more hits."""
        if not len(rows):
            return []
        total = self._hits[rows].sum(axis=(1, 2, 3))
        enough = self._hits[rows].sum(axis=3).min(axis=1).max(axis=1) >= HITS_MIN
        alive = (tables.flows.serial[self._rows[rows]] == self._serial[rows]).all(axis=1)
        rows = rows[enough & alive & (total >= self._judged[rows])]
        if not len(rows):
            return []
        self._judged[rows] = self._hits[rows].sum(axis=(1, 2, 3)) + 2
        hits = np.cumsum(self._hits[rows], axis=3).astype(float)
        tries, within = self._chances(rows, now_ns)
        odds = log10_tail(hits - 1, tries - 1, within).sum(axis=1)
        fails = (hits < HITS_MIN) | (hits < SHARE_MIN * self._scarcer(rows))
        odds[fails.any(axis=1)] = 0.0
        hosts, count = np.unique(self._host[self._table.rows_in_use()], return_counts=True)
        limit = -6.0 - _TRIALS - np.log10(count[np.searchsorted(hosts, self._host[rows])])
        best = odds.reshape(len(rows), -1).min(axis=1)
        passed = [at for at in np.flatnonzero(best <= limit).tolist() if not self._is_clockwork(int(rows[at]))]
        said = [self._echo(int(rows[at]), odds[at], hits[at], tries[at], tables) for at in passed]
        return sorted(said, key=lambda echo: (echo.log10_chance, echo.flow, echo.partner))

    def _since_met(self, rows: Rows) -> F64:
        """Return `f8 [n, 2 flows, 2 sides, scales, 2]`, resumes since the pair met."""
        return np.asarray(self._seen[self._rows[rows]].astype(float) - self._before[rows])

    def _by_way(self, rows: Rows) -> tuple[F64, F64]:
        """Return `f8 [n, 2, scales]`, resumes out of the host and into it, by direction of the pair."""
        counts, side = self._since_met(rows), self._side[rows]
        each = np.arange(len(rows))
        out = np.stack([counts[each, 1 - way, side[:, 1 - way], :, 0] for way in (0, 1)], axis=1)
        into = np.stack([counts[each, way, 1 - side[:, way], :, 1] for way in (0, 1)], axis=1)
        return out, into

    def _chances(self, rows: Rows, now_ns: int) -> tuple[F64, F64]:
        """Return `f8 [n, 2, scales, windows]`, tries of each direction and the chance of each to meet by itself."""
        out, into = self._by_way(rows)
        span = (now_ns - self._since_ns[rows]).astype(float)[:, None, None, None]
        within = chance_within(into[..., None], span, np.array(WINDOWS_NS, float))
        return np.repeat(out[..., None], len(WINDOWS_NS), axis=3), within

    def _scarcer(self, rows: Rows) -> F64:
        out, into = self._by_way(rows)
        return np.asarray(np.minimum(out, into)[..., None])

    def _is_clockwork(self, row: int) -> bool:
        """Whether the intervals of the hits are a clock's, beats that it missed counted in."""
        intervals = np.diff(np.sort(self._times[row][self._times[row] > 0])).astype(float)
        intervals = intervals[intervals > WINDOWS_NS[-1]]
        if len(intervals) < 2:
            return False
        beat = float(np.median(intervals))
        intervals /= np.clip(np.round(intervals / beat), 1.0, _BEATS_MISSED_MAX)
        return float(np.median(np.abs(intervals - beat))) < _MAD_MIN * beat

    def _echo(self, row: int, odds: F64, hits: F64, tries: F64, tables: Tables) -> Echo:
        scale, window = np.unravel_index(int(odds.argmin()), odds.shape)
        rarer = int(hits[:, scale, window].argmin())
        flows = self._rows[row]
        return Echo(
            flow=int(flows[0]), partner=int(flows[1]), host_key=int(self._host[row]),
            log10_chance=round(max(float(odds[scale, window]), -300.0), 1), hits=int(hits[rarer, scale, window]),
            tries=int(tries[rarer, scale, window]), idle_s=SCALES_NS[scale] / 1e9,
            window_ms=WINDOWS_NS[window] / 1e6, likeness=self._likeness(row, tables),
        )  # fmt: skip

    def _likeness(self, row: int, tables: Tables) -> Likeness:
        moved, side = _volumes(tables, self._rows[row]) - self._volume[row], self._side[row]
        worst = Likeness.TRANSPARENT
        for way in (0, 1):
            (small, few), (large, many) = sorted(
                (moved[way, 1 - side[way]].tolist(), moved[1 - way, side[1 - way]].tolist())
            )
            if large > 1.4 * small + _MESSAGE_BYTES * max(few, many):
                return Likeness.OTHER
            if large > 1.1 * small:
                worst = Likeness.REFRAMED
        return worst


def _volumes(tables: Tables, flows: Rows) -> I64:
    """Return `i8 [..., 2 sides, 2]`, payload bytes and payload packets of flows."""
    table = tables.flows
    return np.stack(
        (table.payload_bytes[flows].astype(np.int64), table.payload_packets[flows].astype(np.int64)), axis=-1
    )
