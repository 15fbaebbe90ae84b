"""How regular series of calls are: RITA's scores of time and size, over the latest beats instead of a day."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from nettriage.model.columns import I64, Rows

from .beat_rings import BeatRings

F64 = npt.NDArray[np.float64]
_S = 1e9
SAME_BEAT_NS = 500_000_000
"""Calls closer together are one beat that needed several connections."""
_SKEW_SPREAD_MIN = 10.0
"""Below this spread of the quartiles, in seconds or bytes, RITA takes the skew for 0."""
_MIDDLE_MIN = 1.0
"""Below this median, in seconds or bytes, RITA takes narrowness for given (time) or for missing (size)."""
_SPAN_PERIODS = 10
"""Periods of observation that make a rhythm sure; in place of RITA's histogram and hours of a day."""


@dataclass(frozen=True, slots=True)
class Rhythm:
    """How regular some series are; arrays of the same length as `rows`."""

    rows: Rows
    score: F64
    """`f8 [n]`, 0 to 1: the mean of those of time, size (where known) and span."""
    time: F64
    size: F64
    """`f8 [n]`, -1 where the bytes of fewer than four calls are known."""
    period_s: F64
    """`f8 [n]`, median interval."""
    jitter_s: F64
    """`f8 [n]`, median deviation of the intervals."""
    beats: I64
    """`i8 [n]`, beats in the ring, those of one moment counted once."""


def rhythm(rings: BeatRings, rows: Rows, min_beats: int, min_period_s: float) -> Rhythm:
    """Score the series of `rows` that have enough beats and are slow enough; leaves out the others."""
    times, count = rings.times(rows)
    gaps = np.diff(times, axis=1)
    gaps[np.arange(1, times.shape[1]) >= count[:, None]] = 0
    real = gaps >= SAME_BEAT_NS
    number = real.sum(axis=1)
    ordered = np.sort(np.where(real, gaps, np.iinfo(np.int64).max), axis=1) / _S
    period = _quantile(ordered, number, 0.5)
    kept = np.flatnonzero((number >= min_beats - 1) & (period >= min_period_s))
    rows, ordered, number, period = rows[kept], ordered[kept], number[kept], period[kept]
    deviation = _deviation(ordered, number, period)
    time = _regularity(ordered, number, period, deviation, 1.0)
    size = _size_score(rings, rows)
    span = np.minimum(1.0, np.where(real, gaps, 0)[kept].sum(axis=1) / _S / (_SPAN_PERIODS * period))
    known = size >= 0
    score = np.where(known, (time + size + span) / 3, (time + span) / 2)
    return Rhythm(rows, score, time, size, period, deviation, number + 1)


def _size_score(rings: BeatRings, rows: Rows) -> F64:
    sizes, count = rings.sizes(rows)
    ordered = sizes.astype(np.float64)
    middle = _quantile(ordered, count, 0.5)
    deviation = _deviation(ordered, count, middle)
    score = _regularity(ordered, count, middle, deviation, 0.0)
    return np.where(count >= 4, score, -1.0)


def _quantile(ordered: F64, number: I64, share: float) -> F64:
    """Return `f8 [n]`, a quantile of the first `number` values of each ascending line."""
    place = np.clip(np.rint(share * (number - 1)).astype(np.intp), 0, ordered.shape[1] - 1)
    return np.asarray(ordered[np.arange(len(ordered)), place])


def _deviation(ordered: F64, number: I64, middle: F64) -> F64:
    """Return `f8 [n]`, the median of the absolute deviations from the median."""
    away = np.abs(ordered - middle[:, None])
    away[np.arange(ordered.shape[1]) >= number[:, None]] = np.inf
    away.sort(axis=1)
    return _quantile(away, number, 0.5)


def _regularity(ordered: F64, number: I64, middle: F64, deviation: F64, when_small: float) -> F64:
    """Return `f8 [n]`, the mean of symmetry (1 - Bowley's skew) and narrowness ((median - MAD) / median)."""
    low, high = _quantile(ordered, number, 0.25), _quantile(ordered, number, 0.75)
    spread = high - low
    flat = (spread < _SKEW_SPREAD_MIN) | (middle == low) | (middle == high)
    skew = np.where(flat, 0.0, np.abs((low + high - 2 * middle) / np.where(spread == 0, 1.0, spread)))
    narrow = np.where(middle < _MIDDLE_MIN, when_small, (middle - deviation) / np.maximum(middle, _MIDDLE_MIN))
    return np.asarray((1 - np.clip(skew, 0, 1) + np.clip(narrow, 0, 1)) / 2)
