"""Tunnel trigger: data on one flow makes the host at its far end open connections.

*What it measures*
    Every connection that a host opens is held against the data that came in on its other flows up to 20 ms
    before. A flow whose data precedes connections more often than chance explains (binomial odds below 10^-6,
    divided by the flows that compete at the host; one piece of data counts once, at least 4 count) carries
    them: ssh -L, -D and -R, chisel, ligolo, web-shell tunnels, whatever the encryption. Volumes say the
    rest: what the connections bring goes out on the flow, and the other way. More than 10 targets in a
    minute are a scan on behalf of the peer.

*Blind spots*
    Fewer than 4 connections. Flows that never rest for 0.2 s before. Tunnels to the host itself, tunnels over
    UDP, DNS and ICMP, relays that wait more than 20 ms. A query that makes a database scan by itself sends
    data once (see database-scan). A feed that does not show the connections of the host.

*Common benign causes*
    Load balancers and application tiers that connect to their backends at each request, mail relays, jump
    hosts, commands of an administrator, browsers that a page makes connect. Fixed backends inside behind web
    requests, equal ports in and out, and volumes that do not agree lower the score or end it.

*What to do next*
    Find the process on the host that holds the tunnel, ask who sits at the peer, and look at the targets.
    Declare bastions and proxies that forward by design.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from detectors._kit import forge
from detectors._kit.declared import allowed_path, declared_role
from detectors._kit.legs import note
from detectors._kit.restate import worth_saying
from detectors._kit.trigger_book import TriggerAccount, TriggerBook, nearest
from detectors._kit.trigger_finding import finding
from detectors._kit.trigger_log import TriggerLog, Triggers
from detectors._kit.trigger_role import TriggerFacts, judge
from nettriage.model.alert import Attack
from nettriage.model.columns import Rows
from nettriage.model.detector import Card, Detector, Example, Frames
from nettriage.model.finding import Finding
from nettriage.model.health import Gauge
from nettriage.model.site import Site
from nettriage.model.slices import Slice
from nettriage.model.tables import ORIGINATOR, Tables
from nettriage.model.tuning import Tuning, knob

_S = 1_000_000_000
_LOOKS_KEPT, _CARRIERS_PER_TICK, _ENTRIES_PER_TICK, _FINDINGS_PER_TICK = 256, 32, 512, 64
_READABLE = (b"GET ", b"POST", b"HEAD", b"PUT ", b"PRI ", b"\x16\x03")
"""How flows of HTTP and TLS begin."""
_FRAME_BYTES = 160
"""What a tunnel may add to a message: framing, channel control, window adjustments."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TunnelTriggerTuning(Tuning):
    """Thresholds of the tunnel trigger detector."""

    connections: int = knob(
        4, "connections", lo=3, hi=1_000, why="each follows by chance in 1 of 50 cases at most; four are no chance"
    )
    decades: float = knob(
        6.0, "decades", lo=2.0, hi=100.0, why="best unrelated flow of the lab came to 0.7, tunnels to 58 and more"
    )
    idle_s: float = knob(1_800.0, "s", lo=60.0, hi=86_400.0, why="half an hour without connections ends the incident")


def _forwarded(lag_ns: int) -> Frames:
    tunnel = forge.Scene()
    turns = [(turn % 2, bytes(120 + turn)) for turn in range(16)]
    tunnel.session("10.0.1.11", "10.0.2.5", 22, turns, gap_ns=400 * forge.MS, sport=50_000)
    frames = list(tunnel.items)
    for number in range(8):
        asked_ns = forge.START_NS + 300_000 + (2 * number + 1) * 400 * forge.MS + 4 * number * 100_000
        onward = forge.Scene(now_ns=asked_ns + lag_ns)
        turns = [(0, bytes(60)), (1, bytes(90))]
        isn = (9_000 + number, 70_000 + number)
        onward.session("10.0.2.5", "10.0.3.9", 445, turns, sport=41_000 + number, isn=isn)
        frames += onward.items
    return sorted(frames, key=lambda item: item[0])


def _tunnel() -> Frames:
    return _forwarded(lag_ns=700_000)


def _own_errands() -> Frames:
    return _forwarded(lag_ns=90 * forge.MS)


class TunnelTrigger(Detector):
    """Hosts that open connections for a peer."""

    card: ClassVar[Card] = Card(
        kind="tunnel-trigger",
        title="Tunnel that opens connections",
        attack=(
            Attack(tactic="Command and Control", technique="T1090.001", name="Internal Proxy"),
            Attack(tactic="Command and Control", technique="T1572", name="Protocol Tunneling"),
        ),
        rules=("PT-CR-428", "PT-CR-461", "PT-CR-1834"),
        references=("Zhang and Paxson 2000, Detecting Stepping Stones", "RFC 4254 section 7", "Chernoff 1952"),
        counts="connections",
    )
    tuning_type: ClassVar[type[Tuning]] = TunnelTriggerTuning
    reads: ClassVar[frozenset[str]] = frozenset(
        {
            "new_flows", "resumes", "flow", "side", "packets.payload_len", "packets.ts_ns", "packets.duplicate",
            "tables",
        }
    )  # fmt: skip
    examples: ClassVar[tuple[Example, ...]] = (
        Example("each request in a session opens a connection at its far end", _tunnel, fires=True, subject="10.0.2.5"),
        Example("a host connects while a session goes on", _own_errands, fires=False),
    )
    state_limit_bytes: ClassVar[int] = 96 << 20

    def __init__(self, tuning: Tuning, site: Site) -> None:
        """Follow nothing yet."""
        super().__init__(tuning, site)
        assert isinstance(tuning, TunnelTriggerTuning)
        self._limits = tuning
        self._log = TriggerLog()
        self._book = TriggerBook()
        self._recent: deque[Triggers] = deque(maxlen=_LOOKS_KEPT)
        """What was found at the latest looks: the connections that made a flow suspicious belong to it."""
        self._unentered = 0

    def push(self, seen: Slice) -> None:
        """Take in data and new connections."""
        self._log.note(seen)

    def tick(self, now_ns: int, tables: Tables) -> list[Finding]:
        """Hold connections against data, and say what changed."""
        found = self._log.drain(tables)
        if len(found.flow):
            found = found.rows(nearest(found))
            self._enter(found, self._is_known(found), tables)
            self._recent.append(found)
            self._suspect(found, now_ns, tables)
        return self._say(now_ns, tables)

    def gauges(self) -> dict[str, Gauge]:
        """Return how full log and book are, and how many connections were left unentered."""
        entries = Gauge(cap=_ENTRIES_PER_TICK, used=0, refused=self._unentered)
        return {**self._log.gauges(), **self._book.gauges(), "entries a tick": entries}

    def state_bytes(self) -> int:
        """Return the memory of log and book."""
        return self._log.nbytes + self._book.state_bytes() + 48 * sum(len(look.flow) for look in self._recent)

    def _is_known(self, found: Triggers) -> Rows:
        lanes = zip(found.serial.tolist(), found.side.tolist(), strict=True)
        return np.array([at for at, lane in enumerate(lanes) if self._book.known(*lane)], np.intp)

    def _suspect(self, found: Triggers, now_ns: int, tables: Tables) -> None:
        """Open accounts of the flows whose connections no chance explains any more, surest first."""
        odds, hits = self._log.odds(tables, found.flow, found.side, now_ns)
        passed = np.flatnonzero((hits >= self._limits.connections) & (odds <= -self._limits.decades))
        for at in passed[np.lexsort((found.serial[passed], odds[passed]))][:_CARRIERS_PER_TICK].tolist():
            row, side, serial = int(found.flow[at]), int(found.side[at]), int(found.serial[at])
            account = self._book.known(serial, side)
            if account is None:
                if odds[at] > -self._limits.decades - np.log10(self._log.rivals(tables, row, side)):
                    continue
                account = self._book.open(row, side, tables)
                for look in self._recent:
                    self._enter(look, np.flatnonzero((look.serial == serial) & (look.side == side)), tables)
            account.log10_chance = min(account.log10_chance, round(max(float(odds[at]), -300.0), 1))
            hearer = tables.flows.host[row, side]
            account.tries = int(self._log.tries(np.array([2 * row + 1 - side]), np.array([hearer]))[0])

    def _enter(self, found: Triggers, at: Rows, tables: Tables) -> None:
        self._unentered += max(len(at) - _ENTRIES_PER_TICK, 0)
        for one in at[:_ENTRIES_PER_TICK].tolist():
            account = self._book.known(int(found.serial[one]), int(found.side[one]))
            row = int(found.opened[one])
            if account and int(tables.flows.serial[row]) == int(found.opened_serial[one]):
                account.enter(note(tables, row), int(found.lag_ns[one]), tables)

    def _say(self, now_ns: int, tables: Tables) -> list[Finding]:
        said: list[Finding] = []
        for account in list(self._book.accounts.values()):
            closed = now_ns - account.last_ns > self._limits.idle_s * _S
            grew = account.changed and worth_saying(
                now_ns - account.said_ns, now_ns - account.last_ns, account.count, account.said_count
            )  # fmt: skip
            if len(said) >= _FINDINGS_PER_TICK or not account.opened or not (grew or closed):
                continue
            role = judge(self._facts(account, tables))
            account.changed = False
            if role and (not closed or account.said_count):
                account.said_ns, account.said_count = now_ns, account.count
                said.append(finding(account, role, tables, closed=closed))
            if closed:
                self._book.forget(account)
        return said

    def _facts(self, account: TriggerAccount, tables: Tables) -> TriggerFacts:
        home, end, flow = self.site.home, account.end.addr, next(reversed(account.carriers.values()))
        path = [account.peer.addr, end]
        head = tables.prefixes.payload(flow.row, ORIGINATOR)[:8]
        alive = int(tables.flows.serial[flow.row]) == flow.serial
        return TriggerFacts(
            declared=declared_role(self.site, end) or allowed_path(self.site, path), home=end in home,
            dialled=account.side == ORIGINATOR,
            peer_outside=account.peer.addr not in home, port=flow.ends[1].port or 0,
            readable=alive and head.startswith(_READABLE), share=account.count / max(account.tries, 1),
            conserved=_conserved(account, tables), targets=len(account.targets),
            target_ports=frozenset(port for _, port in account.targets),
            inside_targets=sum(addr in home for addr, _ in account.targets), most_targets=account.most_targets,
        )  # fmt: skip


def _conserved(account: TriggerAccount, tables: Tables) -> bool:
    """Whether each direction went on in full, framing aside; what the peer and the host say themselves comes on top."""
    (into, out), (up, down) = account.carried(tables), account.passed(tables)
    framing = _FRAME_BYTES * 4 * account.count
    onward = 0.3 * into - framing <= up <= 1.2 * into + framing
    back = 0.5 * out - framing <= down <= 1.2 * out + framing
    return up + down > 0 and onward and back
