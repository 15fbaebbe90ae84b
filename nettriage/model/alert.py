"""The alert record, ``nettriage.alert/1``: one incident, explained."""

from __future__ import annotations

from typing import Literal

import msgspec

from nettriage.model.safetext import SafeStr

ALERT_SCHEMA = "nettriage.alert/1"
Severity = Literal["info", "low", "medium", "high", "critical"]
SEVERITIES: tuple[Severity, ...] = ("info", "low", "medium", "high", "critical")
Status = Literal["new", "in_progress", "suppressed", "resolved"]
Activity = Literal["create", "update", "close"]


def severity_of(score: float) -> Severity:
    """Return the severity of a score of 0 to 100: low from 20, medium from 40, high from 65, critical from 88."""
    for floor, name in ((88, "critical"), (65, "high"), (40, "medium"), (20, "low")):
        if score >= floor:
            return name  # type: ignore[return-value]  # the literals above are severities
    return "info"


class Party(msgspec.Struct, kw_only=True):
    """A host of an incident."""

    ip: str
    port: int | None = None
    mac: str | None = None
    name: SafeStr | None = None
    role: str | None = None
    """Roles declared or learned, comma separated."""
    zone: Literal["home", "external"] | None = None


class Observation(msgspec.Struct, kw_only=True):
    """One reason: what was measured against which limit."""

    name: str
    value: float
    unit: str
    threshold: float
    window_s: float
    weight: float
    """Share of this observation in the verdict, 0 to 1; 0 is context only."""


class Tool(msgspec.Struct, kw_only=True):
    """The tool whose bytes were recognised."""

    name: str
    confidence: float
    evidence: SafeStr


class FollowUp(msgspec.Struct, kw_only=True):
    """A session that followed to a service just found."""

    src: str
    dst: str
    port: int
    at: str
    """RFC 3339 UTC."""


class OpenService(msgspec.Struct, kw_only=True):
    """A service that answered the scanner."""

    ip: str
    port: int
    protocol: str
    banner: SafeStr | None = None
    new: bool = False
    """Whether nobody had used the service before in this capture."""


class Coverage(msgspec.Struct, kw_only=True):
    """How much of a network a scan touched."""

    prefix: str
    """Smallest network that holds every target."""
    touched: int
    """Its addresses that were tried, as far as they are listed."""
    share: float
    """`touched` as a share of all its addresses, 0 to 1."""


class Related(msgspec.Struct, kw_only=True):
    """Another incident of the same subject."""

    id: str
    kind: str


class Findings(msgspec.Struct, kw_only=True):
    """What the other side now knows, and how it went about it."""

    open: list[OpenService] = msgspec.field(default_factory=list)
    open_count: int = 0
    """All open services, also those beyond the list."""
    closed: int = 0
    blocked: int = 0
    silent: int = 0
    follow_up: list[FollowUp] = msgspec.field(default_factory=list)
    """Sessions with payload both ways, from the scanner or to a service that nobody used before, at most 16."""
    coverage: Coverage | None = None
    order: Literal["sequential", "random", "popular-first"] | None = None
    """In which order the targets were tried, None for too few of them."""
    pace_per_s: float | None = None
    """New targets a second from the first to the last one listed, None for a single one."""
    retries: str = ""
    """How often silent targets were tried, in words; empty where none were silent."""


class BenignCheck(msgspec.Struct, kw_only=True):
    """A harmless explanation that was tried."""

    hypothesis: str
    rejected_because: str
    """What speaks against it; where it holds, what followed from that."""
    holds: bool = False
    """Whether the explanation is right, as far as is known: then the score is lowered, and the incident stays shown."""


class Visibility(msgspec.Struct, kw_only=True):
    """How well the sensor could see while this was judged."""

    loss: float | None = None
    """Share of packets lost, 0 to 1; None where unknown."""
    one_way: float | None = None
    """Share of flows seen in one direction only, 0 to 1."""
    duplicates: float | None = None
    """Share of packets delivered more than once, 0 to 1."""
    note: str = ""


class Attack(msgspec.Struct, frozen=True, kw_only=True):
    """A technique of MITRE ATT&CK."""

    tactic: str
    technique: str
    name: str


class Leg(msgspec.Struct, kw_only=True):
    """One leg of a relay or tunnel: a flow."""

    src: str
    sport: int
    dst: str
    dport: int
    protocol: str
    bytes_up: int
    """Payload bytes from `src`."""
    bytes_down: int
    started: str
    """RFC 3339 UTC."""
    lag_ms: float | None = None
    """Median delay behind the leg before, where measured."""


class Timeline(msgspec.Struct, kw_only=True):
    """Activity over the life of the incident, in equal steps."""

    t0: str
    step_s: float
    counts: list[int]


class Pivots(msgspec.Struct, kw_only=True):
    """Filters to go on with."""

    bpf: str
    wireshark: str


class Evidence(msgspec.Struct, kw_only=True):
    """Packets kept for the incident."""

    packets: int = 0
    file: str | None = None


class Analyst(msgspec.Struct, kw_only=True):
    """What people said of the incident."""

    note: str = ""
    changed_at: str | None = None


class Alert(msgspec.Struct, kw_only=True):
    """An incident: one for each (kind, subject) while it lasts, updated in place."""

    schema: str = ALERT_SCHEMA
    id: str
    kind: str
    title: str
    severity: Severity
    score: float
    """0 to 100."""
    confidence: float
    """0 to 1: how sure, given how well could be seen."""
    status: Status = "new"
    activity: Activity = "create"
    count: int = 1
    """Events folded into the incident; the unit stands in the kind's documentation."""
    first_seen: str
    last_seen: str
    detected_at: str
    """Packet time at which the incident was first raised."""
    subject: Party
    """The host that acts."""
    objects: list[Party] = msgspec.field(default_factory=list)
    """Victims and servers, at most 32."""
    object_count: int = 0
    via: list[Party] = msgspec.field(default_factory=list)
    """For relays and chains: A, B, C in order."""
    legs: list[Leg] = msgspec.field(default_factory=list)
    """For relays and tunnels: the flows, in the order of `via`."""
    protocol: str = ""
    ports: list[int] = msgspec.field(default_factory=list)
    """Destination ports, at most 64."""
    port_count: int = 0
    vlan: list[int] = msgspec.field(default_factory=list)
    reason: str
    """One plain sentence with numbers."""
    counterfactual: str = ""
    """What would have to be different for no alert."""
    observations: list[Observation] = msgspec.field(default_factory=list)
    tool: Tool | None = None
    findings: Findings = msgspec.field(default_factory=Findings)
    benign_checked: list[BenignCheck] = msgspec.field(default_factory=list)
    visibility: Visibility = msgspec.field(default_factory=Visibility)
    attack: list[Attack] = msgspec.field(default_factory=list)
    rules: list[str] = msgspec.field(default_factory=list)
    timeline: Timeline
    community_ids: list[str] = msgspec.field(default_factory=list)
    pivots: Pivots
    next_steps: list[str] = msgspec.field(default_factory=list)
    evidence: Evidence = msgspec.field(default_factory=Evidence)
    analyst: Analyst = msgspec.field(default_factory=Analyst)
    related: list[Related] = msgspec.field(default_factory=list)
    """Other incidents of the same subject, oldest first, the newest 16 of them."""
