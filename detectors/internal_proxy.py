"""Proxy served by a host of the home network: SOCKS4, SOCKS4a, SOCKS5, HTTP CONNECT or absolute-form requests.

*What it measures*
    The first payload of both sides of every young TCP flow, on any port. A finding needs the client's
    request and the server's answer in the same protocol (RFC 1928, RFC 1929, RFC 9110 9.3.6, RFC 9112 3.2.2),
    every SOCKS authentication method and pipelined greetings included; it names clients, user names (never
    passwords), targets, and the onward connection where it is seen. A SOCKS server that dials out to its
    client, as reverse tunnels make it, counts as well.

    What is spoken inside is named: SSH, mail, RDP, SMB or a further proxy inside is a finding of its own, also in a
    declared proxy. A proxy that opens TLS (Burp, mitmproxy) is known by the certificate that it forges (TLS 1.2 and
    below), or because another ClientHello goes onward than the client sent. A host that speaks the PROXY protocol
    to its back ends is taken for a load balancer.

*Blind spots*
    Listeners on the loopback of a host (Burp, v2rayN, Clash and NekoRay as they come) put nothing on the wire, and
    are invisible until a neighbour uses them; their way out may show elsewhere. Proxies inside TLS, SSH or an
    encrypted tunnel, and HTTP/2 proxies. Flows whose first 2 KiB were not captured. On a one-way feed the answer
    is missing, so the score stays low. An HTTP proxy on a standard port that only serves web sites outside to
    other segments looks official and stays low.

*Common benign causes*
    The official web proxy that nobody declared yet (`network.proxies`), a developer's local debugging proxy,
    a browser extension that opens a listener for the neighbours, a web server that accepts absolute-form requests.

*What to do next*
    Find the process that listens, ask its owner, and look at the targets: targets inside the network or on
    administrative ports mean pivoting. Declare the proxy if it is official.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from detectors._kit import forge
from detectors._kit.legs import kept_payload, note, volumes
from detectors._kit.onward import attach_onward
from detectors._kit.prefix_watch import PrefixWatch
from detectors._kit.proxy_book import ProxyBook, Server, Session
from detectors._kit.proxy_finding import finding
from detectors._kit.proxy_inside import UNUSUAL
from detectors._kit.proxy_role import ProxyFacts, Verdict, judge
from detectors._kit.proxy_speech import balancers, recognised, suspects
from detectors._kit.proxy_talk import ABSOLUTE_URI
from detectors._kit.restate import worth_saying
from detectors._kit.tokens import hidden_hello
from nettriage.model.alert import Attack
from nettriage.model.detector import Card, Detector, Example, Frames
from nettriage.model.finding import Finding
from nettriage.model.health import Gauge
from nettriage.model.site import Site
from nettriage.model.slices import Slice
from nettriage.model.tables import Tables
from nettriage.model.tuning import Tuning, knob

_S = 1_000_000_000
_TCP = 6
_PARSES_PER_TICK = 2_048
_ONWARD_PER_TICK = 256
_FINDINGS_PER_TICK = 64
_BALANCERS_MAX = 256
_HELLOS_AGE_NS = 2 * _S
_SEARCH_AGES_NS = (0, _S, 4 * _S)


@dataclass(frozen=True, slots=True, kw_only=True)
class InternalProxyTuning(Tuning):
    """Thresholds of the internal proxy detector."""

    official_clients: int = knob(
        5, "hosts", lo=2, hi=1_000, why="a planted proxy serves its operator; five clients make a service of an office"
    )
    one_sided_s: float = knob(
        3.0, "s", lo=0.5, hi=60.0, why="a server answers a greeting at once; after 3 s its side is not visible"
    )
    onward_s: float = knob(
        5.0, "s", lo=0.5, hi=60.0, why="a proxy connects onward within its connect timeout, in practice at once"
    )
    idle_s: float = knob(1_800.0, "s", lo=60.0, hi=86_400.0, why="half an hour without a request ends the incident")


def _proxied(client: str, proxy: str, port: int) -> Frames:
    scene = forge.Scene()
    greeting, request = b"\x05\x01\x00", b"\x05\x01\x00\x01\x0a\x00\x02\x16\x00\x50"
    granted = b"\x05\x00\x00\x01\x0a\x00\x01\x0c\x9c\x40"
    page, reply = b"GET / HTTP/1.1\r\nHost: intranet\r\n\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
    turns = ((0, greeting), (1, b"\x05\x00"), (0, request), (1, granted), (0, page), (1, reply))
    scene.session(client, proxy, port, turns, gap_ns=2 * forge.MS)
    inner = forge.Scene(now_ns=forge.START_NS + 9 * forge.MS)
    inner.session(proxy, "10.0.2.22", 80, ((0, page), (1, reply)), gap_ns=2 * forge.MS, isn=(7000, 9000))
    return sorted(scene.frames() + inner.frames(), key=lambda item: item[0])


def _served() -> Frames:
    return _proxied("10.0.1.11", "10.0.1.12", 1080)


def _browsing() -> Frames:
    scene = forge.Scene()
    page = b"GET /index.html HTTP/1.1\r\nHost: www.example.com\r\n\r\n"
    for _ in range(5):
        scene.session("10.0.1.11", "192.0.2.80", 80, ((0, page), (1, b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * 900)))
    return scene.frames()


class InternalProxy(Detector):
    """Proxies that home hosts serve."""

    card: ClassVar[Card] = Card(
        kind="internal-proxy",
        title="Internal proxy",
        attack=(Attack(tactic="Command and Control", technique="T1090.001", name="Internal Proxy"),),
        rules=("PT-CR-2598", "PT-CR-610", "PT-CR-2600"),
        references=("RFC 1928", "RFC 1929", "RFC 9110 section 9.3.6", "RFC 9112 section 3.2.2", "SOCKS4 (Ying-Da Lee)"),
        counts="requests",
    )
    tuning_type: ClassVar[type[Tuning]] = InternalProxyTuning
    reads: ClassVar[frozenset[str]] = frozenset({"prefixes", "tables"})
    examples: ClassVar[tuple[Example, ...]] = (
        Example("a workstation serves SOCKS5 into the server network", _served, fires=True, subject="10.0.1.12"),
        Example("a workstation browses the web", _browsing, fires=False),
    )
    state_limit_bytes: ClassVar[int] = 64 << 20

    def __init__(self, tuning: Tuning, site: Site) -> None:
        """Make an empty book."""
        super().__init__(tuning, site)
        assert isinstance(tuning, InternalProxyTuning)
        self._limits = tuning
        self._watch = PrefixWatch()
        self._book = ProxyBook(sessions=4_096, servers=256)
        self._open: dict[int, Session] = {}
        """Sessions by serial that still wait for an answer or for their onward connection."""
        self._balancers: dict[int, None] = {}
        """Keys of hosts that told a back end the true client, oldest first."""
        self._unparsed = 0

    def push(self, seen: Slice) -> None:
        """Mark the flows whose prefixes grew."""
        self._watch.note(seen)

    def tick(self, now_ns: int, tables: Tables) -> list[Finding]:
        """Parse what grew, follow it onward, and say what changed."""
        self._read(now_ns, tables)
        self._settle(now_ns, tables)
        return self._say(now_ns, tables)

    def gauges(self) -> dict[str, Gauge]:
        """Return how full the book is, and how many suspects were left unparsed."""
        young = Gauge(cap=self._watch.cap, used=self._watch.used, refused=self._unparsed)
        return {"young flows": young, **self._book.gauges()}

    def state_bytes(self) -> int:
        """Return the memory of marks and book."""
        return self._watch.nbytes + self._book.state_bytes() + 100 * len(self._balancers)

    def _read(self, now_ns: int, tables: Tables) -> None:
        rows, slots = self._watch.drain(tables, _TCP)
        if not len(rows):
            return
        self._note_balancers(balancers(tables, rows, slots))
        forward = suspects(tables, slots, 0)
        backward = np.zeros(len(rows), np.bool_)
        server_first = np.flatnonzero(tables.flows.first_speaker[rows] == 1)
        backward[server_first] = suspects(tables, slots[server_first], 1)
        chosen = np.flatnonzero(forward | backward)
        self._unparsed += max(len(chosen) - _PARSES_PER_TICK, 0)
        for at in chosen[:_PARSES_PER_TICK]:
            self._parse(int(rows[at]), 0 if forward[at] else 1, now_ns, tables)

    def _note_balancers(self, keys: list[int]) -> None:
        for key in keys:
            self._balancers[key] = None
        while len(self._balancers) > _BALANCERS_MAX:
            del self._balancers[next(iter(self._balancers))]

    def _parse(self, row: int, side: int, now_ns: int, tables: Tables) -> None:
        serial = int(tables.flows.serial[row])
        talk = recognised(tables, row, side)
        if talk is None:
            self._forget_unbooked(serial)
            return
        session = self._book.sessions.get(serial)
        if session is None:
            session = Session(note(tables, row), side, talk, now_ns)
            if talk.protocol == ABSOLUTE_URI and talk.address == session.server.addr:
                return  # an ordinary server, addressed by its own absolute URI (RFC 9112 3.2.2)
            self._book.keep(session)
            self._open[serial] = session
        session.talk = talk
        if talk.answered:
            self._enter(session, tables)

    def _forget_unbooked(self, serial: int) -> None:
        session = self._book.sessions.get(serial)
        if session and session.booked is None:
            del self._book.sessions[serial]

    def _enter(self, session: Session, tables: Tables) -> None:
        address = session.talk.address
        row = session.flow.row
        alive = int(tables.flows.serial[row]) == session.flow.serial
        last_ns = int(tables.flows.last_ns[row]) if alive else session.since_ns
        self._book.server_of(session).book(session, last_ns, inside=address is not None and address in self.site.home)

    def _settle(self, now_ns: int, tables: Tables) -> None:
        """Give up waiting for answers, and look for onward connections."""
        limits = self._limits
        seeking = []
        for serial, session in list(self._open.items()):
            age_ns = now_ns - session.since_ns
            if serial not in self._book.sessions or age_ns > (limits.one_sided_s + limits.onward_s) * _S:
                del self._open[serial]
            elif session.onward and session.opened is None and session.talk.inner == "TLS":
                self._compare_hellos(session, age_ns, tables)
            elif session.booked is None and age_ns >= limits.one_sided_s * _S:
                self._enter(session, tables)
            elif _wants_onward(session, age_ns):
                session.searches += 1
                seeking.append(session)
        if not seeking:
            return
        taken = {item.onward.serial for item in self._book.sessions.values() if item.onward}
        for session in attach_onward(seeking[:_ONWARD_PER_TICK], taken, int(limits.onward_s * _S), tables):
            target = session.onward.ends[1].addr if session.onward else session.server.addr
            self._book.server_of(session).book_onward(session, inside=target in self.site.home)

    def _compare_hellos(self, session: Session, age_ns: int, tables: Tables) -> None:
        """See whether the ClientHello of a client went onward anywhere, or the proxy opened its TLS and sent its own.

        Connections that begin together may be joined crosswise, so all of the proxy's are looked at, a little later.
        """
        assert session.onward is not None
        server = self._book.server_of(session)
        if not session.hello_onward:
            session.hello_onward = hidden_hello(kept_payload(tables, session.onward, 0))
            server.hellos += [session.hello_onward] if session.hello_onward else []
        mine = hidden_hello(kept_payload(tables, session.flow, session.client_side)[session.talk.client_bytes :])
        if age_ns >= _HELLOS_AGE_NS and session.hello_onward and mine:
            session.opened = mine not in server.hellos
            server.book_opened(session)

    def _say(self, now_ns: int, tables: Tables) -> list[Finding]:
        said: list[Finding] = []
        for server in list(self._book.servers.values()):
            closed = now_ns - server.last_ns > self._limits.idle_s * _S
            if len(said) < _FINDINGS_PER_TICK and (closed or server.changed or self._grew(server, now_ns, tables)):
                server.changed, server.said_ns = False, now_ns
                server.said_bytes = _volume(server, tables)
                said.append(finding(server, self._verdict(server), tables, closed=closed))
                if closed:
                    del self._book.servers[server.key]
        return said

    def _grew(self, server: Server, now_ns: int, tables: Tables) -> bool:
        volume = _volume(server, tables)
        return volume != server.said_bytes and worth_saying(
            now_ns - server.said_ns, now_ns - server.last_ns, volume, server.said_bytes
        )  # fmt: skip

    def _verdict(self, server: Server) -> Verdict:
        addr = server.end.addr
        facts = ProxyFacts(
            port=server.end.port or 0, socks=server.socks, declared=addr in self.site.proxies,
            home=addr in self.site.home, answered=server.answered, granted=server.granted,
            clients=len(server.clients), neighbour_clients=server.neighbour_clients,
            inside_targets=len(server.inside), odd_targets=len(server.odd), onward=server.onward,
            absolute_only=server.absolute_only, many_clients=self._limits.official_clients,
            unusual_inside=tuple(sorted(UNUSUAL.intersection(server.inner))),
            intercepts=server.intercepts, balances=server.host_key in self._balancers,
            allowed=self._allowed(server),
        )  # fmt: skip
        return judge(facts)

    def _allowed(self, server: Server) -> str:
        """Return the declared pair between the proxy and its clients, empty unless one covers each."""
        pairs = [self.site.allow.between(client, server.end.addr) for client in server.clients]
        return pairs[0] if pairs and all(pairs) else ""


def _wants_onward(session: Session, age_ns: int) -> bool:
    """Whether it is time to look for the onward connection: at once, and twice more; each look costs a table scan."""
    talk = session.talk
    known = session.booked and talk.port and not session.onward and talk.granted is not False
    due = session.searches < len(_SEARCH_AGES_NS) and age_ns >= _SEARCH_AGES_NS[session.searches]
    return bool(known and due)


def _volume(server: Server, tables: Tables) -> int:
    """Return the payload bytes of the latest sessions, both legs."""
    legs = [flow for session in server.sessions for flow in (session.flow, session.onward) if flow]
    return sum(sum(volumes(tables, flow)) for flow in legs)
