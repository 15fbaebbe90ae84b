"""Live rows that a detector offers to the screens, also for what is below the alarm."""

from __future__ import annotations

from typing import Literal

import msgspec

Shape = Literal["narrow", "vertical", "sweep", "block"]

PORT_BINS: tuple[tuple[str, int, int], ...] = (
    ("21", 21, 21), ("22", 22, 22), ("23", 23, 23), ("25", 25, 25), ("53", 53, 53), ("80", 80, 80),
    ("88", 88, 88), ("110", 110, 110), ("135", 135, 135), ("139", 139, 139), ("143", 143, 143),
    ("389", 389, 389), ("443", 443, 443), ("445", 445, 445), ("636", 636, 636), ("1080", 1080, 1080),
    ("1433", 1433, 1433), ("3128", 3128, 3128), ("3306", 3306, 3306), ("3389", 3389, 3389),
    ("5432", 5432, 5432), ("5900", 5900, 5900), ("5985", 5985, 5986), ("8080", 8080, 8080),
    ("8443", 8443, 8443), ("9389", 9389, 9389), ("<1k", 0, 1023), ("<4k", 1024, 4095),
    ("<16k", 4096, 16383), ("<49k", 16384, 49151), ("eph", 49152, 65535),
)  # fmt: skip
"""Columns of the fan-out map: label, first and last port. A port belongs to the first bin that holds it."""


class FanoutRow(msgspec.Struct, kw_only=True):
    """What one source touched in the window of the map."""

    ip: str
    hosts: int
    """Distinct targets."""
    ports: int
    """Distinct destination ports."""
    cells: list[int]
    """Distinct (target, port) first contacts for each of `PORT_BINS`."""
    rate_per_min: float
    failed: int
    """Contacts refused, blocked or silent."""
    settled: int
    """Contacts with an outcome."""
    open: int
    first_seen: str
    spark: list[int]
    """Contacts in each of the last 12 steps, oldest first."""
    name: str | None = None
    role: str | None = None
    hosts_about: bool = False
    """Whether `hosts` is an estimate, about 13 % off; else it is exact."""
    ports_about: bool = False
    shape: Shape = "narrow"
    """By its widths alone: many ports, many hosts, both or neither."""
    tool: str | None = None
    """The tool that an incident of the source names."""


class VictimRow(msgspec.Struct, kw_only=True):
    """What was tried at one target in the window of the map."""

    ip: str
    sources: int
    """Distinct sources that tried it."""
    ports: int
    """Distinct ports tried."""
    cells: list[int]
    """Distinct (source, port) first contacts for each of `PORT_BINS`."""
    failed: int
    """Contacts refused, blocked or silent."""
    settled: int
    """Contacts with an outcome."""
    open: int
    first_seen: str
    spark: list[int]
    """Contacts in each of the last 12 steps, oldest first."""
    name: str | None = None
    role: str | None = None
    sources_about: bool = False
    """Whether `sources` is an estimate, about 13 % off; else it is exact."""
    ports_about: bool = False


class Panel(msgspec.Struct, kw_only=True):
    """The live rows of one moment."""

    window_s: float
    step_s: float
    rows: list[FanoutRow]
    """At most 64, widest fan-out first."""
    bin_sources: list[int] = msgspec.field(default_factory=list)
    """Distinct sources for each of `PORT_BINS`: where a distributed scan shows."""
    victims: list[VictimRow] = msgspec.field(default_factory=list)
    """Targets at which contacts failed, at most 64, most failures first."""
