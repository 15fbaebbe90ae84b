"""What each source touched, or each target saw, in a sliding window: distinct ports and hosts, port bins, outcomes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from detectors._kit.distinct import DistinctCounters
from detectors._kit.scancontacts import has_ports, is_failure
from detectors._kit.window import SlotRing
from nettriage.model.columns import I64, U64, Mixer, Rows
from nettriage.model.health import Gauge
from nettriage.model.keytable import KeyTable
from nettriage.model.panel import PORT_BINS
from nettriage.model.slices import ContactEvents, Outcome

STEPS = 12
"""Steps of the window: the window moves by one of them at a time."""
_FAILED, _SETTLED, _OPEN = range(3)
_ATTEMPT = np.uint8(Outcome.ATTEMPT)
_ONE = np.uint32(1)
"""Of the type of the counts: NumPy adds it twenty times faster than one that it must convert."""


def _bins() -> npt.NDArray[np.uint8]:
    """Return `u1 [65536]`, the bin of each port: the first of `PORT_BINS` that holds it."""
    bins = np.zeros(65_536, np.uint8)
    for index in range(len(PORT_BINS) - 1, -1, -1):
        _, first, last = PORT_BINS[index]
        bins[first : last + 1] = index
    return bins


_BIN_OF_PORT = _bins()


@dataclass(frozen=True, slots=True)
class Touched:
    """What some sources touched, or some targets saw, in the window; arrays by source or target."""

    row: Rows
    high: U64
    low: U64
    ports: I64
    hosts: I64
    """`i8`, of a target the sources that tried it."""
    ports_about: npt.NDArray[np.bool_]
    """Whether `ports` is an estimate."""
    hosts_about: npt.NDArray[np.bool_]
    cells: npt.NDArray[np.int64]
    """`i8 [k, bins]`, first contacts by bin."""
    spark: npt.NDArray[np.int64]
    """`i8 [k, STEPS]`, first contacts by step, oldest first."""
    failed: I64
    settled: I64
    opened: I64
    first_ns: I64
    last_ns: I64


class FanoutTable:
    """Sources (or targets) by row, each with `STEPS` slots of one step; the one longest quiet gives way."""

    def __init__(self, mixer: Mixer, *, sources: int, window_s: float, of_targets: bool = False) -> None:
        """Make an empty table of `sources` rows, by the asked in place of the asker where `of_targets` is set."""
        self._mixer = mixer
        self._of_targets = of_targets
        self._ring = SlotRing(sources, STEPS, int(window_s * 1e9) // STEPS)
        self._table = KeyTable("fan-out", sources)
        self._addr: U64 = np.zeros((sources, 2), np.uint64)
        self._first_ns: I64 = np.zeros(sources, np.int64)
        self._last_ns: I64 = np.zeros(sources, np.int64)
        lines = self._ring.lines
        self._ports = DistinctCounters(lines)
        self._hosts = DistinctCounters(lines)
        self._cells: npt.NDArray[np.uint32] = np.zeros((lines, len(PORT_BINS)), np.uint32)
        self._outcomes: npt.NDArray[np.uint32] = np.zeros((lines, 3), np.uint32)
        self._dirty: npt.NDArray[np.bool_] = np.zeros(sources, np.bool_)

    @property
    def gauge(self) -> Gauge:
        """How full the table is."""
        return self._table.gauge

    @property
    def nbytes(self) -> int:
        """Memory of the table, in bytes."""
        arrays = (self._addr, self._first_ns, self._last_ns, self._cells, self._outcomes, self._dirty)
        counters = self._ports.nbytes + self._hosts.nbytes
        return self._table.capacity * 24 + self._ring.nbytes + counters + sum(array.nbytes for array in arrays)

    @property
    def step_ns(self) -> int:
        """Length of a step of the window."""
        return self._ring.step_ns

    def key(self, row: int) -> int:
        """Return the key of the source in `row`."""
        return int(self._table.keys[row])

    def add(self, events: ContactEvents) -> None:
        """Count the contacts of the slice for the sources that made them."""
        if not len(events):
            return
        made = events.outcome == _ATTEMPT
        wanted = has_ports(events.proto) & ~events.multicast & (events.src_key != 0)
        at = np.flatnonzero(wanted & (events.sure | ~made))
        if not len(at):
            return
        keys = events.dst_key if self._of_targets else events.src_key
        located = self._table.locate(keys[at], events.ts_ns[at])
        if len(located.new_rows):
            self._reset(located.new_rows, events, at[located.new_first])
        placed = located.rows >= 0
        at, rows = at[placed], located.rows[placed]
        slots, stale = self._ring.enter(rows, events.ts_ns[at])
        if len(stale):
            self._empty(stale)
        tried, settled = made[at] & (slots >= 0), ~made[at] & (slots >= 0)
        if tried.any():
            self._count_attempts(slots[tried], events, at[tried])
        if settled.any():
            self._count_outcomes(slots[settled], events.outcome[at[settled]])
        np.maximum.at(self._last_ns, rows, events.ts_ns[at])
        self._dirty[rows] = True

    def take_dirty(self) -> Rows:
        """Return, once, the rows with new contacts."""
        rows = np.flatnonzero(self._dirty)
        self._dirty[rows] = False
        return rows

    def wide(self, rows: Rows, now_ns: int, limit: int) -> tuple[Rows, I64]:
        """Return those of `rows` that touched more than `limit` ports in the window, widest first, and how many."""
        slots = self._ring.live(rows, now_ns)
        maybe = np.flatnonzero(self._ports.may_exceed(slots, limit))
        ports = self._ports.merged(slots[maybe])
        order = np.argsort(-ports, kind="stable")[: int((ports > limit).sum())]
        return rows[maybe[order]], ports[order]

    def most_failed(self, now_ns: int, count: int) -> Rows:
        """Return the rows with the most failed contacts in the window, at most `count`."""
        rows = self._table.rows_in_use()
        failed: I64 = self._outcomes[self._ring.live(rows, now_ns), _FAILED].sum(axis=1, dtype=np.int64)
        order = np.argsort(-failed, kind="stable")[:count]
        return rows[order[failed[order] > 0]]

    def widest(self, now_ns: int, count: int) -> Rows:
        """Return the rows with the most contacts in the window, at most `count`."""
        rows = self._table.rows_in_use()
        attempts: I64 = self._cells[self._ring.live(rows, now_ns)].sum(axis=(1, 2), dtype=np.int64)
        order = np.argsort(-attempts, kind="stable")[:count]
        return rows[order[attempts[order] > 0]]

    def bin_sources(self, now_ns: int) -> list[int]:
        """Return how many sources touched each bin in the window."""
        rows = self._table.rows_in_use()
        touched = self._cells[self._ring.live(rows, now_ns)].any(axis=1)
        return [int(count) for count in touched.sum(axis=0)]

    def touched(self, rows: Rows, now_ns: int) -> Touched:
        """Return what the sources in `rows` touched."""
        slots = self._ring.live(rows, now_ns)
        cells = self._cells[slots].astype(np.int64)
        outcomes = self._outcomes[slots].sum(axis=1, dtype=np.int64)
        return Touched(
            rows, self._addr[rows, 0], self._addr[rows, 1], self._ports.merged(slots), self._hosts.merged(slots),
            self._ports.estimated(slots), self._hosts.estimated(slots),
            cells.sum(axis=1), cells.sum(axis=2), outcomes[:, _FAILED], outcomes[:, _SETTLED], outcomes[:, _OPEN],
            self._first_ns[rows], self._last_ns[rows],
        )  # fmt: skip

    def _reset(self, rows: Rows, events: ContactEvents, first: Rows) -> None:
        high, low = (events.dst_hi, events.dst_lo) if self._of_targets else (events.src_hi, events.src_lo)
        self._addr[rows, 0], self._addr[rows, 1] = high[first], low[first]
        self._first_ns[rows] = self._last_ns[rows] = events.ts_ns[first]
        self._ring.reset(rows)

    def _empty(self, slots: Rows) -> None:
        for counters in (self._ports, self._hosts):
            counters.clear(slots)
        self._cells[slots] = 0
        self._outcomes[slots] = 0

    def _count_attempts(self, slots: Rows, events: ContactEvents, at: Rows) -> None:
        port = events.port[at]
        self._ports.add(slots, self._mixer(events.proto[at], port))
        self._hosts.add(slots, (events.src_key if self._of_targets else events.dst_key)[at])
        np.add.at(self._cells.reshape(-1), slots * len(PORT_BINS) + _BIN_OF_PORT[port], _ONE)

    def _count_outcomes(self, slots: Rows, outcome: npt.NDArray[np.uint8]) -> None:
        flat = self._outcomes.reshape(-1)
        failed = is_failure(outcome)
        np.add.at(flat, slots * 3 + _SETTLED, _ONE)
        np.add.at(flat, slots[failed] * 3 + _FAILED, _ONE)
        np.add.at(flat, slots[~failed] * 3 + _OPEN, _ONE)
