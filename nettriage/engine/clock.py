"""The only place that reads wall time; everything inside the pipeline follows packet timestamps."""

from __future__ import annotations

import time


def wall_ns() -> int:
    """Return ns since the epoch by the clock of this machine."""
    return time.time_ns()


def monotonic_s() -> float:
    """Return seconds of a clock that never goes back."""
    return time.monotonic()


def process_cpu_s() -> float:
    """Return the CPU seconds that this process has used."""
    return time.process_time()
