"""Which questions are worth a place among the groups: of types that tunnels use, or many of one kind."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from nettriage.model.columns import I64, U64, group

_MINUTE_NS = 60_000_000_000
_FREE = 2
"""Questions of one client below one domain that are let go: browsing asks one or two of each domain in a minute."""


class DnsGate:
    """Counts questions by client and domain in a fixed number of cells, anew every minute.

    Two keys may share a cell, which lets the questions of both through earlier; none is kept out by it.
    """

    def __init__(self, cells: int) -> None:
        """Make empty cells (a power of two)."""
        self._count: npt.NDArray[np.int32] = np.zeros(cells, np.int32)
        self._minute: I64 = np.full(cells, -1, np.int64)

    @property
    def nbytes(self) -> int:
        """Memory of the cells, in bytes."""
        return self._count.nbytes + self._minute.nbytes

    def passes(self, key: U64, ts_ns: I64, at_once: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
        """Return `bool [n]`, whether each question passes; those `at_once` do in any case."""
        cell = (key & np.uint64(len(self._count) - 1)).astype(np.intp)
        minute = ts_ns // _MINUTE_NS
        through = at_once.copy()
        for now in np.unique(minute).tolist():  # a slice spans one minute, seldom two
            here = np.flatnonzero(minute == now)
            through[here] |= self._asked_before(cell[here], now) >= _FREE
        return through

    def _asked_before(self, cell: npt.NDArray[np.intp], minute: int) -> I64:
        """Return `i8 [n]`, the questions of each cell before each one in this minute; count them."""
        stale = cell[self._minute[cell] != minute]
        self._count[stale] = 0
        self._minute[stale] = minute
        groups = group(cell)
        turn = np.empty(len(cell), np.int64)
        turn[groups.order] = np.arange(len(cell)) - np.repeat(groups.starts, groups.counts)
        before = self._count[cell] + turn
        self._count[groups.ids] += groups.counts.astype(np.int32)
        return before
