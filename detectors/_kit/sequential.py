"""The sequential test of scans: a log-likelihood walk per row, with forgetting clocks, exact under any cut.

Each event moves the walk of its row by its weight in nats (Jung, Paxson, Berger, Balakrishnan, "Fast
portscan detection using sequential hypothesis testing", IEEE S&P 2004); the walk never goes below zero
(Page's CUSUM, so a good past is no credit) and fades with a time constant. All arithmetic is on integers
and forgetting happens on a fixed grid of packet time, so the walk is the same to the last bit however the
events were cut into slices.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from nettriage.model.columns import I64, Groups, Rows

MICRONATS = 1_000_000
"""Weights and walks are in millionths of a nat."""
GRID = 128
"""Steps of forgetting in one time constant: the walk is at most 1/128 of it late."""
_SHIFT = 20
_FADE = np.rint(np.exp(-np.arange(GRID * 15) / GRID) * (1 << _SHIFT)).astype(np.int64)
"""What remains of a walk after k steps, in units of 2**-20; nothing after 15 time constants."""
_CEILING = 1 << 36
_SPREAD = 1 << 40
"""More than a walk can move in one slice: keeps the running minima of neighbouring runs apart."""


@dataclass(frozen=True, slots=True)
class Clock:
    """How fast a walk forgets and where it alarms."""

    tau_s: float
    """Time constant of forgetting."""
    alarm: float
    """Log-likelihood ratio of the alarm, in nats."""


class SequentialTest:
    """The walks of all rows on one clock."""

    def __init__(self, rows: int, clock: Clock) -> None:
        """Start `rows` walks at zero."""
        self.clock = clock
        self._step_ns = max(1, int(clock.tau_s * 1e9 / GRID))
        self._walk: I64 = np.zeros(rows, np.int64)
        self._step: I64 = np.zeros(rows, np.int64)

    @property
    def nbytes(self) -> int:
        """Memory of the walks, in bytes."""
        return self._walk.nbytes + self._step.nbytes

    def clear(self, rows: Rows) -> None:
        """Put the walks of `rows` back to zero."""
        self._walk[rows] = 0
        self._step[rows] = 0

    def value(self, rows: Rows, now_ns: int) -> I64:
        """Return `i8 [n]`, the walk of each row in micronats as it stands at `now_ns`."""
        return _faded(self._walk[rows], now_ns // self._step_ns - self._step[rows])

    def add(self, groups: Groups, ts_ns: I64, weights: I64) -> I64:
        """Move the walks of the rows `groups.ids` by `weights` (micronats), one event after the other.

        `ts_ns` and `weights` are in the order of `groups.order`: by row, and in event order inside a row.
        Returns `i8 [n]`, in that order, each walk after each event.
        """
        step = ts_ns // self._step_ns
        if len(groups.ids) == len(ts_ns):
            return self._walk_once(groups.ids, step, weights)
        walked = np.empty(len(ts_ns), np.int64)
        alone = np.flatnonzero(groups.counts == 1)
        at = groups.starts[alone]
        walked[at] = self._walk_once(groups.ids[alone], step[at], weights[at])
        several = np.flatnonzero(groups.counts > 1)
        counts = groups.counts[several]
        at = _spans(groups.starts[several], counts)
        walked[at] = self._walk_often(groups.ids[several], counts, step[at], weights[at])
        return walked

    def _walk_once(self, rows: I64, step: I64, weights: I64) -> I64:
        """Move each of `rows` by one event."""
        step = np.maximum(step, self._step[rows])
        walked: I64 = np.maximum(_faded(self._walk[rows], step - self._step[rows]) + weights, 0)
        self._walk[rows] = walked
        self._step[rows] = step
        return walked

    def _walk_often(self, rows: I64, counts: Rows, step: I64, weights: I64) -> I64:
        """Move each of `rows` by `counts` events that stand one after the other."""
        member = np.repeat(np.arange(len(rows)), counts)
        step = np.maximum(step, self._step[rows][member])
        step = np.maximum.accumulate((member << 40) + step) - (member << 40)
        new = np.ones(len(step), np.bool_)
        new[1:] = (member[1:] != member[:-1]) | (step[1:] != step[:-1])
        edges = np.flatnonzero(new)
        lengths = np.diff(np.append(edges, len(step)))
        return self._walk_runs(_Runs(rows[member[edges]], step[edges], edges, lengths), weights)

    def _walk_runs(self, runs: _Runs, weights: I64) -> I64:
        """Walk run by run: runs of different rows at once, those of one row one after the other."""
        walked = np.empty(len(weights), np.int64)
        first_of_row = np.flatnonzero(np.append(True, runs.row[1:] != runs.row[:-1]))
        turn = np.arange(len(runs.row)) - np.repeat(first_of_row, np.diff(np.append(first_of_row, len(runs.row))))
        for now in range(int(turn.max()) + 1):
            part = np.flatnonzero(turn == now)
            rows, steps, counts = runs.row[part], runs.step[part], runs.count[part]
            start = _faded(self._walk[rows], steps - self._step[rows])
            events = _spans(runs.start[part], counts)
            walked[events] = _cusum(start, weights[events], counts)
            self._walk[rows] = walked[runs.start[part] + counts - 1]
            self._step[rows] = steps
        return walked


@dataclass(frozen=True, slots=True)
class _Runs:
    """Neighbouring events of one row in one step of the grid, over events sorted by row."""

    row: I64
    step: I64
    start: Rows
    count: Rows


def _faded(walk: I64, steps: I64) -> I64:
    kept = _FADE[np.clip(steps, 0, len(_FADE) - 1)]
    faded: I64 = np.where(steps >= len(_FADE), 0, (np.minimum(walk, _CEILING) * kept) >> _SHIFT)
    return faded


def _spans(starts: Rows, counts: Rows) -> Rows:
    """Return the positions of all spans, one after the other."""
    offset: Rows = np.repeat(starts - (np.cumsum(counts) - counts), counts)
    return np.arange(len(offset)) + offset


def _cusum(start: I64, weights: I64, counts: Rows) -> I64:
    """Return the walk after each event of neighbouring runs: sums from `start`, lifted wherever they go below 0."""
    ends = np.cumsum(counts)
    total = np.cumsum(weights)
    before = np.repeat(total[ends - counts] - weights[ends - counts] - start, counts)
    free = total - before
    apart = np.repeat(np.arange(len(counts)) * _SPREAD, counts)
    lowest = np.minimum.accumulate(free - apart) + apart
    lifted: I64 = free - np.minimum(lowest, 0)
    return lifted
