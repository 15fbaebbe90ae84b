"""Denied flows: a filter refuses one host's flows to many different targets, and says so.

*What it measures*
    Contacts of a source that a filter refused: ICMP prohibited, port-unreachable that another than the asked
    host sends, and resets whose TTL is foreign to the host in whose name they come. Five different targets
    within five minutes are enough. TCP probes without any answer count too, at a fifth, and only where the
    capture shows answers: silence has more causes than filters. It names who denies, and with which code.

*Blind spots*
    Filters that drop without a word, unless many targets are silent; filters that reset with the target's own
    TTL; denials that the mirror does not show; proxies that refuse in their own protocol.

*Common benign causes*
    Programs that look for updates, telemetry or peers through a filter that forbids it; a host moved to
    another segment; a new filter rule; a monitor of hosts behind a filter. One program that tries one blocked
    service for ever is one target, and stays quiet.

*What to do next*
    Ask the owner of the named filter for its log of the source. Decide whether the source needed the targets;
    if not, find out what runs on it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from detectors._kit import forge
from detectors._kit.counted import declared_check, observations, span_s
from detectors._kit.deniers import Denier, Deniers
from detectors._kit.incident_detector import Account, IncidentDetector
from detectors._kit.incidents import Incident
from detectors._kit.ledger import LedgerPlan
from detectors._kit.reasons import counted, duration, listed, port_ranges, protocol_name
from detectors._kit.scancontacts import TCP, ScanContacts, contacts_at, settled_rows
from detectors._kit.sequential import MICRONATS, Clock
from detectors._kit.verdict import Standing, score
from nettriage.model.addresses import to_text
from nettriage.model.alert import Attack, BenignCheck
from nettriage.model.batch import TcpFlag
from nettriage.model.columns import U64
from nettriage.model.detector import Card, Example, Frames
from nettriage.model.health import Gauge
from nettriage.model.site import Site
from nettriage.model.slices import Outcome, Slice
from nettriage.model.tuning import Tuning, knob

_SCORE_MAX, _FEW_DENIED_SCORE_MAX, _SILENT_SCORE_MAX = 60.0, 30.0, 15.0
"""A denial is a filter at work; silence alone is information beside the scan that meets it."""
_SPREAD = 0.64
"""Share of the denials that a clock of the window still holds when they come evenly spread over it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DeniedFlowsTuning(Tuning):
    """Thresholds of denied flows."""

    targets: int = knob(
        5, "targets", lo=2, hi=1_000, why="PT-CR-2917; one misconfigured program has one or two targets"
    )
    window_s: float = knob(300.0, "s", lo=10.0, hi=7_200.0, why="programs retry for ever, but each target counts once")
    silent_weight: float = knob(0.2, "denials", lo=0.0, hi=1.0, why="silence has more causes than filters")


def _prohibited() -> Frames:
    scene = forge.Scene()
    for host in range(1, 4):
        for port in (22, 445, 3389):
            probe = forge.tcp("10.0.0.5", 40_000 + port, f"10.0.1.{host}", port, forge.SYN, seq=1_000)
            scene.put(probe, forge.icmp_unreachable("10.0.0.1", probe, code=13)).wait(10 * forge.S)
    return scene.frames()


def _one_blocked_service() -> Frames:
    scene = forge.Scene()
    for turn in range(80):
        probe = forge.tcp("10.0.0.5", 40_000 + turn, "10.0.1.9", 8_531, forge.SYN, seq=1_000)
        scene.put(probe, forge.icmp_unreachable("10.0.0.1", probe, code=13)).wait(3 * forge.S)
    return scene.frames()


def _closed_ports() -> Frames:
    scene = forge.Scene()
    for port in range(100, 130):
        scene.refused("10.0.0.5", "10.0.1.9", port)
    return scene.frames()


class DeniedFlows(IncidentDetector):
    """One source, many targets that a filter denies it."""

    card: ClassVar[Card] = Card(
        kind="denied-flows",
        title="Flows denied by a filter",
        attack=(Attack(tactic="Discovery", technique="T1046", name="Network Service Discovery"),),
        rules=("PT-CR-2917",),
        references=("RFC 1812 5.2.7.1 and RFC 4443 3.1: codes of refusal", "psad: scans seen by what a filter logs"),
        counts="targets",
    )
    tuning_type: ClassVar[type[Tuning]] = DeniedFlowsTuning
    tuning: DeniedFlowsTuning
    reads: ClassVar[frozenset[str]] = frozenset(
        {
            "contacts", "packets.proto", "packets.icmp_type", "packets.icmp_code", "packets.src_hi", "packets.src_lo",
            "packets.quoted",
        }
    )  # fmt: skip
    examples: ClassVar[tuple[Example, ...]] = (
        Example("nine targets prohibited by a router", _prohibited, fires=True, subject="10.0.0.5"),
        Example("one blocked service, tried for ever", _one_blocked_service, fires=False),
        Example("ports that are closed, not denied", _closed_ports, fires=False),
    )
    state_limit_bytes: ClassVar[int] = 48 << 20

    def __init__(self, tuning: Tuning, site: Site) -> None:
        """Make empty state."""
        super().__init__(tuning, site)
        self._deniers = Deniers(self._mixer)

    def push(self, seen: Slice) -> None:
        """Enter what was denied, then what the deniers said."""
        super().push(seen)
        self._deniers.hear(seen.packets)

    def gauges(self) -> dict[str, Gauge]:
        """Return the gauges of rows, incidents and deniers."""
        return {**super().gauges(), "deniers": self._deniers.gauge}

    def state_bytes(self) -> int:
        """Return the memory of ledger and deniers."""
        return super().state_bytes() + self._deniers.nbytes

    def _plan(self) -> LedgerPlan:
        tuning = self.tuning
        clock = Clock(tuning.window_s, tuning.targets * _SPREAD)
        return LedgerPlan(
            name="denied-flows", rows=8_192, incidents=128, cells=1_024, fast=clock, slow=clock, floor=tuning.targets
        )

    def _contacts(self, seen: Slice) -> ScanContacts | None:
        events = seen.contacts
        if not len(events):
            return None
        blocked = events.outcome == Outcome.BLOCKED
        syn = (events.proto == TCP) & (events.probe_flags == np.uint16(TcpFlag.SYN))
        at = settled_rows(events, blocked | ((events.outcome == Outcome.SILENT) & syn & events.sure))
        if not len(at):
            return None
        contacts, blocked = contacts_at(events, at), blocked[at]
        if blocked.any():
            self._deniers.note(events, at[blocked])
        contacts.weight = np.where(blocked, MICRONATS, round(self.tuning.silent_weight * MICRONATS))
        return contacts

    def _keys(self, contacts: ScanContacts) -> U64:
        return self._mixer(contacts.src_key)

    def _account(self, incident: Incident, who: Standing) -> Account:
        results, src = incident.results, to_text(*incident.src)
        blocked, silent = results.count(Outcome.BLOCKED), results.count(Outcome.SILENT)
        span, deniers = incident.last_ns - incident.first_ns, self._deniers.of(incident.src)
        denied = results.with_outcome(Outcome.BLOCKED) if blocked else results.cells
        hosts, ports = results.hosts(denied), sorted(results.ports(denied))
        quiet = f"; {silent:,} more stayed silent" if silent else ""
        few = _FEW_DENIED_SCORE_MAX if blocked else _SILENT_SCORE_MAX
        limit = _SCORE_MAX if blocked >= self.tuning.targets else few
        return Account(
            title=f"{counted(blocked or silent, 'flow')} {'denied' if blocked else 'without an answer'}",
            reason=(
                f"{src} was denied {counted(blocked, f'{protocol_name(incident.proto)} target')} on "
                f"{counted(len(hosts), 'host')} (ports {port_ranges(ports)}) in {duration(span)} by "
                f"{_by_whom(deniers)}{quiet}."
                if blocked
                else f"{src} got no answer at all from {counted(silent, 'target')} on {counted(len(hosts), 'host')} "
                f"in {duration(span)}: a filter that drops, or hosts that are not there."
            ),
            score=min(score(blocked + silent, False, who), limit),
            confidence=0.9 if blocked >= self.tuning.targets else 0.5,
            objects=list(dict.fromkeys([item.addr for item in deniers if item.addr] + hosts)),
            object_count=len(hosts) + sum(1 for item in deniers if item.addr),
            ports=ports,
            port_count=len(ports),
            counterfactual=(
                f"would not alert below {self.tuning.targets} denied targets in {self.tuning.window_s:g} s, each "
                f"silent one counted as {self.tuning.silent_weight:g}"
            ),
            observations=observations(
                (
                    ("denials in the window", incident.peak, "denials", self.tuning.targets * _SPREAD,
                     self.tuning.window_s, 0.6),
                    ("denied targets", blocked, "targets", self.tuning.targets, span_s(incident), 0.4),
                    ("silent targets", silent, "targets", 0.0, span_s(incident), 0.0),
                )
            ),
            benign_checked=_benign(blocked + silent, deniers, who),
            next_steps=_next_steps(src, deniers),
        )  # fmt: skip


def _by_whom(deniers: list[Denier]) -> str:
    texts = [f"{to_text(*item.addr)} ({item.said})" if item.addr else item.said for item in deniers]
    return listed(texts, limit=3) or "a filter that is no longer known"


def _benign(targets: int, deniers: list[Denier], who: Standing) -> list[BenignCheck]:
    return [
        declared_check(who),
        BenignCheck(
            hypothesis="one misconfigured program",
            rejected_because=f"{counted(targets, 'different target')} failed; repeats of one are not counted",
        ),
        BenignCheck(
            hypothesis="hosts that are switched off",
            rejected_because=(
                f"{counted(len(deniers), 'denier')} answered for them" if deniers else "not excluded: nobody answered"
            ),
        ),
    ]


def _next_steps(src: str, deniers: list[Denier]) -> list[str]:
    named = [to_text(*item.addr) for item in deniers if item.addr]
    steps = [f"Read the log of {listed(named, limit=3)} for {src}."] if named else []
    return [*steps, f"Find out what on {src} wants these targets, and whether it should.", f"See other scans by {src}."]
