"""What a pair of hosts that carries packets is: a tunnel, a declared gateway's VPN, an overlay, or a mirror session."""

from __future__ import annotations

from dataclasses import dataclass

from nettriage.model.alert import BenignCheck

BRIDGED = frozenset({"ERSPAN", "VXLAN", "GENEVE"})
"""Kinds that mirror sessions and overlays are made of."""
OVERLAYS = BRIDGED | {"GTP-U"}
POINTS = {
    "WireGuard": 58.0, "OpenVPN over UDP": 58.0, "OpenVPN over TCP": 58.0, "IPsec IKE": 46.0, "IPsec ESP in UDP": 46.0,
    "IPsec ESP": 46.0, "IPsec AH": 42.0, "L2TP": 52.0, "PPTP": 52.0, "GRE": 56.0, "IPIP": 60.0, "6in4": 50.0,
    "Teredo": 46.0, "EtherIP": 56.0, "L2TPv3": 50.0, "VXLAN": 52.0, "GENEVE": 52.0, "GTP-U": 52.0, "ERSPAN": 52.0,
}  # fmt: skip
"""What a kind weighs by itself, between two hosts of which neither is a known gateway."""
MIRROR_SCORE, DECLARED_SCORE, ONE_WAY_SCORE, TRANSIT_SCORE, SETUP_SCORE, LEARNED_SCORE, OVERLAY_SCORE = (
    6.0, 12.0, 26.0, 22.0, 30.0, 34.0, 30.0,
)  # fmt: skip
FOLDED_MIN = 0.3
"""Share of inner flows carried both ways in one direction from which on a pair is a mirror session."""
USUAL_PORTS = frozenset({0, 500, 1194, 1701, 1723, 4500, 51_820})


@dataclass(frozen=True, slots=True, kw_only=True)
class EncapFacts:
    """What is known of one carrying pair."""

    kinds: tuple[str, ...]
    port: int
    """Port of the server, 0 where the kind has none."""
    home: tuple[bool, bool]
    """Whether the opener and its peer lie in the home network."""
    gateway: str
    """Text of the end that is a declared gateway, empty where neither is."""
    allowed: str
    """The declared pair that covers the two, empty where none does."""
    router: str
    """Text of the end that was learned to be a router."""
    clients: int
    """Hosts that have such a session with the same server of the home network."""
    peers: int
    """Most hosts with which one of the two carries packets."""
    answered: bool
    """Whether both ends sent."""
    carried_bytes: int
    folded: float
    inner_flows: int
    official_clients: int
    setup_bytes: int


@dataclass(frozen=True, slots=True)
class Verdict:
    """How much a pair matters, and why not less or more."""

    score: float
    confidence: float
    role: str
    checks: tuple[BenignCheck, ...]
    mirror: bool = False


def judge(facts: EncapFacts) -> Verdict:
    """Return the score of a pair; the first excuse that holds decides."""
    if _is_mirror(facts):
        return Verdict(MIRROR_SCORE, 0.9, _mirror_words(facts), (), mirror=True)
    for holds, score, words in _excuses(facts):
        if holds:
            return Verdict(score, 0.8, words, _checks(facts))
    score = max(POINTS[kind] for kind in facts.kinds)
    score += 8 * all(facts.home) + 6 * (facts.port not in USUAL_PORTS)
    return Verdict(min(score, 80.0), 0.85, "neither end is a known gateway", _checks(facts))


def _is_mirror(facts: EncapFacts) -> bool:
    """A tunnel carries each direction of a conversation its own way; a mirror carries both one way."""
    folded = facts.inner_flows >= 2 and facts.folded >= FOLDED_MIN
    return folded or (not facts.answered and not BRIDGED.isdisjoint(facts.kinds))


def _mirror_words(facts: EncapFacts) -> str:
    if facts.folded >= FOLDED_MIN:
        return "it carries both directions of other hosts' conversations one way: a mirror session, no tunnel of a host"
    return "nothing comes back on it: a mirror session, no tunnel of a host"


def _excuses(facts: EncapFacts) -> tuple[tuple[bool, float, str], ...]:
    overlay = OVERLAYS.issuperset(facts.kinds)
    policy = all(kind.startswith("IPsec") for kind in facts.kinds) and all(facts.home)
    small = facts.carried_bytes < facts.setup_bytes
    return (
        (bool(facts.gateway), DECLARED_SCORE, f"{facts.gateway} is declared under network.gateways"),
        (bool(facts.allowed), DECLARED_SCORE, f"{facts.allowed} is declared under network.allow"),
        (not any(facts.home), TRANSIT_SCORE, "both ends are external: traffic in transit"),
        (not facts.answered, ONE_WAY_SCORE, "only one end was seen to send"),
        (overlay and all(facts.home), OVERLAY_SCORE, "an overlay between two home hosts, as virtual networks use it"),
        (bool(facts.router), LEARNED_SCORE, f"{facts.router} was seen to route for others, as a gateway does"),
        (facts.clients >= facts.official_clients, LEARNED_SCORE, f"{facts.clients} hosts use the same server"),
        (
            policy and facts.peers >= facts.official_clients,
            LEARNED_SCORE,
            "host-to-host IPsec with many peers: a policy",
        ),
        (small, SETUP_SCORE, "hardly more than the set-up was exchanged"),
    )


def _checks(facts: EncapFacts) -> tuple[BenignCheck, ...]:
    rows = [
        (not facts.gateway, "a VPN of a gateway", "neither end is declared under network.gateways"),
        (not facts.router, "a router's tunnel", "neither end was seen to route for others"),
        (facts.folded < FOLDED_MIN, "a mirror session", "each direction of a conversation takes its own way")
        if facts.inner_flows >= 2
        else (facts.answered, "a mirror session", "both ends send"),
    ]
    return tuple(BenignCheck(hypothesis=name, rejected_because=because) for holds, name, because in rows if holds)
