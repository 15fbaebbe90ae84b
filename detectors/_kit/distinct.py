"""Distinct counters by row: exact while few, a keyed HyperLogLog beyond."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from nettriage.model.columns import U64, Rows, group

F64 = npt.NDArray[np.float64]
_ALPHA = {16: 0.673, 32: 0.697, 64: 0.709}


class DistinctCounters:
    """How many different keys each row has seen.

    Up to `exact` keys are kept as they are, so small counts are exact; every key also goes into a
    HyperLogLog of `registers` bytes (Flajolet et al. 2007), whose error is 1.04 / sqrt(registers).
    Keys must be keyed hashes (`Mixer`), so that nobody outside can hide below the estimate.
    """

    def __init__(self, rows: int, *, exact: int = 16, registers: int = 64) -> None:
        """Make `rows` empty counters; `registers` is a power of two."""
        self._exact: U64 = np.zeros((rows, exact), np.uint64)
        self._held: npt.NDArray[np.uint8] = np.zeros(rows, np.uint8)
        self._over: npt.NDArray[np.bool_] = np.zeros(rows, np.bool_)
        self._registers: npt.NDArray[np.uint8] = np.zeros((rows, registers), np.uint8)

    @property
    def nbytes(self) -> int:
        """Memory of the counters, in bytes."""
        return self._exact.nbytes + self._held.nbytes + self._over.nbytes + self._registers.nbytes

    def add(self, rows: Rows, keys: U64) -> None:
        """Count `keys[i]` for `rows[i]`; row -1 is left out."""
        rows, keys = rows[rows >= 0], keys[rows >= 0]
        if len(rows):
            self._add_registers(rows, keys)
            self._add_exact(rows, keys)

    def clear(self, rows: Rows) -> None:
        """Empty the counters of `rows`."""
        self._exact[rows] = 0
        self._held[rows] = 0
        self._over[rows] = False
        self._registers[rows] = 0

    def count(self, rows: Rows) -> npt.NDArray[np.int64]:
        """Return `i8 [n]`, the distinct keys of each row."""
        return self.merged(rows[:, None])

    def merged(self, rows: Rows) -> npt.NDArray[np.int64]:
        """Return `i8 [n]`, the distinct keys of the union of the counters in each line of `rows` (`[n, k]`)."""
        if not rows.size:
            return np.zeros(len(rows), np.int64)
        together = np.sort(self._exact[rows].reshape(len(rows), -1), axis=1)
        fresh = np.ones(together.shape, np.bool_)
        fresh[:, 1:] = together[:, 1:] != together[:, :-1]
        exact: npt.NDArray[np.int64] = (fresh & (together != 0)).sum(axis=1).astype(np.int64)
        over = self._over[rows].any(axis=1)
        if not over.any():
            return exact
        estimate = np.rint(_estimate(self._registers[rows].max(axis=1))).astype(np.int64)
        return np.where(over, np.maximum(estimate, exact), exact)

    def _add_registers(self, rows: Rows, keys: U64) -> None:
        width = self._registers.shape[1]
        bucket = (keys & np.uint64(width - 1)).astype(np.intp)
        rest = (keys >> np.uint64(width.bit_length() - 1)) & np.uint64((1 << 52) - 1)
        rank = (53 - np.frexp(rest.astype(np.float64))[1]).astype(np.uint8)
        np.maximum.at(self._registers.reshape(-1), rows * width + bucket, rank)

    def _add_exact(self, rows: Rows, keys: U64) -> None:
        unknown = ~(self._exact[rows] == keys[:, None]).any(axis=1) & ~self._over[rows]
        rows, keys = rows[unknown], keys[unknown]
        if not len(rows):
            return
        once = _first_of_pair(rows, keys)
        rows, keys = rows[once], keys[once]
        groups = group(rows)
        turn = np.empty(len(rows), np.intp)
        turn[groups.order] = np.arange(len(rows)) - np.repeat(groups.starts, groups.counts)
        place = self._held[rows].astype(np.intp) + turn
        fits = place < self._exact.shape[1]
        self._exact[rows[fits], place[fits]] = keys[fits]
        np.add.at(self._held, rows[fits], 1)
        self._over[rows[~fits]] = True


def _first_of_pair(rows: Rows, keys: U64) -> Rows:
    """Return, in row order, the index of the first appearance of each (row, key)."""
    mixed = keys ^ (rows.astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15))
    return np.sort(np.unique(mixed, return_index=True)[1])


def _estimate(registers: npt.NDArray[np.uint8]) -> F64:
    m = registers.shape[1]
    alpha = _ALPHA.get(m, 0.7213 / (1 + 1.079 / m))
    raw = alpha * m * m / np.exp2(-registers.astype(np.float64)).sum(axis=1)
    zeros = (registers == 0).sum(axis=1)
    linear = m * np.log(m / np.maximum(zeros, 1))
    estimate: F64 = np.where((raw <= 2.5 * m) & (zeros > 0), linear, raw)
    return estimate
