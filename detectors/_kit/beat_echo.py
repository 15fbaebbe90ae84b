"""Whether one series of calls echoes another: each beat followed by a call onward, closer than chance allows."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from nettriage.model.columns import I64

from .beat_score import SAME_BEAT_NS

_BEFORE_NS, _WITHIN_NS = 20_000, 1_000_000_000
"""A call onward follows at once; a mirror may deliver it a little early, a slow link makes it late."""
_DELTA_MIN_NS = 5_000_000
_STEADY_MAX = 0.15
"""Spread of the lag over spread of the intervals: of two clocks that merely agree both are alike, of an echo the lag is
the smaller by far."""
_HITS_MIN, _HIT_SHARE_MIN = 6, 0.8
_LOG_P_MAX = -6.0


@dataclass(frozen=True, slots=True)
class Echo:
    """How well calls onward follow the beats of a series."""

    beats: int
    """Beats while both series were seen."""
    hits: int
    lag_ms: float
    """Median."""
    steadiness: float
    """Spread of the lag over spread of the intervals."""
    log_p: float
    """Common logarithm of the chance that unrelated calls meet so many beats."""

    def holds(self, pairs: int) -> bool:
        """Whether the two are in step, `pairs` having been compared."""
        enough = self.hits >= _HITS_MIN and self.hits >= _HIT_SHARE_MIN * self.beats
        return enough and self.steadiness <= _STEADY_MAX and self.log_p <= _LOG_P_MAX - math.log10(max(pairs, 1))


def echo(beats: I64, onward: I64) -> Echo | None:
    """Compare the ascending times of two series; None where they hardly overlap."""
    if len(onward) < _HITS_MIN:
        return None
    beats = leading(beats)
    shared = beats[(beats >= onward[0] - _WITHIN_NS) & (beats <= onward[-1] + _BEFORE_NS)]
    if len(shared) < _HITS_MIN:
        return None
    place = np.minimum(np.searchsorted(onward, shared - _BEFORE_NS), len(onward) - 1)
    lag = onward[place] - shared
    near = lag[(lag >= -_BEFORE_NS) & (lag <= _WITHIN_NS)]
    if len(near) < _HITS_MIN:
        return None
    delta = max(2 * abs(int(np.quantile(near, 0.9))), _DELTA_MIN_NS)
    hits = int((near <= delta).sum())
    rate = (len(onward) - 1) / max(int(onward[-1] - onward[0]), 1)
    chance = 1 - math.exp(-rate * (delta + _BEFORE_NS))
    return Echo(
        len(shared), hits, float(np.median(near)) / 1e6, _spread(near) / max(_spread(np.diff(shared)), 1.0),
        _log_tail(hits, len(shared), chance),
    )  # fmt: skip


def leading(times: I64) -> I64:
    """Return the first of ascending times that lie close together: one beat may need several calls, or be answered."""
    return times[np.diff(times, prepend=times[0] - SAME_BEAT_NS) >= SAME_BEAT_NS] if len(times) else times


def _spread(values: I64) -> float:
    low, high = np.quantile(values, (0.1, 0.9))
    return float(high - low)


def _log_tail(hits: int, beats: int, chance: float) -> float:
    """Return log10 of the binomial chance of at least `hits`, from its largest term."""
    if hits <= beats * chance:
        return 0.0
    chance = min(max(chance, 1e-12), 1 - 1e-12)
    choices = math.lgamma(beats + 1) - math.lgamma(hits + 1) - math.lgamma(beats - hits + 1)
    log = choices + hits * math.log(chance) + (beats - hits) * math.log(1 - chance)
    return min(log / math.log(10), 0.0)
