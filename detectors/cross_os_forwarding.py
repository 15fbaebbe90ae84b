"""Cross-OS forwarding: a Unix host that passes somebody on to a service that only Windows has.

*What it measures*
    Connections to RPC, NetBIOS, SMB, RDP and WinRM (135, 139, 445, 3389, 5985, 5986) whose SYN is a Unix
    stack's (initial TTL 64 and the option order of p0f's signatures), and what stands behind them at the
    host: a flow that it accepted up to 2 s before whose bytes went on, both ways; a tunnel whose data opens
    its connections; or data just before. Where a Windows stack (initial TTL 128) answers, it counts for more.

*Blind spots*
    Relays on Windows hosts (see relay), stacks that disguise themselves, kernel forwarding, SYNs that were
    not seen. TTLs of a path through more than 32 routers or through a normalising firewall. NTLM names stay
    unread.

*Common benign causes*
    Linux that mounts a share, Ansible, monitoring and inventory that use WinRM, RDP gateways and load
    balancers. Without a flow behind them such connections stay low or unsaid.

*What to do next*
    Find the process on the Unix host, and read the logons that came from it on the Windows host: their
    workstation names are the real client's.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from detectors._kit import forge
from detectors._kit.declared import allowed_path, declared_role
from detectors._kit.forwarding_finding import SERVICES, Forwarding, finding
from detectors._kit.forwarding_match import Behind, Parent, passed_on
from detectors._kit.legs import NotedFlow, note
from detectors._kit.stack_hints import Stack, StackHints, initial_ttl
from detectors._kit.trigger_book import nearest
from detectors._kit.trigger_log import TriggerLog
from nettriage.model.alert import Attack
from nettriage.model.detector import Card, Detector, Example, Frames
from nettriage.model.finding import Endpoint, Finding
from nettriage.model.health import Gauge
from nettriage.model.site import Site
from nettriage.model.slices import Slice
from nettriage.model.tables import ORIGINATOR, RESPONDER, Tables, TcpState
from nettriage.model.tuning import Tuning, knob

_S = 1_000_000_000
_PENDING_MAX, _ITEMS_MAX, _LOOKS_PER_TICK, _FINDINGS_PER_TICK = 1_024, 256, 32, 64
_JUDGE_NS = (_S, 4 * _S, 16 * _S, 64 * _S)
"""Ages at which a connection that goes on is held against other flows: each look costs a pass over the flow table."""
_TUNNEL_HITS, _TUNNEL_DECADES, _PRECEDED_CHANCE = 4, -6.0, 0.05
_CONTROL_PORTS = frozenset({3389, 5985, 5986})
_SCORES = {Behind.PASSED_ON: 62.0, Behind.TUNNEL: 56.0, Behind.PRECEDED: 30.0, None: 20.0}
_OVER = (TcpState.CLOSED, TcpState.RESET)


@dataclass(frozen=True, slots=True, kw_only=True)
class CrossOsForwardingTuning(Tuning):
    """Thresholds of the cross-OS forwarding detector."""

    service_clients: int = knob(
        5, "hosts", lo=2, hi=1_000, why="an intruder's relay has one or two clients, a service of the house has many"
    )
    idle_s: float = knob(1_800.0, "s", lo=60.0, hi=86_400.0, why="half an hour without connections ends the incident")


@dataclass(slots=True)
class _Pending:
    """A connection of a Unix stack that is not judged yet."""

    flow: NotedFlow
    behind: Parent | None = None
    looks: int = 0


_LINUX = bytes.fromhex("020405b40402080a00000001000000000103030a")
_WINDOWS = bytes.fromhex("020405b40103030801010402")


def _session(scene: forge.Scene, src: str, dst: str, port: int, ttls: tuple[int, int], sport: int) -> None:
    seq = [1_000 + sport, 70_000 + sport]
    options = [_LINUX if ttl == 64 else _WINDOWS for ttl in ttls]

    def send(side: int, flags: int, payload: bytes = b"", extra: bytes = b"") -> None:
        ends = ((src, sport), (dst, port)) if side == 0 else ((dst, port), (src, sport))
        ack = seq[1 - side] if flags & forge.ACK else 0
        scene.put(
            forge.tcp(
                *ends[0], *ends[1], flags, seq=seq[side], ack=ack, payload=payload, options=extra, ttl=ttls[side]
            )
        )  # fmt: skip
        seq[side] += len(payload) + bool(flags & (forge.SYN | forge.FIN))

    send(0, forge.SYN, extra=options[0])
    send(1, forge.SYN | forge.ACK, extra=options[1])
    send(0, forge.ACK)
    for turn in range(6):
        scene.wait(30 * forge.MS)
        send(turn % 2, forge.PSH | forge.ACK, bytes(range(150 + turn)))
    send(0, forge.FIN | forge.ACK)
    send(1, forge.FIN | forge.ACK)
    send(0, forge.ACK)


def _forwarded() -> Frames:
    inner, outer = forge.Scene(), forge.Scene(now_ns=forge.START_NS + 2 * forge.MS)
    _session(inner, "10.0.1.11", "10.0.1.12", 13_389, (128, 64), 50_000)
    _session(outer, "10.0.1.12", "10.0.2.16", 3389, (64, 128), 41_000)
    return sorted(inner.items + outer.items, key=lambda item: item[0])


def _mounted() -> Frames:
    scene = forge.Scene()
    _session(scene, "10.0.1.12", "10.0.2.16", 445, (64, 128), 41_000)
    return scene.items


class CrossOsForwarding(Detector):
    """Unix hosts that stand before Windows services."""

    card: ClassVar[Card] = Card(
        kind="cross-os-forwarding",
        title="Unix host before a Windows service",
        attack=(
            Attack(tactic="Command and Control", technique="T1090.001", name="Internal Proxy"),
            Attack(tactic="Lateral Movement", technique="T1021", name="Remote Services"),
        ),
        rules=("PT-CR-1700",),
        references=("p0f.fp (Zalewski)", "RFC 9293 section 3.2", "RFC 7323"),
        counts="connections",
    )
    tuning_type: ClassVar[type[Tuning]] = CrossOsForwardingTuning
    reads: ClassVar[frozenset[str]] = frozenset(
        {
            "new_flows", "resumes", "flow", "side", "packets.payload_len", "packets.ts_ns", "packets.duplicate",
            "packets.tcp_flags", "packets.src_port", "packets.dst_port", "packets.proto", "packets.flaw",
            "packets.ttl", "packets.l4_at", "packets.raw", "tables",
        }
    )  # fmt: skip
    examples: ClassVar[tuple[Example, ...]] = (
        Example("a Linux host passes a Windows client on to RDP", _forwarded, fires=True, subject="10.0.1.12"),
        Example("a Linux host mounts a share for itself", _mounted, fires=False),
    )
    state_limit_bytes: ClassVar[int] = 96 << 20

    def __init__(self, tuning: Tuning, site: Site) -> None:
        """Know no connection."""
        super().__init__(tuning, site)
        assert isinstance(tuning, CrossOsForwardingTuning)
        self._limits = tuning
        self._hints = StackHints(frozenset(SERVICES))
        self._log = TriggerLog()
        self._pending: OrderedDict[int, _Pending] = OrderedDict()
        """By serial."""
        self._items: OrderedDict[int, Forwarding] = OrderedDict()
        self._refused = 0
        self._evicted = 0

    def push(self, seen: Slice) -> None:
        """Read SYNs, and take in data and new connections."""
        self._hints.note(seen)
        self._log.note(seen)

    def tick(self, now_ns: int, tables: Tables) -> list[Finding]:
        """Look for what stands behind the connections, and say what changed."""
        for row in self._hints.drain(tables).tolist():
            self._refused += len(self._pending) >= _PENDING_MAX
            if len(self._pending) < _PENDING_MAX:
                self._pending[int(tables.flows.serial[row])] = _Pending(note(tables, row))
        self._note_triggers(now_ns, tables)
        self._settle(now_ns, tables)
        return self._say(now_ns, tables)

    def gauges(self) -> dict[str, Gauge]:
        """Return how full the books are."""
        return {
            **self._log.gauges(),
            "connections to Windows services": self._hints.gauge,
            "pending connections": Gauge(cap=_PENDING_MAX, used=len(self._pending), refused=self._refused),
            "forwardings": Gauge(cap=_ITEMS_MAX, used=len(self._items), evicted=self._evicted),
        }

    def state_bytes(self) -> int:
        """Return the memory of logs and books."""
        books = 1_200 * len(self._pending) + sum(item.bytes for item in self._items.values())
        return self._hints.nbytes + self._log.nbytes + books

    def _note_triggers(self, now_ns: int, tables: Tables) -> None:
        found = self._log.drain(tables)
        if not (len(found.flow) and self._pending):
            return
        wanted = np.isin(found.opened_serial, np.fromiter(self._pending, np.int64))
        found = found.rows(np.flatnonzero(wanted))
        found = found.rows(nearest(found))
        odds, hits = self._log.odds(tables, found.flow, found.side, now_ns)
        chance = self._log.chance(found.flow, found.side, now_ns)[:, -1]
        for at, serial in enumerate(found.opened_serial.tolist()):
            tunnel = hits[at] >= _TUNNEL_HITS and odds[at] <= _TUNNEL_DECADES
            if tunnel or chance[at] <= _PRECEDED_CHANCE:
                how = Behind.TUNNEL if tunnel else Behind.PRECEDED
                parent = Parent(note(tables, int(found.flow[at])), int(found.side[at]), how)
                self._pending[serial].behind = parent

    def _settle(self, now_ns: int, tables: Tables) -> None:
        """Judge connections that ended, or that are old enough for another look."""
        looks = 0
        flows = tables.flows
        for serial, pending in list(self._pending.items()):
            row = pending.flow.row
            gone = int(flows.serial[row]) != serial
            over = gone or int(flows.state[row]) in _OVER
            due = now_ns - pending.flow.first_ns >= _JUDGE_NS[min(pending.looks, len(_JUDGE_NS) - 1)]
            if not (over or due):
                continue
            if looks >= _LOOKS_PER_TICK:
                break
            spoke = not gone and bool((flows.payload_bytes[row] > 0).all())
            looks += spoke
            pending.looks += 1
            parent = passed_on(tables, row) if spoke else None
            last = over or pending.looks >= len(_JUDGE_NS)
            if parent or last:
                del self._pending[serial]
            if parent or (last and spoke):
                self._enter(pending.flow, parent or pending.behind, tables)

    def _enter(self, flow: NotedFlow, parent: Parent | None, tables: Tables) -> None:
        windows = self._hints.server(flow.row) is Stack.WINDOWS
        port = flow.ends[RESPONDER].port or 0
        if parent is None and not (windows and port in _CONTROL_PORTS):
            return
        peer = parent.flow.ends[1 - parent.side] if parent else None
        front = (parent.flow.ends[RESPONDER].port or None) if parent and parent.side == RESPONDER else None
        other = parent.flow.host_keys[1 - parent.side] if parent else 0
        key = (flow.host_keys[ORIGINATOR] ^ other * 3 ^ (port * 65_536 + (front or 0)) * 0x9E3779B97F4A7C15) & (
            2**64 - 1
        )
        item = self._items.get(key)
        if item is None:
            began = parent.flow.first_ns if parent else flow.first_ns
            host = flow.ends[ORIGINATOR].addr
            item = Forwarding(host, Endpoint(peer.addr, front) if peer else None, port, key, began, flow.first_ns)
            self._items[key] = item
            if len(self._items) > _ITEMS_MAX:
                self._items.popitem(last=False)
                self._evicted += 1
        self._items.move_to_end(key)
        item.enter(flow, parent, windows)
        if parent and int(tables.flows.serial[parent.flow.row]) == parent.flow.serial:
            ttl = tables.flows.ttl[[parent.flow.row], 1 - parent.side]
            item.peer_windows |= int(initial_ttl(ttl)[0]) == 128

    def _say(self, now_ns: int, tables: Tables) -> list[Finding]:
        said: list[Finding] = []
        for key, item in list(self._items.items()):
            closed = now_ns - item.last_ns > self._limits.idle_s * _S
            if len(said) >= _FINDINGS_PER_TICK or not (item.changed or closed):
                continue
            item.changed = False
            score, role = self._verdict(item, tables)
            said.append(finding(item, score, role, tables, closed=closed))
            if closed:
                del self._items[key]
        return said

    def _verdict(self, item: Forwarding, tables: Tables) -> tuple[float, str]:
        path = [*([item.peer.addr] if item.peer else []), item.host, next(reversed(item.targets))]
        declared = declared_role(self.site, item.host) or allowed_path(self.site, path)
        if declared:
            return 14.0, f"declared {declared}"
        if item.best is None:
            return _SCORES[None], "no flow stands behind them: most likely a client of its own"
        if item.best is Behind.PRECEDED:
            return _SCORES[item.best], "a command of a person looks the same"
        front = item.peer.port if item.peer else None
        high, low = (np.array([word], np.uint64) for word in item.host)
        row = int(tables.hosts.find(high, low)[0])
        if front and row >= 0:
            asked = tables.services.clients(
                tables.hosts.key[[row]], np.array([6], np.uint16), np.array([front], np.uint16)
            )
            if int(asked[0]) >= self._limits.service_clients:
                return 30.0, f"gateway or load balancer by its looks: {int(asked[0])} clients on port {front}"
        score = _SCORES[item.best] + 8 * bool(item.windows) + 6 * item.peer_windows
        return score, "a Unix host does not use these services for others"
