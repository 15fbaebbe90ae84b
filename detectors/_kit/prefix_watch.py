"""The flows whose kept payload grew since the last look, each once."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from nettriage.model.columns import Rows
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
        self._any = False

    @property
    def nbytes(self) -> int:
        """Memory of the marks, in bytes."""
        return self._marked.nbytes

    @property
    def used(self) -> int:
        """Flows marked now."""
        return int(self._marked.sum()) if self._any else 0

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
        self._marked[seen.prefixes] = True
        self._any = True

    def drain(self, tables: Tables, *protos: int) -> tuple[Rows, Rows]:
        """Return flow rows of some protocols and their prefix slots, in order of flow serial; forget all marks."""
        if not self._any:
            none = np.zeros(0, np.intp)
            return none, none
        rows = np.flatnonzero(self._marked)
        self._marked[rows] = False
        self._any = False
        wanted = np.logical_or.reduce([tables.flows.proto[rows] == proto for proto in protos])
        rows = rows[wanted & (tables.flows.serial[rows] > 0)]
        slots = np.asarray(tables.prefixes.slots(rows), np.intp)
        rows, slots = rows[slots >= 0], slots[slots >= 0]
        order = np.argsort(tables.flows.serial[rows], kind="stable")
        return rows[order], slots[order]


def heads(tables: Tables, slots: Rows, side: int, width: int) -> Heads:
    """Return `u1 [n, width]`, the first payload bytes of one side of each slot, zero beyond what is known."""
    return np.asarray(tables.prefixes.data[slots, side, :width])
