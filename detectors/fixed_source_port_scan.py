"""Fixed-source-port scan: one port of one host asks many ports of one host, or over TCP many hosts.

*What it measures*
    First contacts by source port, of the host that asks: a server that answers from its service port to many
    clients makes none. Ordinary stacks take another source port for every connection; scanners with sockets
    of their own keep one (nmap, masscan, naabu), and who chooses 53, 20 or 88 hopes for a filter that lets
    answers in. Ten ports of one host, or over TCP ten hosts, within minutes, of which at least half failed or
    were never used. Only ports that failed once are followed.

*Blind spots*
    Scanners that take a new source port for each probe; targets that all answer; one UDP port to many hosts,
    which NTP, SIP, IKE and peer-to-peer programs do all day; UDP scans of ephemeral ports, which look
    like traceroute and relayed media.

*Common benign causes*
    FTP in active mode to a client behind a broken filter; games and conference clients that try many relayed
    ports of one server; IPsec and RPC tools that bind a privileged port; measuring probes.

*What to do next*
    If the source port is a service (53, 80, 443), check what the filters on the way let through for it. The
    scan itself is told by vertical-scan, horizontal-scan or block-scan of the same source.
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
    most_ports_of_a_host,
    observations,
    outcome_words,
    span_s,
)
from detectors._kit.incident_detector import Account, IncidentDetector
from detectors._kit.incidents import Incident
from detectors._kit.ledger import Burst, LedgerPlan
from detectors._kit.reasons import counted, duration, listed, port_ranges, protocol_name, rate
from detectors._kit.results import ANSWERED, FAILED, REFUSED
from detectors._kit.scancontacts import TCP, UDP, ScanContacts, contacts_at, is_failure, settled_rows
from detectors._kit.source_port import keys_with_port, port_of
from detectors._kit.suspects import Suspects
from detectors._kit.unused import unused
from detectors._kit.verdict import Standing, score
from nettriage.model.addresses import to_text
from nettriage.model.alert import Attack, BenignCheck
from nettriage.model.columns import U64
from nettriage.model.detector import Card, Example, Frames
from nettriage.model.finding import Finding
from nettriage.model.health import Gauge
from nettriage.model.site import Site
from nettriage.model.slices import Outcome, Slice
from nettriage.model.tables import Tables
from nettriage.model.tuning import Tuning, knob

_PRIVILEGED = 1_024
_EPHEMERAL = 32_768
"""Where ephemeral ports of most stacks begin (Linux; IANA says 49152), and the ports of UDP traceroute lie."""
_LED_SCORE_MAX = 35.0
"""Where a scan incident tells the same probes and the source port hides nothing, this one only adds to it."""
_SCAN_FAILURES = 7
"""Failures at which the scan detectors speak."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FixedSourcePortScanTuning(Tuning):
    """Thresholds of the fixed-source-port scan."""

    targets: int = knob(10, "targets", lo=5, hi=16, why="ports of one host, or TCP hosts; PT-CR-2903 and PT-CR-2906")
    window_s: float = knob(
        300.0, "s", lo=10.0, hi=3_600.0, why="kernels reuse a source port after minutes, not seconds"
    )
    failed_share: float = knob(0.5, "share", lo=0.1, hi=1.0, why="FTP data and relayed media are answered and used")


def _from_port_53() -> Frames:
    scene = forge.Scene()
    for port in range(20, 60):
        (scene.half_open if port == 22 else scene.refused)("10.0.0.5", "10.0.1.9", port, sport=53)
    return scene.frames()


def _udp_from_port_53() -> Frames:
    scene = forge.Scene()
    for port in (7, 53, 67, 69, 111, 123, 137, 161, 177, 389, 427, 500, 514, 520, 623, 1434):
        ask = forge.udp("10.0.0.5", 53, "10.0.1.9", port, b"")
        scene.put(ask, *([forge.icmp_unreachable("10.0.1.9", ask)] if port % 2 else []))
    return scene.frames()


def _one_port_to_many_hosts() -> Frames:
    scene = forge.Scene()
    for host in range(1, 31):
        scene.syn("10.0.0.5", f"10.0.1.{host}", 3389, sport=61_000)
    return scene.frames()


def _servers_that_answer() -> Frames:
    scene = forge.Scene()
    for turn in range(60):
        client = f"10.0.0.{turn % 4 + 10}"
        scene.session(client, "10.0.1.9", 443).query(client, "10.0.1.53", 53)
    resolver = [forge.udp("10.0.1.53", 53, "10.0.0.10", 50_000 + port, b"!" * 80) for port in range(40)]
    return scene.put(*resolver).frames()


def _active_ftp() -> Frames:
    scene = forge.Scene()
    for port in range(50_000, 50_030):
        scene.session("10.0.1.9", "10.0.0.5", port, turns=((0, b"x" * 2_000),), sport=20)
    return scene.frames()


def _peers_and_clocks() -> Frames:
    scene = forge.Scene()
    for host in range(1, 61):
        ask = forge.udp("10.0.0.5", 123, f"192.0.2.{host}", 123, b"\x1b" + b"\0" * 47)
        peer = forge.udp("10.0.0.6", 51_413, f"198.51.100.{host}", 10_000 + host * 7, b"d1:ad2:id20")
        scene.put(ask, peer)
    return scene.frames()


class FixedSourcePortScan(IncidentDetector):
    """One source port, many targets."""

    card: ClassVar[Card] = Card(
        kind="fixed-source-port-scan",
        title="Scan from one source port",
        attack=(Attack(tactic="Discovery", technique="T1046", name="Network Service Discovery"),),
        rules=("PT-CR-2903", "PT-CR-2906"),
        references=("nmap -g / --source-port", "masscan --source-port", "PT-CR-2903, PT-CR-2906"),
        counts="targets",
    )
    tuning_type: ClassVar[type[Tuning]] = FixedSourcePortScanTuning
    tuning: FixedSourcePortScanTuning
    reads: ClassVar[frozenset[str]] = frozenset({"contacts"})
    examples: ClassVar[tuple[Example, ...]] = (
        Example("40 TCP ports asked from port 53", _from_port_53, fires=True, subject="10.0.0.5"),
        Example("16 UDP ports asked from port 53", _udp_from_port_53, fires=True, subject="10.0.0.5"),
        Example("30 hosts asked from one TCP port", _one_port_to_many_hosts, fires=True, subject="10.0.0.5"),
        Example("servers that answer from their service port", _servers_that_answer, fires=False),
        Example("an FTP server in active mode", _active_ftp, fires=False),
        Example("NTP and peer-to-peer, one port to many hosts", _peers_and_clocks, fires=False),
    )
    state_limit_bytes: ClassVar[int] = 64 << 20

    def __init__(self, tuning: Tuning, site: Site) -> None:
        """Make empty state."""
        super().__init__(tuning, site)
        self._vain: dict[int, int] = {}
        self._suspects = Suspects(16_384)

    def gauges(self) -> dict[str, Gauge]:
        """Return the gauges of rows, incidents and suspects."""
        return {**super().gauges(), "suspects": self._suspects.gauge}

    def state_bytes(self) -> int:
        """Return the memory of ledger and suspects."""
        return super().state_bytes() + self._suspects.nbytes

    def tick(self, now_ns: int, tables: Tables) -> list[Finding]:
        """Judge, and forget the counts of incidents that are gone."""
        findings = super().tick(now_ns, tables)
        self._vain = {item.key: self._vain[item.key] for item in self._ledger.book if item.key in self._vain}
        return findings

    def _plan(self) -> LedgerPlan:
        return counted_plan("fixed-source-port-scan", rows=16_384, incidents=256, cells=2_048)

    def _contacts(self, seen: Slice) -> ScanContacts | None:
        events = seen.contacts
        if not len(events):
            return None
        wanted = (events.proto == TCP) | (events.proto == UDP)
        # Who only receives refusals may have had its address borrowed: the probe itself must have been seen.
        asked = events.sure | (events.outcome == Outcome.SILENT)
        at = settled_rows(events, wanted & asked & (events.sport != 0))
        if not len(at):
            return None
        failed = is_failure(events.outcome[at])
        keys = keys_with_port(self._mixer(events.src_key[at], events.proto[at]), events.sport[at])
        suspect = self._suspects.note(keys, events.ts_ns[at], failed)
        if not suspect.any():
            return None
        contacts = contacts_at(events, at[suspect])
        contacts.src_key = keys[suspect]
        return contacts

    def _keys(self, contacts: ScanContacts) -> U64:
        return contacts.src_key

    def _burst(self, contacts: ScanContacts) -> Burst:
        return burst_of(len(contacts), self.tuning.targets, self.tuning.window_s)

    def _credible(self, incident: Incident, now_ns: int, tables: Tables) -> bool:  # noqa: ARG002 - judged by state
        """Return whether the port asked many targets in vain; notes how many for the account."""
        results = incident.results
        answered = results.with_outcome(*ANSWERED)
        vain = len(results.with_outcome(*FAILED)) + int(unused(incident, answered, tables)[0].sum())
        self._vain[incident.key] = vain
        if vain < self.tuning.failed_share * len(results.cells):
            return False
        if most_ports_of_a_host(results.cells) >= self.tuning.targets:
            return incident.proto == TCP or 2 * int((results.cells["port"] < _EPHEMERAL).sum()) >= len(results.cells)
        return incident.proto == TCP and distinct_hosts(results.cells) >= self.tuning.targets

    def _account(self, incident: Incident, who: Standing) -> Account:
        results, src, sport = incident.results, to_text(*incident.src), port_of(incident.key)
        total, span, name = (
            int(results.counts.sum()),
            incident.last_ns - incident.first_ns,
            protocol_name(incident.proto),
        )
        hosts, ports = results.hosts(), sorted(results.ports())
        vain, led = self._vain[incident.key], self._led(incident, sport)
        points = score(total, results.count(*ANSWERED) > 0, who)
        where = f"{counted(len(ports), 'port')} of {listed([to_text(*addr) for addr in hosts], limit=2)}"
        return Account(
            title=f"{counted(total, f'{name} target')} from source port {sport}",
            reason=(
                f"{src} asked {where} from its {name} port {sport} alone in {duration(span)} ({rate(total, span)}): "
                f"{outcome_words(incident)}. {_meaning(sport, led)}"
            ),
            score=min(points, _LED_SCORE_MAX) if led else points,
            confidence=0.95 * vain / max(len(results.cells), 1),
            objects=hosts,
            object_count=len(hosts),
            ports=ports,
            port_count=len(ports),
            counterfactual=(
                f"would not alert if fewer than {self.tuning.targets} targets had been asked from port {sport}, or if "
                f"{max(vain - int(np.ceil(self.tuning.failed_share * len(results.cells))) + 1, 1):,} more had been used"
            ),
            observations=observations(
                (
                    ("targets asked from one port", total, "targets", self.tuning.targets, self.tuning.window_s, 0.7),
                    ("share asked in vain", vain / max(len(results.cells), 1), "share", self.tuning.failed_share,
                     span_s(incident), 0.3),
                )
            ),
            benign_checked=_benign(vain, len(results.cells), sport, who),
            next_steps=_next_steps(src, sport, port_ranges(ports)),
        )  # fmt: skip

    def _extra_points(self, incident: Incident, who: Standing, *, named: bool) -> float:
        if self._led(incident, port_of(incident.key)):
            return 0.0
        return super()._extra_points(incident, who, named=named)

    def _led(self, incident: Incident, sport: int) -> bool:
        """Return whether the scan detectors tell the same probes, and the port itself is nothing special."""
        told = incident.results.count(*(REFUSED if incident.proto == UDP else FAILED))
        return sport >= _PRIVILEGED and told >= _SCAN_FAILURES


def _meaning(sport: int, led: bool) -> str:
    if sport < _PRIVILEGED:
        return f"Port {sport} is a server's: filters that let its answers in let such probes in as well."
    if led:
        return "This is the mark of a scanner with sockets of its own; the scan incident of this source leads."
    return "Ordinary stacks take another source port for every connection."


def _benign(vain: int, total: int, sport: int, who: Standing) -> list[BenignCheck]:
    return [
        declared_check(who),
        BenignCheck(
            hypothesis=f"a server that answers from port {sport}",
            rejected_because="the host asked first: its questions were seen, and answers are not counted",
        ),
        BenignCheck(
            hypothesis="a program that keeps one socket (FTP data, SIP, NTP, peer-to-peer)",
            rejected_because=f"{vain:,} of {total:,} targets failed or were never used",
        ),
    ]


def _next_steps(src: str, sport: int, ports: str) -> list[str]:
    steps = [f"Find out what runs on {src}: an ordinary program cannot send all of this from port {sport}."]
    if sport < _PRIVILEGED:
        steps.append(f"Check filters on the way for rules that pass source port {sport}.")
    return [*steps, f"See the scan incidents of {src} for what it learned about ports {ports}."]
