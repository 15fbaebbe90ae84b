"""A carrying pair of hosts in words and numbers."""

from __future__ import annotations

from dataclasses import dataclass

from nettriage.model.addresses import to_text
from nettriage.model.alert import Observation, Tool
from nettriage.model.finding import Endpoint, Finding
from nettriage.model.safetext import safe
from nettriage.model.tables import Tables

from .encap_carriers import Pair
from .encap_role import FOLDED_MIN, Verdict
from .legs import leg
from .reasons import counted, duration, title
from .vpn_book import VpnSession

_FLOWS_MAX = 20
_PROTOCOL_NUMBERS = {"GRE": 47, "ERSPAN": 47, "IPIP": 4, "6in4": 41, "IPsec ESP": 50, "IPsec AH": 51, "EtherIP": 97}
_TCP, _UDP = 6, 17
_TOOLS = {"WireGuard": "WireGuard", "OpenVPN over UDP": "OpenVPN", "OpenVPN over TCP": "OpenVPN"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Tunnel:
    """All that two hosts carry, whatever the kinds."""

    key: int
    opener: Endpoint
    peer: Endpoint
    kinds: tuple[str, ...]
    pair: Pair | None
    """Packets known by protocol number, and those that were opened."""
    sessions: list[VpnSession]
    """Sessions known by their handshake."""

    @property
    def first_ns(self) -> int:
        """Packet time of the first packet."""
        times = [session.flow.first_ns for session in self.sessions]
        return min(times + ([self.pair.first_ns] if self.pair else []))

    @property
    def last_ns(self) -> int:
        """Packet time of the latest one."""
        times = [session.last_ns for session in self.sessions]
        return max(times + ([self.pair.last_ns] if self.pair else []))

    @property
    def carried_bytes(self) -> int:
        """Frame bytes by protocol number and payload bytes of sessions."""
        return sum(session.seen_bytes for session in self.sessions) + (sum(self.pair.bytes) if self.pair else 0)


def finding(tunnel: Tunnel, verdict: Verdict, subject: Endpoint, tables: Tables) -> Finding:
    """Return the present state of a tunnel; `subject` is the end that is held to account."""
    one, other = to_text(*tunnel.opener.addr), to_text(*tunnel.peer.addr)
    named = " and ".join(tunnel.kinds)
    what = f"Mirror session ({named})" if verdict.mirror else f"{named} tunnel"
    ports = sorted({session.flow.ends[1].port or 0 for session in tunnel.sessions} - {0})
    there = tunnel.peer if subject.addr == tunnel.opener.addr else tunnel.opener
    return Finding(
        key=tunnel.key, subject=subject, score=verdict.score, confidence=verdict.confidence,
        first_ns=tunnel.first_ns, last_ns=max(tunnel.last_ns, tunnel.first_ns), count=_packets(tunnel, tables),
        title=title(f"{what} {one} → {other}"), reason=_reason(tunnel, verdict, one, other, named), objects=[there],
        object_count=1, via=[] if verdict.mirror else [Endpoint(tunnel.opener.addr), tunnel.peer],
        legs=[leg(tables, session.flow) for session in tunnel.sessions[-_FLOWS_MAX:]],
        flows=[session.flow.ref for session in tunnel.sessions[-_FLOWS_MAX:]], proto=_proto(tunnel), ports=ports,
        port_count=len(ports), observations=_observations(tunnel, verdict), tool=_tool(tunnel),
        counterfactual=_counterfactual(verdict, one, other), benign_checked=list(verdict.checks),
        next_steps=_next_steps(verdict, to_text(*subject.addr), to_text(*there.addr), named),
    )  # fmt: skip


def _packets(tunnel: Tunnel, tables: Tables) -> int:
    flows = tables.flows
    alive = [item.flow for item in tunnel.sessions if int(flows.serial[item.flow.row]) == item.flow.serial]
    return max(
        sum(int(flows.packets[flow.row].sum()) for flow in alive) + (sum(tunnel.pair.packets) if tunnel.pair else 0), 1
    )


def _reason(tunnel: Tunnel, verdict: Verdict, one: str, other: str, named: str) -> str:
    port = f":{tunnel.peer.port}" if tunnel.peer.port else ""
    text = (
        f"{one} and {other}{port} carried {tunnel.carried_bytes:,} bytes of {named} in"
        f" {duration(tunnel.last_ns - tunnel.first_ns)}"
    )
    if tunnel.pair and tunnel.pair.inner_flows:
        pair = tunnel.pair
        text += f", inside of it {counted(pair.inner_flows, 'flow')} of {counted(pair.inner_hosts, 'host')}"
    if tunnel.sessions:
        text += f" ({tunnel.sessions[-1].talk.evidence})"
    return f"{text}; {verdict.role}."


def _proto(tunnel: Tunnel) -> int:
    if tunnel.sessions:
        return tunnel.sessions[-1].flow.proto
    return next((_PROTOCOL_NUMBERS[kind] for kind in tunnel.kinds if kind in _PROTOCOL_NUMBERS), _UDP)


def _tool(tunnel: Tunnel) -> Tool | None:
    named = [item.talk for item in tunnel.sessions if item.talk.kind in _TOOLS and item.talk.answered]
    return Tool(name=_TOOLS[named[-1].kind], confidence=0.95, evidence=safe(named[-1].evidence)) if named else None


def _observations(tunnel: Tunnel, verdict: Verdict) -> list[Observation]:
    pair = tunnel.pair
    window_s = round((tunnel.last_ns - tunnel.first_ns) / 1e9, 3)
    proven = sum(session.talk.answered for session in tunnel.sessions)
    rows = [
        ("bytes carried", float(tunnel.carried_bytes), "bytes", 1.0, 0.3),
        ("handshakes that both sides spoke", float(proven), "sessions", 1.0, 0.7 if proven else 0.0),
    ]
    if pair:
        share = 1.0 if verdict.mirror else 0.0
        rows += [
            ("packets of the opener", float(pair.packets[0]), "packets", 1.0, 0.0 if proven else 0.3),
            ("packets of its peer", float(pair.packets[1]), "packets", 1.0, 0.0 if proven else 0.4),
            ("inner flows carried both ways in one direction", round(pair.folded, 3), "share", FOLDED_MIN, share),
        ]
    return [
        Observation(name=name, value=value, unit=unit, threshold=limit, window_s=max(window_s, 0.0), weight=weight)
        for name, value, unit, limit, weight in rows
    ]


def _counterfactual(verdict: Verdict, one: str, other: str) -> str:
    if verdict.mirror:
        return "would be judged as a tunnel if each direction of its conversations took its own way"
    return f"would be informational with {one} or {other} under network.gateways, or both under network.allow"


def _next_steps(verdict: Verdict, subject: str, peer: str, named: str) -> list[str]:
    if verdict.mirror:
        return [
            f"Make sure that {subject} is a switch or a sensor of yours: a planted mirror session copies traffic out"
        ]
    return [
        f"Ask the owner of {subject} what {named} to {peer} is for; a gateway belongs under network.gateways",
        f"On {subject}: look for tunnel interfaces and the process that holds them",
        "Look at what followed from the far end: connections that it opens while data comes through the tunnel",
    ]
