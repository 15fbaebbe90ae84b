"""The flows whose kept payload grew since the last look, each once."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from nettriage.model.columns import I32, Rows
from nettriage.model.slices import Slice
from nettriage.model.tables import Tables

Heads = npt.NDArray[np.uint8]


class PrefixWatch:
    """Marks flows in `push`, hands them out in `tick`.

    The bytes themselves are read at the tick, where they do not depend on how the traffic was cut.
    """

    def __init__(self) -> None:
        """Watch with nothing marked; the marks grow to the size of the flow table at the first slice."""
        self._marked: npt.NDArray[np.bool_] = np.zeros(0, np.bool_)
        self._grown: list[I32] = []
        """The marked rows as they came: a look at a few flows does not read all marks."""

    @property
    def nbytes(self) -> int:
        """Memory of the marks, in bytes."""
        return self._marked.nbytes + sum(96 + rows.nbytes for rows in self._grown)

    @property
    def used(self) -> int:
        """Flows marked now."""
        return sum(map(len, self._grown))

    @property
    def cap(self) -> int:
        """Flows that can be marked: those of the flow table."""
        return len(self._marked)

    def note(self, seen: Slice) -> None:
        """Mark the flows of `seen.prefixes`."""
        if not len(seen.prefixes):
            return
        rows = len(seen.tables.flows.serial)
        if rows > len(self._marked):
            self._marked = np.concatenate((self._marked, np.zeros(rows - len(self._marked), np.bool_)))
        fresh = seen.prefixes[~self._marked[seen.prefixes]]
        if len(fresh):
            self._marked[fresh] = True
            self._grown.append(fresh)

    def drain(self, tables: Tables, *protos: int) -> tuple[Rows, Rows]:
        """Return flow rows of some protocols and their prefix slots, in order of flow serial; forget all marks."""
        rows = self._take()
        if not len(rows):
            return rows, rows
        wanted = np.logical_or.reduce([tables.flows.proto[rows] == proto for proto in protos])
        rows = rows[wanted & (tables.flows.serial[rows] > 0)]
        slots = np.asarray(tables.prefixes.slots(rows), np.intp)
        rows, slots = rows[slots >= 0], slots[slots >= 0]
        order = np.argsort(tables.flows.serial[rows], kind="stable")
        return rows[order], slots[order]

    def _take(self) -> Rows:
        """Return the marked rows, ascending, and forget all marks."""
        if not self._grown:
            return np.zeros(0, np.intp)
        rows = np.concatenate(self._grown).astype(np.intp)
        rows.sort()
        self._marked[rows] = False
        self._grown.clear()
        return rows


def heads(tables: Tables, slots: Rows, side: int, width: int) -> Heads:
    """Return `u1 [n, width]`, the first payload bytes of one side of each slot, zero beyond what is known."""
    return np.asarray(tables.prefixes.data[slots, side, :width])
