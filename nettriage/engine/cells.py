"""Cells of packet time: the moments at which detectors judge, fixed by the packets and not by how they were batched."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from nettriage.model.columns import I64
from sniff.packet_clock import PacketClock

GRID_NS = 250_000_000
"""Cells end on multiples of this: four judgements a second are as many as the screens show."""
FULL_PACKETS = 1_024
"""A cell with so many packets ends at the next grid line: judging costs some ms, so thinner cells would cost more
than their packets."""
FAIR_PACKETS, FAIR_NS = 64, 1_000_000_000
"""A cell with so many ends a second after it began: a loud scan alone has more, and is judged within a second."""
CELL_MAX_NS = 2_000_000_000
"""A thinner cell ends after this, so that a quiet link is never more than two seconds behind."""
IDLE_SHARE = 16
"""After silence the next empty cell lasts 1/16 of it: an hour of nothing costs about a hundred judgements, and
every deadline is met within 6 % of its length."""


class CellClock:
    """The packet clock, cut into cells.

    A cell ends at the first multiple of `GRID_NS` at which it is old enough for the packets that it holds. Packets
    belong to cells by the running maximum of their time, so disorder moves no boundary.
    """

    def __init__(self) -> None:
        self._clock = PacketClock()
        self._start_ns = 0
        self._count = 0
        self._last_grid_ns = 0

    @property
    def now_ns(self) -> int | None:
        """Running maximum of believed packet times; None before the first."""
        return self._clock.now_ns

    @property
    def jumps(self) -> int:
        """Times that the clock was stepped, or a timestamp was not believed."""
        return self._clock.jumps

    def split(self, ts_ns: I64) -> Iterator[tuple[int, list[int]]]:
        """Cut the rows of a batch at cell ends: yield (end row, ends of cells that come right before that row).

        The last item has the length of the batch and no ends. Consume it wholly.
        """
        if not len(ts_ns):
            return
        if self.now_ns is None:
            self._begin(int(ts_ns[0]))
        grid = self._clock.follow(ts_ns).now_ns // GRID_NS
        steps = np.flatnonzero(np.diff(grid, prepend=self._last_grid_ns // GRID_NS))
        done = 0
        for row in steps.tolist():
            self._count += row - done
            ends = self._ends_until(int(grid[row]) * GRID_NS)
            if ends:
                yield row, ends
            done = row
        self._count += len(ts_ns) - done
        yield len(ts_ns), []

    def advance(self, now_ns: int) -> list[int]:
        """Let time pass without packets up to `now_ns`; return the cell ends on the way."""
        if self.now_ns is None or now_ns <= self.now_ns:
            return []
        self._clock.advance(now_ns)
        return self._due_until(now_ns // GRID_NS * GRID_NS)

    def _begin(self, ts_ns: int) -> None:
        self._start_ns = self._last_grid_ns = ts_ns // GRID_NS * GRID_NS

    def _ends_until(self, grid_ns: int) -> list[int]:
        """Return the cell ends up to the grid line before the next packet, and make that line the present."""
        if grid_ns < self._last_grid_ns:
            self._start_ns = self._last_grid_ns = grid_ns
            return []
        ends = self._due_until(grid_ns)
        if not self._count and grid_ns - self._start_ns >= CELL_MAX_NS:
            ends.append(grid_ns)
            self._start_ns = grid_ns
        self._last_grid_ns = grid_ns
        return ends

    def _due_until(self, grid_ns: int) -> list[int]:
        ends = []
        while (due_ns := self._due()) <= grid_ns:
            ends.append(due_ns)
            self._start_ns = due_ns
            self._count = 0
        return ends

    def _due(self) -> int:
        next_line_ns = max(self._last_grid_ns, self._start_ns) + GRID_NS
        if self._count >= FULL_PACKETS:
            return next_line_ns
        if self._count >= FAIR_PACKETS:
            return max(next_line_ns, self._start_ns + FAIR_NS)
        if self._count:
            return self._start_ns + CELL_MAX_NS
        idle_ns = self._start_ns - self._last_grid_ns
        return self._start_ns + max(CELL_MAX_NS, idle_ns // IDLE_SHARE // GRID_NS * GRID_NS)
