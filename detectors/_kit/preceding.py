"""What came into a host shortly before something went out of it, over columns."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from nettriage.model.columns import I64, U64, Rows

_EPOCH_BITS = 44
"""Bits of a time inside one look (about 4.9 h), below the number of the host."""


class Events(NamedTuple):
    """Moments at hosts, in order of time."""

    host: U64
    ts_ns: I64


def preceding(into: Events, out: Events, within_ns: int, nearest: int) -> tuple[Rows, Rows]:
    """Return index pairs (into, out) of events at one host with `into` at most `within_ns` before `out`.

    Of more than `nearest` that came in, the latest ones are taken.
    """
    if not (len(into.ts_ns) and len(out.ts_ns)):
        none = np.zeros(0, np.intp)
        return none, none
    _, number = np.unique(np.concatenate((into.host, out.host)), return_inverse=True)
    start_ns = min(int(into.ts_ns.min()), int(out.ts_ns.min()))
    cut = len(into.ts_ns)
    in_key = _key(number[:cut], into.ts_ns - start_ns, within_ns)
    out_key = _key(number[cut:], out.ts_ns - start_ns, within_ns)
    order = np.argsort(in_key, kind="stable")
    in_key = in_key[order]
    last = np.searchsorted(in_key, out_key, side="right")
    first = np.maximum(np.searchsorted(in_key, out_key - within_ns), last - nearest)
    came, went = order[_ramps(first, last)], np.arange(len(out_key)).repeat(last - first)
    # Times beyond the epoch of one look share a key: a leap of the clock must not bring strangers together.
    lag_ns = out.ts_ns[went] - into.ts_ns[came]
    near = (lag_ns >= 0) & (lag_ns <= within_ns)
    return came[near], went[near]


def _key(number: Rows, since_ns: I64, within_ns: int) -> I64:
    """Return the host above the time; the times begin at `within_ns`, so that a look back stays at its host."""
    since = np.clip(since_ns, 0, (1 << _EPOCH_BITS) - 1 - within_ns) + within_ns
    return np.asarray((number.astype(np.int64) << _EPOCH_BITS) + since)


def _ramps(first: Rows, last: Rows) -> Rows:
    """Return the numbers from each `first` up to its `last`, one run after the other."""
    counts = last - first
    ends = np.cumsum(counts)
    total = int(ends[-1]) if len(ends) else 0
    return np.asarray(np.arange(total) - np.repeat(ends - counts, counts) + np.repeat(first, counts), np.intp)
