"""Host sweep: one source asks which hosts are there, by ICMP, ICMPv6, SCTP, ARP or neighbour discovery.

*What it measures*
    First contacts of a source with many hosts in a short time, by the kind of question: echo requests to ten
    hosts a minute, ICMP timestamp, mask or information requests (which nothing else sends today) to three,
    SCTP INIT to five, and ARP requests or neighbour solicitations for twenty addresses in half a minute of
    which most do not exist. Routers ask for the addresses that others scan through them, and are left out.

*Blind spots*
    Sweeps slower than the windows; TCP pings alone (see horizontal-scan); broadcast and multicast tricks that
    need one packet; ARP on segments that the mirror does not show; listening without asking.

*Common benign causes*
    Monitors and inventories (declare them in `network.scanners`); a host that wakes with a large ARP cache to
    renew; DHCP servers that probe addresses; network equipment that the sensor does not know as a router.

*What to do next*
    A sweep is the step before a scan: look for scans by the same source, and for what reached it before.
    On the own segment compare its MAC address with the inventory.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from detectors._kit import forge
from detectors._kit.incident_detector import Account, IncidentDetector
from detectors._kit.incidents import Incident
from detectors._kit.ledger import Burst, LedgerPlan
from detectors._kit.reasons import counted, duration, listed, rate
from detectors._kit.results import ANSWERED
from detectors._kit.scancontacts import SCTP, ScanContacts, contacts_at, settled_rows
from detectors._kit.sequential import Clock
from detectors._kit.sought import Sought
from detectors._kit.sweep_words import (
    ECHO_V6,
    ICMP,
    ICMPV6,
    RARE_QUESTION,
    SCTP_QUESTION,
    SOLICITATION,
    benign_checks,
    next_steps,
    question_of,
)
from detectors._kit.tools.book import SWEEPERS, Family
from detectors._kit.verdict import Standing, score
from nettriage.model.addresses import to_text
from nettriage.model.alert import Attack, Observation
from nettriage.model.batch import ARP, V4_PREFIX
from nettriage.model.columns import U64
from nettriage.model.detector import Card, Example, Frames
from nettriage.model.site import Site
from nettriage.model.slices import Outcome, Slice
from nettriage.model.tables import Role, Tables
from nettriage.model.tuning import Tuning, knob

_RARE = (13 << 8, 15 << 8, 17 << 8)
"""Timestamp (RFC 792), information (RFC 792, obsolete) and mask (RFC 950, deprecated) requests."""
_DEPTH = 64
_NEVER = Clock(600.0, 1e6)
"""Sweeps are counted, not walked."""
_RETRY_NS = 3_000_000_000
"""Whoever is behind a router tries again within this, which shows for whom the router asked."""
_LOSS_BELIEVED = 0.25
"""The most that an estimate of the loss may excuse missing answers: few acknowledged bytes make it a guess."""
_SOUGHT_SHARE, _SOUGHT_MIN = 0.25, 4
"""Nobody else seeks hosts that do not exist: a quarter of them sought by others is a router at work."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HostSweepTuning(Tuning):
    """Thresholds of the host sweep."""

    echo_hosts: int = knob(10, "hosts", lo=4, hi=_DEPTH, why="troubleshooting pings a few hosts, not ten in a minute")
    rare_hosts: int = knob(3, "hosts", lo=2, hi=_DEPTH, why="only nmap and its like send ICMP timestamp requests today")
    sctp_hosts: int = knob(5, "hosts", lo=2, hi=_DEPTH, why="SCTP peers are few and configured")
    ping_window_s: float = knob(60.0, "s", lo=1.0, hi=600.0, why="sweeps of a /24 take seconds")
    neighbours: int = knob(20, "hosts", lo=5, hi=_DEPTH, why="a host that wakes asks for fewer neighbours than this")
    neighbour_window_s: float = knob(30.0, "s", lo=1.0, hi=600.0, why="arp-scan asks every 2 ms, nmap in groups")
    answered_share: float = knob(0.5, "share", lo=0.05, hi=1.0, why="who knows the segment asks for hosts that exist")
    ping_answered_share: float = knob(0.8, "share", lo=0.05, hi=1.0, why="monitors ping what is there; sweeps miss")


def _ping_sweep() -> Frames:
    scene = forge.Scene()
    for host in range(1, 41):
        target = f"10.0.1.{host}"
        scene.put(forge.icmp_echo("10.0.0.5", target, 7, 1))
        if host % 10 == 0:
            scene.put(forge.icmp_echo(target, "10.0.0.5", 7, 1, reply=True))
    return scene.frames()


def _arp_sweep() -> Frames:
    scene = forge.Scene()
    for host in range(1, 61):
        target = f"10.0.0.{host + 20}"
        scene.put(forge.arp("10.0.0.5", target))
        if host % 12 == 0:
            scene.put(forge.arp(target, "10.0.0.5", reply=True))
    return scene.frames()


def _monitor() -> Frames:
    scene = forge.Scene()
    for turn in range(45):
        target = f"10.0.1.{turn % 15 + 1}"
        scene.put(
            forge.icmp_echo("10.0.0.5", target, 7, turn), forge.icmp_echo(target, "10.0.0.5", 7, turn, reply=True)
        )
        scene.wait(forge.S)
    return scene.frames()


def _router_of_a_scan() -> Frames:
    scene = forge.Scene()
    for host in range(1, 61):
        target = f"10.0.1.{host}"
        scene.syn("10.0.0.5", target, 445).put(forge.arp("10.0.1.254", target))
    return scene.frames()


def _neighbours_that_exist() -> Frames:
    scene = forge.Scene()
    for host in range(1, 31):
        target = f"10.0.0.{host + 20}"
        scene.put(forge.arp("10.0.0.5", target), forge.arp(target, "10.0.0.5", reply=True)).wait(100 * forge.MS)
    return scene.frames()


class HostSweep(IncidentDetector):
    """One source, many hosts asked whether they are there."""

    card: ClassVar[Card] = Card(
        kind="host-sweep",
        title="Host discovery sweep",
        attack=(
            Attack(tactic="Discovery", technique="T1018", name="Remote System Discovery"),
            Attack(tactic="Discovery", technique="T1046", name="Network Service Discovery"),
        ),
        rules=("PT-CR-2908",),
        references=("nmap host discovery: nmap.h, portlist of -PE -PP -PM -PR", "arp-scan", "RFC 4861", "RFC 7707"),
        counts="hosts",
    )
    tuning_type: ClassVar[type[Tuning]] = HostSweepTuning
    tuning: HostSweepTuning
    tools: ClassVar[Family | None] = SWEEPERS
    reads: ClassVar[frozenset[str]] = SWEEPERS.reads
    examples: ClassVar[tuple[Example, ...]] = (
        Example("echo requests to 40 hosts, four are there", _ping_sweep, fires=True, subject="10.0.0.5"),
        Example("ARP requests for 60 addresses, five are there", _arp_sweep, fires=True, subject="10.0.0.5"),
        Example("a monitor that pings 15 hosts which are there", _monitor, fires=False),
        Example("a router that looks for the targets of a scan", _router_of_a_scan, fires=False),
        Example("a host that greets 30 neighbours which are there", _neighbours_that_exist, fires=False),
    )
    state_limit_bytes: ClassVar[int] = 48 << 20

    def __init__(self, tuning: Tuning, site: Site) -> None:
        """Make empty state."""
        super().__init__(tuning, site)
        self._sought = Sought()

    def state_bytes(self) -> int:
        """Return the memory of ledger and of who sought whom."""
        return super().state_bytes() + self._sought.nbytes

    def _plan(self) -> LedgerPlan:
        return LedgerPlan(
            name="host-sweep", rows=4_096, incidents=256, cells=1_024, fast=_NEVER, slow=_NEVER, floor=1, depth=_DEPTH
        )  # fmt: skip

    def _contacts(self, seen: Slice) -> ScanContacts | None:
        events = seen.contacts
        if not len(events):
            return None
        self._sought.note(events)
        wanted = (events.proto == ICMP) | (events.proto == ARP) | (events.proto == SCTP)
        wanted |= (events.proto == ICMPV6) & ((events.port == ECHO_V6) | (events.port == SOLICITATION))
        wanted &= (events.src_lo != V4_PREFIX) & ((events.src_hi | events.src_lo) != 0)
        at = settled_rows(events, wanted)
        return contacts_at(events, at) if len(at) else None

    def _keys(self, contacts: ScanContacts) -> U64:
        return self._mixer(contacts.src_key, contacts.proto, contacts.port)

    def _burst(self, contacts: ScanContacts) -> Burst:
        tuning = self.tuning
        neighbour = (contacts.proto == ARP) | ((contacts.proto == ICMPV6) & (contacts.port == SOLICITATION))
        rare = (contacts.proto == ICMP) & np.isin(contacts.port, _RARE)
        count = np.select(
            (neighbour, rare, contacts.proto == SCTP),
            (tuning.neighbours, tuning.rare_hosts, tuning.sctp_hosts),
            default=tuning.echo_hosts,
        )
        within_s = np.where(neighbour, tuning.neighbour_window_s, tuning.ping_window_s)
        return Burst(count.astype(np.intp), (within_s * 1e9).astype(np.int64))

    def _credible(self, incident: Incident, now_ns: int, tables: Tables) -> bool | None:
        results, question = incident.results, question_of(incident)
        if question.neighbour:
            routes = self._routes(incident, now_ns - incident.alarm_ns, tables)
            if routes is not False:
                return None if routes is None else False
        if question is RARE_QUESTION:
            return True
        limit = self.tuning.answered_share if question.neighbour else self.tuning.ping_answered_share
        kept = 1.0 - min(max(tables.loss_estimate or 0.0, 0.0), _LOSS_BELIEVED)
        return results.count(*ANSWERED) < limit * kept**2 * int(results.counts.sum())

    def _routes(self, incident: Incident, age_ns: int, tables: Tables) -> bool | None:
        """Return whether the asker is a router: by its role, or by who else sought what it asked for in vain.

        None while that may still show: whoever is behind a router tries again within seconds.
        """
        cells, hosts = incident.results.with_outcome(Outcome.SILENT), tables.hosts
        high, low = (np.array([word], np.uint64) for word in incident.src)
        asker, targets = int(hosts.find(high, low)[0]), hosts.find(cells["hi"], cells["lo"])
        if asker < 0:
            return False
        foreign = int((self._sought.by_another(hosts.key[targets], int(hosts.key[asker])) & (targets >= 0)).sum())
        if int(hosts.roles[asker]) & Role.ROUTER or foreign > _SOUGHT_SHARE * len(cells):
            return True
        return None if foreign >= _SOUGHT_MIN and age_ns < _RETRY_NS else False

    def _account(self, incident: Incident, who: Standing) -> Account:
        results, question = incident.results, question_of(incident)
        total, span = int(results.counts.sum()), incident.last_ns - incident.first_ns
        answered = results.hosts(results.with_outcome(*ANSWERED))
        src, found = to_text(*incident.src), [to_text(*addr) for addr in answered]
        there = f"there: {listed(found, results.count(*ANSWERED))}" if found else "none is there"
        return Account(
            title=f"{question.name[0].upper()}{question.name[1:]}: {counted(total, 'host')}",
            reason=(
                f"{src} {question.verb} {counted(total, 'host')} in {duration(span)} ({rate(total, span)}); "
                f"{results.count(*ANSWERED):,} answered ({there})."
            ),
            score=score(total, bool(found), who),
            confidence=0.95 if question is RARE_QUESTION else 0.9 - 0.4 * results.count(*ANSWERED) / total,
            objects=list(dict.fromkeys(answered + results.hosts())),
            object_count=total,
            ports=[],
            port_count=0,
            counterfactual=self._counterfactual(incident),
            observations=self._observations(incident),
            benign_checked=benign_checks(incident, who),
            next_steps=next_steps(src, question),
        )

    def _limits(self, incident: Incident) -> tuple[int, float, float]:
        """Return hosts, window and share of answers that the kind of question allows."""
        tuning, question = self.tuning, question_of(incident)
        if question.neighbour:
            return tuning.neighbours, tuning.neighbour_window_s, tuning.answered_share
        hosts = {RARE_QUESTION: tuning.rare_hosts, SCTP_QUESTION: tuning.sctp_hosts}.get(question, tuning.echo_hosts)
        return hosts, tuning.ping_window_s, 1.0 if question is RARE_QUESTION else tuning.ping_answered_share

    def _counterfactual(self, incident: Incident) -> str:
        results = incident.results
        hosts, window_s, share = self._limits(incident)
        total = int(results.counts.sum())
        more = int(np.ceil(share * total)) - results.count(*ANSWERED)
        return (
            f"would not alert below {hosts} hosts in {window_s:g} s, or if {more:,} more of the {total:,} had answered"
        )

    def _observations(self, incident: Incident) -> list[Observation]:
        results = incident.results
        hosts, window_s, share = self._limits(incident)
        total, span_s = int(results.counts.sum()), round((incident.last_ns - incident.first_ns) / 1e9, 3)
        rows = (
            ("hosts asked", float(total), "hosts", float(hosts), window_s, 0.6),
            ("share answered", round(results.count(*ANSWERED) / total, 3), "share", share, span_s, 0.4),
            ("rate of new hosts", round(total / max(span_s, 0.001), 2), "per s", 0.0, span_s, 0.0),
        )
        return [
            Observation(name=name, value=value, unit=unit, threshold=threshold, window_s=window, weight=weight)
            for name, value, unit, threshold, window, weight in rows
        ]
