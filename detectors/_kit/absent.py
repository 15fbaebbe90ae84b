"""Addresses of the own segment that a source asked for and that do not exist: a sweep that only ARP shows."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from detectors._kit.window import SlotRing
from nettriage.model.batch import ARP
from nettriage.model.columns import U64
from nettriage.model.health import Gauge
from nettriage.model.keytable import KeyTable
from nettriage.model.slices import ContactEvents, Outcome

STEPS = 6
STEP_NS = 10 * 1_000_000_000
"""The window is a minute: nmap asks for a whole segment first and then scans what is there."""
_ICMPV6, _SOLICITATION = 58, 135 << 8


class AbsentNeighbours:
    """How many neighbours each source asked for in vain within the last minute."""

    def __init__(self, sources: int = 2_048) -> None:
        """Make an empty table."""
        self._table = KeyTable("askers", sources)
        self._ring = SlotRing(sources, STEPS, STEP_NS)
        self._silent: npt.NDArray[np.int32] = np.zeros(self._ring.lines, np.int32)

    @property
    def gauge(self) -> Gauge:
        """How full the table is."""
        return self._table.gauge

    @property
    def nbytes(self) -> int:
        """Memory of the table, in bytes."""
        return self._table.capacity * 24 + self._ring.nbytes + self._silent.nbytes

    def note(self, events: ContactEvents) -> None:
        """Count the requests of this slice that nobody answered."""
        asked = (events.proto == ARP) | ((events.proto == _ICMPV6) & (events.port == _SOLICITATION))
        at = np.flatnonzero(asked & (events.outcome == Outcome.SILENT) & (events.src_key != 0))
        if not len(at):
            return
        located = self._table.locate(events.src_key[at], events.ts_ns[at])
        self._ring.reset(located.new_rows)
        placed = located.rows >= 0
        slots, stale = self._ring.enter(located.rows[placed], events.ts_ns[at[placed]])
        self._silent[stale] = 0
        np.add.at(self._silent, slots[slots >= 0], np.int32(1))

    def count(self, source: int, now_ns: int) -> int:
        """Return the absent neighbours that the source with this key asked for in the last minute."""
        row = self._table.find(np.array([source], np.uint64))
        if row[0] < 0:
            return 0
        return int(self._silent[self._ring.live(row, now_ns)].sum())

    def askers(self, floor: int, now_ns: int) -> U64:
        """Return the keys of the sources that asked for at least `floor` absent neighbours in the last minute."""
        rows = self._table.rows_in_use()
        silent = self._silent[self._ring.live(rows, now_ns)].sum(axis=1)
        return np.asarray(self._table.keys[rows[silent >= floor]])
