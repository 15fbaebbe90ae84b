"""The activity of one incident over its life, in at most 60 equal steps."""

from __future__ import annotations

from nettriage.engine.times import rfc3339
from nettriage.model.alert import Timeline

STEPS_MAX = 60
_FIRST_STEP_NS = 1_000_000_000


class Tally:
    """Events by step of packet time; the step doubles whenever the life outgrows the steps."""

    __slots__ = ("_counts", "_step_ns", "_t0_ns")

    def __init__(self, t0_ns: int) -> None:
        self._t0_ns = t0_ns
        self._step_ns = _FIRST_STEP_NS
        self._counts = [0]

    def add(self, first_ns: int, last_ns: int, count: int) -> None:
        """Spread `count` events evenly over the steps from `first_ns` to `last_ns`, the best that is known of them.

        What lies before the start counts in the first step.
        """
        if count <= 0:
            return
        last = self._step_of(max(first_ns, last_ns))
        first = self._step_of(min(first_ns, last_ns))
        width = last - first + 1
        for index in range(width):
            self._counts[first + index] += count * (index + 1) // width - count * index // width

    def record(self) -> Timeline:
        """Return the record of it."""
        return Timeline(t0=rfc3339(self._t0_ns), step_s=self._step_ns / 1e9, counts=list(self._counts))

    def _step_of(self, ts_ns: int) -> int:
        """Return the step of a time, after growing so that it has one."""
        since_ns = max(ts_ns - self._t0_ns, 0)
        while since_ns // self._step_ns >= STEPS_MAX:
            self._double()
        step = since_ns // self._step_ns
        self._counts.extend([0] * (step + 1 - len(self._counts)))
        return step

    def _double(self) -> None:
        pairs = [*self._counts, 0]
        self._counts = [pairs[at] + pairs[at + 1] for at in range(0, len(self._counts), 2)]
        self._step_ns *= 2
