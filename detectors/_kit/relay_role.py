"""Which role a relay plays: load balancer, proxy, mail relay, bastion, or none that explains it."""

from __future__ import annotations

from dataclasses import dataclass

from nettriage.model.alert import BenignCheck

from .echo_table import Likeness
from .proxy_role import FORWARD_PROXY_PORTS, WEB_PORTS

ADMIN_PORTS = frozenset({22, 23, 88, 135, 139, 389, 445, 636, 1433, 3306, 3389, 5432, 5900, 5985, 5986, 9389})
"""Services that an intruder wants to reach through a relay."""
JUMP_PORTS = frozenset({22, 3389})
"""Sessions from which people open the next one of the same kind."""
_TIER_PORTS = frozenset({389, 636, 1433, 1521, 3306, 5432, 5672, 6379, 8009, 9042, 9200, 11211, 27017})
"""Services that web applications ask: directories, databases, queues, caches."""
_FILE_PORTS = frozenset({139, 445, 2049})
_MAIL_PORTS = frozenset({25, 465, 587})
_WEB_LIKE = frozenset({80, 443, 3000, 5000, 8443, 8888, 9443, *range(8000, 8100)})
DECLARED_SCORE, OUTSIDE_SCORE, ROLE_SCORE, NEWS_SCORE = 12.0, 22.0, 30.0, 46.0


@dataclass(frozen=True, slots=True, kw_only=True)
class RelayFacts:
    """What is known of one relay."""

    declared: str
    """Role that the settings give the host; empty where none."""
    home: bool
    clients: int
    neighbour_clients: int
    outside_clients: int
    backends: int
    outside_backends: int
    front_port: int
    """0 where the relay dialled out to its client."""
    back_ports: frozenset[int]
    readable: bool
    """Whether every stream began as HTTP or TLS."""
    proxied: str
    many_clients: int
    hops: int
    hidden: bool
    """Whether the middle of the chain is encrypted."""
    only_volume: bool
    rhythm: Likeness | None = None
    """How the volumes compare where nothing but the rhythm proves the relay; None where more does."""
    same_service: bool = False
    """Whether both legs were accepted on one port."""
    outside_ends: int = 0
    """How many of the two ends of the path lie outside."""
    news: str = ""
    """What the relay never did before, although it is settled; empty where nothing."""


@dataclass(frozen=True, slots=True)
class Role:
    """How much a relay matters, and why not less or more."""

    score: float
    name: str
    checks: tuple[BenignCheck, ...]


def judge(facts: RelayFacts) -> Role:
    """Return the verdict on a relay by its declared and seen role."""
    if facts.declared:
        score = ROLE_SCORE - 2 if facts.declared == "bastion" else DECLARED_SCORE
        return Role(score, f"declared {facts.declared}", ())
    if not facts.home:
        return Role(OUTSIDE_SCORE, "relay outside of the home network", ())
    role = _seen_role(facts)
    if role and facts.news:
        because = f"it looks like a {role}, but did not have this before: {facts.news}"
        return Role(NEWS_SCORE, facts.news, (BenignCheck(hypothesis="service by design", rejected_because=because),))
    if role:
        because = f"not excluded: {role}; the score is lowered, the relay stays shown"
        return Role(ROLE_SCORE, role, (BenignCheck(hypothesis="service by design", rejected_because=because),))
    return Role(_score(facts), "no role explains it", _checks(facts))


def _seen_role(facts: RelayFacts) -> str:
    """Return the role by looks, empty where none fits."""
    if facts.front_port in _MAIL_PORTS and facts.back_ports <= _MAIL_PORTS:
        return "mail relay by its ports"
    if facts.proxied:
        return _proxy_role(facts)
    return (_rhythm_role(facts) if facts.rhythm else "") or _service_role(facts)


def _service_role(facts: RelayFacts) -> str:
    """Return the role of a host whose backends lie inside."""
    if facts.hidden or facts.hops > 1 or facts.outside_backends or not facts.front_port:
        return ""
    if facts.clients >= facts.many_clients and len(facts.back_ports) == 1:
        return f"load balancer or reverse proxy by its looks: one port, {facts.clients} clients, stable backends inside"
    if facts.readable and facts.front_port in _WEB_LIKE and facts.back_ports <= _WEB_LIKE:
        return "reverse proxy by its looks: web ports in and out, HTTP or TLS, backends inside"
    return ""


def _rhythm_role(facts: RelayFacts) -> str:
    """Return the role of a host whose legs share nothing but their rhythm."""
    inside = not facts.outside_ends and not facts.hidden
    if facts.same_service:
        return "two clients of one service, as of a message broker"
    if inside and facts.front_port in JUMP_PORTS and facts.back_ports == {facts.front_port}:
        return f"jump host by its looks: sessions on port {facts.front_port} in and out, inside"
    requests = facts.front_port and (facts.readable or facts.front_port in _WEB_LIKE)
    if inside and requests and facts.back_ports <= _TIER_PORTS | _WEB_LIKE:
        return "application tier or reverse proxy by its looks: web requests in, a service for them inside"
    if not facts.front_port and facts.outside_ends == 2 and facts.back_ports <= WEB_PORTS:
        return "a client that uses two web services outside"
    if not facts.front_port and inside and facts.back_ports <= _FILE_PORTS:
        return "copies between file servers by its looks"
    return ""


def _proxy_role(facts: RelayFacts) -> str:
    outside_web = facts.back_ports <= WEB_PORTS and facts.outside_backends == facts.backends
    enough = facts.clients >= facts.many_clients or not facts.neighbour_clients
    if facts.proxied.startswith("HTTP") and facts.front_port in FORWARD_PROXY_PORTS and outside_web and enough:
        return "forward proxy by its looks: a standard port, web targets outside"
    return ""


def _score(facts: RelayFacts) -> float:
    crosses = bool(facts.outside_backends) != bool(facts.outside_clients)
    score = 60.0 + 14 * crosses + 8 * bool(facts.back_ports & ADMIN_PORTS) + 10 * (facts.hops > 1)
    score += 6 * (not facts.front_port) - 12 * facts.only_volume
    score -= {Likeness.REFRAMED: 4, Likeness.OTHER: 10}.get(facts.rhythm, 0) if facts.rhythm else 0
    return min(score, 94.0)


def _checks(facts: RelayFacts) -> tuple[BenignCheck, ...]:
    web = "the ports or the payload are not the web's, or the target lies outside"
    rows = (
        ("declared load balancer, proxy or bastion", "the settings do not list this host"),
        ("load balancer", f"{facts.clients} of the {facts.many_clients} clients that would make a service of it"),
        ("reverse proxy", web),
        ("NAT, router or mirror copy", "two TCP connections: the initial sequence numbers differ"),
    )
    return tuple(BenignCheck(hypothesis=hypothesis, rejected_because=because) for hypothesis, because in rows)
