"""A capture file at its own pace: packet time mapped to wall time."""

from __future__ import annotations

from collections.abc import Callable

from nettriage.engine import clock

WAIT_MAX_S = 3_600.0
"""A longer gap between two packets is a wrong clock or nothing to wait for: replay goes on at once."""


class Pacer:
    """Says when a packet is due at a speed, and which packet time it is now."""

    def __init__(self, speed: float, now_s: Callable[[], float] = clock.monotonic_s) -> None:
        """Start at the first packet asked about; `speed` is above 0."""
        self._speed = speed
        self._now_s = now_s
        self._start: tuple[int, float] | None = None

    def due_in_s(self, ts_ns: int) -> float:
        """Return the wall seconds until a packet of this time is due, 0 or less where it is."""
        if self._start is None:
            self._start = (ts_ns, self._now_s())
        wait_s = (ts_ns - self.packet_now_ns()) / 1e9 / self._speed
        if wait_s > WAIT_MAX_S:
            self._start = (ts_ns, self._now_s())
            return 0.0
        return wait_s

    def packet_now_ns(self) -> int:
        """Return the packet time of this moment; 0 before the start."""
        if self._start is None:
            return 0
        ts_ns, began_s = self._start
        return ts_ns + int((self._now_s() - began_s) * self._speed * 1e9)
