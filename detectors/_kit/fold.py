"""Prints of byte lines and of columns that are keyed already: a keyed sum of products, few array operations each."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from nettriage.model.columns import U64, Mixer

_TERMS = 16


@dataclass(frozen=True, slots=True)
class Fold:
    """Multilinear hashing with secret odd factors (Lemire and Kaser 2014), for at most 16 words a line.

    Two lines that differ in one word never have the same sum; others do with a chance of 2**-31 at most, because
    the high half of each word also goes into its low half.
    """

    factors: U64

    @classmethod
    def keyed(cls, mix: Mixer) -> Fold:
        """Draw the factors from the secret of the run."""
        return cls(mix(np.arange(_TERMS, dtype=np.uint64)) | np.uint64(1))

    def products(self, lines: npt.NDArray[np.uint8]) -> U64:
        """Return `u8 [n, width // 8]`, each word of the lines times its factor; any run of columns sums to a print."""
        words = np.ascontiguousarray(lines).view("<u8")
        return np.asarray((words ^ (words >> np.uint64(32))) * self.factors[: words.shape[1]])

    def lines(self, lines: npt.NDArray[np.uint8]) -> U64:
        """Return `u8 [n]`, the print of each line of bytes; the width is a multiple of 8."""
        return spread(self.products(lines).sum(axis=1, dtype=np.uint64))

    def columns(self, *columns: npt.NDArray[np.integer]) -> U64:
        """Return `u8 [n]`, the print of each row of equally long columns; never 0."""
        total = columns[0].astype(np.uint64) * self.factors[0]
        for column, factor in zip(columns[1:], self.factors[1:], strict=False):
            total += column.astype(np.uint64) * factor
        return spread(total)


def spread(total: U64) -> U64:
    """Bring the high bits of sums, the good ones, down to where tables look; in place."""
    total ^= total >> np.uint64(32)
    total *= np.uint64(0x9E3779B97F4A7C15)
    total ^= total >> np.uint64(29)
    total[total == 0] = 1
    return total
