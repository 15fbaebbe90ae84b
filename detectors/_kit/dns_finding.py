"""A DNS tunnel in words and numbers."""

from __future__ import annotations

from dataclasses import dataclass

from nettriage.model.addresses import to_text
from nettriage.model.alert import BenignCheck, Observation, Tool
from nettriage.model.finding import Address, Endpoint, Finding
from nettriage.model.safetext import SafeStr

from .dns_groups import WINDOW_NS
from .reasons import counted, duration, title

_DNS_PORT = 53


@dataclass(frozen=True, slots=True, kw_only=True)
class TunnelFacts:
    """What is known of one client's long questions below one domain."""

    key: int
    client: Address
    resolver: Address
    upstream: Address | None
    """Server that the resolver passed the questions on to, where that leg was seen."""
    domain: SafeStr
    """Registered domain; empty where the names end in no domain."""
    first_ns: int
    last_ns: int
    unique: int
    sub_bytes: int
    queries: int
    typed_share: float
    longest: int
    entropy: float
    tool: Tool | None
    only_resolver: bool
    """Whether the client is itself a resolver whose own client was not seen."""
    digests: bool
    """Whether the names are look-ups of digests."""
    allowed: bool
    """Whether the settings list the domain as harmless."""
    limits: tuple[float, float, float, float]
    """Limits of volume, label length, type share and entropy."""


def finding(facts: TunnelFacts, *, closed: bool = False) -> Finding:
    """Return the present state of a tunnel."""
    client = to_text(*facts.client)
    points, confidence = _score(facts)
    objects = [Endpoint(facts.resolver, _DNS_PORT)]
    via = [Endpoint(facts.client), Endpoint(facts.resolver, _DNS_PORT)]
    if facts.upstream:
        objects.append(Endpoint(facts.upstream, _DNS_PORT))
        via.append(Endpoint(facts.upstream, _DNS_PORT))
    below = f"below {facts.domain}" if facts.domain else "without a domain"
    named = facts.tool.name if facts.tool else "DNS"
    return Finding(
        key=facts.key, subject=Endpoint(facts.client), score=points, confidence=confidence, first_ns=facts.first_ns,
        last_ns=facts.last_ns, count=facts.unique, title=title(f"{named} tunnel {below} from {client}"),
        reason=_reason(facts, client, below), objects=objects, object_count=len(objects), via=via, proto=17,
        ports=[_DNS_PORT], port_count=1, observations=_observations(facts), tool=facts.tool,
        counterfactual=_counterfactual(facts), benign_checked=_checks(facts), next_steps=_next_steps(facts, client),
        visibility_note="only the leg behind a resolver is visible" if facts.only_resolver else "",
        closed=closed,
    )  # fmt: skip


def _score(facts: TunnelFacts) -> tuple[float, float]:
    if facts.allowed:
        return 10.0, 0.9
    if facts.digests:
        return 34.0, 0.5
    _, label, typed, _ = facts.limits
    marks = (facts.longest >= label) + (facts.typed_share >= typed)
    points = 56.0 + 10 * marks + (14 if facts.tool else 0) - (12 if facts.only_resolver else 0)
    return min(points, 92.0), min(0.7 + 0.08 * marks + (0.1 if facts.tool else 0), 0.97)


def _reason(facts: TunnelFacts, client: str, below: str) -> str:
    mean = facts.sub_bytes / max(facts.unique, 1)
    who = f"{client} (a resolver; whose client asked is not visible)" if facts.only_resolver else client
    onward = f", which passed them on to {to_text(*facts.upstream)}" if facts.upstream else ""
    tool = f"; the names are those of {facts.tool.name}" if facts.tool else ""
    return (
        f"{who} asked {to_text(*facts.resolver)}{onward} for {counted(facts.unique, 'different name')} {below} within"
        f" {duration(min(WINDOW_NS, facts.last_ns - facts.first_ns))}, {mean:.0f} bytes each"
        f" ({facts.sub_bytes:,} in all; labels up to {facts.longest}, {facts.typed_share:.0%} of the questions"
        f" of types that bring data back, {facts.entropy:.1f} bits a character){tool}."
    )


def _observations(facts: TunnelFacts) -> list[Observation]:
    volume, label, typed, entropy = facts.limits
    rows = (
        ("different sub-names × mean length", float(facts.sub_bytes), "bytes", volume, 0.5),
        ("longest label", float(facts.longest), "bytes", label, 0.2),
        ("TXT, NULL, KEY, CNAME or MX", round(facts.typed_share, 3), "share", typed, 0.2),
        ("entropy of the names", round(facts.entropy, 2), "bits/character", entropy, 0.1),
        ("questions", float(facts.queries), "questions", 0.0, 0.0),
    )
    return [
        Observation(name=name, value=value, unit=unit, threshold=limit, window_s=WINDOW_NS / 1e9, weight=weight)
        for name, value, unit, limit, weight in rows
    ]


def _counterfactual(facts: TunnelFacts) -> str:
    volume = facts.limits[0]
    return (
        f"would not alert below {volume:,.0f} bytes of different sub-names in {WINDOW_NS / 1e9:.0f} s,"
        f" or with {facts.domain or 'the domain'} listed in network.tunnel_domains"
    )


def _checks(facts: TunnelFacts) -> list[BenignCheck]:
    mean = facts.sub_bytes / max(facts.unique, 1)
    digest = "not excluded: every name begins with a hexadecimal digest, so the score is lowered"
    rows = (
        ("content network, reverse or block-list look-ups", f"{mean:.0f} bytes of different sub-name each is far more"),
        ("reputation look-ups of digests", digest if facts.digests else "the labels are no digests of one length"),
        ("a resolver that repeats its client's questions", "not excluded: only this leg is visible")
        if facts.only_resolver
        else ("a resolver that repeats its client's questions", "this host asks for itself"),
    )
    return [BenignCheck(hypothesis=hypothesis, rejected_because=because) for hypothesis, because in rows]


def _next_steps(facts: TunnelFacts, client: str) -> list[str]:
    domain = facts.domain or "these names"
    first = f"Ask {client}'s query log whose questions these are" if facts.only_resolver else ""
    return [
        first or f"On {client}: find the process that asks for names below {domain}",
        f"Look up who registered {domain} and where its name servers are; sinkhole it on the resolver",
        "Decode some of the kept names: the first labels hold what was carried out",
    ]
