"""A suspicious pair of echo partners in words and numbers."""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv4Address

from nettriage.model.addresses import to_text
from nettriage.model.alert import BenignCheck, Observation, Tool
from nettriage.model.batch import V4_PREFIX
from nettriage.model.finding import Endpoint, Finding
from nettriage.model.safetext import safe

from .echo_pairs import COUNTERS, WINDOW_NS, EchoPairs
from .echoes import PTUNNEL, PTUNNEL_NG
from .reasons import counted, duration, title

_TOOLS = {PTUNNEL_NG: ("ptunnel-ng", "DE AD C0 DE"), PTUNNEL: ("ptunnel", "D5 20 08 80")}
_RAW_PACKETS_MIN = 8
_FURTHER_RULE = 3.0
"""Points that each further crossed limit adds."""


@dataclass(frozen=True, slots=True)
class Rule:
    """A crossed limit."""

    name: str
    value: float
    unit: str
    limit: float
    score: float
    words: str


def finding(pairs: EchoPairs, row: int, rules: list[Rule], *, closed: bool = False) -> Finding:
    """Return the present state of a pair; `rules` are its crossed limits, strongest first."""
    asker, asked = pairs.ends(row)
    life = dict(zip(COUNTERS, pairs.life(row), strict=True))
    via, target = [Endpoint(asker), Endpoint(asked)], _target(pairs, row)
    objects = [Endpoint(asked)]
    if target:
        via.append(target)
        objects.append(target)
    span_ns = int(pairs.last_ns[row] - pairs.first_ns[row])
    return Finding(
        key=int(pairs.keys[row]), subject=Endpoint(asker), score=score(rules), confidence=_confidence(rules),
        first_ns=int(pairs.first_ns[row]), last_ns=int(pairs.last_ns[row]), count=life["requests"] + life["replies"],
        title=title(f"ICMP tunnel {to_text(*asker)} → {to_text(*asked)}"),
        reason=_reason(to_text(*asker), to_text(*asked), life, rules, span_ns, target), objects=objects,
        object_count=len(objects), via=via, proto=58 if pairs.is_v6[row] else 1,
        observations=_observations(rules), tool=_tool(pairs, row, target) or _raw_tool(life),
        benign_checked=_checks(rules),
        counterfactual=f"would not alert without {rules[0].words}", next_steps=_next_steps(asker, asked, target),
        closed=closed,
    )  # fmt: skip


def score(rules: list[Rule]) -> float:
    """Return the score of the strongest crossed limit, a little more for each further one."""
    return min(rules[0].score + _FURTHER_RULE * (len(rules) - 1), 98.0)


def _confidence(rules: list[Rule]) -> float:
    return min(0.5 + 0.005 * score(rules) + 0.02 * len(rules), 0.99)


def _target(pairs: EchoPairs, row: int) -> Endpoint | None:
    """Return the target that a ptunnel header asks for."""
    address, port = (int(word) for word in pairs.target[row])
    return Endpoint((0, V4_PREFIX | address), port) if address and 0 < port < 65_536 else None


def _reason(
    asker: str, asked: str, life: dict[str, int], rules: list[Rule], span_ns: int, target: Endpoint | None
) -> str:
    onward = f" for {to_text(*target.addr)}:{target.port}" if target else ""
    return (
        f"{asker} and {asked} exchanged {counted(life['requests'] + life['replies'], 'echo packet')} with"
        f" {life['up'] + life['down']:,} payload bytes in {duration(span_ns)}{onward}:"
        f" {'; '.join(rule.words for rule in rules)}."
    )


def _observations(rules: list[Rule]) -> list[Observation]:
    total = sum(rule.score for rule in rules)
    return [
        Observation(
            name=rule.name, value=rule.value, unit=rule.unit, threshold=rule.limit, window_s=2 * WINDOW_NS / 1e9,
            weight=round(rule.score / total, 3),
        )
        for rule in rules
    ]  # fmt: skip


def _tool(pairs: EchoPairs, row: int, target: Endpoint | None) -> Tool | None:
    magic = int(pairs.magic[row])
    if magic not in _TOOLS:
        return None
    name, mark = _TOOLS[magic]
    wants = f", target {IPv4Address(target.addr[1] & 0xFFFFFFFF)}:{target.port}" if target else ""
    return Tool(name=name, confidence=0.97, evidence=safe(f"payload begins with {mark}{wants}"))


def _raw_tool(life: dict[str, int]) -> Tool | None:
    """Name icmptunnel: it draws identifier and sequence number anew for each packet, so no reply meets a request."""
    if life["ipv4"] < _RAW_PACKETS_MIN or life["orphans"] <= life["matched"]:
        return None
    words = f"{life['ipv4']:,} whole IPv4 packets inside, and replies that meet no request"
    return Tool(name="icmptunnel", confidence=0.6, evidence=safe(words))


def _checks(rules: list[Rule]) -> list[BenignCheck]:
    names = {rule.name for rule in rules}
    checks = []
    if "differing replies" in names:
        because = "the replies hold other bytes, not fewer: a device that cuts long pings was ruled out"
        checks.append(BenignCheck(hypothesis="replies cut short by a device", rejected_because=because))
    because = "a ping repeats its payload behind the time stamp, and gets it back"
    checks.append(BenignCheck(hypothesis="ping, monitoring or path MTU probes", rejected_because=because))
    return checks


def _next_steps(asker: tuple[int, int], asked: tuple[int, int], target: Endpoint | None) -> list[str]:
    steps = [
        f"On {to_text(*asker)}: find the process that holds a raw ICMP socket",
        f"Block echo between {to_text(*asker)} and {to_text(*asked)}, and look at the kept payloads",
    ]
    if target:
        steps.append(f"Look for connections of {to_text(*asked)} to {to_text(*target.addr)}:{target.port}")
    return steps
