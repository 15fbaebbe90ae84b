"""The result matrix of one scan: which targets answered how, bounded, as the scanner himself would print it."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from nettriage.model.columns import I64, U64, Rows
from nettriage.model.slices import Outcome

REFUSED = (Outcome.CLOSED, Outcome.BLOCKED)
FAILED = (*REFUSED, Outcome.SILENT)
ANSWERED = (Outcome.OPEN, Outcome.IMPLIED_OPEN)

CELL = np.dtype(
    [("hi", "u8"), ("lo", "u8"), ("ts_ns", "i8"), ("attempt_ns", "i8"), ("flow", "i4"), ("port", "u2"),
     ("outcome", "u1"), ("fresh", "?")]
)  # fmt: skip
"""One contact: target address and port, when it was settled and first tried, its flow row, and its outcome."""
Cells = npt.NDArray[np.void]
_WHOLE = np.dtype(f"V{CELL.itemsize}")
"""A cell as so many bytes: copied several times faster than field by field."""
_LONG_AGO = -(1 << 62)


class ResultMatrix:
    """Contacts of one scan in event order, at most `cap`; what exceeds is counted, by outcome."""

    def __init__(self, cap: int) -> None:
        """Make an empty matrix."""
        self.cap = cap
        self.counts: npt.NDArray[np.int64] = np.zeros(8, np.int64)
        """`i8 [8]`, contacts by `Outcome`, also those beyond `cap`."""
        self.left_out = 0
        """Contacts beyond `cap`: counted, not listed."""
        self._cells: Cells = np.zeros(16, CELL)
        self._used = 0

    @property
    def nbytes(self) -> int:
        """Memory of the matrix, in bytes."""
        return self._cells.nbytes + self.counts.nbytes

    @property
    def cells(self) -> Cells:
        """The contacts listed, oldest first; do not write."""
        return self._cells[: self._used]

    def add(self, cells: Cells) -> None:
        """Append contacts."""
        self.counts += np.bincount(cells["outcome"], minlength=8)
        kept = cells[: self.cap - self._used]
        self.left_out += len(cells) - len(kept)
        self._reserve(self._used + len(kept))
        self._cells[self._used : self._used + len(kept)] = kept
        self._used += len(kept)

    def _reserve(self, needed: int) -> None:
        if needed > len(self._cells):
            grown: Cells = np.zeros(min(self.cap, max(needed, 2 * len(self._cells))), CELL)
            grown[: self._used] = self.cells
            self._cells = grown

    def hosts(self, part: Cells | None = None) -> list[tuple[int, int]]:
        """Return the distinct target addresses, in order of first contact."""
        cells = self.cells if part is None else part
        return list(dict.fromkeys(zip(cells["hi"].tolist(), cells["lo"].tolist(), strict=True)))

    def ports(self, part: Cells | None = None) -> list[int]:
        """Return the distinct target ports, in order of first contact."""
        cells = self.cells if part is None else part
        return list(dict.fromkeys(cells["port"].tolist()))

    def with_outcome(self, *outcomes: int) -> Cells:
        """Return the contacts that ended in one of `outcomes`."""
        return self.cells[np.isin(self.cells["outcome"], outcomes)]

    def count(self, *outcomes: int) -> int:
        """Return how many contacts ended in one of `outcomes`, also those beyond `cap`."""
        return int(self.counts[list(outcomes)].sum())


class Recent:
    """The last `depth` contacts of every row of a table, in rings.

    Cells that stand first in the rings stand together, as do those that stand second and so on: most rows have few
    contacts, which then fill little memory.
    """

    def __init__(self, rows: int, depth: int = 16) -> None:
        """Make empty rings."""
        self.depth = depth
        self._cells: Cells = np.zeros((depth, rows), CELL)
        self._targets: U64 = np.zeros((rows, depth), np.uint64)
        self._seen: npt.NDArray[np.int64] = np.zeros(rows, np.int64)

    @property
    def nbytes(self) -> int:
        """Memory of the rings, in bytes."""
        return self._cells.nbytes + self._targets.nbytes + self._seen.nbytes

    def clear(self, rows: Rows) -> None:
        """Empty the rings of `rows`; their cells stay until they are overwritten."""
        self._seen[rows] = 0

    def holds(self, rows: Rows, targets: U64) -> npt.NDArray[np.bool_]:
        """Return `bool [n]`, whether the ring of `rows[i]` has a contact with `targets[i]` (keyed hashes)."""
        found = np.zeros(len(rows), np.bool_)
        held = np.minimum(self._seen[rows], self.depth)
        at = np.flatnonzero(held)
        if len(at):
            same = self._targets[rows[at]] == targets[at, None]
            found[at] = (same & (np.arange(self.depth) < held[at, None])).any(axis=1)
        return found

    def earlier(self, rows: Rows, turn: Rows, ts_ns: I64, count: Rows) -> I64:
        """Return `i8 [n]`, when the contact `count[i]` before each one was settled; long ago where there is none.

        The contacts are sorted by row, `turn` of them of the same row come before each, and none was put yet.
        """
        before: I64 = np.full(len(ts_ns), _LONG_AGO, np.int64)
        ordinal = self._seen[rows] + turn - count
        at = np.flatnonzero(ordinal >= 0)
        if len(at):
            held = self._cells["ts_ns"][ordinal[at] % self.depth, rows[at]]
            before[at] = np.where(turn[at] >= count[at], ts_ns[np.maximum(at - count[at], 0)], held)
        return before

    def put(self, rows: Rows, turn: Rows, cells: Cells, targets: U64) -> None:
        """Append `cells` and their targets, sorted by row; `turn` of them of the same row come before each."""
        place = (self._seen[rows] + turn) % self.depth
        self._cells.view(_WHOLE)[place, rows] = cells.view(_WHOLE)
        self._targets[rows, place] = targets
        np.add.at(self._seen, rows, np.int64(1))

    def last(self, row: int, skip: int = 0) -> Cells:
        """Return the contacts in the ring of `row`, oldest first, without the `skip` oldest of a full ring."""
        seen = int(self._seen[row])
        first = max(seen - self.depth + skip, 0)
        return np.asarray(self._cells[np.arange(first, seen) % self.depth, row])
