"""Which role a proxy plays: official, intercepted by habit, or planted; shared by every detector that meets proxies."""

from __future__ import annotations

from dataclasses import dataclass

from nettriage.model.alert import BenignCheck

WEB_PORTS = frozenset({80, 443, 8080, 8443})
"""Target ports that people browse to."""
FORWARD_PROXY_PORTS = frozenset({3128, 8000, 8080, 8888})
"""Listening ports that Squid, Tinyproxy, Privoxy-like and vendor proxies ship with."""
DECLARED_SCORE, EXTERNAL_SCORE, OFFICIAL_SCORE, ONE_SIDED_SCORE, ODD_INSIDE_SCORE = 12.0, 24.0, 30.0, 32.0, 44.0


@dataclass(frozen=True, slots=True, kw_only=True)
class ProxyFacts:
    """What is known of one served proxy."""

    port: int
    """Port that it listens on; 0 for one that dialled out to its clients."""
    socks: bool
    declared: bool
    home: bool
    answered: bool
    """Whether the server was seen to speak the protocol."""
    granted: int
    """Requests that it granted."""
    clients: int
    neighbour_clients: int
    """Clients on the server's own segment."""
    inside_targets: int
    """Targets in the home network."""
    odd_targets: int
    """Targets on other ports than the web's."""
    onward: int
    """Requests whose onward connection was seen."""
    absolute_only: bool
    """Whether nothing but absolute-form requests was seen, which an ordinary web server may answer, too."""
    unusual_inside: tuple[str, ...]
    """Protocols inside that no browser speaks."""
    intercepts: bool
    """Whether it was seen to open the TLS of its clients."""
    balances: bool
    """Whether it tells its back ends the true client (PROXY protocol)."""
    allowed: str
    """The declared pair that covers all its clients, empty where none does."""
    many_clients: int
    """Clients that make an official proxy plausible (a threshold)."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """How much a proxy matters, and why not less or more."""

    score: float
    confidence: float
    role: str
    checks: tuple[BenignCheck, ...]


def judge(facts: ProxyFacts) -> Verdict:
    """Return the verdict on a proxy by its declared and seen role."""
    confidence = 0.97 if facts.answered and facts.granted else 0.8 if facts.answered else 0.45
    if facts.declared or facts.allowed:
        return _declared(facts, confidence)
    if not facts.home:
        return Verdict(EXTERNAL_SCORE, confidence, "proxy outside of the home network", ())
    checks = (BenignCheck(hypothesis="declared proxy", rejected_because="the settings do not list this host"),)
    if not facts.answered:
        return Verdict(ONE_SIDED_SCORE, confidence, "asked as a proxy, its answers were not seen", checks)
    if not facts.socks and (excuse := _official(facts)):
        return Verdict(OFFICIAL_SCORE, confidence, excuse, checks)
    return Verdict(_score(facts), confidence, "undeclared proxy", (*checks, _not_official(facts)))


def _declared(facts: ProxyFacts, confidence: float) -> Verdict:
    """A declared proxy is known, but not what goes through it."""
    role = "declared proxy" if facts.declared else f"{facts.allowed} is declared under network.allow"
    if facts.unusual_inside:
        return Verdict(ODD_INSIDE_SCORE, confidence, f"{role}, but {_joined(facts.unusual_inside)} goes through it", ())
    return Verdict(DECLARED_SCORE, confidence, role, ())


def _joined(names: tuple[str, ...]) -> str:
    return " and ".join(names)


def _official(facts: ProxyFacts) -> str:
    """Return the words for an HTTP proxy that looks official, empty for one that does not."""
    if facts.unusual_inside:
        return ""
    if facts.balances:
        return "load balancer by its looks: it tells its back ends the true client (PROXY protocol)"
    if facts.port not in FORWARD_PROXY_PORTS or facts.inside_targets or facts.odd_targets:
        return ""
    if facts.clients >= facts.many_clients:
        return f"forward proxy by its looks: a standard port, {facts.clients} clients, only web targets outside"
    if not facts.neighbour_clients:
        return "forward proxy by its looks: a standard port, only web targets outside, clients on other segments"
    return ""


def _score(facts: ProxyFacts) -> float:
    score = 64.0 if facts.socks else 50.0
    score += 8 * bool(facts.inside_targets) + 8 * bool(facts.odd_targets) + 4 * bool(facts.onward)
    score += 12 * (facts.port == 0) + 10 * bool(facts.unusual_inside) + 8 * facts.intercepts
    score -= 14 * (facts.granted == 0)
    if facts.absolute_only and not facts.onward:
        score -= 14
    return max(min(score, 86.0), 45.0 if facts.socks else ONE_SIDED_SCORE)


def _not_official(facts: ProxyFacts) -> BenignCheck:
    name = "official forward proxy"
    if facts.socks:
        return BenignCheck(hypothesis=name, rejected_because="SOCKS reaches any port; offices serve HTTP proxies")
    reasons = (
        (bool(facts.unusual_inside), f"{_joined(facts.unusual_inside)} goes through it"),
        (facts.inside_targets > 0, "it reaches into the home network"),
        (facts.odd_targets > 0, "it reaches ports that are not the web's"),
        (facts.port not in FORWARD_PROXY_PORTS, "its port is not one that proxies ship with"),
    )
    because = next((text for holds, text in reasons if holds), "few clients, and they sit on its own segment")
    return BenignCheck(hypothesis=name, rejected_because=because)
