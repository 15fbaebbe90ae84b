"""The frame of detectors that keep a ledger: contacts in, incidents out as findings."""

from __future__ import annotations

from abc import abstractmethod
from collections import Counter
from dataclasses import dataclass, replace
from typing import ClassVar

from detectors._kit import rounds
from detectors._kit.aftermath import FOLLOW_UP_POINTS, READS, Aftermath, follow_up_words
from detectors._kit.found import flow_refs, found
from detectors._kit.incidents import Incident
from detectors._kit.ledger import Burst, Ledger, LedgerPlan
from detectors._kit.reasons import title
from detectors._kit.rounds import ROUND_POINTS, Rounds
from detectors._kit.scancontacts import ScanContacts
from detectors._kit.tools.annotate import TOOL_POINTS, tool_of
from detectors._kit.tools.book import Family, ToolBook
from detectors._kit.verdict import WATCHED_POINTS, Standing, standing, watch_check
from nettriage.model.alert import BenignCheck, Observation
from nettriage.model.columns import U64, Mixer
from nettriage.model.detector import Detector
from nettriage.model.finding import Address, Endpoint, Finding
from nettriage.model.health import Gauge
from nettriage.model.site import Site
from nettriage.model.slices import Slice
from nettriage.model.tables import Tables
from nettriage.model.tuning import Tuning

FINDINGS_A_TICK = 64
"""Findings that a detector may return from one tick; the rest waits for the next."""
PORTS_LISTED = 64
OBJECTS_LISTED = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """What a detector says of one incident in its own words and numbers."""

    title: str
    reason: str
    score: float
    confidence: float
    objects: list[Address]
    object_count: int
    ports: list[int]
    port_count: int
    counterfactual: str
    observations: list[Observation]
    benign_checked: list[BenignCheck]
    next_steps: list[str]


class IncidentDetector(Detector):
    """A detector whose state is a ledger; subclasses choose contacts, keys and words."""

    tools: ClassVar[Family | None] = None
    """The scanners that it tells by their probes; `reads` holds what the family reads."""

    def __init_subclass__(cls) -> None:
        """Add to what a detector says it reads what the watch for sessions that follow reads."""
        super().__init_subclass__()
        if "reads" in cls.__dict__:
            cls.reads = cls.reads | READS | rounds.READS

    def __init__(self, tuning: Tuning, site: Site) -> None:
        """Make empty state."""
        super().__init__(tuning, site)
        self._mixer = Mixer(site.mixer_secret)
        self._ledger = Ledger(self._plan())
        self._tools = None if self.tools is None else ToolBook(self._mixer, self.tools)
        self._aftermath = Aftermath(self._mixer)
        self._rounds = Rounds(self._mixer)

    @abstractmethod
    def _plan(self) -> LedgerPlan:
        """Return the thresholds and caps of the ledger."""

    @abstractmethod
    def _contacts(self, seen: Slice) -> ScanContacts | None:
        """Return the contacts of the slice that count, weighed; None where there are none."""

    @abstractmethod
    def _keys(self, contacts: ScanContacts) -> U64:
        """Return `u8 [n]`, the key that each contact counts for."""

    @abstractmethod
    def _account(self, incident: Incident, who: Standing) -> Account:
        """Return the incident in words and numbers."""

    def _burst(self, contacts: ScanContacts) -> Burst | None:  # noqa: ARG002 - most have none
        """Return how many contacts in how short a time open an incident by themselves."""
        return None

    def _credible(self, incident: Incident, now_ns: int, tables: Tables) -> bool | None:  # noqa: ARG002 - by default
        """Return whether the incident is what it seems; None to ask again at the next tick."""
        return incident.clock is not None

    def _per_source(self) -> int:
        """Return how many incidents one source may have here: more at once are one incident of a wider kind."""
        return 3

    def push(self, seen: Slice) -> None:
        """Enter the contacts of the slice into the ledger, and their probes into the book of tools."""
        if self._tools is not None:
            self._tools.note(seen)
        self._aftermath.note(seen)
        self._rounds.note(seen)
        contacts = self._contacts(seen)
        if contacts is not None:
            self._ledger.add(self._keys(contacts), contacts, contacts.weight, self._burst(contacts))

    def tick(self, now_ns: int, tables: Tables) -> list[Finding]:
        """Return incidents that ended, then those that are new or changed."""
        book = self._ledger.book
        self._ledger.settle(now_ns)
        self._rounds.settle(book)
        self._aftermath.settle(now_ns, book)
        over = book.take_over(FINDINGS_A_TICK)
        if not (over or len(book)):
            return []
        findings = [replace(item.finding, closed=True) for item in over if item.finding is not None]
        for incident in self._judged(now_ns, tables)[: FINDINGS_A_TICK - len(findings)]:
            incident.finding = self._finding(incident, tables)
            incident.changed = False
            self._aftermath.watch(incident)
            self._rounds.follow(incident)
            findings.append(incident.finding)
        return findings

    def gauges(self) -> dict[str, Gauge]:
        """Return the gauges of rows, incidents and tools."""
        tools = {} if self._tools is None else {"tools": self._tools.gauge}
        return self._ledger.gauges() | tools | {"found services": self._aftermath.gauge}

    def state_bytes(self) -> int:
        """Return the memory of ledger and tools."""
        return (
            self._ledger.nbytes
            + (0 if self._tools is None else self._tools.nbytes)
            + self._aftermath.nbytes
            + self._rounds.nbytes
        )

    def _judged(self, now_ns: int, tables: Tables) -> list[Incident]:
        """Return the changed incidents that are credible, without new ones of a source that has too many of them."""
        changed = [item for item in self._ledger.book if item.changed]
        verdicts = [self._credible(item, now_ns, tables) for item in changed]
        held = Counter(item.src for item in self._ledger.book if item.finding is not None)
        held.update(item.src for item, verdict in zip(changed, verdicts, strict=True) if verdict and not item.finding)
        judged = []
        for incident, verdict in zip(changed, verdicts, strict=True):
            one_too_many = incident.finding is None and held[incident.src] > self._per_source()
            incident.changed = verdict is not False and not one_too_many
            if verdict and not one_too_many:
                judged.append(incident)
        return judged

    def _finding(self, incident: Incident, tables: Tables) -> Finding:
        who = standing(incident.src, incident.dst, self.site, tables)
        account = self._account(incident, who)
        tool = None if self._tools is None else tool_of(incident, self._tools, tables)
        watched = watch_check(incident, self.site)
        points = self._extra_points(incident, who, named=tool is not None) + WATCHED_POINTS * (watched is not None)
        return Finding(
            key=incident.key,
            subject=Endpoint(incident.src),
            score=min(max(account.score + points, 0.0), 100.0),
            confidence=account.confidence,
            first_ns=incident.first_ns,
            last_ns=incident.last_ns,
            count=int(incident.results.counts.sum()),
            title=title(account.title),
            reason=account.reason + follow_up_words(incident),
            objects=[Endpoint(addr) for addr in account.objects[:OBJECTS_LISTED]],
            object_count=account.object_count,
            flows=flow_refs(incident, tables),
            proto=incident.proto,
            ports=account.ports[:PORTS_LISTED],
            port_count=account.port_count,
            counterfactual=account.counterfactual,
            observations=account.observations,
            tool=tool,
            findings=found(incident, tables),
            benign_checked=[*account.benign_checked, self._rounds.check(incident), *([watched] if watched else [])],
            visibility_note=who.visibility_note,
            next_steps=account.next_steps,
        )

    def _extra_points(self, incident: Incident, who: Standing, *, named: bool) -> float:
        followed = bool(incident.sessions) and not who.declared_scanner
        lowered = incident.scheduled and not who.declared_scanner
        return TOOL_POINTS * named + FOLLOW_UP_POINTS * followed - ROUND_POINTS * lowered
