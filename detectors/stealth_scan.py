"""Stealth scan: probes with TCP flags that no session has, outside of any session, or in tiny fragments.

*What it measures*
    Empty TCP segments without SYN, ACK and RST (NULL, FIN, XMAS and any other mix), with SYN and FIN at once,
    and first fragments too short to hold the flags: three targets of one source within a minute. FIN with ACK
    (Maimon) and the bare ACK of ACK and window scans are also what sessions leave behind, so they count only
    as the first packet of a flow that never carries data and is answered by a reset or nothing at all, and
    only in a crowd: ten ports of one host, or ten hosts from one source port.

*Blind spots*
    Probes with flags of ordinary sessions (see vertical-scan); ACK scans slower than the window, or of ports
    above 32767 alone; silent ACK probes where the mirror shows no answers to their source; what a tiny
    fragment asked beyond its ports. A window scan sends the packets of an ACK scan, so they share a name.

*Common benign causes*
    Hardly any for the odd flags: broken middleboxes, fuzzers, captures with damaged bytes. ACKs and FINs left
    over from sessions that began before the capture, or that a filter forgot, are told apart by their ports.

*What to do next*
    Treat the source as a scanner with raw sockets, hence with administrator rights on its host. Check whether
    the filters on the way pass such packets: ACK scans map filters, tiny fragments go around them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from detectors._kit import forge
from detectors._kit.counted import burst_of, counted_plan, distinct_targets, observations, span_s
from detectors._kit.crowds import Crowds
from detectors._kit.incident_detector import Account, IncidentDetector
from detectors._kit.incidents import Incident
from detectors._kit.ledger import Burst, LedgerPlan
from detectors._kit.odd_probes import AMBIGUOUS, OddProbes, Probes, Technique
from detectors._kit.reasons import counted, duration, listed, port_ranges, rate
from detectors._kit.scancontacts import TCP, ScanContacts
from detectors._kit.stealth_words import (
    answers,
    benign_checks,
    counts_by_technique,
    next_steps,
    odd_count,
    technique_names,
)
from detectors._kit.tally import Tally
from detectors._kit.verdict import Standing, score
from nettriage.model.addresses import to_text
from nettriage.model.alert import Attack
from nettriage.model.columns import I64, U64
from nettriage.model.detector import Card, Example, Frames
from nettriage.model.finding import Finding
from nettriage.model.health import Gauge
from nettriage.model.site import Site
from nettriage.model.slices import Outcome, Slice
from nettriage.model.tables import Tables
from nettriage.model.tuning import Tuning, knob

_RAW_SOCKETS = 10.0
"""What odd flags add to the score: they need raw sockets, and no program sends them by accident."""
_PING_SCORE_MAX = 35.0
"""Bare ACKs to one port of many hosts ask who is there; the sweep and the scan that follow lead."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StealthScanTuning(Tuning):
    """Thresholds of the stealth scan."""

    targets: int = knob(3, "targets", lo=2, hi=16, why="no stack sends these flags; damaged captures hit one or two")
    window_s: float = knob(60.0, "s", lo=1.0, hi=600.0, why="covers nmap down to -T2 with three probes")
    crowd_ports: int = knob(10, "ports", lo=4, hi=1_000, why="sessions with ten services of a host do not end at once")
    crowd_hosts: int = knob(10, "hosts", lo=4, hi=1_000, why="no stack shares a source port among ten hosts at once")
    crowd_window_s: float = knob(60.0, "s", lo=1.0, hi=600.0, why="leftovers trickle in, scans do not")


def _scan(flags: int) -> Frames:
    scene = forge.Scene()
    for port in range(20, 40):
        probe = forge.tcp("10.0.0.5", 40_000, "10.0.1.9", port, flags, seq=7, ack=9, window=1_024)
        reset = forge.tcp("10.0.1.9", port, "10.0.0.5", 40_000, forge.RST | forge.ACK, ack=8, window=0)
        scene.put(probe, *([] if port == 22 else [reset]))
    return scene.wait(5 * forge.S).session("10.0.0.7", "10.0.1.9", 80).frames()


def _fin_scan() -> Frames:
    return _scan(forge.FIN)


def _ack_scan() -> Frames:
    return _scan(forge.ACK)


def _maimon_scan() -> Frames:
    return _scan(forge.FIN | forge.ACK)


def _cut_out_of_sessions() -> Frames:
    """Sessions whose start was not captured: keep-alives, last data, FINs, resets, for many ports and hosts."""
    scene = forge.Scene()
    for turn in range(40):
        client, port, sport = f"10.0.0.{turn % 5 + 5}", (22, 80, 443, 445, 3389)[turn % 5], 50_000 + turn
        up = ("10.0.1.9", port, client, sport)
        down = (client, sport, "10.0.1.9", port)
        scene.put(forge.tcp(*down, forge.ACK, seq=9, ack=5), forge.tcp(*up, forge.ACK, seq=5, ack=10))
        if turn % 2:
            scene.put(forge.tcp(*down, forge.FIN | forge.ACK, seq=9, ack=5), forge.tcp(*up, forge.RST, seq=5))
        else:
            scene.put(forge.tcp(*down, forge.PSH | forge.ACK, seq=9, ack=5, payload=b"x" * 80))
    return scene.wait(5 * forge.S).session("10.0.0.7", "10.0.1.9", 80).frames()


def _restarted_server() -> Frames:
    """A server that forgot its sessions resets the keep-alives of its clients, and sends FINs of its own."""
    scene = forge.Scene()
    for turn in range(60):
        client, sport = f"10.0.0.{turn % 30 + 5}", 50_000 + turn
        scene.put(forge.tcp(client, sport, "10.0.1.9", 443, forge.ACK, seq=9, ack=5))
        scene.put(forge.tcp("10.0.1.9", 443, client, sport, forge.RST, seq=5))
        scene.put(forge.tcp("10.0.1.10", 443, client, sport, forge.FIN | forge.ACK, seq=9, ack=5))
        scene.put(forge.tcp(client, sport, "10.0.1.10", 443, forge.RST, seq=5))
    return scene.wait(5 * forge.S).session("10.0.0.7", "10.0.1.9", 80).frames()


class StealthScan(IncidentDetector):
    """One source, probes outside of any session."""

    card: ClassVar[Card] = Card(
        kind="stealth-scan",
        title="Stealth scan",
        attack=(Attack(tactic="Discovery", technique="T1046", name="Network Service Discovery"),),
        rules=("PT-CR-2906",),
        references=(
            "RFC 9293 3.10.7: what answers a segment outside of a session",
            "RFC 1858: tiny fragments",
            "nmap: -sN -sF -sX -sM -sA -sW -f",
            "Maimon: Port scanning without the SYN flag, Phrack 49, 1996",
        ),
        counts="probes",
    )
    tuning_type: ClassVar[type[Tuning]] = StealthScanTuning
    tuning: StealthScanTuning
    reads: ClassVar[frozenset[str]] = frozenset(
        {
            "tables", "flow", "src", "dst", "new_flows", "packets.ts_ns", "packets.proto", "packets.tcp_flags",
            "packets.ip_flags", "packets.payload_len", "packets.flaw", "packets.duplicate", "packets.src_port",
            "packets.dst_port", "packets.src_hi", "packets.src_lo", "packets.dst_hi", "packets.dst_lo",
        }
    )  # fmt: skip
    examples: ClassVar[tuple[Example, ...]] = (
        Example("a FIN scan of 20 ports", _fin_scan, fires=True, subject="10.0.0.5"),
        Example("an ACK scan of 20 ports", _ack_scan, fires=True, subject="10.0.0.5"),
        Example("a Maimon scan of 20 ports", _maimon_scan, fires=True, subject="10.0.0.5"),
        Example("sessions whose start was not captured", _cut_out_of_sessions, fires=False),
        Example("a server that forgot its sessions", _restarted_server, fires=False),
    )
    state_limit_bytes: ClassVar[int] = 32 << 20

    def __init__(self, tuning: Tuning, site: Site) -> None:
        """Make empty state."""
        super().__init__(tuning, site)
        self._probes = OddProbes()
        self._tally = Tally("techniques", 4_096, len(Technique))
        self._crowds = Crowds(
            self._mixer, ports=self.tuning.crowd_ports, hosts=self.tuning.crowd_hosts,
            window_ns=int(self.tuning.crowd_window_s * 1e9),
        )  # fmt: skip

    def push(self, seen: Slice) -> None:
        """Note the probes of the slice."""
        self._probes.take(seen)

    def tick(self, now_ns: int, tables: Tables) -> list[Finding]:
        """Enter the probes whose answers are known, and judge."""
        settled = self._probes.settle(now_ns, tables)
        if len(settled):
            ambiguous = np.isin(settled["technique"], AMBIGUOUS)
            crowd = self._crowds.add(settled[ambiguous], now_ns)
            self._enter(np.concatenate((settled[~ambiguous], crowd)))
        return super().tick(now_ns, tables)

    def gauges(self) -> dict[str, Gauge]:
        """Return the gauges of rows, incidents, probes and tallies."""
        own = {"awaited": self._probes.gauge, "crowds": self._crowds.gauge, "techniques": self._tally.gauge}
        return {**super().gauges(), **own}

    def state_bytes(self) -> int:
        """Return the memory of ledger, probes and tallies."""
        return super().state_bytes() + self._probes.nbytes + self._crowds.nbytes + self._tally.nbytes

    def _enter(self, probes: Probes) -> None:
        if not len(probes):
            return
        probes = probes[np.argsort(probes["ts_ns"], kind="stable")]
        contacts = _contacts_of(probes)
        keys = self._keys(contacts)
        self._tally.add(keys, probes["technique"], probes["ts_ns"])
        self._ledger.add(keys, contacts, contacts.weight, self._burst(contacts))

    def _plan(self) -> LedgerPlan:
        return counted_plan("stealth-scan", rows=8_192, incidents=128, cells=2_048)

    def _contacts(self, seen: Slice) -> ScanContacts | None:  # noqa: ARG002 - probes are entered when they are settled
        return None

    def _keys(self, contacts: ScanContacts) -> U64:
        return self._mixer(contacts.src_key)

    def _burst(self, contacts: ScanContacts) -> Burst:
        return burst_of(len(contacts), self.tuning.targets, self.tuning.window_s)

    def _credible(self, incident: Incident, now_ns: int, tables: Tables) -> bool:  # noqa: ARG002 - judged by state
        return distinct_targets(incident.results.cells) >= self.tuning.targets

    def _account(self, incident: Incident, who: Standing) -> Account:
        results, src, used = incident.results, to_text(*incident.src), self._tally.of(incident.key)
        total, span = int(results.counts.sum()), incident.last_ns - incident.first_ns
        targets, hosts, ports = distinct_targets(results.cells), results.hosts(), sorted(results.ports())
        return Account(
            title=f"Stealth scan: {listed(technique_names(used), limit=2)}, {counted(targets, 'target')}",
            reason=(
                f"{src} sent {counted(total, 'probe')} outside of any session ({counts_by_technique(used)}) to "
                f"{counted(len(ports), 'port')} of {listed([to_text(*addr) for addr in hosts], limit=3)} in "
                f"{duration(span)} ({rate(total, span)}): {answers(incident, used)}."
            ),
            score=_points(used, targets, len(ports), who),
            confidence=0.95 if odd_count(used) else 0.85,
            objects=hosts,
            object_count=len(hosts),
            ports=ports,
            port_count=len(ports),
            counterfactual=self._counterfactual(used),
            observations=observations(
                (
                    ("targets of probes", targets, "targets", self.tuning.targets, self.tuning.window_s, 0.5),
                    ("probes with odd flags or tiny fragments", odd_count(used), "probes", self.tuning.targets,
                     span_s(incident), 0.3),
                    ("ACK and FIN+ACK probes in a crowd", int(used.sum()) - odd_count(used), "probes",
                     self.tuning.crowd_ports, self.tuning.crowd_window_s, 0.2),
                )
            ),
            benign_checked=benign_checks(used, who),
            next_steps=next_steps(src, used, port_ranges(ports)),
        )  # fmt: skip

    def _counterfactual(self, used: I64) -> str:
        if odd_count(used):
            return f"would not alert below {self.tuning.targets} targets, or if these packets belonged to sessions"
        return (
            f"would not alert below {self.tuning.crowd_ports} ports of a host or {self.tuning.crowd_hosts} hosts from "
            "one source port, or if these flows had carried data"
        )


def _contacts_of(probes: Probes) -> ScanContacts:
    return ScanContacts(
        ts_ns=probes["ts_ns"], outcome=probes["outcome"], failed=probes["outcome"] != Outcome.ATTEMPT,
        weight=np.zeros(len(probes), np.int64), src_key=probes["src_key"], dst_key=probes["dst_key"],
        src_hi=probes["src_hi"], src_lo=probes["src_lo"], dst_hi=probes["dst_hi"], dst_lo=probes["dst_lo"],
        proto=np.full(len(probes), TCP, np.uint16), port=probes["dport"], flow=probes["flow"],
        attempt_ns=probes["ts_ns"], fresh=np.zeros(len(probes), np.bool_), tries=np.ones(len(probes), np.uint16),
    )  # fmt: skip


def _points(used: I64, targets: int, ports: int, who: Standing) -> float:
    points = score(targets, False, who)
    if odd_count(used):
        return min(points + _RAW_SOCKETS, 100.0)
    return min(points, _PING_SCORE_MAX) if ports <= 2 else points
