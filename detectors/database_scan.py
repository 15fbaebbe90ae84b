"""Database scan: a host that serves a database turns scanner, driven by SQL of one of its clients.

*What it measures*
    Hosts that answer on the ports of PostgreSQL, SQL Server, Oracle or MySQL are watched as clients. Their first
    contacts walk by a sequential test of their own, with a lower alarm than for other hosts: a database server
    has few reasons to open connections, and none to open failing ones. Ten new services in a minute are
    enough when they differ in port, whether they answer or not. The database sessions that spoke at the time are
    named, and the SQL that reaches out to the network where it was sent in clear (dblink, postgres_fdw,
    COPY FROM PROGRAM, xp_cmdshell, OPENROWSET, UTL_TCP).

*Blind spots*
    SQL inside of TLS; SQL behind the first 2 KiB of a session; databases on other ports; scans slower than one
    failing target in some minutes; a server that was never seen to answer.

*Common benign causes*
    A host that is more than a database server, such as a developer's machine; replication or backup to peers
    that are down; monitoring agents on the server (declare them in `network.scanners`).

*What to do next*
    Look at the client that is named: its session drove the server. Read the log of the database for the SQL,
    and find out whether the account may use such functions. Treat the client as the attacker until it is
    explained.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from detectors._kit import forge
from detectors._kit.database_servers import DatabaseServers, Driver, drivers, part_of
from detectors._kit.incidents import Incident
from detectors._kit.ledger import Burst, LedgerPlan
from detectors._kit.reasons import counted, duration, listed, port_ranges, rate
from detectors._kit.results import ANSWERED
from detectors._kit.scan import ScanDetector, ScanTuning, Words
from detectors._kit.scancontacts import ScanContacts
from detectors._kit.verdict import Standing
from nettriage.model.addresses import to_text
from nettriage.model.alert import Attack, Observation
from nettriage.model.columns import U64
from nettriage.model.detector import Card, Example, Frames
from nettriage.model.finding import Endpoint, Finding
from nettriage.model.health import Gauge
from nettriage.model.site import Site
from nettriage.model.slices import Outcome, Slice
from nettriage.model.tables import Tables
from nettriage.model.tuning import Tuning, knob

_SESSION_POINTS, _SQL_POINTS = 5.0, 20.0
"""What a session at the right time and SQL that reaches out to the network add to the score."""
_NAMED_MAX = 3
_LEARNED_EVERY_NS = 10_000_000_000
"""How often the roles that the state knows are looked at: it learns them no faster."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DatabaseScanTuning(ScanTuning):
    """Thresholds of the database scan."""

    targets: int = knob(5, "targets", lo=3, hi=1_000, why="a database server knows its few peers; five failures do not")
    fast_alarm: float = knob(6.9, "nats", lo=3.0, hi=60.0, why="ln 10^3: 5 refusals; such hosts rarely fail at all")
    new_services: int = knob(10, "services", lo=4, hi=16, why="more new services in a minute than a start-up needs")
    new_window_s: float = knob(60.0, "s", lo=1.0, hi=600.0, why="SQL in a loop tries several targets a second")
    new_ports: int = knob(4, "ports", lo=2, hi=16, why="replication and monitoring use the same few ports everywhere")


_SQL_LOOP = b"Q\0\0\0\x60select dblink_connect('c', 'host=10.0.1.9 port='||p||' connect_timeout=2')\0"


def _driven(ports: range, turns: tuple[tuple[int, bytes], ...]) -> forge.Scene:
    scene = forge.Scene().session("10.0.0.7", "10.0.1.20", 5432, close=False)
    scene.wait(forge.S).session("10.0.0.5", "10.0.1.20", 5432, turns=turns, close=False)
    for port in ports:
        scene.refused("10.0.1.20", f"10.0.1.{port % 3 + 21}", port)
    return scene


def _dblink_loop() -> Frames:
    return _driven(range(8000, 8012), ((0, _SQL_LOOP),)).frames()


def _open_services() -> Frames:
    scene = _driven(range(8000, 8002), ((0, b"\x16\x03\x01secret"),))
    for port in range(20, 32):
        scene.session("10.0.1.20", "10.0.1.9", port, turns=())
    return scene.frames()


def _quiet_server() -> Frames:
    scene = forge.Scene()
    for client in range(10, 30):
        scene.session(f"10.0.0.{client}", "10.0.1.20", 5432)
    for peer in range(3):
        scene.query("10.0.1.20", "10.0.1.53", 53).session("10.0.1.20", f"10.0.2.{peer + 1}", 5432)
    return scene.refused("10.0.1.20", "10.0.2.9", 5432).frames()


def _scan_by_another_host() -> Frames:
    scene = forge.Scene().session("10.0.0.7", "10.0.1.20", 5432)
    for port in range(8000, 8030):
        scene.refused("10.0.0.7", "10.0.1.20", port)
    return scene.frames()


class DatabaseScan(ScanDetector):
    """A database server that opens connections to services it never used."""

    card: ClassVar[Card] = Card(
        kind="database-scan",
        title="Scan by a database server",
        attack=(
            Attack(tactic="Discovery", technique="T1046", name="Network Service Discovery"),
            Attack(tactic="Execution", technique="T1059", name="Command and Scripting Interpreter"),
        ),
        rules=("PT-CR-1834",),
        references=(
            "PostgreSQL documentation: dblink, postgres_fdw, COPY FROM PROGRAM",
            "Jung, Paxson, Berger, Balakrishnan: Fast portscan detection using sequential hypothesis testing, 2004",
        ),
        counts="services",
    )
    tuning_type: ClassVar[type[Tuning]] = DatabaseScanTuning
    tuning: DatabaseScanTuning
    reads: ClassVar[frozenset[str]] = frozenset({"contacts"})
    examples: ClassVar[tuple[Example, ...]] = (
        Example("dblink in a loop over twelve closed services", _dblink_loop, fires=True, subject="10.0.1.20"),
        Example("twelve new services that answer", _open_services, fires=True, subject="10.0.1.20"),
        Example("a database with clients, peers and one dead peer", _quiet_server, fires=False),
        Example("a client of the database that scans it", _scan_by_another_host, fires=False),
    )
    state_limit_bytes: ClassVar[int] = 32 << 20

    def __init__(self, tuning: Tuning, site: Site) -> None:
        """Make empty state."""
        super().__init__(tuning, site)
        self._servers = DatabaseServers()
        self._learned = -1

    def tick(self, now_ns: int, tables: Tables) -> list[Finding]:
        """Judge, then learn the servers whose clients came before the capture."""
        findings = super().tick(now_ns, tables) if self._servers.gauge.used else []
        if now_ns // _LEARNED_EVERY_NS != self._learned:
            self._learned = now_ns // _LEARNED_EVERY_NS
            self._servers.note_roles(tables, now_ns)
        return findings

    def gauges(self) -> dict[str, Gauge]:
        """Return the gauges of the ledger and of the servers."""
        return {**super().gauges(), "servers": self._servers.gauge}

    def state_bytes(self) -> int:
        """Return the memory of ledger and servers."""
        return super().state_bytes() + self._servers.nbytes

    def _contacts(self, seen: Slice) -> ScanContacts | None:
        events = seen.contacts
        if not len(events):
            return None
        self._servers.note(events)
        by_server = self._servers.serves(events.src_key, events.ts_ns)
        return self._evidence.take(part_of(events, np.flatnonzero(by_server))) if by_server.any() else None

    def _plan(self) -> LedgerPlan:
        return self._ledger_plan(rows=1_024, incidents=64, cells=1_024)

    def _keys(self, contacts: ScanContacts) -> U64:
        return self._mixer(contacts.src_key)

    def _burst(self, contacts: ScanContacts) -> Burst:
        within_ns = int(self.tuning.new_window_s * 1e9)
        return Burst(np.full(len(contacts), self.tuning.new_services), np.full(len(contacts), within_ns))

    def _credible(self, incident: Incident, now_ns: int, tables: Tables) -> bool | None:  # noqa: ARG002 - not needed
        return incident.clock is not None or len(incident.results.ports()) >= self.tuning.new_ports

    def _finding(self, incident: Incident, tables: Tables) -> Finding:
        finding = super()._finding(incident, tables)
        sessions = drivers(incident.src, incident.first_ns, incident.last_ns, tables)
        if not sessions:
            finding.reason += " No session with its database was seen at that time."
            return finding
        named = [driver for driver in sessions if driver.sql_name]
        finding.score = min(100.0, finding.score + _SESSION_POINTS + (_SQL_POINTS if named else 0.0))
        finding.via = [Endpoint(addr) for addr in dict.fromkeys(driver.client for driver in named or sessions)]
        finding.via = finding.via[:_NAMED_MAX]
        finding.flows = [*finding.flows[: 20 - len(sessions)], *(driver.flow for driver in reversed(sessions))]
        finding.reason += _driven_by(sessions, incident)
        finding.observations.append(_named_sql(named))
        finding.next_steps.insert(0, f"Treat {listed(to_text(*end.addr) for end in finding.via)} as the attacker.")
        return finding

    def _words(self, incident: Incident, who: Standing) -> Words:  # noqa: ARG002 - says the same of every server
        results, span, src = incident.results, incident.last_ns - incident.first_ns, to_text(*incident.src)
        total, hosts, ports = int(results.counts.sum()), results.hosts(), results.ports()
        return Words(
            title=f"Database server scans: {counted(total, 'service')} of {counted(len(hosts), 'host')}",
            reason=(
                f"{src} serves a database, and tried {counted(total, 'service')} of {counted(len(hosts), 'host')} in "
                f"{duration(span)} ({rate(total, span)}), ports {port_ranges(ports)}: "
                f"{results.count(Outcome.CLOSED):,} closed, {results.count(Outcome.BLOCKED):,} blocked, "
                f"{results.count(Outcome.SILENT):,} silent, {results.count(*ANSWERED):,} open."
            ),
            things="services",
            objects=hosts,
            object_count=len(hosts),
            ports=ports,
            port_count=len(ports),
            next_steps=[
                f"Read the log of the database on {src} for statements that reach out to the network.",
                f"Find out whether {src} has another duty that explains these connections.",
            ],
        )


def _driven_by(sessions: list[Driver], incident: Incident) -> str:
    first = sessions[0]
    client, since = to_text(*first.client), duration(max(incident.first_ns - first.first_ns, 0))
    session = f" The session of {client} with its port {first.flow.dport} began {since} before"
    return f"{session} and sent SQL with {first.sql_name}: {first.sql}" if first.sql_name else f"{session}."


def _named_sql(named: list[Driver]) -> Observation:
    return Observation(
        name="sessions with SQL that reaches out", value=float(len(named)), unit="sessions", threshold=1.0,
        window_s=5.0, weight=0.3 if named else 0.0,
    )  # fmt: skip
