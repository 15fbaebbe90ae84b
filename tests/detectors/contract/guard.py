"""Watchers of what a detector reads from a slice, and what it leaves changed behind it."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

import numpy as np

from nettriage.model.batch import PacketBatch
from nettriage.model.detector import Detector
from nettriage.model.slices import Slice

_FREE = {"now_ns"}
"""What every detector may read: the packet clock is no column."""


class _Watched:
    """Hands on the attributes of an object and notes their names."""

    def __init__(self, inner: Any, prefix: str, seen: set[str]) -> None:
        self._inner, self._prefix, self._seen = inner, prefix, seen

    def __getattr__(self, name: str) -> Any:
        value = getattr(self._inner, name)
        if isinstance(value, PacketBatch):
            return _Watched(value, "packets.", self._seen)
        if not callable(value):
            self._seen.add(self._prefix + name)
        return value

    def __len__(self) -> int:
        return len(self._inner)


class Guarded(Detector):
    """Stands before a detector: notes what it reads, and compares every array before and after."""

    def __init__(self, inner: Detector) -> None:
        self.inner = inner
        self.card = inner.card  # type: ignore[misc]  # the pipeline reads it from the instance
        self.read: set[str] = set()
        self.changed: list[str] = []

    def push(self, seen: Slice) -> None:
        """Let the detector see the slice, watched."""
        before = _copies(seen)
        self.inner.push(_Watched(seen, "", self.read))  # type: ignore[arg-type]  # it looks like a slice
        after = _copies(seen)
        self.changed += [name for name in before if not np.array_equal(before[name], after[name], equal_nan=False)]

    def tick(self, now_ns, tables):
        """Hand on."""
        return self.inner.tick(now_ns, tables)

    def gauges(self):
        """Hand on."""
        return self.inner.gauges()

    def state_bytes(self) -> int:
        """Hand on."""
        return self.inner.state_bytes()

    @property
    def undeclared(self) -> set[str]:
        """What was read without being in `reads`."""
        return self.read - self.inner.reads - _FREE


def _copies(seen: Slice) -> dict[str, np.ndarray]:
    copies = {f"packets.{name}": column.copy() for name, column in seen.packets.columns()}
    for part in ("contacts", "resumes", "ends", "dns"):
        holder = getattr(seen, part)
        copies |= {f"{part}.{item.name}": np.copy(getattr(holder, item.name)) for item in fields(holder)}
    return copies | {name: np.copy(getattr(seen, name)) for name in ("flow", "side", "src", "dst", "new_flows")}
