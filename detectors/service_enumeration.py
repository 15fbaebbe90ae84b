"""Service enumeration: a source asks services and the local link what they are, as only enumeration does.

*What it measures*
    First payloads that are byte for byte probes of nmap -sV or of its scripts, and packets that exist only to
    tell operating systems apart (nmap -O). Sessions in which five services greet and the client says nothing.
    Questions to the local link for all service types, for many of them at once, for all SSDP devices and
    WS-Discovery targets together. Name, SNMP and discovery queries to ten single hosts in a minute of which
    most do not answer. Apple's Bonjour is this local link: the browsing of T1046.

*Blind spots*
    Enumeration by ordinary clients that speak each protocol properly; payloads inside TLS; what comes later than
    the first 2 KiB; browsing of one service type, which every desktop does; links that the mirror does not
    show. Banners alone stay of low severity, because monitors read them too.

*Common benign causes*
    Vulnerability scanners and monitors (declare them in `network.scanners`); a desktop's network browser that
    lists everything; home automation hubs; an inventory that reads the banners of SSH servers.

*What to do next*
    Ask who runs the source. Enumeration comes after a scan and before use: look for scans by the same source,
    and for sessions to the services that it asked.
"""

from __future__ import annotations

from dataclasses import replace
from typing import ClassVar

import numpy as np

from detectors._kit import forge
from detectors._kit.enumeration import discovery, os_probes, rules
from detectors._kit.enumeration.banners import banner_sessions
from detectors._kit.enumeration.discovery import asked_types, is_group, questions_on_link
from detectors._kit.enumeration.fan_out import FANNED_OUT, fan_out_account
from detectors._kit.enumeration.service_probes import HEAD_BYTES, candidates, probe_in
from detectors._kit.enumeration.signs import PerSecond, Sign, SignBook, SignKind, Source
from detectors._kit.incident_detector import FINDINGS_A_TICK, OBJECTS_LISTED, Account, IncidentDetector
from detectors._kit.incidents import IDLE_NS, Incident
from detectors._kit.ledger import Burst, LedgerPlan
from detectors._kit.legs import host_address
from detectors._kit.prefix_watch import PrefixWatch, heads
from detectors._kit.reasons import counted, title
from detectors._kit.results import ANSWERED
from detectors._kit.scancontacts import UDP, ScanContacts, contacts_at, settled_rows
from detectors._kit.sequential import Clock
from detectors._kit.tools.book import NAME_SCANNERS, Family
from detectors._kit.verdict import Standing, standing
from nettriage.model.addresses import to_text
from nettriage.model.alert import Attack
from nettriage.model.columns import U64, Mixer
from nettriage.model.detector import Card, Example, Frames
from nettriage.model.finding import Endpoint, Finding
from nettriage.model.health import Gauge
from nettriage.model.site import Site
from nettriage.model.slices import Slice
from nettriage.model.tables import ORIGINATOR, RESPONDER, Tables
from nettriage.model.tuning import Tuning

_TCP = 6
_NEVER = Clock(600.0, 1e6)
"""Fan-outs are counted, not walked."""
_FLOWS_A_TICK = 1_024
"""First payloads compared in one judgement; more are left out and counted."""
_SIGNS_A_SECOND = 512


def _version_scan() -> Frames:
    scene = forge.Scene()
    for port, probe in (
        (80, b"GET / HTTP/1.0\r\n\r\n"),
        (80, b"GET /nice%20ports%2C/Tri%6Eity.txt%2ebak HTTP/1.0\r\n"),
    ):
        scene.session("10.0.0.5", "10.0.1.9", port, turns=((0, probe), (1, b"HTTP/1.0 404\r\n")))
    return scene.frames()


def _banner_grab() -> Frames:
    scene = forge.Scene()
    for host in (9, 10):
        for port in (21, 22, 25):
            scene.session("10.0.0.5", f"10.0.1.{host}", port, turns=((1, b"220 ready\r\n"),)).wait(forge.S)
    return scene.frames()


def _browse_all() -> Frames:
    scene = forge.Scene()
    for service in ("_services._dns-sd._udp", "_ssh._tcp", "_smb._tcp", "_ipp._tcp", "_rfb._tcp", "_http._tcp"):
        question = forge.dns_query(f"{service}.local", 12, 0)
        scene.put(forge.udp("10.0.0.5", 5353, "224.0.0.251", 5353, question, ttl=255)).wait(forge.S)
    return scene.frames()


def _name_sweep() -> Frames:
    scene = forge.Scene().query("10.0.0.5", "10.0.1.1", 137)
    for host in range(2, 30):
        scene.query("10.0.0.5", f"10.0.1.{host}", 137, b"\0\x01\0\x10\0\x01", answer=b"a" if host == 7 else None)
    return scene.frames()


def _desktop() -> Frames:
    scene = forge.Scene()
    for service in ("_ipp._tcp", "_airplay._tcp", "_googlecast._tcp"):
        question = forge.dns_query(f"{service}.local", 12, 0)
        scene.put(forge.udp("10.0.0.5", 5353, "224.0.0.251", 5353, question, ttl=255)).wait(forge.S)
    for port in (22, 25, 110, 143, 21):
        scene.session("10.0.0.5", "10.0.1.9", port, turns=((1, b"220 ready\r\n"), (0, b"EHLO\r\n"), (1, b"250 ok\r\n")))
    return scene.session("10.0.0.5", "10.0.1.9", 80, turns=((0, b"GET / HTTP/1.0\r\n\r\n"), (1, b"ok"))).frames()


def _snmp_manager() -> Frames:
    scene = forge.Scene()
    for host in range(1, 31):
        scene.query("10.0.0.5", f"10.0.1.{host}", 161, b"0\x26\x02\x01\x01\x04\x06public").wait(100 * forge.MS)
    return scene.frames()


class ServiceEnumeration(IncidentDetector):
    """A source that asks what services are, by the bytes, the silence or the breadth of its questions."""

    card: ClassVar[Card] = Card(
        kind="service-enumeration",
        title="Service enumeration",
        attack=(
            Attack(tactic="Discovery", technique="T1046", name="Network Service Discovery"),
            Attack(tactic="Discovery", technique="T1018", name="Remote System Discovery"),
        ),
        rules=(),
        references=("nmap-service-probes, osscan2.cc", "RFC 6762", "RFC 6763", "WS-Discovery 1.1", "UPnP 2.0, SSDP"),
        counts="signs",
    )
    tuning_type: ClassVar[type[Tuning]] = rules.EnumerationTuning
    tuning: rules.EnumerationTuning
    tools: ClassVar[Family | None] = NAME_SCANNERS
    reads: ClassVar[frozenset[str]] = (
        NAME_SCANNERS.reads | os_probes.READS | discovery.READS
        | {"prefixes", "tables", "ends", "src", "dst", *(f"packets.{name}" for name in (
            "ts_ns", "src_hi", "src_lo", "dst_hi", "dst_lo", "src_mac", "icmp_type"))}
    )  # fmt: skip
    examples: ClassVar[tuple[Example, ...]] = (
        Example("two probes of nmap -sV", _version_scan, fires=True, subject="10.0.0.5"),
        Example("six greetings collected without a word", _banner_grab, fires=True, subject="10.0.0.5"),
        Example("all service types of the local link", _browse_all, fires=True, subject="10.0.0.5"),
        Example("NetBIOS names of 28 hosts", _name_sweep, fires=True, subject="10.0.0.5"),
        Example("a desktop that browses, mails and fetches", _desktop, fires=False),
        Example("an SNMP manager and its 30 devices", _snmp_manager, fires=False),
    )
    state_limit_bytes: ClassVar[int] = 64 << 20

    def __init__(self, tuning: Tuning, site: Site) -> None:
        """Make empty state."""
        super().__init__(tuning, site)
        self._watch = PrefixWatch()
        self._book = SignBook()
        self._budget = PerSecond(_SIGNS_A_SECOND)
        self._left_out = 0
        self._identity = Mixer(site.mixer_secret ^ 0x656E756D)

    def push(self, seen: Slice) -> None:
        """Enter fan-outs into the ledger and signs into their book; mark flows whose payload is to be looked at."""
        super().push(seen)
        self._watch.note(seen)
        self._note_stack_probes(seen)
        self._note_questions(seen)
        if len(seen.ends):
            self._note_banners(seen)

    def tick(self, now_ns: int, tables: Tables) -> list[Finding]:
        """Compare first payloads, then return what ended, what is new and what changed."""
        self._note_service_probes(tables)
        findings = [
            replace(source.finding, closed=True)
            for source in self._book.settle(now_ns, IDLE_NS)
            if source.finding is not None
        ]
        for source in self._book.changed():
            source.changed = False
            rules.judge(source, self.tuning)
            if source.rules:
                source.finding = self._finding_of(source, tables)
                findings.append(source.finding)
        return (findings + super().tick(now_ns, tables))[:FINDINGS_A_TICK]

    def gauges(self) -> dict[str, Gauge]:
        """Return the gauges of fan-outs, sources, questions and payloads."""
        compared = Gauge(cap=_FLOWS_A_TICK, used=min(self._watch.used, _FLOWS_A_TICK), refused=self._left_out)
        more = {"sources": self._book.gauge, "questions": self._budget.gauge, "payloads": compared}
        return {**super().gauges(), **more}

    def state_bytes(self) -> int:
        """Return the memory of ledger, signs and marks."""
        return super().state_bytes() + self._book.nbytes + self._watch.nbytes

    def _note_service_probes(self, tables: Tables) -> None:
        rows, slots = self._watch.drain(tables, _TCP, UDP)
        found = candidates(heads(tables, slots, ORIGINATOR, HEAD_BYTES)) if len(slots) else slots
        self._left_out += max(len(found) - _FLOWS_A_TICK, 0)
        for at in found[:_FLOWS_A_TICK].tolist():
            probe = probe_in(tables.prefixes.payload(int(rows[at]), ORIGINATOR)[:HEAD_BYTES])
            if probe is not None:
                self._note_flow(int(rows[at]), SignKind.PROBE, probe.name, tables)

    def _note_flow(self, row: int, kind: SignKind, detail: str, tables: Tables) -> None:
        flows, hosts = tables.flows, tables.hosts
        src, dst = (host_address(hosts, int(flows.host[row, side])) for side in (ORIGINATOR, RESPONDER))
        sign = Sign(int(flows.first_ns[row]), detail, dst, int(flows.port[row, RESPONDER]))
        self._book.note(src, src, kind, sign, int(flows.proto[row]))

    def _note_stack_probes(self, seen: Slice) -> None:
        packets = seen.packets
        rows, numbers = os_probes.os_probes(packets)
        if not len(rows):
            return
        kept = self._budget.take(packets.ts_ns[rows])
        for row, number in zip(rows[kept].tolist(), numbers[kept].tolist(), strict=True):
            src = int(packets.src_hi[row]), int(packets.src_lo[row])
            dst = int(packets.dst_hi[row]), int(packets.dst_lo[row])
            sign = Sign(int(packets.ts_ns[row]), os_probes.NAMES[number], dst, 0)
            self._book.note(src, src, SignKind.STACK, sign, int(packets.proto[row]))

    def _note_questions(self, seen: Slice) -> None:
        packets = seen.packets
        rows = questions_on_link(packets)
        if not len(rows):
            return
        for row in rows[self._budget.take(packets.ts_ns[rows])].tolist():
            src = int(packets.src_hi[row]), int(packets.src_lo[row])
            dst = int(packets.dst_hi[row]), int(packets.dst_lo[row])
            # One machine asks the link from all its addresses: there its MAC is who it is.
            key = is_group(dst) and int(packets.src_mac[row])
            for asked in asked_types(packets, row):
                sign = Sign(int(packets.ts_ns[row]), asked, dst, int(packets.dst_port[row]))
                self._book.note(key or src, src, SignKind.LINK, sign, UDP)

    def _note_banners(self, seen: Slice) -> None:
        at, rows = banner_sessions(seen.ends, seen.tables)
        if len(at):
            for row in rows[self._budget.take(seen.ends.ts_ns[at])].tolist():
                self._note_flow(row, SignKind.BANNER, "", seen.tables)

    def _finding_of(self, source: Source, tables: Tables) -> Finding:
        targets = list(source.targets)
        hosts = list(dict.fromkeys(dst for dst, _ in targets))
        ports = list(dict.fromkeys(port for _, port in targets if port))
        who = standing(source.addr, hosts[0], self.site, tables)
        src, tool = to_text(*source.addr), rules.tool_of_signs(source)
        return Finding(
            key=int(self._identity(np.array([hash(source.key) & 0xFFFFFFFFFFFFFFFF], np.uint64))[0]),
            subject=Endpoint(source.addr),
            score=rules.score_of(source, who),
            confidence=0.95 if tool else 0.75,
            first_ns=source.first_ns,
            last_ns=source.last_ns,
            count=source.count,
            title=title(f"Service enumeration: {', '.join(source.rules)}"),
            reason=f"{src} {rules.sentences(source)}.",
            objects=[Endpoint(addr) for addr in hosts[:OBJECTS_LISTED]],
            object_count=len(hosts),
            proto=next(iter(source.protocols)),
            ports=ports[:64],
            port_count=len(ports),
            counterfactual=rules.counterfactual_of(source, self.tuning),
            observations=rules.observations(source, self.tuning),
            tool=tool,
            benign_checked=rules.benign_of(source, who),
            visibility_note=who.visibility_note,
            next_steps=[
                f"Find out who runs {src}, and look for scans by it: enumeration comes after a scan.",
                f"Watch for sessions of {src} to the {counted(len(targets), 'service')} that it asked.",
            ],
        )

    def _plan(self) -> LedgerPlan:
        return LedgerPlan(
            name="fan-outs", rows=2_048, incidents=64, cells=512, fast=_NEVER, slow=_NEVER, floor=1,
        )  # fmt: skip

    def _contacts(self, seen: Slice) -> ScanContacts | None:
        events = seen.contacts
        if not len(events):
            return None
        at = settled_rows(events, (events.proto == UDP) & FANNED_OUT[events.port])
        return contacts_at(events, at) if len(at) else None

    def _keys(self, contacts: ScanContacts) -> U64:
        return self._mixer(contacts.src_key, contacts.port)

    def _burst(self, contacts: ScanContacts) -> Burst:
        within_ns = int(self.tuning.window_s * 1e9)
        return Burst(np.full(len(contacts), self.tuning.fan_out_hosts), np.full(len(contacts), within_ns))

    def _credible(self, incident: Incident, now_ns: int, tables: Tables) -> bool | None:  # noqa: ARG002 - not needed
        results = incident.results
        return results.count(*ANSWERED) < self.tuning.fan_out_answered * int(results.counts.sum())

    def _account(self, incident: Incident, who: Standing) -> Account:
        return fan_out_account(incident, who, self.tuning)
