"""The contract of a detector."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

from nettriage.model.alert import Attack
from nettriage.model.finding import Finding
from nettriage.model.health import Gauge
from nettriage.model.panel import Panel
from nettriage.model.site import Site
from nettriage.model.slices import Slice
from nettriage.model.tables import Tables
from nettriage.model.tuning import Tuning

Frames = list[tuple[int, bytes]]
"""Ethernet frames with their packet time in ns: forged traffic for examples and tests."""


@dataclass(frozen=True, slots=True)
class Example:
    """Traffic that shows what a detector does; the contract suite checks that it tells the truth."""

    name: str
    """One line, readable as a test id."""
    traffic: Callable[[], Frames]
    fires: bool
    subject: str | None = None
    """For one that fires: the address of the expected subject."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Card:
    """What a detector says about itself."""

    kind: str
    """Alert kind: the file name with dashes."""
    title: str
    """The kind in words, at most 40 cells."""
    attack: tuple[Attack, ...]
    rules: tuple[str, ...]
    """PT-CR ids of the rules that it answers."""
    references: tuple[str, ...]
    """Papers, RFCs and tools that the thresholds come from."""
    counts: str
    """Unit of `Alert.count`, for example ``targets``."""


class Detector(ABC):
    """Watches slices, keeps bounded state, and says findings when asked.

    `push` only accumulates, in event order, so that cutting the same traffic differently changes nothing;
    `tick` judges. The pipeline calls `tick` at moments of packet time that do not depend on how the source
    cut its batches. A detector reads no clock, does no I/O, and writes to nothing but itself. The module
    docstring of its file has the sections *What it measures*, *Blind spots*, *Common benign causes* and
    *What to do next*.
    """

    card: ClassVar[Card]
    tuning_type: ClassVar[type[Tuning]]
    reads: ClassVar[frozenset[str]]
    """Attributes of `Slice` that `push` reads; columns of packets as ``packets.NAME``."""
    examples: ClassVar[tuple[Example, ...]]
    state_limit_bytes: ClassVar[int]
    """`state_bytes` never exceeds this, whatever the traffic."""

    def __init__(self, tuning: Tuning, site: Site) -> None:
        """Keep the thresholds and the declared site; subclasses make their empty state."""
        self.tuning = tuning
        self.site = site

    @abstractmethod
    def push(self, seen: Slice) -> None:
        """Take in one slice; slices in which only time passed (`Slice.is_quiet`) do not come."""

    @abstractmethod
    def tick(self, now_ns: int, tables: Tables) -> list[Finding]:
        """Return the findings that are new or changed since the last tick, at most 64."""

    @abstractmethod
    def gauges(self) -> dict[str, Gauge]:
        """Return the gauge of every table, by name."""

    @abstractmethod
    def state_bytes(self) -> int:
        """Return the memory of the state, in bytes, arrays and Python containers together."""

    def panel(self, now_ns: int, tables: Tables) -> Panel | None:  # noqa: ARG002 - the base has no rows
        """Return live rows for the screens below the alarm, or None for a detector that has none."""
        return None
