"""Block scan: one source tries several ports on several hosts, over TCP, UDP or SCTP.

*What it measures*
    All contacts of a source walk one sequential test with two clocks, at 0.6 of their weight, for a source
    has more reasons to fail somewhere than at one host or port. It is a block only if several hosts each
    failed on at least two ports. The one incident covers the whole grid: vertical-scan and horizontal-scan
    report at most three hosts and three ports of the same source beside it.

*Blind spots*
    As of the vertical scan; and grids so thin that no host is tried on two ports, which stay horizontal.

*Common benign causes*
    Vulnerability scanners, asset inventories and monitors (declare them in `network.scanners`); a NAT gateway
    or proxy with many impatient clients behind one address; management consoles that probe several agents.

*What to do next*
    Read the open services as the scanner's own notes: decide which of them should not have answered. Look
    at what the source did next, first of all on the services that are new to this capture.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from detectors._kit import forge
from detectors._kit.incidents import Incident
from detectors._kit.ledger import LedgerPlan
from detectors._kit.reasons import counted, duration, listed, port_ranges, protocol_name, rate
from detectors._kit.results import ANSWERED, FAILED, Cells
from detectors._kit.scan import ScanDetector, ScanTuning, Words
from detectors._kit.scancontacts import ScanContacts
from detectors._kit.tools.book import TCP_SCANNERS, Family
from detectors._kit.verdict import Standing, failed_share
from nettriage.model.addresses import to_text
from nettriage.model.alert import Attack
from nettriage.model.columns import I64, U64
from nettriage.model.detector import Card, Example, Frames
from nettriage.model.slices import Outcome, Slice
from nettriage.model.tables import Tables
from nettriage.model.tuning import Tuning, knob


@dataclass(frozen=True, slots=True, kw_only=True)
class BlockScanTuning(ScanTuning):
    """Thresholds of the block scan."""

    hosts: int = knob(3, "hosts", lo=2, hi=256, why="two hosts are two vertical scans")
    ports: int = knob(3, "ports", lo=2, hi=256, why="two ports are two horizontal scans")
    failures: int = knob(10, "targets", lo=4, hi=1_000, why="a 3 by 3 grid that fails is nearly ten")
    failed_share: float = knob(0.3, "share", lo=0.05, hi=1.0, why="a gateway of many clients fails now and then")
    weight: float = knob(0.6, "share", lo=0.1, hi=1.0, why="a source fails for more reasons than a single target does")


def _grid() -> Frames:
    scene = forge.Scene()
    for host in range(1, 9):
        for port in (21, 22, 80, 139, 445, 3389):
            (scene.half_open if (host, port) == (3, 22) else scene.refused)("10.0.0.5", f"10.0.1.{host}", port)
    return scene.frames()


def _desk() -> Frames:
    scene = forge.Scene()
    for turn in range(40):
        host, port = f"10.0.1.{turn % 9 + 1}", (80, 443, 445, 53)[turn % 4]
        (scene.refused if turn % 8 == 0 else scene.session)("10.0.0.5", host, port).wait(100 * forge.MS)
    return scene.frames()


def _one_host() -> Frames:
    scene = forge.Scene()
    for port in range(100, 140):
        scene.refused("10.0.0.5", "10.0.1.9", port)
    return scene.frames()


class BlockScan(ScanDetector):
    """One source, several ports on each of several hosts."""

    card: ClassVar[Card] = Card(
        kind="block-scan",
        title="Block scan",
        attack=(Attack(tactic="Discovery", technique="T1046", name="Network Service Discovery"),),
        rules=("PT-CR-590",),
        references=(
            "Jung, Paxson, Berger, Balakrishnan: Fast portscan detection using sequential hypothesis testing, 2004",
            "bro-simple-scan: Random_Scan",
        ),
        counts="services",
    )
    tuning_type: ClassVar[type[Tuning]] = BlockScanTuning
    tuning: BlockScanTuning
    tools: ClassVar[Family | None] = TCP_SCANNERS
    reads: ClassVar[frozenset[str]] = TCP_SCANNERS.reads
    examples: ClassVar[tuple[Example, ...]] = (
        Example("six ports on eight hosts", _grid, fires=True, subject="10.0.0.5"),
        Example("a desk that uses nine servers", _desk, fires=False),
        Example("many ports of one host", _one_host, fires=False),
    )
    state_limit_bytes: ClassVar[int] = 64 << 20

    def _plan(self) -> LedgerPlan:
        return self._ledger_plan(rows=16_384, incidents=128, cells=4_096, floor=self.tuning.failures)

    def _keys(self, contacts: ScanContacts) -> U64:
        return self._mixer(contacts.src_key, contacts.proto)

    def _contacts(self, seen: Slice) -> ScanContacts | None:
        contacts = super()._contacts(seen)
        if contacts is not None:
            contacts.weight = self._lighter(contacts.weight)
        return contacts

    def _lighter(self, weights: I64) -> I64:
        """Return the weights times the share of the settings, still whole micronats."""
        return weights * round(self.tuning.weight * 1_000) // 1_000

    def _credible(self, incident: Incident, now_ns: int, tables: Tables) -> bool | None:  # noqa: ARG002 - not needed
        failed = incident.results.with_outcome(*FAILED)
        hosts, ports = _grid_size(failed)
        wide = hosts >= self.tuning.hosts and ports >= self.tuning.ports
        return wide and incident.clock is not None and failed_share(incident) >= self.tuning.failed_share

    def _words(self, incident: Incident, who: Standing) -> Words:  # noqa: ARG002 - says the same of everybody
        results, span = incident.results, incident.last_ns - incident.first_ns
        total, name, src = int(results.counts.sum()), protocol_name(incident.proto), to_text(*incident.src)
        opened = results.with_outcome(*ANSWERED)
        hosts, ports = results.hosts(), results.ports()
        beyond = "at least " if results.left_out else ""
        return Words(
            title=f"Block scan: {counted(len(ports), f'{name} port')} on {counted(len(hosts), 'host')}",
            reason=(
                f"{src} tried {counted(total, 'service')}, {beyond}{counted(len(ports), f'{name} port')} on "
                f"{counted(len(hosts), 'host')}, in {duration(span)} ({rate(total, span)}): "
                f"{results.count(Outcome.CLOSED):,} closed, {results.count(Outcome.BLOCKED):,} blocked, "
                f"{results.count(Outcome.SILENT):,} silent, {results.count(*ANSWERED):,} open."
            ),
            things="services",
            objects=list(dict.fromkeys(results.hosts(opened) + hosts)),
            object_count=len(hosts),
            ports=sorted(ports),
            port_count=len(ports),
            next_steps=_next_steps(src, [to_text(*addr) for addr in results.hosts(opened)], results.ports(opened)),
        )


def _grid_size(failed: Cells) -> tuple[int, int]:
    """Return how many hosts failed on at least two ports, and how many ports failed at all."""
    host = failed["lo"] ^ (failed["hi"] * np.uint64(0x9E3779B97F4A7C15))
    _, failures = np.unique(host, return_counts=True)
    return int((failures >= 2).sum()), len(np.unique(failed["port"]))


def _next_steps(src: str, answered: list[str], opened: list[int]) -> list[str]:
    steps = [f"Find out who or what runs on {src}, and what reached it shortly before the scan."]
    if answered:
        steps.append(f"Check ports {port_ranges(opened)} of {listed(answered)} for sessions from {src} that followed.")
    return [*steps, "Findings beyond the first three hosts and three ports of this source are folded in here."]
