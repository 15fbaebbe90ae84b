"""Sliding windows for the rows of a table: each row has a ring of slots, one a step of packet time."""

from __future__ import annotations

import numpy as np

from nettriage.model.columns import I64, Rows

_NEVER = -(1 << 62)


class SlotRing:
    """Which step of packet time each slot of each row stands for.

    The caller keeps columns with a line for every slot (`rows * steps` of them) and empties the lines that are
    named stale. A contact older than its slot's step is outside of the window and gets no slot.
    """

    def __init__(self, rows: int, steps: int, step_ns: int) -> None:
        """Make rings without any past."""
        self.steps = steps
        self.step_ns = max(step_ns, 1)
        self._stamp: I64 = np.full((rows, steps), _NEVER, np.int64)

    @property
    def nbytes(self) -> int:
        """Memory of the stamps, in bytes."""
        return self._stamp.nbytes

    def reset(self, rows: Rows) -> None:
        """Forget `rows`: all their slots are stale from now on."""
        self._stamp[rows] = _NEVER

    def enter(self, rows: Rows, ts_ns: I64) -> tuple[Rows, Rows]:
        """Return the slot of each event (-1 where it is older than the window), and the slots that became stale."""
        step = ts_ns // self.step_ns
        turn = (step % self.steps).astype(np.intp)
        ahead = step > self._stamp[rows, turn]
        np.maximum.at(self._stamp, (rows[ahead], turn[ahead]), step[ahead])
        slots = rows * self.steps + turn
        return np.where(self._stamp[rows, turn] == step, slots, -1), np.unique(slots[ahead])

    def window(self, rows: Rows, now_ns: int) -> tuple[Rows, Rows]:
        """Return `intp [n, steps]`, the slots of each row, oldest step first, and those of them that are stale."""
        newest = now_ns // self.step_ns
        steps = newest - self.steps + 1 + np.arange(self.steps)
        turn = (steps % self.steps).astype(np.intp)
        slots: Rows = rows[:, None] * self.steps + turn
        return slots, slots[self._stamp[rows][:, turn] < steps]
