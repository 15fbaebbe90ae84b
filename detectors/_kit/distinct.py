"""Distinct counters by row: exact while few, a keyed HyperLogLog beyond."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from nettriage.model.columns import I64, U64, Rows, group

F64 = npt.NDArray[np.float64]
U8 = npt.NDArray[np.uint8]
_ALPHA = {16: 0.673, 32: 0.697, 64: 0.709}


class DistinctCounters:
    """How many different keys each row has seen.

    Up to `exact` keys are kept as they are, so small counts are exact. A row that saw more has also a
    HyperLogLog of `registers` bytes (Flajolet et al. 2007) of all its keys, whose error is 1.04 / sqrt(registers).
    Keys must be keyed hashes (`Mixer`), so that nobody outside can hide below the estimate.

    The keys of a row are valid up to what it holds, and its registers once it is over, so that a row is emptied
    by two small writes. First keys stand together, as do second keys and so on: most rows hold few.
    """

    def __init__(self, rows: int, *, exact: int = 16, registers: int = 64) -> None:
        """Make `rows` empty counters; `registers` is a power of two."""
        self._exact: U64 = np.zeros((exact, rows), np.uint64)
        self._held: U8 = np.zeros(rows, np.uint8)
        self._over: npt.NDArray[np.bool_] = np.zeros(rows, np.bool_)
        self._registers: U8 = np.zeros((rows, registers), np.uint8)

    @property
    def nbytes(self) -> int:
        """Memory of the counters, in bytes."""
        return self._exact.nbytes + self._held.nbytes + self._over.nbytes + self._registers.nbytes

    def add(self, rows: Rows, keys: U64) -> None:
        """Count `keys[i]` for `rows[i]`; row -1 is left out."""
        rows, keys = rows[rows >= 0], keys[rows >= 0]
        if len(rows):
            self._add_exact(rows, keys)
            over = np.flatnonzero(self._over[rows])
            if len(over):
                _raise(self._registers, rows[over], keys[over])

    def clear(self, rows: Rows) -> None:
        """Empty the counters of `rows`."""
        self._held[rows] = 0
        self._over[rows] = False

    def count(self, rows: Rows) -> I64:
        """Return `i8 [n]`, the distinct keys of each row."""
        return self.merged(rows[:, None])

    def estimated(self, rows: Rows) -> npt.NDArray[np.bool_]:
        """Return `bool [n]`, whether what `merged` says of each line of `rows` (`[n, k]`) is an estimate."""
        return np.asarray(self._over[rows].any(axis=1))

    def may_exceed(self, rows: Rows, limit: int) -> npt.NDArray[np.bool_]:
        """Return `bool [n]`, False where the union of a line of `rows` (`[n, k]`) has surely at most `limit` keys."""
        return np.asarray((self._held[rows].sum(axis=1) > limit) | self._over[rows].any(axis=1))

    def merged(self, rows: Rows) -> I64:
        """Return `i8 [n]`, the distinct keys of the union of the counters in each line of `rows` (`[n, k]`)."""
        held = self._held[rows]
        exact: I64 = held.sum(axis=1, dtype=np.int64)
        several = np.flatnonzero((held > 0).sum(axis=1) > 1)
        if len(several):
            exact[several] = self._distinct_keys(rows[several])
        over = np.flatnonzero(self._over[rows].any(axis=1))
        if len(over):
            estimate = np.rint(_estimate(self._merged_registers(rows[over]))).astype(np.int64)
            exact[over] = np.maximum(estimate, exact[over])
        return exact

    def _distinct_keys(self, rows: Rows) -> I64:
        """Return how many different keys are held by each line of `rows`."""
        held = self._held[rows]
        widest = int(held.max())
        valid = np.arange(widest)[:, None, None] < held
        together = np.where(valid, self._exact[:widest, rows], 0).transpose(1, 0, 2).reshape(len(rows), -1)
        together.sort(axis=1)
        fresh = together != 0
        fresh[:, 1:] &= together[:, 1:] != together[:, :-1]
        return np.asarray(fresh.sum(axis=1))

    def _merged_registers(self, rows: Rows) -> U8:
        """Return the registers of the union of each line of `rows`, with the keys of counters that have none."""
        over = self._over[rows]
        merged: U8 = np.where(over[:, :, None], self._registers[rows], 0).max(axis=1)
        line, column = np.nonzero(~over & (self._held[rows] > 0))
        few = rows[line, column]
        place, member = np.nonzero(np.arange(len(self._exact))[:, None] < self._held[few])
        _raise(merged, line[member], self._exact[place, few[member]])
        return merged

    def _add_exact(self, rows: Rows, keys: U64) -> None:
        unknown = self._unknown(rows, keys)
        if not len(unknown):
            return
        width = len(self._exact)
        rows, keys = rows[unknown], keys[unknown]
        once = _first_of_pair(rows, keys)
        rows, keys = rows[once], keys[once]
        groups = group(rows)
        turn = np.empty(len(rows), np.intp)
        turn[groups.order] = np.arange(len(rows)) - np.repeat(groups.starts, groups.counts)
        place = self._held[rows].astype(np.intp) + turn
        fits = place < width
        self._exact[place[fits], rows[fits]] = keys[fits]
        needed = self._held[groups.ids] + groups.counts
        self._held[groups.ids] = np.minimum(needed, width)
        self._go_over(groups.ids[needed > width])

    def _unknown(self, rows: Rows, keys: U64) -> Rows:
        """Return the indices of keys that their rows do not hold and still have to hold exactly."""
        unknown = ~self._over[rows]
        held = np.where(unknown, self._held[rows], 0)
        for place in range(int(held.max())):
            at = np.flatnonzero(held > place)
            unknown[at] &= self._exact[place, rows[at]] != keys[at]
        return np.flatnonzero(unknown)

    def _go_over(self, rows: I64) -> None:
        """Give `rows`, which hold all that they can, registers with the keys that they hold."""
        self._over[rows] = True
        self._registers[rows] = 0
        _raise(self._registers, np.tile(rows, len(self._exact)), self._exact[:, rows].reshape(-1))


def _raise(registers: U8, rows: Rows | I64, keys: U64) -> None:
    """Enter `keys[i]` into line `rows[i]` of `registers`."""
    width = registers.shape[1]
    bucket = (keys & np.uint64(width - 1)).astype(np.intp)
    rest = (keys >> np.uint64(width.bit_length() - 1)) & np.uint64((1 << 52) - 1)
    rank = (53 - np.frexp(rest.astype(np.float64))[1]).astype(np.uint8)
    np.maximum.at(registers.reshape(-1), rows * width + bucket, rank)


def _first_of_pair(rows: Rows, keys: U64) -> Rows:
    """Return, in row order, the index of the first appearance of each (row, key)."""
    if len(rows) == 1:
        return np.zeros(1, np.intp)
    mixed = keys ^ (rows.astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15))
    return np.sort(np.unique(mixed, return_index=True)[1])


def _estimate(registers: U8) -> F64:
    m = registers.shape[1]
    alpha = _ALPHA.get(m, 0.7213 / (1 + 1.079 / m))
    raw = alpha * m * m / np.exp2(-registers.astype(np.float64)).sum(axis=1)
    zeros = (registers == 0).sum(axis=1)
    linear = m * np.log(m / np.maximum(zeros, 1))
    estimate: F64 = np.where((raw <= 2.5 * m) & (zeros > 0), linear, raw)
    return estimate
