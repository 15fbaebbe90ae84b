"""How unlikely coincidences are: upper bounds of binomial tails, over whole columns."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

F64 = npt.NDArray[np.float64]


def log10_tail(hits: F64, tries: F64, chance: F64) -> F64:
    """Return an upper bound of log10 P[Bin(tries, chance) >= hits], at most 0, for equally shaped arrays.

    The bound of Chernoff (1952): ``-tries * KL(hits/tries || chance)``. It is exact where every try hits, and
    never claims more than the tail itself.
    """
    tries = np.maximum(tries, 1e-9)
    share = np.clip(hits / tries, 0.0, 1.0)
    chance = np.clip(chance, 1e-12, 1 - 1e-12)
    with np.errstate(divide="ignore", invalid="ignore"):
        of_hits = np.where(share > 0, share * np.log(share / chance), 0.0)
        of_misses = np.where(share < 1, (1 - share) * np.log((1 - share) / (1 - chance)), 0.0)
    divergence = np.where(share > chance, of_hits + of_misses, 0.0)
    return np.asarray(-tries * divergence / np.log(10))


def chance_within(events: F64, span_ns: F64, window_ns: F64) -> F64:
    """Return the chance that a window before a moment of no choice holds one of `events` strewn over the span."""
    expected = events / np.maximum(span_ns, 1.0) * window_ns
    return np.asarray(1.0 - np.exp(-expected))
