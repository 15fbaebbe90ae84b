"""Flows in which a detector recognised something, folded into one case for each acting host and thing."""

from __future__ import annotations

from collections import OrderedDict, deque
from dataclasses import dataclass, field
from hashlib import blake2b

from nettriage.model.addresses import to_text
from nettriage.model.alert import BenignCheck, Observation, Tool
from nettriage.model.finding import Address, Endpoint, Finding
from nettriage.model.health import Gauge
from nettriage.model.safetext import SafeStr
from nettriage.model.tables import Tables

from .legs import BYTES_PER_NOTED_FLOW, NotedFlow, leg, volumes
from .reasons import counted, duration, listed, title
from .restate import RESTATE_NS, worth_saying

FLOWS_MAX, PEERS_MAX, TARGETS_MAX, SERIALS_MAX = 10, 32, 32, 512
_NOTHING = SafeStr("")
_BYTES_PER_ENTRY = 200
_BYTES_PER_CASE = 6_000 + FLOWS_MAX * BYTES_PER_NOTED_FLOW + SERIALS_MAX * 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Sighting:
    """One flow in which something was recognised, and what to say of it."""

    flow: NotedFlow
    acting_side: int
    """Side of the flow on which the acting host stands."""
    name: str
    """What was recognised: cases of a host are told apart by it."""
    title: str
    reason: str
    """What was seen, as the beginning of a sentence."""
    score: float
    confidence: float
    evidence: SafeStr = _NOTHING
    tool: str = ""
    """Name of the tool, where the bytes tell one."""
    target: str = ""
    """What the tunnel leads to, where the bytes tell it."""
    via: tuple[Endpoint, ...] = ()
    observations: tuple[Observation, ...] = ()
    checks: tuple[BenignCheck, ...] = ()
    counterfactual: str = ""
    note: str = ""
    """What could not be seen."""

    @property
    def actor(self) -> Address:
        """The acting host."""
        return self.flow.ends[self.acting_side].addr

    @property
    def key(self) -> int:
        """Identity of the case: the acting host and what was recognised."""
        host = self.flow.host_keys[self.acting_side]
        return host ^ int.from_bytes(blake2b(self.name.encode(), digest_size=8).digest())

    @property
    def peer(self) -> Endpoint:
        """The other end; the port only where it listens."""
        other = self.flow.ends[1 - self.acting_side]
        return other if self.acting_side == 0 else Endpoint(other.addr)


@dataclass(slots=True)
class Case:
    """All that was seen of one thing at one host."""

    best: Sighting
    first_ns: int
    last_ns: int
    count: int = 0
    peers: dict[Endpoint, int] = field(default_factory=dict)
    targets: dict[str, int] = field(default_factory=dict)
    overflow: int = 0
    """Peers beyond the list."""
    flows: deque[NotedFlow] = field(default_factory=lambda: deque(maxlen=FLOWS_MAX))
    serials: OrderedDict[int, None] = field(default_factory=OrderedDict)
    """Flows counted lately, so that more of one flow is not one more flow."""
    changed: bool = True
    said_ns: int = 0
    said_bytes: int = 0

    def add(self, seen: Sighting) -> None:
        """Take in a sighting; more of a known flow only replaces the words if it weighs more."""
        fresh = seen.flow.serial not in self.serials
        if fresh:
            self._enter(seen)
        if seen.target and seen.target not in self.targets and len(self.targets) < TARGETS_MAX:
            self.targets[seen.target] = 1
            self.changed = True
        if seen.score > self.best.score or (not fresh and seen.score >= self.best.score and seen != self.best):
            self.best, self.changed = seen, True

    def _enter(self, seen: Sighting) -> None:
        self.serials[seen.flow.serial] = None
        if len(self.serials) > SERIALS_MAX:
            self.serials.popitem(last=False)
        self.count += 1
        self.first_ns = min(self.first_ns, seen.flow.first_ns)
        self.flows.append(seen.flow)
        if seen.peer in self.peers or len(self.peers) < PEERS_MAX:
            self.peers[seen.peer] = self.peers.get(seen.peer, 0) + 1
        else:
            self.overflow += 1
        self.changed = True

    def follow(self, tables: Tables) -> int:
        """Renew the time of the last activity; return the payload bytes of the latest flows."""
        total = 0
        for flow in self.flows:
            total += sum(volumes(tables, flow))
            if int(tables.flows.serial[flow.row]) == flow.serial:
                self.last_ns = max(self.last_ns, int(tables.flows.last_ns[flow.row]))
        return total


class CaseBook:
    """Cases by key, at most `cap`; the one that was quiet longest gives way."""

    def __init__(self, cap: int, idle_ns: int) -> None:
        """Make an empty book; a case is over after `idle_ns` without activity of its flows."""
        self._cap, self._idle_ns = cap, idle_ns
        self._cases: OrderedDict[int, Case] = OrderedDict()
        self._evicted = 0

    @property
    def gauge(self) -> Gauge:
        """How many cases are open."""
        return Gauge(cap=self._cap, used=len(self._cases), evicted=self._evicted)

    @property
    def nbytes(self) -> int:
        """Memory of the cases, in bytes."""
        entries = sum(len(case.peers) + len(case.targets) for case in self._cases.values())
        return len(self._cases) * _BYTES_PER_CASE + entries * _BYTES_PER_ENTRY

    def add(self, seen: Sighting) -> Case:
        """Take in a sighting; return its case."""
        case = self._cases.get(seen.key)
        if case is None:
            case = self._cases[seen.key] = Case(seen, seen.flow.first_ns, seen.flow.first_ns)
        self._cases.move_to_end(seen.key)
        case.add(seen)
        if len(self._cases) > self._cap:
            self._cases.popitem(last=False)
            self._evicted += 1
        return case

    def due(self, now_ns: int, tables: Tables, next_steps: tuple[str, ...], most: int = 64) -> list[Finding]:
        """Return what is to be said now, at most so many; cases that are over are said closed and forgotten."""
        said: list[Finding] = []
        for key, case in list(self._cases.items()):
            if len(said) >= most:
                break
            if not case.changed and now_ns - case.said_ns < RESTATE_NS:
                continue
            total = case.follow(tables)
            closed = now_ns - case.last_ns > self._idle_ns
            grew = total != case.said_bytes and worth_saying(
                now_ns - case.said_ns, now_ns - case.last_ns, total, case.said_bytes
            )
            if case.changed or closed or grew:
                case.changed, case.said_ns, case.said_bytes = False, now_ns, total
                said.append(_finding(key, case, tables, next_steps, closed=closed))
            if closed:
                del self._cases[key]
        return said


def _finding(key: int, case: Case, tables: Tables, next_steps: tuple[str, ...], *, closed: bool) -> Finding:
    best = case.best
    server = best.flow.ends[1].port
    ports = sorted({flow.ends[1].port or 0 for flow in case.flows} | ({server} if server else set()))
    return Finding(
        key=key, subject=Endpoint(best.actor, server if best.acting_side == 1 else None), score=best.score,
        confidence=best.confidence, first_ns=case.first_ns, last_ns=max(case.last_ns, case.first_ns),
        count=case.count, title=title(best.title), reason=_reason(case), objects=list(case.peers),
        object_count=len(case.peers) + case.overflow, via=list(best.via),
        legs=[leg(tables, flow) for flow in list(case.flows)[-4:]], flows=[flow.ref for flow in case.flows],
        proto=best.flow.proto, ports=ports, port_count=len(ports), counterfactual=best.counterfactual,
        observations=list(best.observations) or [_connections(case)],
        tool=Tool(name=best.tool, confidence=best.confidence, evidence=best.evidence) if best.tool else None,
        benign_checked=list(best.checks), visibility_note=best.note, closed=closed,
        next_steps=[step.format(host=to_text(*best.actor)) for step in next_steps],
    )  # fmt: skip


def _connections(case: Case) -> Observation:
    window_s = max(case.last_ns - case.first_ns, 0) / 1e9
    return Observation(
        name="connections recognised", value=float(case.count), unit="connections", threshold=1.0,
        window_s=round(window_s, 3), weight=1.0,
    )  # fmt: skip


def _reason(case: Case) -> str:
    text = f"{case.best.reason}; {counted(case.count, 'connection')} with {listed(map(_named, case.peers), limit=3)}"
    text += f" in {duration(case.last_ns - case.first_ns)}"
    if case.targets:
        text += f", leading to {listed(case.targets, limit=4)}"
    return f"{text}."


def _named(end: Endpoint) -> str:
    host = to_text(*end.addr)
    if not end.port:
        return host
    return f"[{host}]:{end.port}" if ":" in host else f"{host}:{end.port}"
