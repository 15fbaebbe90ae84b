"""The packet clock: a running maximum of believable timestamps."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from nettriage.model.columns import I64, Rows

LEAP_NS = 3_600_000_000_000
"""A timestamp further ahead than an hour is a wrong clock until others follow it."""
BACK_NS = 60_000_000_000
"""So is one further back than a minute; less is disorder of the capture, which the running maximum absorbs."""
CONFIRMATIONS = 8
"""Packets in a row beyond the bounds that make the new time believed."""


@dataclass(frozen=True, slots=True)
class Step:
    """The clock was stepped: from `row` on, time is `shift_ns` off what the state knows."""

    row: int
    shift_ns: int


@dataclass(frozen=True, slots=True)
class Timed:
    """Packet time of the rows of a batch."""

    now_ns: I64
    """`i8 [n]`, the clock right after each row; never decreasing between steps."""
    strange: Rows
    """Rows whose own timestamp was not believed."""
    steps: list[Step]


_NO_ROWS = np.zeros(0, np.intp)


class PacketClock:
    """Follows packet timestamps; a lone mad one is ignored, a row of them steps the clock."""

    def __init__(self) -> None:
        self.now_ns: int | None = None
        """Running maximum of believed packet times; None before the first."""
        self.jumps = 0
        """Times that the clock was stepped, or a timestamp was not believed."""
        self._strangers = 0

    def follow(self, ts_ns: I64) -> Timed:
        """Return the clock at every row, and move it on."""
        if self.now_ns is None:
            self.now_ns = int(ts_ns[0])
        running = np.maximum.accumulate(ts_ns)
        if running[0] < self.now_ns:
            running = np.maximum(running, self.now_ns)
        if running[-1] - self.now_ns <= LEAP_NS and (running - ts_ns).max() <= BACK_NS:
            self._strangers = 0
            self.now_ns = int(running[-1])
            return Timed(running, _NO_ROWS, [])
        return self._follow_each(ts_ns)

    def advance(self, now_ns: int) -> None:
        """Move the clock on without packets; it never goes back."""
        if self.now_ns is None or now_ns > self.now_ns:
            self.now_ns = now_ns

    def _follow_each(self, ts_ns: I64) -> Timed:
        """Follow a batch with strange times packet by packet: only a broken clock or hours of silence lead here."""
        assert self.now_ns is not None
        now, strange, steps, times = self.now_ns, [], [], []
        for row, ts in enumerate(ts_ns.tolist()):
            if -BACK_NS <= ts - now <= LEAP_NS:
                self._strangers = 0
                now = max(now, ts)
            else:
                self._strangers += 1
                self.jumps += self._strangers == 1
                if self._strangers >= CONFIRMATIONS:
                    self._strangers = 0
                    steps.append(Step(row, ts - now))
                    now = ts
                else:
                    strange.append(row)
            times.append(now)
        self.now_ns = now
        return Timed(np.array(times, np.int64), np.array(strange, np.intp), steps)
