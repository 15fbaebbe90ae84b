"""Horizontal scan: one source tries one port on many hosts, over TCP, UDP or SCTP.

*What it measures*
    The first contact of a source with each host on one port is a step of a sequential test with two clocks,
    as in the vertical scan. Most of the hosts must have refused or stayed silent; hosts that answered are
    listed as found. An unanswered datagram to a port of no known service weighs a quarter of a refusal, and
    multicast never counts. On the own segment hosts that do not exist show as ARP requests only: whoever
    asked for many of them and then tries one port on several hosts is taken to have swept them all.

*Blind spots*
    Sweeps over hosts that all serve the port; sources that try less than about one new dead host in two
    hours.

*Common benign causes*
    Vulnerability scanners, asset inventories and monitors (declare them in `network.scanners`); peer-to-peer
    clients with a stale list of peers; an application whose servers were moved; dual-stack clients where
    IPv6 leads nowhere.

*What to do next*
    See which hosts answered and whether the port is one for lateral movement (445, 3389, 22, 5985, 5432).
    Look for sessions that the source opened to them afterwards, and for the same port tried by other hosts.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from detectors._kit import forge
from detectors._kit.absent import AbsentNeighbours
from detectors._kit.incidents import Incident
from detectors._kit.ledger import Burst, LedgerPlan
from detectors._kit.reasons import counted, duration, listed, protocol_name, rate
from detectors._kit.results import ANSWERED, FAILED
from detectors._kit.scan import ScanDetector, ScanTuning, Words
from detectors._kit.scancontacts import ScanContacts
from detectors._kit.tools.book import TCP_SCANNERS, Family
from detectors._kit.verdict import Standing, failed_share
from nettriage.model.addresses import to_text
from nettriage.model.alert import Attack
from nettriage.model.columns import U64
from nettriage.model.detector import Card, Example, Frames
from nettriage.model.finding import Finding
from nettriage.model.health import Gauge
from nettriage.model.site import Site
from nettriage.model.slices import Outcome, Slice
from nettriage.model.tables import Tables
from nettriage.model.tuning import Tuning, knob


@dataclass(frozen=True, slots=True, kw_only=True)
class HorizontalScanTuning(ScanTuning):
    """Thresholds of the horizontal scan."""

    failed_share: float = knob(0.5, "share", lo=0.1, hi=1.0, why="ordinary use of a service mostly succeeds")
    absent: int = knob(20, "hosts", lo=5, hi=1_000, why="a sweep of the own segment mostly asks for hosts that are not")
    absent_hosts: int = knob(5, "hosts", lo=3, hi=16, why="and then tries one port on those that are there")
    absent_window_s: float = knob(10.0, "s", lo=1.0, hi=60.0, why="one after the other, at the pace of a tool")
    ports_of_source: int = knob(3, "ports", lo=1, hi=64, why="a source that sweeps more ports is one block scan")


def _sweep() -> Frames:
    scene = forge.Scene()
    for host in range(1, 41):
        (scene.half_open if host in {7, 21} else scene.refused)("10.0.0.5", f"10.0.1.{host}", 445)
    return scene.frames()


def _silent_sweep() -> Frames:
    scene = forge.Scene()
    scene.session("10.0.0.5", "10.0.1.9", 80)
    for host in range(1, 41):
        scene.syn("10.0.0.5", f"10.0.1.{host}", 22).wait(200 * forge.MS)
    return scene.frames()


def _sweep_of_the_segment() -> Frames:
    scene = forge.Scene()
    there = {7, 11, 18, 21, 25, 30}
    for host in range(1, 41):
        scene.put(forge.arp("10.0.0.5", f"10.0.0.{host + 100}"))
        if host in there:
            scene.put(forge.arp(f"10.0.0.{host + 100}", "10.0.0.5", reply=True))
    scene.wait(3 * forge.S).query("10.0.0.9", "10.0.1.53", 53).wait(3 * forge.S)
    for host in there:
        scene.half_open("10.0.0.5", f"10.0.0.{host + 100}", 445)
    return scene.frames()


def _browsing() -> Frames:
    scene = forge.Scene()
    for host in range(1, 61):
        (scene.refused if host % 6 == 0 else scene.session)("10.0.0.5", f"192.0.2.{host}", 443)
        scene.wait(300 * forge.MS)
    return scene.frames()


def _peers() -> Frames:
    scene = forge.Scene()
    for host in range(1, 61):
        scene.query("10.0.0.5", f"198.51.100.{host}", 30_000, answer=b"pong" if host % 2 else None)
        scene.wait(50 * forge.MS)
    return scene.frames()


class HorizontalScan(ScanDetector):
    """One source, one port, many hosts."""

    card: ClassVar[Card] = Card(
        kind="horizontal-scan",
        title="Horizontal port scan",
        attack=(Attack(tactic="Discovery", technique="T1046", name="Network Service Discovery"),),
        rules=("PT-CR-2911",),
        references=(
            "Jung, Paxson, Berger, Balakrishnan: Fast portscan detection using sequential hypothesis testing, 2004",
            "Weaver, Staniford, Paxson: Very fast containment of scanning worms, 2004",
        ),
        counts="hosts",
    )
    tuning_type: ClassVar[type[Tuning]] = HorizontalScanTuning
    tuning: HorizontalScanTuning
    tools: ClassVar[Family | None] = TCP_SCANNERS
    reads: ClassVar[frozenset[str]] = TCP_SCANNERS.reads
    examples: ClassVar[tuple[Example, ...]] = (
        Example("port 445 over 40 hosts, two answer", _sweep, fires=True, subject="10.0.0.5"),
        Example("port 22 over 40 silent hosts", _silent_sweep, fires=True, subject="10.0.0.5"),
        Example("port 445 on what an ARP sweep found", _sweep_of_the_segment, fires=True, subject="10.0.0.5"),
        Example("a browser whose sixth site is down", _browsing, fires=False),
        Example("a peer-to-peer client, half of its peers gone", _peers, fires=False),
    )
    state_limit_bytes: ClassVar[int] = 64 << 20

    def _plan(self) -> LedgerPlan:
        return self._ledger_plan(rows=32_768, incidents=256, cells=2_048)

    def _keys(self, contacts: ScanContacts) -> U64:
        return self._mixer(contacts.src_key, contacts.proto, contacts.port)

    def _per_source(self) -> int:
        return self.tuning.ports_of_source

    def __init__(self, tuning: Tuning, site: Site) -> None:
        """Make empty state."""
        super().__init__(tuning, site)
        self._absent = AbsentNeighbours()
        self._askers: U64 = np.zeros(0, np.uint64)

    def tick(self, now_ns: int, tables: Tables) -> list[Finding]:
        """Judge, and note who asked for many absent neighbours: what they try next counts more."""
        findings = super().tick(now_ns, tables)
        self._askers = self._absent.askers(self.tuning.absent, now_ns)
        return findings

    def gauges(self) -> dict[str, Gauge]:
        """Return the gauges of the ledger and of the askers."""
        return {**super().gauges(), "askers": self._absent.gauge}

    def state_bytes(self) -> int:
        """Return the memory of ledger and askers."""
        return super().state_bytes() + self._absent.nbytes

    def _contacts(self, seen: Slice) -> ScanContacts | None:
        if len(seen.contacts):
            self._absent.note(seen.contacts)
        return super()._contacts(seen)

    def _burst(self, contacts: ScanContacts) -> Burst | None:
        if not len(self._askers):
            return None
        count = np.where(np.isin(contacts.src_key, self._askers), self.tuning.absent_hosts, 0)
        return Burst(count, np.full(len(contacts), int(self.tuning.absent_window_s * 1e9)))

    def _credible(self, incident: Incident, now_ns: int, tables: Tables) -> bool | None:
        if incident.clock is None and not incident.absent:
            high, low = (np.array([word], np.uint64) for word in incident.src)
            row = int(tables.hosts.find(high, low)[0])
            incident.absent = self._absent.count(int(tables.hosts.key[row]), now_ns) if row >= 0 else 0
            if incident.absent < self.tuning.absent:
                return False
        return failed_share(incident) >= self.tuning.failed_share

    def _words(self, incident: Incident, who: Standing) -> Words:  # noqa: ARG002 - says the same of everybody
        results, span = incident.results, incident.last_ns - incident.first_ns
        total = int(results.counts.sum())
        src, port = to_text(*incident.src), f"{protocol_name(incident.proto)}/{incident.port}"
        answered = [to_text(*addr) for addr in results.hosts(results.with_outcome(*ANSWERED))]
        learned = f"answered by {listed(answered)}" if answered else "answered by none"
        absent = f" (and asked by ARP for {incident.absent:,} that are not there)" if incident.absent else ""
        return Words(
            title=f"Horizontal scan: {port} on {counted(total, 'host')}",
            reason=(
                f"{src} tried {port} on {counted(total, 'host')}{absent} in {duration(span)} ({rate(total, span)}): "
                f"{results.count(Outcome.CLOSED):,} closed, {results.count(Outcome.BLOCKED):,} blocked, "
                f"{results.count(Outcome.SILENT):,} silent; {learned}."
            ),
            things="hosts",
            objects=results.hosts(results.with_outcome(*ANSWERED)) + results.hosts(results.with_outcome(*FAILED)),
            object_count=total,
            ports=[incident.port],
            port_count=1,
            next_steps=_next_steps(src, port, answered),
        )


def _next_steps(src: str, port: str, answered: list[str]) -> list[str]:
    steps = [f"Find out who or what runs on {src}, and what reached it shortly before the scan."]
    if answered:
        steps.append(f"Check {listed(answered)} for sessions from {src} to {port}, now and in the next 30 minutes.")
    return [*steps, f"Look for other hosts that try {port}: a worm or a second operator would."]
