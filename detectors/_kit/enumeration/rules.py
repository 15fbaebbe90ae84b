"""From the signs of a source to a verdict: which rules fire, the score, and the words of the finding."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass

from detectors._kit.enumeration.discovery import ALL_DEVICES, ALL_TARGETS, ALL_TYPES, is_group
from detectors._kit.enumeration.service_probes import NOT_TELLING
from detectors._kit.enumeration.signs import Sign, SignKind, Source
from detectors._kit.reasons import counted, listed
from detectors._kit.verdict import Standing, score
from nettriage.model.alert import BenignCheck, Observation, Tool
from nettriage.model.safetext import safe
from nettriage.model.tuning import Tuning, knob

_UDP = 17
_TOOL_POINTS, _STACK_POINTS = 10.0, 20.0
_ALL_TYPES_SCORE, _MANY_TYPES_SCORE, _BOTH_SCORE, _PROTOCOLS_SCORE = 30.0, 35.0, 48.0, 42.0
_BANNERS_SCORE_MAX = 38.0
"""Monitors and inventories read banners too: alone they are no call to action."""
_TYPES_WITH_ALL = 4
"""Service types that, asked together with the question for all types, are an enumeration rather than a glance."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EnumerationTuning(Tuning):
    """Thresholds of service enumeration."""

    plain_probes: int = knob(3, "probes", lo=2, hi=16, why="a health check sends one plain request, nmap several kinds")
    stack_probes: int = knob(2, "probes", lo=1, hi=5, why="one odd packet may be damage; nmap -O sends all five kinds")
    banner_services: int = knob(5, "services", lo=3, hi=100, why="clients speak; five silent sessions collect banners")
    service_types: int = knob(8, "types", lo=3, hi=64, why="a desktop asks for the few kinds of service that it uses")
    protocols: int = knob(3, "protocols", lo=2, hi=3, why="systems ask for what they need, by one or two protocols")
    window_s: float = knob(60.0, "s", lo=1.0, hi=600.0, why="enumeration of a host or a link takes seconds")
    fan_out_hosts: int = knob(10, "hosts", lo=4, hi=16, why="name and management queries go to few, known hosts")
    fan_out_answered: float = knob(0.8, "share", lo=0.1, hi=1.0, why="a manager knows its hosts; a sweep misses")


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule over the signs of a source."""

    name: str
    kind: SignKind
    fires: Callable[[list[Sign], EnumerationTuning], bool]


def _probes(signs: list[Sign], tuning: EnumerationTuning) -> bool:
    if any(sign.detail not in NOT_TELLING for sign in signs):
        return True
    kinds = Counter(dst for dst, _ in {(sign.dst, sign.detail) for sign in signs})
    return any(count >= tuning.plain_probes for count in kinds.values())


def _stack(signs: list[Sign], tuning: EnumerationTuning) -> bool:
    kinds = Counter(dst for dst, _ in {(sign.dst, sign.detail) for sign in signs})
    return any(count >= tuning.stack_probes for count in kinds.values())


def _banners(signs: list[Sign], tuning: EnumerationTuning) -> bool:
    return len({(sign.dst, sign.port) for sign in signs}) >= tuning.banner_services


def _types(signs: list[Sign]) -> set[str]:
    return {sign.detail for sign in signs} - {ALL_TYPES, ALL_DEVICES, ALL_TARGETS}


def _link(signs: list[Sign], tuning: EnumerationTuning) -> bool:
    asked = {sign.detail for sign in signs}
    protocols = len(asked & {ALL_TYPES, ALL_DEVICES, ALL_TARGETS})
    return ALL_TYPES in asked or len(_types(signs)) >= tuning.service_types or protocols >= tuning.protocols


RULES = (
    Rule("service probes", SignKind.PROBE, _probes),
    Rule("stack probes", SignKind.STACK, _stack),
    Rule("banners", SignKind.BANNER, _banners),
    Rule("link discovery", SignKind.LINK, _link),
)


def judge(source: Source, tuning: EnumerationTuning) -> None:
    """Note which rules the signs of a source fulfil now."""
    window_ns = int(tuning.window_s * 1e9)
    for rule in RULES:
        signs = source.within(rule.kind, window_ns)
        if signs and rule.fires(signs, tuning):
            source.rules[rule.name] = None


def score_of(source: Source, who: Standing) -> float:
    """Return the score of the worst rule that fired."""
    points = []
    services = len(source.targets)
    if "service probes" in source.rules:
        points.append(score(services, True, who) + _TOOL_POINTS)
    if "stack probes" in source.rules:
        points.append(score(services, False, who) + _TOOL_POINTS + _STACK_POINTS)
    if "banners" in source.rules:
        points.append(min(score(services, True, who), _BANNERS_SCORE_MAX))
    if "link discovery" in source.rules:
        points.append(_link_score(source) - 25 * who.declared_scanner)
    return min(max(*points, 0.0, 0.0), 100.0)


def _link_score(source: Source) -> float:
    signs = list(source.signs[SignKind.LINK])
    asked, types = {sign.detail for sign in signs}, len(_types(signs))
    if ALL_TYPES in asked and types >= _TYPES_WITH_ALL:
        return _BOTH_SCORE
    protocols = len(asked & {ALL_TYPES, ALL_DEVICES, ALL_TARGETS})
    many = _MANY_TYPES_SCORE if types > _TYPES_WITH_ALL else 0.0
    return max(_ALL_TYPES_SCORE, many, _PROTOCOLS_SCORE if protocols > 1 else 0.0)


def tool_of_signs(source: Source) -> Tool | None:
    """Return nmap where its probes were recognised, None otherwise."""
    named = {"service probes": (SignKind.PROBE, "nmap -sV"), "stack probes": (SignKind.STACK, "nmap -O")}
    modes, details = [], []
    for rule, (kind, name) in named.items():
        if rule in source.rules:
            kinds = list(dict.fromkeys(sign.detail for sign in source.signs[kind]))
            datagrams = rule == "service probes" and list(source.protocols) == [_UDP]
            scripts = all(each.startswith("NSE") for each in kinds)
            modes.append("nmap scripts" if scripts else "nmap -sU" if datagrams else name)
            details += kinds
    if not modes:
        return None
    telling = any(detail not in NOT_TELLING for detail in details)
    return Tool(
        name=safe(" and ".join(modes)), confidence=0.97 if telling else 0.8, evidence=safe(listed(details, limit=5))
    )


def sentences(source: Source) -> str:
    """Return what was seen, one part for each rule that fired."""
    said = []
    for rule in RULES:
        if rule.name in source.rules:
            signs = source.signs[rule.kind]
            said.append(_SENTENCES[rule.kind](signs))
    return "; ".join(said)


def _probe_words(signs: deque[Sign]) -> str:
    services = len({(sign.dst, sign.port) for sign in signs})
    names = list(dict.fromkeys(sign.detail for sign in signs))
    return f"sent first payloads of nmap ({listed(names, limit=4)}) to {counted(services, 'service')}"


def _stack_words(signs: deque[Sign]) -> str:
    hosts = len({sign.dst for sign in signs})
    return f"sent probes of the TCP/IP stack, as nmap -O does, to {counted(hosts, 'host')}"


def _banner_words(signs: deque[Sign]) -> str:
    services = len({(sign.dst, sign.port) for sign in signs})
    return f"listened to the greetings of {counted(services, 'service')} without a word of its own"


def _link_words(signs: deque[Sign]) -> str:
    asked, types = {sign.detail for sign in signs}, sorted(_types(list(signs)))
    whom = "the local link" if any(is_group(sign.dst) for sign in signs) else "single hosts"
    parts = []
    if ALL_TYPES in asked:
        parts.append("all service types (_services._dns-sd._udp)")
    if types:
        parts.append(f"{counted(len(types), 'service type')} ({listed(types, limit=5)})")
    if ALL_DEVICES in asked:
        parts.append("all SSDP devices")
    if ALL_TARGETS in asked:
        parts.append("all WS-Discovery targets")
    return f"asked {whom} for {', '.join(parts)}"


_SENTENCES = {
    SignKind.PROBE: _probe_words, SignKind.STACK: _stack_words, SignKind.BANNER: _banner_words,
    SignKind.LINK: _link_words,
}  # fmt: skip


def observations(source: Source, tuning: EnumerationTuning) -> list[Observation]:
    """Return the figures behind the rules that fired, each with its limit."""
    limits = {
        SignKind.PROBE: ("kinds of scanner payloads", "payloads", 1.0 if _is_telling(source) else tuning.plain_probes),
        SignKind.STACK: ("kinds of stack probes", "probes", float(tuning.stack_probes)),
        SignKind.BANNER: ("services that greeted in vain", "services", float(tuning.banner_services)),
        SignKind.LINK: ("things asked of the link", "questions", float(tuning.service_types)),
    }
    found = []
    for rule in RULES:
        if rule.name in source.rules:
            name, unit, limit = limits[rule.kind]
            signs = source.signs[rule.kind]
            services = rule.kind is SignKind.BANNER
            value = len({(sign.dst, sign.port) if services else sign.detail for sign in signs})
            found.append(
                Observation(
                    name=name, value=float(value), unit=unit, threshold=float(limit), window_s=tuning.window_s,
                    weight=round(1 / len(source.rules), 3),
                )
            )  # fmt: skip
    return found


def _is_telling(source: Source) -> bool:
    return any(sign.detail not in NOT_TELLING for sign in source.signs.get(SignKind.PROBE, ()))


def counterfactual_of(source: Source, tuning: EnumerationTuning) -> str:
    """Return what would have to be different for no alert."""
    if "service probes" in source.rules or "stack probes" in source.rules:
        return "would not alert if the bytes were not those of nmap"
    if "banners" in source.rules:
        return f"would not alert below {tuning.banner_services} services in {tuning.window_s:g} s, or if it had spoken"
    return "would not alert if it had not asked for all service types at once"


def benign_of(source: Source, who: Standing) -> list[BenignCheck]:
    """Return the harmless explanations that were tried."""
    declared = (
        "it is declared: the score is lowered by 25" if who.declared_scanner else "the settings declare no such role"
    )
    rows = [("a declared scanner or monitor", declared)]
    if "link discovery" in source.rules:
        rows.append(("a desktop that looks for a printer", "that asks for one or two service types, not for all"))
    if "banners" in source.rules:
        rows.append(("clients that gave up", f"{counted(len(source.targets), 'service')} greeted, none got an answer"))
    return [BenignCheck(hypothesis=hypothesis, rejected_because=because) for hypothesis, because in rows]
