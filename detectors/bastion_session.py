"""Bastion session: connections that are opened and closed inside an administrator's session on a bastion.

*What it measures*
    For each inbound session on an administrative port (22, 443, 3389, 5985) of a bastion: the connections
    that the bastion opened within 20 ms after data of that session, where the session's data covers at most
    a tenth of the time, and their ends. A bastion is declared (`network.bastions`), or learned: at least 3
    clients have used its port 22 or 3389. The parent session and each connection stand in the record. It is
    information for an audit, not an alarm.

*Blind spots*
    What is typed. Connections opened more than 20 ms after the last key, or before the session first rested
    for 0.2 s, and sessions that carry bulk data meanwhile. Several sessions at once: the one with the latest data is
    taken. Reasons for an end are not visible.

*Common benign causes*
    Administrators at work: that is what a bastion is for. Scripts that a session starts.

*What to do next*
    Compare client, times and targets with the bastion's own log and with the change calendar. Look at
    tunnel-trigger and relay for the same host: forwarding shows there.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from detectors._kit import forge
from detectors._kit.bastion_book import BastionBook, BastionSession
from detectors._kit.legs import leg, note
from detectors._kit.reasons import counted, duration, listed, title
from detectors._kit.trigger_book import nearest
from detectors._kit.trigger_log import TriggerLog, Triggers
from nettriage.model.addresses import to_text
from nettriage.model.alert import Attack, Observation
from nettriage.model.columns import Rows
from nettriage.model.detector import Card, Detector, Example, Frames
from nettriage.model.finding import Endpoint, Finding
from nettriage.model.health import Gauge
from nettriage.model.site import Site
from nettriage.model.slices import Slice
from nettriage.model.tables import RESPONDER, Tables
from nettriage.model.tuning import Tuning, knob

_ADMIN_PORTS = (22, 443, 3389, 5985)
_LEARNED_PORTS = (22, 3389)
_ENTRIES_PER_TICK, _FINDINGS_PER_TICK, _LEGS_MAX, _FLOWS_MAX = 256, 64, 8, 20
_DECLARED_SCORE, _LEARNED_SCORE = 12.0, 22.0
_TCP = 6


@dataclass(frozen=True, slots=True, kw_only=True)
class BastionSessionTuning(Tuning):
    """Thresholds of the bastion session detector."""

    clients: int = knob(
        3, "hosts", lo=1, hi=1_000, why="a server has one or two administrators on SSH, a jump host has a team"
    )
    covered: float = knob(
        0.1,
        "share",
        lo=0.001,
        hi=1.0,
        why="data that covers more of the time precedes every tenth connection by chance",
    )


def _team(last_of_them_works: bool) -> Frames:
    frames: Frames = []
    turns = [(turn % 2, bytes(36)) for turn in range(6)]
    for number in range(3):
        scene = forge.Scene(now_ns=forge.START_NS + number * 5 * forge.S)
        scene.session(f"10.0.1.1{number}", "10.0.2.5", 22, turns, gap_ns=500 * forge.MS, sport=50_000 + number)
        frames += scene.items
    at_ns = forge.START_NS + 10 * forge.S + 300_000 + 3 * (500 * forge.MS) + 2 * 200_000
    onward = forge.Scene(now_ns=at_ns + (900_000 if last_of_them_works else 200 * forge.MS))
    onward.session("10.0.2.5", "10.0.3.9", 22, [(1, bytes(40)), (0, bytes(40))], sport=41_000, isn=(9_000, 70_000))
    return sorted(frames + onward.items, key=lambda item: item[0])


def _works() -> Frames:
    return _team(last_of_them_works=True)


def _rests() -> Frames:
    return _team(last_of_them_works=False)


class BastionSessions(Detector):
    """Connections inside the sessions of bastions."""

    card: ClassVar[Card] = Card(
        kind="bastion-session",
        title="Connections inside a bastion session",
        attack=(Attack(tactic="Lateral Movement", technique="T1021.004", name="SSH"),),
        rules=("PT-CR-2183", "PT-CR-2170"),
        references=("RFC 4254 section 5",),
        counts="connections",
    )
    tuning_type: ClassVar[type[Tuning]] = BastionSessionTuning
    reads: ClassVar[frozenset[str]] = frozenset(
        {
            "new_flows", "resumes", "flow", "side", "packets.payload_len", "packets.ts_ns", "packets.duplicate",
            "tables",
        }
    )  # fmt: skip
    examples: ClassVar[tuple[Example, ...]] = (
        Example("an administrator goes on from the jump host of the team", _works, fires=True, subject="10.0.2.5"),
        Example("the jump host connects while nobody types", _rests, fires=False),
    )
    state_limit_bytes: ClassVar[int] = 96 << 20

    def __init__(self, tuning: Tuning, site: Site) -> None:
        """Know no session."""
        super().__init__(tuning, site)
        assert isinstance(tuning, BastionSessionTuning)
        self._limits = tuning
        self._log = TriggerLog()
        self._book = BastionBook()
        self._unentered = 0

    def push(self, seen: Slice) -> None:
        """Take in data and new connections."""
        self._log.note(seen)

    def tick(self, now_ns: int, tables: Tables) -> list[Finding]:
        """Give connections to the sessions that they followed, and say what changed."""
        found = self._log.drain(tables)
        if len(found.flow):
            self._enter(found.rows(nearest(found)), now_ns, tables)
        said: list[Finding] = []
        for serial, session in list(self._book.sessions.items()):
            session.settle(tables)
            over = session.is_over(tables)
            if len(said) < _FINDINGS_PER_TICK and (session.changed or over):
                session.changed = False
                said.append(_finding(session, tables, closed=over))
                if over:
                    del self._book.sessions[serial]
        return said

    def gauges(self) -> dict[str, Gauge]:
        """Return how full log and book are, and how many connections were left unentered."""
        entries = Gauge(cap=_ENTRIES_PER_TICK, used=0, refused=self._unentered)
        return {**self._log.gauges(), **self._book.gauges(), "entries a tick": entries}

    def state_bytes(self) -> int:
        """Return the memory of log and book."""
        return self._log.nbytes + self._book.state_bytes()

    def _enter(self, found: Triggers, now_ns: int, tables: Tables) -> None:
        at = self._on_bastions(found, tables)
        self._unentered += max(len(at) - _ENTRIES_PER_TICK, 0)
        at = at[:_ENTRIES_PER_TICK]
        chance = self._log.chance(found.flow[at], found.side[at], now_ns)[:, -1]
        sure = chance <= self._limits.covered
        for one, by_chance in zip(at[sure].tolist(), chance[sure].tolist(), strict=True):
            row, serial = int(found.flow[one]), int(found.serial[one])
            session = self._book.sessions.get(serial)
            if session is None:
                parent = note(tables, row)
                declared = parent.ends[RESPONDER].addr in self.site.bastions
                session = BastionSession(parent, declared, parent.first_ns)
                self._book.keep(session)
            session.enter(note(tables, int(found.opened[one])), by_chance)

    def _on_bastions(self, found: Triggers, tables: Tables) -> Rows:
        """Return the rows of `found` whose data came in a session on a bastion."""
        flows, hosts = tables.flows, tables.hosts
        port, host = flows.port[found.flow, RESPONDER], flows.host[found.flow, RESPONDER]
        served = (found.side == RESPONDER) & np.isin(port, _ADMIN_PORTS)
        declared = self.site.bastions.contains(hosts.addr_hi[host], hosts.addr_lo[host])
        learnable = served & ~declared & np.isin(port, _LEARNED_PORTS)
        learned = np.zeros(len(port), np.bool_)
        if learnable.any():
            asked = np.flatnonzero(learnable)
            proto = np.full(len(asked), _TCP, np.uint16)
            clients = tables.services.clients(hosts.key[host[asked]], proto, port[asked])
            learned[asked] = clients >= self._limits.clients
        return np.flatnonzero(served & (declared | learned))


def _finding(session: BastionSession, tables: Tables, *, closed: bool) -> Finding:
    client, bastion = session.parent.ends
    targets = [Endpoint(addr, port) for addr, port in session.targets]
    window_s = round((session.last_ns - session.parent.first_ns) / 1e9, 3)
    latest = list(session.latest)[-(_LEGS_MAX - 1) :]
    ports = sorted({end.port or 0 for end in targets})
    how = "declared" if session.declared else "learned by its clients"
    return Finding(
        key=session.parent.serial, subject=bastion, score=_DECLARED_SCORE if session.declared else _LEARNED_SCORE,
        confidence=round(0.9 - session.chance, 3), first_ns=session.parent.first_ns, last_ns=session.last_ns,
        count=session.opened, title=title(f"Session of {to_text(*client.addr)} on bastion {to_text(*bastion.addr)}"),
        reason=(
            f"{to_text(*client.addr)} works on bastion {to_text(*bastion.addr)}:{bastion.port} ({how}):"
            f" {counted(session.opened, 'connection')} opened inside the session in"
            f" {duration(session.last_ns - session.parent.first_ns)}, {session.closed} closed, to"
            f" {listed((_name(end) for end in targets), total=len(targets) + session.overflow, limit=4)}."
        ),
        objects=[Endpoint(client.addr), *targets][:32], object_count=1 + len(targets) + session.overflow,
        via=[Endpoint(client.addr), bastion, session.latest[-1].ends[RESPONDER]],
        legs=[leg(tables, session.parent), *(leg(tables, flow) for flow in latest)],
        flows=[*(flow.ref for flow in list(session.latest)[-(_FLOWS_MAX - 1) :]), session.parent.ref], proto=_TCP,
        ports=ports, port_count=len(ports),
        counterfactual="would not be said if no connection had followed the session's data within 20 ms",
        observations=[
            Observation(name=name, value=value, unit=unit, threshold=limit, window_s=max(window_s, 0.0), weight=weight)
            for name, value, unit, limit, weight in (
                ("connections opened inside the session", float(session.opened), "connections", 1.0, 0.6),
                ("connections closed again", float(session.closed), "connections", 0.0, 0.2),
                ("time covered by the session's data", round(session.chance, 4), "share", 0.1, 0.2),
            )
        ],
        next_steps=[
            f"Compare with the log of {to_text(*bastion.addr)} who worked from {to_text(*client.addr)}, and why there",
            "Look for forwarding through the same host under tunnel-trigger and relay",
        ],
        closed=closed,
    )  # fmt: skip


def _name(end: Endpoint) -> str:
    host = to_text(*end.addr)
    return f"[{host}]:{end.port}" if ":" in host else f"{host}:{end.port}"
