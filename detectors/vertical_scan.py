"""Vertical scan: one source tries many ports of one host, over TCP, UDP or SCTP.

*What it measures*
    The first contact of a source with each port of a host is a step of a sequential test: refusals and
    silences raise the log-likelihood that it scans, answers lower it, and two clocks forget at different
    speeds, so that a scan of a second and one probe every few minutes are both found. Contacts that come
    so fast that nobody could use them count too: many answered ports in a minute, none of them used.
    Failures that others share at the same port count little, and so does an unanswered datagram to a port
    of no known service. Where several sources scan one host in step, the MAC of their probes tells which of
    them are decoys.

*Blind spots*
    Probes of ports known to be open; less than about one new failing port in two hours; ports divided over
    many sources; scans through a proxy, which show as the proxy's; hosts behind a switch port that is not
    mirrored. Silence on a lossy or one-way capture is discounted, so such scans are found later.

*Common benign causes*
    Vulnerability scanners and inventory tools (declare them in `network.scanners`); a client that walks the
    port range of a licence or RPC service; passive FTP or media ports behind a firewall that drops them; a
    monitor of many services whose host died.

*What to do next*
    Ask who runs the source, and look at what reached it before the scan. Check the open services listed:
    what is new there is now known to the scanner. Watch for sessions to these ports.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from detectors._kit import forge
from detectors._kit.decoys import MEMBERS_MIN, Decoys
from detectors._kit.found import flow_of
from detectors._kit.incidents import Incident
from detectors._kit.ledger import Burst, LedgerPlan
from detectors._kit.reasons import counted, duration, port_ranges, protocol_name, rate, title
from detectors._kit.results import ANSWERED
from detectors._kit.scan import ScanDetector, ScanTuning, Words
from detectors._kit.scancontacts import ScanContacts
from detectors._kit.tools.book import TCP_SCANNERS, Family
from detectors._kit.verdict import Standing
from nettriage.model.addresses import to_text
from nettriage.model.alert import Attack
from nettriage.model.columns import U64
from nettriage.model.detector import Card, Example, Frames
from nettriage.model.finding import Finding
from nettriage.model.site import Site
from nettriage.model.slices import Outcome, Slice
from nettriage.model.tables import Tables
from nettriage.model.tuning import Tuning, knob

_DECOY_RELIEF = 50.0
"""What the score of a borrowed address loses: below every severity that calls for action."""
_SETTLED_NS = 2_000_000_000
"""A connection without payload this long after its handshake was made for the handshake."""


@dataclass(frozen=True, slots=True, kw_only=True)
class VerticalScanTuning(ScanTuning):
    """Thresholds of the vertical scan."""

    unused_ports: int = knob(15, "ports", lo=8, hi=16, why="no client opens 15 ports of one host and uses none of them")
    unused_window_s: float = knob(60.0, "s", lo=1.0, hi=600.0, why="a connect scan of open ports takes seconds")
    unused_share: float = knob(0.8, "share", lo=0.5, hi=1.0, why="a few services speak first, so not all stay empty")
    hosts_of_source: int = knob(3, "hosts", lo=1, hi=64, why="a source that scans more hosts is one block scan")


def _syn_scan() -> Frames:
    scene = forge.Scene()
    for port in range(20, 60):
        (scene.half_open if port in {22, 53} else scene.refused)("10.0.0.5", "10.0.1.9", port)
    return scene.frames()


def _slow_silent_scan() -> Frames:
    scene = forge.Scene()
    scene.session("10.0.0.5", "10.0.1.9", 80)
    for port in range(100, 124):
        scene.syn("10.0.0.5", "10.0.1.9", port).wait(15 * forge.S)
    return scene.frames()


def _connect_scan_of_open_ports() -> Frames:
    scene = forge.Scene()
    for port in range(8000, 8020):
        scene.session("10.0.0.5", "10.0.1.9", port, turns=())
    return scene.wait(5 * forge.S).session("10.0.0.7", "10.0.1.9", 80).frames()


def _ordinary_clients() -> Frames:
    scene = forge.Scene()
    for turn in range(30):
        client = f"10.0.0.{turn % 6 + 10}"
        for port in (22, 80, 443, 445):
            scene.session(client, "10.0.1.9", port).wait(200 * forge.MS)
        scene.refused(client, "10.0.1.9", 8080)
    return scene.frames()


def _many_used_ports() -> Frames:
    scene = forge.Scene()
    for port in range(50_000, 50_030):
        scene.session("10.0.0.5", "10.0.1.9", port, turns=((0, b"RETR file"), (1, b"x" * 3000)))
    return scene.wait(5 * forge.S).session("10.0.0.7", "10.0.1.9", 80).frames()


class VerticalScan(ScanDetector):
    """One source, many ports of one host."""

    card: ClassVar[Card] = Card(
        kind="vertical-scan",
        title="Vertical port scan",
        attack=(Attack(tactic="Discovery", technique="T1046", name="Network Service Discovery"),),
        rules=("PT-CR-327", "PT-CR-2918"),
        references=(
            "Jung, Paxson, Berger, Balakrishnan: Fast portscan detection using sequential hypothesis testing, 2004",
            "nmap: scan_engine.cc, timing templates of nmap.cc",
        ),
        counts="ports",
    )
    tuning_type: ClassVar[type[Tuning]] = VerticalScanTuning
    tuning: VerticalScanTuning
    tools: ClassVar[Family | None] = TCP_SCANNERS
    reads: ClassVar[frozenset[str]] = TCP_SCANNERS.reads | {"packets.ts_ns", "packets.src_hi", "packets.src_mac"}
    examples: ClassVar[tuple[Example, ...]] = (
        Example("a SYN scan of 40 ports, two of them open", _syn_scan, fires=True, subject="10.0.0.5"),
        Example("one silent port every 15 s", _slow_silent_scan, fires=True, subject="10.0.0.5"),
        Example(
            "a connect scan that finds open ports only", _connect_scan_of_open_ports, fires=True, subject="10.0.0.5"
        ),
        Example("clients that use services, one of them dead", _ordinary_clients, fires=False),
        Example("a client that uses 30 dynamic ports", _many_used_ports, fires=False),
    )
    state_limit_bytes: ClassVar[int] = 64 << 20

    def __init__(self, tuning: Tuning, site: Site) -> None:
        """Make empty state."""
        super().__init__(tuning, site)
        self._decoys = Decoys()

    def push(self, seen: Slice) -> None:
        """Enter the contacts, and look whose MAC sources in step use."""
        super().push(seen)
        if len(self._ledger.book) >= MEMBERS_MIN:
            self._decoys.watch(self._ledger.book, seen.packets)

    def state_bytes(self) -> int:
        """Return the memory of ledger and decoys."""
        return super().state_bytes() + self._decoys.nbytes

    def _finding(self, incident: Incident, tables: Tables) -> Finding:
        finding, owner = super()._finding(incident, tables), self._decoys.owner(incident)
        if owner is None:
            return finding
        finding.score = max(0.0, finding.score - _DECOY_RELIEF)
        finding.title = title(f"Decoy of {to_text(*owner)}: {finding.port_count:,} ports of {to_text(*incident.dst)}")
        finding.reason += f" The probes came from the MAC of {to_text(*owner)}: this address was borrowed as a decoy."
        return finding

    def _plan(self) -> LedgerPlan:
        return self._ledger_plan(rows=32_768, incidents=256, cells=2_048)

    def _keys(self, contacts: ScanContacts) -> U64:
        return self._mixer(contacts.src_key, contacts.dst_key, contacts.proto)

    def _burst(self, contacts: ScanContacts) -> Burst:
        within_ns = int(self.tuning.unused_window_s * 1e9)
        return Burst(np.full(len(contacts), self.tuning.unused_ports), np.full(len(contacts), within_ns))

    def _per_source(self) -> int:
        return self.tuning.hosts_of_source

    def _credible(self, incident: Incident, now_ns: int, tables: Tables) -> bool | None:
        if incident.clock is not None:
            return True
        if now_ns - incident.last_ns < _SETTLED_NS:
            return None
        return self._unused_share(incident, tables) >= self.tuning.unused_share

    def _unused_share(self, incident: Incident, tables: Tables) -> float:
        """Return the share of the answered contacts whose flow is still known and carried no payload."""
        answered = incident.results.with_outcome(*ANSWERED)
        rows = [flow_of(incident, answered, at, tables) for at in range(len(answered))]
        empty = sum(1 for row in rows if row >= 0 and not tables.flows.payload_bytes[row].any())
        return empty / max(len(rows), 1)

    def _words(self, incident: Incident, who: Standing) -> Words:
        results, span = incident.results, incident.last_ns - incident.first_ns
        total, name = int(results.counts.sum()), protocol_name(incident.proto)
        src, dst = to_text(*incident.src), to_text(*incident.dst)
        opened = results.ports(results.with_outcome(*ANSWERED))
        learned = f"open: {port_ranges(opened)}" if opened else "none found open"
        return Words(
            title=f"Vertical scan: {counted(total, f'{name} port')} of {dst}",
            reason=(
                f"{src} tried {counted(total, f'{name} port')} of {dst} in {duration(span)} ({rate(total, span)}): "
                f"{results.count(Outcome.CLOSED):,} closed, {results.count(Outcome.BLOCKED):,} blocked, "
                f"{results.count(Outcome.SILENT):,} silent, {results.count(*ANSWERED):,} open ({learned})."
            ),
            things="ports",
            objects=[incident.dst],
            object_count=1,
            ports=results.ports(),
            port_count=total,
            next_steps=_next_steps(src, dst, opened, who),
        )


def _next_steps(src: str, dst: str, opened: list[int], who: Standing) -> list[str]:
    steps = [f"Find out who or what runs on {src}, and what reached it shortly before the scan."]
    if opened:
        steps.append(f"Check whether the services of {dst} on {port_ranges(opened)} should answer {src} at all.")
        steps.append(f"Watch for sessions to {dst} on these ports in the next 30 minutes.")
    else:
        steps.append(f"Look for other hosts that {src} tried: it found nothing on {dst}.")
    if who.declared_scanner:
        steps.append("Compare with the schedule of the declared scanner.")
    return steps
