"""Findings of coordinated scans in words and numbers."""

from __future__ import annotations

from typing import Protocol

from detectors._kit.coordinated.decoys import DecoyGroup
from detectors._kit.coordinated.idle import InName
from detectors._kit.coordinated.shares import SharedScan
from detectors._kit.reasons import counted, duration, listed, port_ranges, title
from detectors._kit.verdict import score, standing
from nettriage.model.addresses import mac_text, to_text
from nettriage.model.alert import BenignCheck, Observation, Tool
from nettriage.model.finding import Address, Endpoint, Finding
from nettriage.model.safetext import safe
from nettriage.model.site import Site
from nettriage.model.tables import Tables

_TCP = 6
_PORTS_LISTED, _OBJECTS_LISTED = 64, 32
_HIDING_POINTS = 15.0
"""What it adds to the score that the source hides or divides the work: nobody does that by accident."""


class Limits(Protocol):
    """The thresholds that findings name."""

    @property
    def decoy_probes(self) -> int:
        """Probes that came under several addresses."""
        ...

    @property
    def decoy_sources(self) -> int:
        """Addresses of one probe."""
        ...

    @property
    def sharing_sources(self) -> int:
        """Sources of a divided scan."""
        ...

    @property
    def ports_each(self) -> int:
        """Failing ports of each of them."""
        ...

    @property
    def overlap(self) -> float:
        """Share of the tries that repeat others'."""
        ...

    @property
    def sharing_window_s(self) -> float:
        """How long a divided scan may take."""
        ...

    @property
    def knocks(self) -> int:
        """Unasked SYN/ACKs to a zombie."""
        ...

    @property
    def idle_ports(self) -> int:
        """Ports tried in its name."""
        ...


def _observation(name: str, value: float, unit: str, threshold: float, window_s: float, weight: float) -> Observation:
    return Observation(
        name=name, value=round(value, 3), unit=unit, threshold=threshold, window_s=window_s, weight=weight
    )


def _tried(hypothesis: str, because: str) -> list[BenignCheck]:
    return [BenignCheck(hypothesis=hypothesis, rejected_because=because)]


def decoy_finding(
    key: int, group: DecoyGroup, real: Address | None, limits: Limits, site: Site, tables: Tables
) -> Finding:
    """Return the finding of a scan with decoys; its subject is the real source, or the first one where none is told."""
    subject = real or next(iter(group.members))
    others = [to_text(*member) for member in group.members if member != subject]
    who, victim = standing(subject, group.victim, site, tables), to_text(*group.victim)
    names = listed(others)
    evidence = f"{group.times:,} probes with equal sport, seq and ip.id from {len(group.members)} sources"
    return Finding(
        key=key,
        subject=Endpoint(subject),
        score=min(100.0, score(len(group.ports), False, who) + _HIDING_POINTS + 10.0),
        confidence=0.98 if real else 0.6,
        first_ns=group.first_ns,
        last_ns=group.last_ns,
        count=group.times,
        title=title(f"Scan with {counted(len(others), 'decoy')}: {counted(len(group.ports), 'port')} of {victim}"),
        reason=_decoy_reason(group, real, names),
        objects=[Endpoint(group.victim)],
        object_count=1,
        proto=_TCP,
        ports=list(group.ports)[:_PORTS_LISTED],
        port_count=len(group.ports),
        counterfactual=f"would not alert if fewer than {limits.decoy_probes} probes had come from several addresses",
        observations=_decoy_observations(group, limits),
        tool=Tool(name=safe("nmap (decoys)"), confidence=0.97, evidence=safe(evidence)),
        benign_checked=_tried(
            "one packet that the mirror delivered several times", "source address and TTL differ, all else is equal"
        ),
        visibility_note=who.visibility_note,
        next_steps=_decoy_steps(group, real, names),
    )


def _decoy_observations(group: DecoyGroup, limits: Limits) -> list[Observation]:
    return [
        _observation("probes under several addresses", group.times, "probes", limits.decoy_probes, 0.05, 0.6),
        _observation("addresses", len(group.members), "addresses", limits.decoy_sources, 0.05, 0.4),
    ]


def _decoy_steps(group: DecoyGroup, real: Address | None, names: str) -> list[str]:
    if real is None:
        return [
            f"Follow the MAC {mac_text(group.mac)} to its switch port.",
            "Treat none of the addresses as guilty yet.",
        ]
    return [f"Act on {to_text(*real)}.", f"Leave {names} alone: decoys are bystanders."]


def _decoy_reason(group: DecoyGroup, real: Address | None, names: str) -> str:
    said = (
        f"{counted(group.times, 'probe')} of {counted(len(group.ports), 'port')} reached {to_text(*group.victim)} from "
        f"{len(group.members)} addresses each, with equal ports, sequence number and IP id, within "
        f"{duration(group.last_ns - group.first_ns)}. "
    )
    if real:
        mac = mac_text(group.mac)
        return f"{said}{to_text(*real)} is the real source, whose MAC {mac} sent them all; decoys: {names}."
    why = f"none or several speak with the MAC {mac_text(group.mac)}" if group.mac else "they came by several MACs"
    return f"{said}Which of {to_text(*next(iter(group.members)))}, {names} is real cannot be told: {why}."


def shared_finding(key: int, shared: SharedScan, lead: Address, limits: Limits, site: Site, tables: Tables) -> Finding:
    """Return the finding of a scan that several sources divide; its subject is the one with the most ports."""
    who, victim = standing(lead, shared.victim, site, tables), to_text(*shared.victim)
    sources = [to_text(*source) for source, _ in _parts(shared)]
    ports = sorted(set().union(*shared.ports.values()))
    return Finding(
        key=key,
        subject=Endpoint(lead),
        score=min(100.0, score(shared.tried, False, who) + _HIDING_POINTS),
        confidence=0.9 - min(shared.overlap, 0.5),
        first_ns=shared.first_ns,
        last_ns=shared.last_ns,
        count=shared.tried,
        title=title(f"Scan of {victim} divided by {counted(len(sources), 'source')}"),
        reason=_shared_reason(shared),
        objects=[Endpoint(shared.victim)],
        object_count=1,
        proto=_TCP,
        ports=ports[:_PORTS_LISTED],
        port_count=len(ports),
        counterfactual=_shared_margin(limits),
        observations=_shared_observations(shared, limits),
        benign_checked=_tried(
            "clients of one dead server", f"they would fail at the same ports; {shared.overlap:.0%} were tried twice"
        ),
        visibility_note=who.visibility_note,
        next_steps=[
            f"Find out what {listed(sources)} have in common: one user, one loader.",
            f"Put the ports together: their union is what the scanner knows of {victim}.",
        ],
    )


def _parts(shared: SharedScan) -> list[tuple[Address, set[int]]]:
    """Return the ports of each source, most first."""
    return sorted(shared.ports.items(), key=lambda item: (-len(item[1]), item[0]))


def _shared_reason(shared: SharedScan) -> str:
    parts = _parts(shared)
    told = "; ".join(f"{to_text(*source)}: {port_ranges(ports, limit=3)}" for source, ports in parts[:6])
    return (
        f"{counted(len(parts), 'source')} tried {counted(shared.tried, 'failing port')} of {to_text(*shared.victim)} "
        f"in {duration(shared.last_ns - shared.first_ns)}, {shared.overlap:.0%} of them twice: {told}."
    )


def _shared_margin(limits: Limits) -> str:
    return (
        f"would not alert below {limits.sharing_sources} sources with {limits.ports_each} failing ports each, "
        f"or if they had tried the same ports"
    )


def _shared_observations(shared: SharedScan, limits: Limits) -> list[Observation]:
    return [
        _observation("sources", len(shared.ports), "sources", limits.sharing_sources, limits.sharing_window_s, 0.4),
        _observation(
            "failing ports of the least",
            min(map(len, shared.ports.values())),
            "ports",
            limits.ports_each,
            limits.sharing_window_s,
            0.3,
        ),
        _observation(
            "tries that repeat others'", shared.overlap, "share", limits.overlap, limits.sharing_window_s, 0.3
        ),
    ]


def idle_finding(key: int, used: InName, limits: Limits, site: Site, tables: Tables) -> Finding:
    """Return the finding of an idle scan; its subject is who knocks at the zombie, which stands in `via`."""
    hosts = list(dict.fromkeys(host for host, _ in used.targets))
    ports, who = list(dict.fromkeys(port for _, port in used.targets)), standing(used.prober, hosts[0], site, tables)
    prober, zombie = to_text(*used.prober), to_text(*used.zombie)
    evidence = f"unasked SYN/ACKs to {zombie}:{used.port}, SYNs from there under the MAC of {prober}"
    return Finding(
        key=key,
        subject=Endpoint(used.prober),
        score=min(100.0, score(len(used.targets), False, who) + 2 * _HIDING_POINTS),
        confidence=0.95,
        first_ns=used.first_ns,
        last_ns=used.last_ns,
        count=len(used.targets),
        title=title(f"Idle scan over {zombie}: {counted(len(used.targets), 'service')}"),
        reason=_idle_reason(used),
        objects=[Endpoint(host) for host in hosts[:_OBJECTS_LISTED]],
        object_count=len(hosts),
        via=[Endpoint(used.zombie, used.port)],
        proto=_TCP,
        ports=ports[:_PORTS_LISTED],
        port_count=len(ports),
        counterfactual=f"would not alert below {limits.knocks} unasked SYN/ACKs, or if the MACs were different",
        observations=_idle_observations(used, limits),
        tool=Tool(name=safe("nmap (idle scan)"), confidence=0.9, evidence=safe(evidence)),
        benign_checked=_tried(
            "backscatter of an attack on somebody else",
            "whose answers come unasked does not send under the receiver's address",
        ),
        visibility_note=who.visibility_note,
        next_steps=[
            f"Act on {prober}; {zombie} is a bystander that was chosen for its predictable IP ids.",
            f"Check what {listed(to_text(*host) for host in hosts)} allows {zombie} to reach: that is what was asked.",
        ],
    )


def _idle_observations(used: InName, limits: Limits) -> list[Observation]:
    return [
        _observation("unasked SYN/ACKs", used.knocks, "packets", limits.knocks, 1_800.0, 0.4),
        _observation("probes in another's name", len(used.targets), "probes", limits.idle_ports, 1_800.0, 0.6),
    ]


def _idle_reason(used: InName) -> str:
    prober, zombie = to_text(*used.prober), to_text(*used.zombie)
    hosts, ports = dict.fromkeys(host for host, _ in used.targets), {port for _, port in used.targets}
    return (
        f"{prober} sent {counted(used.knocks, 'unasked SYN/ACK')} to port {used.port} of {zombie}, and under its "
        f"MAC {counted(len(used.targets), 'probe')} from that port left in the name of {zombie} to "
        f"{listed(to_text(*host) for host in hosts)}, ports {port_ranges(ports)}."
    )
