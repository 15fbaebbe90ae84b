"""A Unix host before a Windows service, in words and numbers."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

from nettriage.model.addresses import to_text
from nettriage.model.alert import BenignCheck, Observation
from nettriage.model.finding import Address, Endpoint, Finding
from nettriage.model.tables import RESPONDER, Tables

from .forwarding_match import Behind, Parent
from .legs import BYTES_PER_NOTED_FLOW, NotedFlow, leg
from .reasons import counted, duration, listed, title

_TARGETS_MAX, _PASSED_MAX, _LEGS_MAX, _FLOWS_MAX = 256, 10, 4, 20
SERVICES = {135: "RPC", 139: "NetBIOS", 445: "SMB", 3389: "RDP", 5985: "WinRM", 5986: "WinRM"}
"""Services that only Windows has, or hardly anybody else."""


@dataclass(slots=True)
class Forwarding:
    """What one Unix host opened to one Windows service for one peer; without a peer, for itself."""

    host: Address
    peer: Endpoint | None
    port: int
    key: int
    first_ns: int
    last_ns: int
    passed: deque[tuple[NotedFlow, Parent | None]] = field(default_factory=lambda: deque(maxlen=_PASSED_MAX))
    """The latest connections with the flow behind each."""
    targets: dict[Address, int] = field(default_factory=dict)
    """At most 256."""
    how: dict[Behind, int] = field(default_factory=dict)
    count: int = 0
    windows: int = 0
    """Connections that a Windows stack answered."""
    peer_windows: bool = False
    overflow: int = 0
    changed: bool = True
    said: bool = False

    def enter(self, flow: NotedFlow, parent: Parent | None, windows: bool) -> None:
        """Take in a connection."""
        self.count += 1
        self.windows += windows
        self.changed = True
        self.last_ns = max(self.last_ns, flow.first_ns)
        self.passed.append((flow, parent))
        if parent:
            self.how[parent.how] = self.how.get(parent.how, 0) + 1
        target = flow.ends[RESPONDER].addr
        if target in self.targets or len(self.targets) < _TARGETS_MAX:
            self.targets[target] = self.targets.get(target, 0) + 1
        else:
            self.overflow += 1

    @property
    def best(self) -> Behind | None:
        """The strongest way in which a flow stands behind a connection."""
        return next((how for how in Behind if how in self.how), None)

    @property
    def bytes(self) -> int:
        """Memory, estimated."""
        return 1_500 + 2 * _PASSED_MAX * BYTES_PER_NOTED_FLOW + 200 * len(self.targets)


def finding(item: Forwarding, score: float, role: str, tables: Tables, *, closed: bool) -> Finding:
    """Return the present state of a forwarding."""
    subject = Endpoint(item.host, item.peer.port if item.peer else None)
    targets = [Endpoint(addr, item.port) for addr in item.targets]
    objects = [*([Endpoint(item.peer.addr)] if item.peer else []), *targets]
    path = [Endpoint(item.peer.addr), subject, targets[-1]] if item.peer else [subject, targets[-1]]
    flows = [part for flow, parent in item.passed for part in ((parent.flow, flow) if parent else (flow,))]
    service = SERVICES.get(item.port, str(item.port))
    return Finding(
        key=item.key, subject=subject, score=score, confidence=0.8 if item.windows else 0.6, first_ns=item.first_ns,
        last_ns=item.last_ns, count=item.count, proto=6, ports=[item.port], port_count=1,
        title=title(f"Unix host {to_text(*item.host)} before Windows {service}"), reason=_reason(item, role, service),
        objects=objects[:32], object_count=len(objects) + item.overflow, via=path,
        legs=[leg(tables, flow) for flow in flows[-_LEGS_MAX:]], flows=[flow.ref for flow in flows[-_FLOWS_MAX:]],
        observations=_observations(item), benign_checked=_checks(item), closed=closed,
        counterfactual=f"would not alert if {to_text(*item.host)} opened connections as Windows does, or for itself",
        next_steps=[
            f"On {to_text(*item.host)}: find the process that connects to port {item.port} (socat, rinetd, ssh ...)",
            f"Read the logon that came from {to_text(*item.host)} in the log of {to_text(*targets[-1].addr)}",
            "If the host does this by design, declare it under network.proxies or network.bastions",
        ],
    )  # fmt: skip


def _reason(item: Forwarding, role: str, service: str) -> str:
    answered = (
        f"{item.windows} answered by a Windows stack" if item.windows else "answered by no stack known as Windows"
    )
    targets = listed((to_text(*addr) for addr in item.targets), limit=3)
    text = (
        f"{to_text(*item.host)}, by its SYNs a Unix host, opened {counted(item.count, 'connection')} to {service} in"
        f" {duration(item.last_ns - item.first_ns)} ({answered}), to {targets}"
    )
    if item.peer and item.best:
        text += f"; behind them is a flow with {to_text(*item.peer.addr)}: {item.best.value}"
    return f"{text}; {role}."


def _observations(item: Forwarding) -> list[Observation]:
    window_s = round(max(item.last_ns - item.first_ns, 0) / 1e9, 3)
    rows = (
        ("connections of a Unix stack", float(item.count), "connections", 1.0, 0.2),
        ("answered by a Windows stack", float(item.windows), "connections", 0.0, 0.3),
        ("with a flow behind them", float(sum(item.how.values())), "connections", 0.0, 0.5),
    )
    return [
        Observation(name=name, value=value, unit=unit, threshold=limit, window_s=window_s, weight=weight)
        for name, value, unit, limit, weight in rows
    ]


def _checks(item: Forwarding) -> list[BenignCheck]:
    rows = [("declared proxy, bastion or load balancer", "the settings do not list this host")]
    if item.best is Behind.PASSED_ON:
        rows.append(("a client of its own, as smbclient or Ansible", "what it received from its peer went on"))
    return [BenignCheck(hypothesis=hypothesis, rejected_because=because) for hypothesis, because in rows]
