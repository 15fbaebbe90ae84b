"""Sliding windows for the rows of a table: each row has a ring of slots, one a step of packet time."""

from __future__ import annotations

import numpy as np

from nettriage.model.columns import I64, Rows

_NEVER = -(1 << 62)


class SlotRing:
    """Which step of packet time each slot of each row stands for.

    The caller keeps columns with a line for every slot and one more, `lines` of them, and empties the lines that
    `enter` names stale. The last line is that of slot -1: it stays empty and stands for every slot without a step.
    A contact older than its slot's step is outside of the window and gets no slot. Lines of one step stand
    together, so that what is written at one time is close in memory.
    """

    def __init__(self, rows: int, steps: int, step_ns: int) -> None:
        """Make rings without any past."""
        self.steps = steps
        self.step_ns = max(step_ns, 1)
        self.lines = rows * steps + 1
        self._rows = rows
        self._stamp: I64 = np.full((steps, rows), _NEVER, np.int64)

    @property
    def nbytes(self) -> int:
        """Memory of the stamps, in bytes."""
        return self._stamp.nbytes

    def reset(self, rows: Rows) -> None:
        """Forget `rows`: all their slots are stale from now on."""
        self._stamp[:, rows] = _NEVER

    def enter(self, rows: Rows, ts_ns: I64) -> tuple[Rows, Rows]:
        """Return the slot of each event (-1 where it is older than the window), and the slots that became stale.

        A slot that became stale with several of the events is named as often.
        """
        step = ts_ns // self.step_ns
        slots: Rows = (step % self.steps).astype(np.intp) * self._rows + rows
        stamp = self._stamp.reshape(-1)
        ahead = np.flatnonzero(step > stamp[slots])
        if len(ahead):
            np.maximum.at(stamp, slots[ahead], step[ahead])
        return np.where(stamp[slots] == step, slots, -1), slots[ahead]

    def live(self, rows: Rows, now_ns: int) -> Rows:
        """Return `intp [n, steps]`, the slots of each row in the window, oldest step first; -1 for a step without."""
        newest = now_ns // self.step_ns
        steps = newest - self.steps + 1 + np.arange(self.steps)
        slots: Rows = (steps % self.steps).astype(np.intp) * self._rows + rows[:, None]
        return np.where(self._stamp.reshape(-1)[slots] >= steps, slots, -1)
