"""Sessions on bastions, with the connections that were opened and closed inside each."""

from __future__ import annotations

from collections import OrderedDict, deque
from dataclasses import dataclass, field

from nettriage.model.finding import Address
from nettriage.model.health import Gauge
from nettriage.model.tables import RESPONDER, Tables, TcpState

from .legs import BYTES_PER_NOTED_FLOW, NotedFlow

_SESSIONS_MAX, _OPENED_MAX, _TARGETS_MAX = 256, 64, 64
_OVER = (TcpState.CLOSED, TcpState.RESET, TcpState.REFUSED)


@dataclass(slots=True)
class BastionSession:
    """One session of a client on a bastion."""

    parent: NotedFlow
    declared: bool
    last_ns: int
    live: deque[NotedFlow] = field(default_factory=deque)
    """Connections that were opened inside and go on; at most 64."""
    latest: deque[NotedFlow] = field(default_factory=lambda: deque(maxlen=_OPENED_MAX))
    targets: dict[tuple[Address, int], int] = field(default_factory=dict)
    """How often each (address, port) was connected to; at most 64."""
    opened: int = 0
    closed: int = 0
    overflow: int = 0
    chance: float = 0.0
    """Highest chance that one of its connections followed data by itself."""
    changed: bool = True

    def enter(self, flow: NotedFlow, chance: float) -> None:
        """Take in a connection that followed data of the session."""
        self.opened += 1
        self.changed = True
        self.last_ns = max(self.last_ns, flow.first_ns)
        self.chance = max(self.chance, chance)
        self.latest.append(flow)
        if len(self.live) >= _OPENED_MAX:
            self.live.popleft()
        self.live.append(flow)
        target = (flow.ends[RESPONDER].addr, flow.ends[RESPONDER].port or 0)
        if target in self.targets or len(self.targets) < _TARGETS_MAX:
            self.targets[target] = self.targets.get(target, 0) + 1
        else:
            self.overflow += 1

    def settle(self, tables: Tables) -> None:
        """Count the connections that ended since."""
        flows = tables.flows
        for flow in list(self.live):
            gone = int(flows.serial[flow.row]) != flow.serial
            if gone or int(flows.state[flow.row]) in _OVER:
                self.live.remove(flow)
                self.closed += 1
                self.changed = True
                if not gone:
                    self.last_ns = max(self.last_ns, int(flows.last_ns[flow.row]))

    def is_over(self, tables: Tables) -> bool:
        """Whether the session itself ended."""
        flows, row = tables.flows, self.parent.row
        return int(flows.serial[row]) != self.parent.serial or int(flows.state[row]) in _OVER


class BastionBook:
    """Sessions by serial of their flow, at most 256; the oldest gives way."""

    def __init__(self) -> None:
        """Know no session."""
        self.sessions: OrderedDict[int, BastionSession] = OrderedDict()
        self._evicted = 0

    def keep(self, session: BastionSession) -> None:
        """Take in a session."""
        self.sessions[session.parent.serial] = session
        if len(self.sessions) > _SESSIONS_MAX:
            self.sessions.popitem(last=False)
            self._evicted += 1

    def gauges(self) -> dict[str, Gauge]:
        """Return how full the book is."""
        return {"sessions": Gauge(cap=_SESSIONS_MAX, used=len(self.sessions), evicted=self._evicted)}

    def state_bytes(self) -> int:
        """Return the memory of the book, estimated."""
        each = (len(item.latest) + len(item.live) + 1 for item in self.sessions.values())
        return sum(2_000 + 200 * _TARGETS_MAX + BYTES_PER_NOTED_FLOW * flows for flows in each)
