"""Encapsulation: a host that carries packets inside packets, and is no known gateway.

*What it measures*
    WireGuard by its handshake, whose answer names the index of the question, or by data that counts up within
    one session; OpenVPN over UDP and TCP by its resets and session ids; IKE, ESP in UDP, L2TP and PPTP by their
    first messages; GRE, IPIP, 6in4, Teredo, EtherIP, ESP, AH, L2TPv3, VXLAN, GENEVE and GTP-U by protocol number
    or header, with the endpoints of every tunnel around a packet. All that two hosts carry is one incident.
    A mirror session (ERSPAN and the like) is told apart, and said: it carries both directions of other hosts'
    conversations one way, while a tunnel carries each direction its own way.
    What can be opened is opened: all other detectors see the packets inside, too.

*Blind spots*
    What lies inside of encrypted tunnels. OpenVPN whose start was not seen, or with scrambled opcodes. VPNs that
    look like TLS or QUIC (SSTP, AnyConnect, MASQUE). On a one-way feed a tunnel stays low, and one of a kind that
    mirrors use is taken for a mirror. Tunnel interfaces that end on the watched host itself.

*Common benign causes*
    The VPN concentrator, branch router or cloud gateway that nobody declared (`network.gateways`), a colleague's
    private VPN, overlay networks of hypervisors and containers, IPsec policies between servers, old Windows
    hosts that try Teredo.

*What to do next*
    Declare what is official. Else find the tunnel interface on the subject, and look at what the far end does while
    data comes through: a far end inside that opens connections for its peer is a pivot.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from detectors._kit import forge
from detectors._kit.encap_carriers import Carriers
from detectors._kit.encap_finding import Tunnel, finding
from detectors._kit.encap_role import EncapFacts, judge
from detectors._kit.fold import Fold
from detectors._kit.legs import note
from detectors._kit.prefix_watch import PrefixWatch
from detectors._kit.restate import Restatement
from detectors._kit.vpn_book import VpnBook, VpnSession
from detectors._kit.vpn_speech import TCP, UDP, Opening, recognised, suspects
from nettriage.model.addresses import to_text
from nettriage.model.alert import Attack
from nettriage.model.columns import Mixer
from nettriage.model.detector import Card, Detector, Example, Frames
from nettriage.model.finding import Address, Endpoint, Finding
from nettriage.model.health import Gauge
from nettriage.model.site import Site
from nettriage.model.slices import Slice
from nettriage.model.tables import RESPONDER, Role, Tables
from nettriage.model.tuning import Tuning, knob

_S = 1_000_000_000
_PARSES_PER_TICK = 1_024
_FINDINGS_PER_TICK = 64
_INCIDENTS_MAX = 1_024


@dataclass(frozen=True, slots=True, kw_only=True)
class EncapsulationTuning(Tuning):
    """Thresholds of the encapsulation detector."""

    packets: int = knob(
        4, "packets", lo=1, hi=10_000, why="a protocol scan sends one or two of each kind to a host, a tunnel goes on"
    )
    setup_bytes: int = knob(
        1_500, "bytes", lo=0, hi=1_000_000, why="handshakes and keep-alives of a minute stay below one full packet"
    )
    official_clients: int = knob(
        5, "hosts", lo=2, hi=1_000, why="a planted tunnel serves its operator; five clients make a service of an office"
    )
    idle_s: float = knob(1_800.0, "s", lo=60.0, hi=86_400.0, why="half an hour without a packet ends the incident")


def wireguard_session(src: str, dst: str, port: int, rounds: int = 8) -> Frames:
    """Return a WireGuard handshake and data, with the layout of its whitepaper (5.4) and arbitrary contents."""
    scene, sport = forge.Scene(), 38_544
    mine, theirs = b"\x81\xd8\x9f\x38", b"\x6c\x43\x39\x41"
    scene.put(forge.udp(src, sport, dst, port, b"\1\0\0\0" + mine + bytes(140)))
    scene.put(forge.udp(dst, port, src, sport, b"\2\0\0\0" + theirs + mine + bytes(80)))
    for counter in range(rounds):
        body = struct.pack("<Q", counter) + bytes((counter + at) % 256 for at in range(240))
        scene.wait(forge.S).put(forge.udp(src, sport, dst, port, b"\4\0\0\0" + theirs + body))
        scene.put(forge.udp(dst, port, src, sport, b"\4\0\0\0" + mine + body))
    return scene.frames()


def _wireguard() -> Frames:
    return wireguard_session("10.0.1.11", "10.0.1.12", 51_820)


def carried(outer: tuple[str, str], frame: bytes) -> bytes:
    """Return a frame that carries the Ethernet frame `frame` by ERSPAN II from one end of `outer` to the other."""
    return forge.ip(*outer, 47, struct.pack(">HHIII", 0x1000, 0x88BE, 1, 0x10000000, 0) + frame)


def _mirrored() -> Frames:
    inner = forge.Scene()
    for host in range(1, 9):
        inner.session(f"10.0.1.{host}", "10.0.2.80", 443)
    return [(ts_ns, carried(("192.0.2.1", "192.0.2.2"), frame)) for ts_ns, frame in inner.frames()]


def _asked_and_browsed() -> Frames:
    scene = forge.Scene()
    for number in range(20):
        scene.query("10.0.1.11", "10.0.2.11", 123, b"\x23" + bytes(47), b"\x24" + bytes([number]) * 47)
        scene.session("10.0.1.11", "192.0.2.80", 443, ((0, b"\x16\x03\x01\x00\x05hello"), (1, b"\x16\x03\x03" * 30)))
    return scene.frames()


class Encapsulation(Detector):
    """Hosts that carry packets inside packets."""

    card: ClassVar[Card] = Card(
        kind="encapsulation",
        title="Encapsulation",
        attack=(
            Attack(tactic="Command and Control", technique="T1572", name="Protocol Tunneling"),
            Attack(tactic="Command and Control", technique="T1090.001", name="Internal Proxy"),
        ),
        rules=("PT-CR-428", "PT-CR-461"),
        references=(
            "WireGuard whitepaper section 5.4", "OpenVPN wire protocol (ssl_pkt.h)", "RFC 7296", "RFC 3948", "RFC 2661",
            "RFC 2637", "RFC 2784", "RFC 2003", "RFC 4213", "RFC 4380", "draft-foschiano-erspan",
        ),
        counts="packets carried",
    )  # fmt: skip
    tuning_type: ClassVar[type[Tuning]] = EncapsulationTuning
    reads: ClassVar[frozenset[str]] = frozenset(
        {
            "packets.outer", "packets.proto", "packets.payload_len", "packets.flaw", "packets.duplicate",
            "packets.src_hi", "packets.src_lo", "packets.dst_hi", "packets.dst_lo", "packets.ts_ns",
            "packets.wire_len", "flow", "side", "src", "prefixes", "tables",
        }
    )  # fmt: skip
    examples: ClassVar[tuple[Example, ...]] = (
        Example("WireGuard between two workstations", _wireguard, fires=True, subject="10.0.1.11"),
        Example("a mirror session is named as such", _mirrored, fires=True, subject="192.0.2.1"),
        Example("time service and web sites", _asked_and_browsed, fires=False),
    )
    state_limit_bytes: ClassVar[int] = 24 << 20

    def __init__(self, tuning: Tuning, site: Site) -> None:
        """Make empty tables."""
        super().__init__(tuning, site)
        assert isinstance(tuning, EncapsulationTuning)
        self._limits = tuning
        self._carriers = Carriers(2_048, Fold.keyed(Mixer(site.mixer_secret)))
        self._watch = PrefixWatch()
        self._vpns = VpnBook(1_024)
        self._said = Restatement(_INCIDENTS_MAX, int(tuning.idle_s * _S))
        self._unparsed = 0

    def push(self, seen: Slice) -> None:
        """Count what is carried, and mark the flows whose prefixes grew."""
        self._carriers.add(seen)
        self._watch.note(seen)

    def tick(self, now_ns: int, tables: Tables) -> list[Finding]:
        """Read new handshakes, and judge the pairs that moved anything."""
        keys = self._read(tables)
        keys |= self._vpns.grown(tables, now_ns - int(self._limits.idle_s * _S))
        keys |= {pair.key for pair in self._carriers.drain() if sum(pair.packets) >= self._limits.packets}
        for key in sorted(keys):
            found = self._judged(key, tables)
            if found:
                self._said.offer(found)
        return self._said.due(now_ns, _FINDINGS_PER_TICK)

    def gauges(self) -> dict[str, Gauge]:
        """Return how full the tables are, and how many suspects were left unparsed."""
        young = self._watch
        return {
            "carrying pairs": self._carriers.gauge,
            "VPN sessions": self._vpns.gauge,
            "incidents": self._said.gauge,
            "young flows": Gauge(cap=young.cap, used=young.used, refused=self._unparsed),
        }

    def state_bytes(self) -> int:
        """Return the memory of tables and incidents."""
        return self._watch.nbytes + self._carriers.nbytes + self._vpns.nbytes + self._said.nbytes

    def _read(self, tables: Tables) -> set[int]:
        """Parse the flows that grew; return the keys of pairs with a new session."""
        rows, slots = self._watch.drain(tables, UDP, TCP)
        if not len(rows):
            return set()
        rows = rows[suspects(tables, rows, slots)]
        self._unparsed += max(len(rows) - _PARSES_PER_TICK, 0)
        sessions = [self._session(row, tables) for row in rows[:_PARSES_PER_TICK].tolist()]
        return {session.pair_key for session in sessions if session and self._vpns.enter(session)}

    def _session(self, row: int, tables: Tables) -> VpnSession | None:
        flows, prefixes, proto = tables.flows, tables.prefixes, int(tables.flows.proto[row])
        first = int(flows.first_payload_len[row, 0]), int(flows.first_payload_len[row, 1])
        payload = prefixes.payload(row, 0), prefixes.payload(row, 1)
        talk = recognised(Opening(*payload, first, int(flows.port[row, RESPONDER])), proto)
        if talk is None:
            return None
        flow = note(tables, row)
        key = self._carriers.key_of(flow.ends[0].addr, flow.ends[1].addr)
        return VpnSession(flow, talk, key, int(flows.last_ns[row]))

    def _judged(self, key: int, tables: Tables) -> Finding | None:
        """Return the state of a pair; None where a full table has just given it up."""
        pair, sessions = self._carriers.find(key), self._vpns.of(key)
        if sessions:
            opener, peer = Endpoint(sessions[0].flow.ends[0].addr), sessions[-1].flow.ends[1]
        elif pair:
            opener, peer = Endpoint(pair.ends[0]), Endpoint(pair.ends[1])
        else:
            return None
        kinds = dict.fromkeys([session.talk.kind for session in sessions] + list(pair.kinds if pair else ()))
        tunnel = Tunnel(key=key, opener=opener, peer=peer, kinds=tuple(kinds), pair=pair, sessions=sessions)
        facts = self._facts(tunnel, tables)
        subject = opener if facts.home[0] or not facts.home[1] else peer
        return finding(tunnel, judge(facts), subject, tables)

    def _facts(self, tunnel: Tunnel, tables: Tables) -> EncapFacts:
        site, pair, ends = self.site, tunnel.pair, (tunnel.opener.addr, tunnel.peer.addr)
        answered = any(session.talk.answered for session in tunnel.sessions) or bool(pair and min(pair.packets))
        return EncapFacts(
            kinds=tunnel.kinds, port=tunnel.peer.port or 0, home=(ends[0] in site.home, ends[1] in site.home),
            gateway=next((to_text(*end) for end in ends if end in site.gateways), ""),
            allowed=site.allow.between(*ends),
            router=next((to_text(*end) for end in ends if _routes(end, tables)), ""),
            clients=self._clients(tunnel), peers=max(self._carriers.peers(end) for end in ends) if pair else 0,
            answered=answered, carried_bytes=tunnel.carried_bytes, folded=pair.folded if pair else 0.0,
            inner_flows=pair.inner_flows if pair else 0, official_clients=self._limits.official_clients,
            setup_bytes=self._limits.setup_bytes,
        )  # fmt: skip

    def _clients(self, tunnel: Tunnel) -> int:
        """Return how many hosts use the same server inside; one outside may command many of ours."""
        if not tunnel.sessions or tunnel.peer.addr not in self.site.home:
            return 0
        return self._vpns.clients_of(tunnel.sessions[-1].flow.host_keys[1])


def _routes(addr: Address, tables: Tables) -> bool:
    row = int(tables.hosts.find(np.array([addr[0]], np.uint64), np.array([addr[1]], np.uint64))[0])
    return row >= 0 and bool(tables.hosts.roles[row] & Role.ROUTER)
