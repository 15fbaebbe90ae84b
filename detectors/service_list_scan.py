"""Service-list scan: one source looks for the services of remote control, files and databases on several hosts.

*What it measures*
    First contacts of a source with the listed TCP ports (21 22 23 135 445 1433 1434 3306 3389 5800 5900 5958
    5985 5986): the ports through which an intruder goes on. It counts contacts that came to nothing: refused,
    blocked, silent, or opened and left half-open as only raw sockets do. Where at least half of the list was
    tried, connections without a byte of payload count as well. They must make up half of what the source
    tried on the list, on several hosts and several of the ports.

*Blind spots*
    One or two ports of the list (see horizontal-scan); a search over hours; a source that knows which hosts
    serve what; connections that speak the protocol of the service, which look like use.

*Common benign causes*
    Inventories and vulnerability scanners (declare them in `network.scanners`); an administrator's
    multi-protocol client that tries one way in after the other; a monitor after half of its hosts died.

*What to do next*
    Ask who runs the source. The services that answered are doors that it now knows: look for sessions from it
    to them, with logins that fail or succeed.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from detectors._kit import forge
from detectors._kit.counted import (
    burst_of,
    counted_plan,
    declared_check,
    distinct_hosts,
    observations,
    outcome_words,
    span_s,
)
from detectors._kit.incident_detector import Account, IncidentDetector
from detectors._kit.incidents import Incident
from detectors._kit.ledger import Burst, LedgerPlan
from detectors._kit.reasons import counted, duration, listed, port_ranges, rate
from detectors._kit.results import ANSWERED, FAILED, Cells
from detectors._kit.scancontacts import TCP, ScanContacts, contacts_at, settled_rows
from detectors._kit.unused import unused
from detectors._kit.verdict import Standing, score
from nettriage.model.addresses import to_text
from nettriage.model.alert import Attack, BenignCheck
from nettriage.model.columns import U64
from nettriage.model.detector import Card, Example, Frames
from nettriage.model.finding import Finding
from nettriage.model.site import Site
from nettriage.model.slices import Slice
from nettriage.model.tables import Tables
from nettriage.model.tuning import Tuning, knob

SERVICE_LIST = (21, 22, 23, 135, 445, 1433, 1434, 3306, 3389, 5800, 5900, 5958, 5985, 5986)
"""FTP, SSH, Telnet, RPC, SMB, SQL Server, MySQL, RDP, VNC and WinRM: the list of PT-CR-326."""
_LISTED = np.isin(np.arange(65_536), SERVICE_LIST)
_SCORE_MIN = 45.0
"""A source that is not declared and looks for these services on several hosts is at least medium."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceListScanTuning(Tuning):
    """Thresholds of the service-list scan."""

    hosts: int = knob(5, "hosts", lo=3, hi=256, why="PT-CR-326; an administrator tries one or two hosts at a time")
    ports: int = knob(3, "ports", lo=2, hi=14, why="one or two ports of the list are a horizontal scan, or a monitor")
    failed_share: float = knob(0.5, "share", lo=0.1, hi=1.0, why="who knows the servers mostly reaches them")
    unused_ports: int = knob(7, "ports", lo=3, hi=14, why="half of the list: monitors connect to 2 or 3 of these ports")
    window_s: float = knob(600.0, "s", lo=10.0, hi=3_600.0, why="the first hosts of a search follow within minutes")


def _list_over_hosts() -> Frames:
    scene = forge.Scene()
    for host in range(1, 9):
        for port in SERVICE_LIST:
            scene_of = scene.half_open if port == 22 else scene.refused
            scene_of("10.0.0.5", f"10.0.1.{host}", port)
    return scene.frames()


def _three_silent_ports() -> Frames:
    scene = forge.Scene()
    for host in range(1, 8):
        for port in (22, 3389, 5900):
            scene.syn("10.0.0.5", f"10.0.1.{host}", port).wait(2 * forge.S)
    return scene.frames()


def _monitor() -> Frames:
    scene = forge.Scene()
    for turn in range(3):
        for host in range(1, 16):
            for port in (22, 445, 3389):
                if (host, port) == (7, 3389):
                    scene.refused("10.0.0.5", f"10.0.1.{host}", port)
                else:
                    scene.session("10.0.0.5", f"10.0.1.{host}", port, turns=() if turn % 2 else ((1, b"SSH-2.0-x"),))
        scene.wait(30 * forge.S)
    return scene.frames()


def _administrator() -> Frames:
    scene = forge.Scene()
    for host in range(1, 7):
        target = f"10.0.1.{host}"
        scene.session("10.0.0.5", target, 22).session("10.0.0.5", target, 445).refused("10.0.0.5", target, 5986)
        scene.session("10.0.0.5", target, 3389).wait(20 * forge.S)
    return scene.frames()


class ServiceListScan(IncidentDetector):
    """One source, the listed services of several hosts."""

    card: ClassVar[Card] = Card(
        kind="service-list-scan",
        title="Search for remote access services",
        attack=(Attack(tactic="Discovery", technique="T1046", name="Network Service Discovery"),),
        rules=("PT-CR-326",),
        references=("PT-CR-326: list of ports", "Jung and others: Fast portscan detection, 2004: failure rates"),
        counts="services",
    )
    tuning_type: ClassVar[type[Tuning]] = ServiceListScanTuning
    tuning: ServiceListScanTuning
    reads: ClassVar[frozenset[str]] = frozenset({"contacts"})
    examples: ClassVar[tuple[Example, ...]] = (
        Example("the whole list on eight hosts", _list_over_hosts, fires=True, subject="10.0.0.5"),
        Example("three silent ports of the list on seven hosts", _three_silent_ports, fires=True, subject="10.0.0.5"),
        Example("a monitor of three of these services, one down", _monitor, fires=False),
        Example("an administrator at work on six hosts", _administrator, fires=False),
    )
    state_limit_bytes: ClassVar[int] = 48 << 20

    def __init__(self, tuning: Tuning, site: Site) -> None:
        """Make empty state."""
        super().__init__(tuning, site)
        self._vain: dict[int, int] = {}

    def tick(self, now_ns: int, tables: Tables) -> list[Finding]:
        """Judge, and forget the counts of incidents that are gone."""
        findings = super().tick(now_ns, tables)
        self._vain = {item.key: self._vain[item.key] for item in self._ledger.book if item.key in self._vain}
        return findings

    def _plan(self) -> LedgerPlan:
        return counted_plan("service-list-scan", rows=8_192, incidents=256, cells=1_024)

    def _contacts(self, seen: Slice) -> ScanContacts | None:
        events = seen.contacts
        if not len(events):
            return None
        at = settled_rows(events, (events.proto == TCP) & _LISTED[events.port])
        return contacts_at(events, at) if len(at) else None

    def _keys(self, contacts: ScanContacts) -> U64:
        return self._mixer(contacts.src_key)

    def _burst(self, contacts: ScanContacts) -> Burst:
        return burst_of(len(contacts), self.tuning.hosts, self.tuning.window_s)

    def _credible(self, incident: Incident, now_ns: int, tables: Tables) -> bool:  # noqa: ARG002 - judged by state
        """Return whether enough of the list came to nothing; notes how much for the account."""
        vain = self._in_vain(incident, tables)
        self._vain[incident.key] = len(vain)
        wide = distinct_hosts(vain) >= self.tuning.hosts and len(np.unique(vain["port"])) >= self.tuning.ports
        return wide and len(vain) >= self.tuning.failed_share * len(incident.results.cells)

    def _in_vain(self, incident: Incident, tables: Tables) -> Cells:
        """Return the contacts that failed or were never meant to be used."""
        results = incident.results
        answered = results.with_outcome(*ANSWERED)
        empty, half_open = unused(incident, answered, tables)
        whole_list = len(np.unique(results.cells["port"])) >= self.tuning.unused_ports
        return np.concatenate((results.with_outcome(*FAILED), answered[empty if whole_list else half_open]))

    def _account(self, incident: Incident, who: Standing) -> Account:
        results, src = incident.results, to_text(*incident.src)
        opened = results.with_outcome(*ANSWERED)
        hosts, ports = results.hosts(), sorted(results.ports())
        total, span = int(results.counts.sum()), incident.last_ns - incident.first_ns
        answered = [to_text(*addr) for addr in results.hosts(opened)]
        points = score(total, len(opened) > 0, who)
        vain = self._vain[incident.key]
        return Account(
            title=f"Search for remote access: {counted(len(ports), 'port')}, {counted(len(hosts), 'host')}",
            reason=(
                f"{src} looked for {len(ports)} of the {len(SERVICE_LIST)} listed services ({port_ranges(ports)}) on "
                f"{counted(len(hosts), 'host')} in {duration(span)} ({rate(total, span)}): {outcome_words(incident)}."
            ),
            score=points if who.declared_scanner else max(points, _SCORE_MIN),
            confidence=0.95 * vain / max(len(results.cells), 1),
            objects=list(dict.fromkeys(results.hosts(opened) + hosts)),
            object_count=len(hosts),
            ports=ports,
            port_count=len(ports),
            counterfactual=self._counterfactual(vain, len(results.cells)),
            observations=observations(
                (
                    ("hosts searched", len(hosts), "hosts", self.tuning.hosts, self.tuning.window_s, 0.3),
                    ("listed ports tried", len(ports), "ports", self.tuning.ports, span_s(incident), 0.3),
                    (
                        "share that came to nothing",
                        vain / max(len(results.cells), 1),
                        "share",
                        self.tuning.failed_share,
                        span_s(incident),
                        0.4,
                    ),
                )
            ),
            benign_checked=_benign(vain, len(results.cells), len(ports), who),
            next_steps=_next_steps(src, answered, results.ports(opened)),
        )

    def _counterfactual(self, vain: int, total: int) -> str:
        spare = vain - int(np.ceil(self.tuning.failed_share * total)) + 1
        return f"would not alert if {max(spare, 1):,} more of the {total:,} services had answered and been used"


def _benign(vain: int, total: int, ports: int, who: Standing) -> list[BenignCheck]:
    return [
        declared_check(who),
        BenignCheck(
            hypothesis="a monitor that checks its services",
            rejected_because=f"{vain:,} of {total:,} checks came to nothing; a monitor knows what its hosts serve",
        ),
        BenignCheck(
            hypothesis="an administrator at work",
            rejected_because=f"{counted(ports, 'port')} of the list were tried, mostly without a session that followed",
        ),
    ]


def _next_steps(src: str, answered: list[str], opened: list[int]) -> list[str]:
    steps = [f"Find out who or what runs on {src}, and what reached it shortly before."]
    if answered:
        steps.append(f"Look for sessions and logins from {src} on {port_ranges(opened)} of {listed(answered)}.")
    return [*steps, f"See block-scan for whatever else {src} tried."]
