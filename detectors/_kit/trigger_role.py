"""What it means that data of one flow opens connections at its far end: tunnel, scan, application tier, or nothing."""

from __future__ import annotations

from dataclasses import dataclass

from nettriage.model.alert import BenignCheck

from .relay_role import ADMIN_PORTS, JUMP_PORTS, Role

SCAN_TARGETS = 10
"""More targets than this in a minute are a scan through the tunnel."""
_SCAN_PORTS = 5
_MAIL_PORTS = frozenset({25, 465, 587})
_WEB_FRONTS = frozenset({80, 443, 3000, 5000, 8443, 8888, 9443, *range(8000, 8100)})
_BACKENDS_MAX = 8
_DECLARED, _LOW = 14.0, 30.0
_SHARE_MIN = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class TriggerFacts:
    """What is known of a host that opens connections for a peer."""

    declared: str
    """Role that the settings give the host; empty where none."""
    home: bool
    dialled: bool
    """Whether the host itself opened the carrying flow: a reverse tunnel."""
    peer_outside: bool
    port: int
    """Port of the carrying flow's server."""
    readable: bool
    """Whether the carrying flow begins as a web request."""
    share: float
    """Part of the host's connections since the flow began that followed its data."""
    conserved: bool
    """Whether what the connections brought went out on the carrying flow, and the other way."""
    targets: int
    target_ports: frozenset[int]
    inside_targets: int
    most_targets: int


def judge(facts: TriggerFacts) -> Role | None:
    """Return the verdict, None for what is not worth a word: a client whose server's answers make it connect."""
    scanning = is_scan(facts)
    if facts.dialled and not (facts.conserved or (scanning and facts.share >= _SHARE_MIN)):
        return None
    if facts.declared:
        return Role(_DECLARED, f"declared {facts.declared}", ())
    if not facts.home:
        return Role(_LOW - 8, "outside of the home network", ())
    role = "" if scanning else _harmless(facts)
    if role:
        because = f"not excluded: {role}; the score is lowered, the host stays shown"
        return Role(_LOW, role, (BenignCheck(hypothesis="service by design", rejected_because=because),))
    return Role(_score(facts, scanning), shape(facts), _checks(facts))


def is_scan(facts: TriggerFacts) -> bool:
    """Whether the targets are too many for one service: many hosts inside, or many ports."""
    many = facts.most_targets > SCAN_TARGETS
    return many and (facts.inside_targets > SCAN_TARGETS or len(facts.target_ports) >= _SCAN_PORTS)


def shape(facts: TriggerFacts) -> str:
    """Return what kind of forwarding it looks like."""
    if is_scan(facts):
        return "a scan on behalf of the peer"
    if facts.dialled:
        return "reverse forwarding (as ssh -R, chisel or ligolo): the host dialled out, its peer steers it"
    if facts.targets == 1:
        return "forwarding to one target (as ssh -L)"
    return f"forwarding to {facts.targets} targets (as ssh -D, or ssh -L for each)"


def _harmless(facts: TriggerFacts) -> str:
    if facts.port in _MAIL_PORTS and facts.target_ports <= _MAIL_PORTS:
        return "mail relay by its ports"
    if facts.dialled:
        return ""
    few_inside = facts.targets <= _BACKENDS_MAX and facts.inside_targets == facts.targets
    if few_inside and (facts.readable or facts.port in _WEB_FRONTS):
        return "load balancer or application tier by its looks: web requests in, a few backends inside"
    if facts.port in JUMP_PORTS and facts.target_ports == {facts.port} and facts.inside_targets == facts.targets:
        return f"jump host by its looks: sessions on port {facts.port} in and out, inside"
    if not facts.conserved:
        return "what comes in makes it connect, but is not passed on: an application tier, or commands of a person"
    return ""


def _score(facts: TriggerFacts, scanning: bool) -> float:
    score = 54.0 + 12 * facts.dialled + 10 * facts.peer_outside + 6 * bool(facts.target_ports & ADMIN_PORTS)
    outside = facts.inside_targets < facts.targets
    return min(score + 16 * scanning + 4 * outside, 94.0)


def _checks(facts: TriggerFacts) -> tuple[BenignCheck, ...]:
    passed = "the volumes of both sides agree" if facts.conserved else "far too many targets"
    rows = (
        ("declared proxy, bastion or load balancer", "the settings do not list this host"),
        ("chance", "the connections follow the data of this flow, and of no other"),
        ("a page or a command that makes a host connect", passed),
    )
    return tuple(BenignCheck(hypothesis=hypothesis, rejected_because=because) for hypothesis, because in rows)
