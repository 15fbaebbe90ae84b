"""The proxies that were seen in use: their clients, targets, users and sessions, bounded."""

from __future__ import annotations

from collections import OrderedDict, deque
from dataclasses import dataclass, field

from nettriage.model.finding import Address, Endpoint
from nettriage.model.health import Gauge
from nettriage.model.tables import RESPONDER

from .legs import BYTES_PER_NOTED_FLOW, NotedFlow, neighbours
from .proxy_role import WEB_PORTS
from .proxy_talk import ABSOLUTE_URI, ProxyTalk

CLIENTS_MAX, TARGETS_MAX, USERS_MAX, FLOWS_MAX, HELLOS_MAX = 256, 256, 8, 20, 256
_BYTES_PER_ENTRY = 200
"""Memory of one small entry (address, name, count) in a Python container, rounded up."""
_BYTES_PER_SERVER = 4_000 + 100 * HELLOS_MAX + FLOWS_MAX * BYTES_PER_NOTED_FLOW


@dataclass(slots=True)
class Session:
    """One connection to a proxy."""

    flow: NotedFlow
    client_side: int
    talk: ProxyTalk
    since_ns: int
    """Packet time at which the request was first read."""
    onward: NotedFlow | None = None
    booked: ProxyTalk | None = None
    """What of it the server's account already holds."""
    searches: int = 0
    """Times that its onward connection was looked for."""
    hello_onward: bytes = b""
    """ClientHello.random of its onward connection; empty until seen."""
    opened: bool | None = None
    """Whether the proxy opened the TLS inside; None where that is not known."""

    @property
    def client(self) -> Address:
        """Address of the client."""
        return self.flow.ends[self.client_side].addr

    @property
    def server(self) -> Endpoint:
        """The proxy; its port is 0 where it dialled out to its client."""
        end = self.flow.ends[1 - self.client_side]
        return Endpoint(end.addr, 0 if self.client_side == RESPONDER else end.port)


@dataclass(slots=True)
class Server:
    """Account of one proxy: a host and the port that it listens on."""

    end: Endpoint
    host_key: int
    first_ns: int
    last_ns: int
    protocols: dict[str, int] = field(default_factory=dict)
    clients: dict[Address, int] = field(default_factory=dict)
    targets: dict[str, Endpoint | None] = field(default_factory=dict)
    """By ``host:port``; the endpoint where its address is known."""
    users: dict[str, int] = field(default_factory=dict)
    inside: set[str] = field(default_factory=set)
    odd: set[str] = field(default_factory=set)
    inner: dict[str, int] = field(default_factory=dict)
    """Sessions by the protocol inside of them."""
    forgers: dict[str, int] = field(default_factory=dict)
    """Sessions by the intercepting tool whose certificate was seen."""
    hellos: deque[bytes] = field(default_factory=lambda: deque(maxlen=HELLOS_MAX))
    """ClientHello.random of the latest onward connections."""
    compared: int = 0
    """Sessions with TLS inside whose onward connection began with TLS, too."""
    opened: int = 0
    """Those of them whose ClientHello went onward nowhere."""
    neighbour_clients: int = 0
    requests: int = 0
    granted: int = 0
    onward: int = 0
    answered: bool = False
    overflow: int = 0
    """Clients and targets beyond the lists."""
    sessions: deque[Session] = field(default_factory=lambda: deque(maxlen=FLOWS_MAX // 2))
    """The latest ones."""
    changed: bool = True
    said_ns: int = 0
    said_bytes: int = 0

    @property
    def key(self) -> int:
        """Identity of the proxy among findings."""
        return (self.host_key ^ ((self.end.port or 0) * 0x9E3779B97F4A7C15)) & 0xFFFFFFFFFFFFFFFF

    @property
    def intercepts(self) -> bool:
        """Whether it opens the TLS of its clients: it replaces most ClientHellos, or a certificate is a forger's."""
        return bool(self.forgers) or (self.opened >= 2 and 2 * self.opened > self.compared)

    @property
    def absolute_only(self) -> bool:
        """Whether only absolute-form requests were seen."""
        return set(self.protocols) == {ABSOLUTE_URI}

    @property
    def socks(self) -> bool:
        """Whether any request was of the SOCKS family."""
        return any(name.startswith("SOCKS") for name in self.protocols)

    def book(self, session: Session, last_ns: int, *, inside: bool) -> None:
        """Take in what is new of a session; `inside` says whether its target lies in the home network."""
        talk, before = session.talk, session.booked
        if before is None:
            self._book_client(session)
        elif before == talk:
            return
        if talk.target and (before is None or not before.target):
            self._book_target(talk, inside)
        if talk.granted and not (before and before.granted):
            self.granted += 1
        if talk.user and len(self.users) < USERS_MAX:
            self.users.setdefault(talk.user, 1)
        self._book_inside(talk, before)
        self.answered |= talk.answered
        self.last_ns = max(self.last_ns, last_ns)
        session.booked, self.changed = talk, True

    def book_onward(self, session: Session, *, inside: bool) -> None:
        """Take in the onward connection of a session."""
        self.onward += 1
        if inside and session.talk.target in self.targets:
            self.inside.add(session.talk.target)
        if session.onward and self.targets.get(session.talk.target, self.end) is None:
            self.targets[session.talk.target] = session.onward.ends[1]
        self.changed = True

    def book_opened(self, session: Session) -> None:
        """Take in whether the TLS of a session was opened."""
        self.compared += 1
        self.opened += bool(session.opened)
        self.changed = True

    def _book_inside(self, talk: ProxyTalk, before: ProxyTalk | None) -> None:
        if talk.inner and not (before and before.inner):
            self.inner[talk.inner] = self.inner.get(talk.inner, 0) + 1
        if talk.forger and not (before and before.forger):
            self.forgers[talk.forger] = self.forgers.get(talk.forger, 0) + 1

    def _book_client(self, session: Session) -> None:
        self.requests += 1
        self.protocols[session.talk.protocol] = self.protocols.get(session.talk.protocol, 0) + 1
        self.first_ns = min(self.first_ns, session.flow.first_ns)
        if session.client not in self.clients and neighbours(session.client, self.end.addr):
            self.neighbour_clients += 1
        if session.client in self.clients or len(self.clients) < CLIENTS_MAX:
            self.clients[session.client] = self.clients.get(session.client, 0) + 1
        else:
            self.overflow += 1
        self.sessions.append(session)

    def _book_target(self, talk: ProxyTalk, inside: bool) -> None:
        if talk.target not in self.targets and len(self.targets) >= TARGETS_MAX:
            self.overflow += 1
            return
        self.targets.setdefault(talk.target, Endpoint(talk.address, talk.port) if talk.address else None)
        if inside:
            self.inside.add(talk.target)
        if talk.port not in WEB_PORTS:
            self.odd.add(talk.target)

    @property
    def bytes(self) -> int:
        """Memory of the account, estimated."""
        entries = len(self.clients) + len(self.targets) + len(self.inside) + len(self.odd)
        return _BYTES_PER_SERVER + entries * _BYTES_PER_ENTRY


class ProxyBook:
    """Sessions and servers, each with a cap; the least recently used give way."""

    def __init__(self, sessions: int, servers: int) -> None:
        """Make an empty book."""
        self._sessions_cap, self._servers_cap = sessions, servers
        self.sessions: OrderedDict[int, Session] = OrderedDict()
        """Recent sessions by flow serial."""
        self.servers: OrderedDict[int, Server] = OrderedDict()
        self._evicted = [0, 0]

    def keep(self, session: Session) -> None:
        """Remember a session."""
        self.sessions[session.flow.serial] = session
        if len(self.sessions) > self._sessions_cap:
            self.sessions.popitem(last=False)
            self._evicted[0] += 1

    def server_of(self, session: Session) -> Server:
        """Return the account of the session's proxy, opened where there is none."""
        end, first = session.server, session.flow.first_ns
        fresh = Server(end, session.flow.host_keys[1 - session.client_side], first, first)
        server = self.servers.setdefault(fresh.key, fresh)
        self.servers.move_to_end(fresh.key)
        if len(self.servers) > self._servers_cap:
            self.servers.popitem(last=False)
            self._evicted[1] += 1
        return server

    def expire(self, before_ns: int) -> None:
        """Forget sessions whose request was read before a time."""
        while self.sessions:
            serial, session = next(iter(self.sessions.items()))
            if session.since_ns >= before_ns:
                return
            del self.sessions[serial]

    def gauges(self) -> dict[str, Gauge]:
        """Return how full the book is."""
        return {
            "proxy sessions": Gauge(cap=self._sessions_cap, used=len(self.sessions), evicted=self._evicted[0]),
            "proxies": Gauge(cap=self._servers_cap, used=len(self.servers), evicted=self._evicted[1]),
        }

    def state_bytes(self) -> int:
        """Return the memory of the book, estimated."""
        return len(self.sessions) * 3 * BYTES_PER_NOTED_FLOW + sum(server.bytes for server in self.servers.values())
