"""Cells of packet time: the moments at which detectors judge, fixed by the packets and not by how they were batched."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from nettriage.model.columns import I64
from sniff.packet_clock import PacketClock

GRID_NS = 250_000_000
"""Cells end on multiples of this: four judgements a second are as many as the screens show."""
CELL_PACKETS = 64
"""Packets that make a cell worth a judgement of its own."""
CELL_MAX_NS = 2_000_000_000
"""A thinner cell is judged after this, so that a quiet link is never more than two seconds behind."""
IDLE_SHARE = 16
"""After silence the next empty cell lasts 1/16 of it: an hour of nothing costs about a hundred judgements, and
every deadline is met within 6 % of its length."""


class CellClock:
    """The packet clock, cut into cells.

    A cell ends at the first multiple of `GRID_NS` after which it holds `CELL_PACKETS`, or `CELL_MAX_NS` after it
    began. Packets belong to cells by the running maximum of their time, so disorder moves no boundary.
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
        if self._count >= CELL_PACKETS:
            return max(self._last_grid_ns, self._start_ns) + GRID_NS
        if self._count:
            return self._start_ns + CELL_MAX_NS
        idle_ns = self._start_ns - self._last_grid_ns
        return self._start_ns + max(CELL_MAX_NS, idle_ns // IDLE_SHARE // GRID_NS * GRID_NS)
