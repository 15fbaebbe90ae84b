"""What a detector says of one subject at one moment; the alert book folds findings into incidents."""

from __future__ import annotations

from dataclasses import dataclass, field

from nettriage.model.alert import BenignCheck, Findings, Leg, Observation, Tool

Address = tuple[int, int]
"""An address as its two column words, high and low."""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A host, and a port where one matters."""

    addr: Address
    port: int | None = None


@dataclass(frozen=True, slots=True)
class FlowRef:
    """A flow by its tuple, for community ids, pivots and drill-down."""

    src: Address
    sport: int
    dst: Address
    dport: int
    proto: int
    serial: int = 0
    """`FlowTable.serial`, 0 where the flow is not (or no longer) in the table."""


@dataclass(slots=True, kw_only=True)
class Finding:
    """The present state of an incident as its detector sees it; each new one replaces the one before.

    Findings of one (kind, `key`) are one incident. Return a finding whenever its content changed, and at
    the tick where the activity is over with `closed` set.
    """

    key: int
    """Identity within the kind: from the subject (`HostTable.key`) and what tells incidents of it apart."""
    subject: Endpoint
    score: float
    """0 to 100."""
    confidence: float
    """0 to 1, before the visibility of the capture is counted in."""
    first_ns: int
    """Packet time of the first event that belongs to it."""
    last_ns: int
    """Packet time of the last one."""
    count: int
    """Events folded in."""
    title: str
    """At most 60 cells: kind in words and what makes this one special."""
    reason: str
    objects: list[Endpoint] = field(default_factory=list)
    object_count: int = 0
    via: list[Endpoint] = field(default_factory=list)
    legs: list[Leg] = field(default_factory=list)
    flows: list[FlowRef] = field(default_factory=list)
    """Flows that belong to it, newest last, at most 20."""
    proto: int = 0
    ports: list[int] = field(default_factory=list)
    port_count: int = 0
    vlan: list[int] = field(default_factory=list)
    counterfactual: str = ""
    observations: list[Observation] = field(default_factory=list)
    tool: Tool | None = None
    findings: Findings = field(default_factory=Findings)
    benign_checked: list[BenignCheck] = field(default_factory=list)
    visibility_note: str = ""
    next_steps: list[str] = field(default_factory=list)
    closed: bool = False
