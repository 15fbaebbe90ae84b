"""Coordinated scan: several addresses scan one victim for one hand, as decoys, as zombies, or by sharing the work.

*What it measures*
    Probes that reached one victim from three sources within 50 ms with the same ports, sequence number and IP id
    are one probe under borrowed addresses: nmap's decoys. Which address is real is told by the MAC of the
    probes: it speaks for the real source in resets and in ARP, and for no other. Failing ports of one victim
    that several sources divide among themselves, with few in common, are one scan. And six unasked SYN/ACKs to
    one port of a host, followed by probes in its name from that port and from the MAC of who knocked, are an
    idle scan over a zombie.

*Blind spots*
    Decoys of UDP and ping scans; decoys behind a router, where all come by one MAC (the scan is found, the real
    source is not told); sources with fewer than five failing ports each; hosts, instead of ports, that are
    divided; one probe per source; zombies reached from another segment than the mirror's.

*Common benign causes*
    None for decoys and zombies. Ports divided by chance: clients that each fail at other dynamic ports of one
    server behind a filter, such as passive FTP or media; several declared scanners with one schedule.

*What to do next*
    Act on the real source that is named, not on the decoys: they are bystanders. Where it is not named, follow
    the MAC of the probes to its switch port. Compare what the sources of a divided scan have in common.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np

from detectors._kit import forge
from detectors._kit.coordinated import owners
from detectors._kit.coordinated.decoys import DecoyWatch
from detectors._kit.coordinated.idle import IdleWatch
from detectors._kit.coordinated.owners import OwnerBook
from detectors._kit.coordinated.reports import decoy_finding, idle_finding, shared_finding
from detectors._kit.coordinated.shares import Division, SharedVictims
from detectors._kit.incident_detector import FINDINGS_A_TICK
from detectors._kit.incidents import IDLE_NS
from detectors._kit.scancontacts import TCP, contacts_at, is_failure, settled_rows
from detectors._kit.tools.probes import TCP_READS, tcp_probes
from nettriage.model.alert import Attack
from nettriage.model.columns import Mixer
from nettriage.model.detector import Card, Detector, Example, Frames
from nettriage.model.finding import Address, Finding
from nettriage.model.health import Gauge
from nettriage.model.site import Site
from nettriage.model.slices import Slice
from nettriage.model.tables import Tables
from nettriage.model.tuning import Tuning, knob

_OPEN_MAX = 256
_FINDING_BYTES = 16_384


@dataclass(frozen=True, slots=True, kw_only=True)
class CoordinatedScanTuning(Tuning):
    """Thresholds of the coordinated scan."""

    decoy_sources: int = knob(3, "sources", lo=2, hi=16, why="two equal probes could be one packet seen twice")
    decoy_probes: int = knob(3, "probes", lo=1, hi=100, why="three times the same 48 bits from others is no chance")
    sharing_sources: int = knob(3, "sources", lo=2, hi=64, why="two clients may fail at different ports by chance")
    ports_each: int = knob(5, "ports", lo=3, hi=64, why="a client fails at one or two ports of a server, not at five")
    overlap: float = knob(0.2, "share", lo=0.0, hi=0.9, why="clients of one dead server fail at the same ports")
    sharing_window_s: float = knob(600.0, "s", lo=10.0, hi=7_200.0, why="a divided scan runs at one time")
    knocks: int = knob(6, "packets", lo=3, hi=100, why="nmap tests the zombie's IP ids with six SYN/ACKs")
    idle_ports: int = knob(3, "ports", lo=1, hi=100, why="a few probes in another's name are no accident any more")


def _under_mac(frame: bytes, address: str) -> bytes:
    return frame[:6] + forge.mac_of(address) + frame[12:]


def _decoys() -> Frames:
    scene = forge.Scene()
    for at, port in enumerate((22, 80, 443, 8080, 21, 25, 110, 143)):
        for source in ("10.0.0.12", "10.0.0.13", "10.0.0.11", "10.0.0.14"):
            probe = forge.tcp(
                source, 40_000, "10.0.1.9", port, forge.SYN, seq=77, window=1024, options=forge.MSS_OPTION,
                ttl=40 + at, ident=900 + at, df=False,
            )  # fmt: skip
            answer = forge.SYN | forge.ACK if port == 22 else forge.RST | forge.ACK
            scene.put(_under_mac(probe, "10.0.0.11"), forge.tcp("10.0.1.9", port, source, 40_000, answer, ack=78))
            if port == 22:
                scene.put(forge.tcp(source, 40_000, "10.0.1.9", port, forge.RST, seq=78, window=0))
    return scene.frames()


def _divided() -> Frames:
    scene = forge.Scene()
    for port in range(1, 41):
        scene.refused(f"10.0.0.{port % 4 + 11}", "10.0.1.9", port).wait(50 * forge.MS)
    return scene.frames()


def _idle() -> Frames:
    scene, zombie, prober = forge.Scene(), "10.0.0.30", "10.0.0.11"
    for at in range(8):
        knock = forge.SYN | forge.ACK
        scene.put(
            forge.tcp(prober, 41_000 + at, zombie, 80, knock, seq=at, ack=5, options=forge.MSS_OPTION),
            forge.tcp(zombie, 80, prober, 41_000 + at, forge.RST, seq=5, window=0, ident=at),
        )
    for port in range(20, 26):
        probe = forge.tcp(zombie, 80, "10.0.1.9", port, forge.SYN, seq=9, options=forge.MSS_OPTION, df=False)
        scene.put(_under_mac(probe, prober), forge.tcp("10.0.1.9", port, zombie, 80, forge.RST | forge.ACK, ack=10))
    return scene.frames()


def _dead_server() -> Frames:
    scene = forge.Scene()
    for client in range(10, 20):
        for port in (88, 389, 445, 135, 3268, 636):
            scene.refused(f"10.0.0.{client}", "10.0.1.9", port)
    return scene.frames()


def _busy_server() -> Frames:
    scene = forge.Scene()
    for client in range(10, 30):
        scene.half_open(f"10.0.0.{client}", "10.0.1.9", 443, sport=40_000).refused(f"10.0.0.{client}", "10.0.1.9", 80)
    return scene.frames()


class CoordinatedScan(Detector):
    """Several addresses, one scan."""

    card: ClassVar[Card] = Card(
        kind="coordinated-scan",
        title="Coordinated scan",
        attack=(Attack(tactic="Discovery", technique="T1046", name="Network Service Discovery"),),
        rules=(),
        references=("nmap: scan_engine_raw.cc (decoys), idle_scan.cc", "Snort port_scan: decoy and distributed scans"),
        counts="probes",
    )
    tuning_type: ClassVar[type[Tuning]] = CoordinatedScanTuning
    tuning: CoordinatedScanTuning
    reads: ClassVar[frozenset[str]] = TCP_READS | owners.READS
    examples: ClassVar[tuple[Example, ...]] = (
        Example("three decoys around the real source", _decoys, fires=True, subject="10.0.0.11"),
        Example("forty ports divided by four sources", _divided, fires=True, subject="10.0.0.12"),
        Example("an idle scan in the name of a zombie", _idle, fires=True, subject="10.0.0.11"),
        Example("ten clients of one dead server", _dead_server, fires=False),
        Example("many clients with one port of their own", _busy_server, fires=False),
    )
    state_limit_bytes: ClassVar[int] = 24 << 20

    def __init__(self, tuning: Tuning, site: Site) -> None:
        """Make empty state."""
        super().__init__(tuning, site)
        self._mixer = Mixer(site.mixer_secret)
        self._owners = OwnerBook(self._mixer)
        self._decoys = DecoyWatch(self._mixer)
        self._victims = SharedVictims(self._mixer)
        self._idle = IdleWatch(self._mixer)
        self._open: dict[int, Finding] = {}
        self._refused = 0

    def push(self, seen: Slice) -> None:
        """Enter probes, failures, and whose MAC speaks for whom."""
        self._owners.note(seen.packets)
        events = seen.contacts
        if not len(events):
            return
        self._idle.note_knocks(seen)
        probes = tcp_probes(seen)
        if probes is not None:
            self._decoys.note(probes, self.tuning.decoy_sources)
            self._idle.note_probes(probes)
        failed = (events.proto == TCP) & events.sure & is_failure(events.outcome)
        at = settled_rows(events, failed) if failed.any() else np.zeros(0, np.intp)
        if len(at):
            self._victims.note(contacts_at(events, at))

    def tick(self, now_ns: int, tables: Tables) -> list[Finding]:
        """Return what ended, then what is new or changed."""
        self._decoys.forget(now_ns, IDLE_NS)
        self._idle.forget(now_ns)
        over = [each for each in self._open.values() if now_ns - each.last_ns > IDLE_NS][:FINDINGS_A_TICK]
        for finding in over:
            del self._open[finding.key]
        findings = [replace(finding, closed=True) for finding in over]
        for finding in self._changed(tables)[: FINDINGS_A_TICK - len(findings)]:
            if finding.key in self._open or len(self._open) < _OPEN_MAX:
                self._open[finding.key] = finding
                findings.append(finding)
            else:
                self._refused += 1
        return findings

    def gauges(self) -> dict[str, Gauge]:
        """Return the gauges of every table."""
        return {
            "headers": self._decoys.gauge,
            "groups": self._decoys.group_gauge,
            "victims": self._victims.gauge,
            "knocked": self._idle.gauge,
            "zombies": self._idle.used,
            "owners": self._owners.gauge,
            "incidents": Gauge(cap=_OPEN_MAX, used=len(self._open), refused=self._refused),
        }

    def state_bytes(self) -> int:
        """Return the memory of every table and of the open incidents."""
        parts = (self._owners, self._decoys, self._victims, self._idle)
        return sum(part.nbytes for part in parts) + len(self._open) * _FINDING_BYTES

    def _changed(self, tables: Tables) -> list[Finding]:
        tuning = self.tuning
        findings = [
            decoy_finding(self._key(each.victim, 1), each, each.real(self._owners), tuning, self.site, tables)
            for each in self._decoys.judge()
            if each.times >= tuning.decoy_probes and len(each.members) >= tuning.decoy_sources
        ]
        division = Division(
            tuning.sharing_sources, tuning.ports_each, tuning.overlap, int(tuning.sharing_window_s * 1e9)
        )  # fmt: skip
        for shared in self._victims.judge(division):
            key = self._key(shared.victim, 2)
            known = self._open.get(key)
            subject = max(shared.ports, key=lambda source: (len(shared.ports[source]), -source[1]))
            lead = subject if known is None or known.subject.addr not in shared.ports else known.subject.addr
            finding = shared_finding(key, shared, lead, tuning, self.site, tables)
            findings.append(finding if known is None else _joined(finding, known))
        for used in self._idle.judge(tuning.knocks, tuning.idle_ports):
            findings.append(idle_finding(self._key(used.zombie, 3), used, tuning, self.site, tables))
        return findings

    def _key(self, address: Address, kind: int) -> int:
        high, low = (np.array([word], np.uint64) for word in address)
        return int(self._mixer(high, low, np.array([kind], np.uint64))[0])


def _joined(finding: Finding, known: Finding) -> Finding:
    """Return a finding that covers what was known before too: its window may have moved on."""
    finding.first_ns = min(finding.first_ns, known.first_ns)
    finding.count = max(finding.count, known.count)
    return finding
