"""Column arithmetic shared by state and detectors: keyed hashing and grouping."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

U64 = npt.NDArray[np.uint64]
I64 = npt.NDArray[np.int64]
I32 = npt.NDArray[np.int32]
Rows = npt.NDArray[np.intp]

_MULTIPLIERS = tuple(
    np.array(odd, np.uint64) for odd in (0x9E3779B97F4A7C15, 0xC2B2AE3D27D4EB4F, 0x165667B19E3779F9, 0xD6E8FEB86659FD93)
)
"""Arrays without a dimension: NumPy takes them in half the time of scalars, which counts on small columns."""
_FOLD, _LAST_FOLD, _LEAST = (np.array(value, np.uint64) for value in (29, 32, 1))


@dataclass(frozen=True, slots=True)
class Mixer:
    """A keyed 64-bit mix of columns.

    `secret` is drawn once a run, so that nobody outside can aim collisions. The result is never 0, which
    tables use for an empty slot.
    """

    secret: int

    def __call__(self, *columns: npt.NDArray[np.integer]) -> U64:
        """Return `u8 [n]`, one key for each row of the equally long `columns`."""
        state = columns[0].astype(np.uint64, copy=False) ^ np.array(self.secret & 0xFFFFFFFFFFFFFFFF, np.uint64)
        folded = np.empty_like(state)
        for index, column in enumerate(columns):
            if index:
                state ^= column.astype(np.uint64, copy=False)
            state *= _MULTIPLIERS[index % len(_MULTIPLIERS)]
            state ^= np.right_shift(state, _FOLD, out=folded)
        state *= _MULTIPLIERS[1]
        state ^= np.right_shift(state, _LAST_FOLD, out=folded)
        np.maximum(state, _LEAST, out=state)
        return state


@dataclass(frozen=True, slots=True)
class Groups:
    """Rows brought together by an id: `order` sorts the rows, `starts` cuts the sorted rows."""

    ids: I64
    """`i8 [g]`, the distinct ids, ascending."""
    order: Rows
    """`intp [n]`, row numbers grouped by id and in original order inside a group."""
    starts: Rows
    """`intp [g]`, position in `order` of each group's first row."""
    counts: Rows
    """`intp [g]`, rows in each group."""

    @property
    def first(self) -> Rows:
        """`intp [g]`, the first row of each group."""
        return np.asarray(self.order[self.starts])

    @property
    def last(self) -> Rows:
        """`intp [g]`, the last row of each group."""
        return np.asarray(self.order[self.starts + self.counts - 1])

    def sum(self, values: npt.NDArray[np.integer]) -> I64:
        """Return `i8 [g]`, the sum of `values` over each group."""
        if not len(self.order):
            return np.zeros(0, np.int64)
        return np.asarray(np.add.reduceat(values[self.order].astype(np.int64), self.starts))


def group(ids: npt.NDArray[np.integer]) -> Groups:
    """Group the rows of `ids` (below 2**43, not negative) with one sort.

    Id and row number are packed into one 64-bit word and sorted: the vector sort of NumPy on words is
    several times faster than an index sort, and the packing keeps equal ids in row order.
    """
    n = len(ids)
    if not n:
        none = np.zeros(0, np.intp)
        return Groups(np.zeros(0, np.int64), none, none, none)
    if n == 1:
        return Groups(ids.astype(np.int64), np.zeros(1, np.intp), np.zeros(1, np.intp), np.ones(1, np.intp))
    bits = max(1, (n - 1).bit_length())
    packed = ids.astype(np.int64)
    packed <<= bits
    packed |= np.arange(n, dtype=np.int64)
    packed.sort()
    order = (packed & ((1 << bits) - 1)).astype(np.intp, copy=False)
    packed >>= bits
    starts = runs(packed)
    return Groups(packed[starts], order, starts, lengths(starts, n))


def runs(values: npt.NDArray[Any]) -> Rows:
    """Return where each run of equal values begins."""
    edge = np.empty(len(values), np.bool_)
    edge[:1] = True
    np.not_equal(values[1:], values[:-1], out=edge[1:])
    return edge.nonzero()[0]


def lengths(starts: Rows, total: int) -> Rows:
    """Return the length of each run of `total` values from where each begins."""
    counts = np.empty_like(starts)
    np.subtract(starts[1:], starts[:-1], out=counts[:-1])
    counts[-1:] = total - starts[-1:]
    return counts
