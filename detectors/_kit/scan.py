"""The frame of the scan detectors: weighed contacts into a ledger, incidents out as findings."""

from __future__ import annotations

from abc import abstractmethod
from collections import Counter
from dataclasses import dataclass, replace

from detectors._kit.found import flow_refs, found
from detectors._kit.incidents import Incident
from detectors._kit.ledger import Ledger, LedgerPlan
from detectors._kit.reasons import title
from detectors._kit.scancontacts import Evidence, ScanContacts, Weights
from detectors._kit.sequential import Clock
from detectors._kit.verdict import FAILED, Standing, benign_checks, confidence, counterfactual, score, standing
from nettriage.model.alert import Observation
from nettriage.model.columns import I64, U64, Mixer
from nettriage.model.detector import Detector
from nettriage.model.finding import Address, Endpoint, Finding
from nettriage.model.health import Gauge
from nettriage.model.site import Site
from nettriage.model.slices import Outcome, Slice
from nettriage.model.tables import Tables
from nettriage.model.tuning import Tuning, knob

FINDINGS_A_TICK = 64
"""Findings that a detector may return from one tick; the rest waits for the next."""
PORTS_LISTED = 64
OBJECTS_LISTED = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class ScanTuning(Tuning):
    """Thresholds that the scan detectors share."""

    targets: int = knob(
        7, "targets", lo=3, hi=1_000, why="fewer failing targets are a mistyped address or one dead host"
    )
    fast_tau_s: float = knob(600.0, "s", lo=10.0, hi=7_200.0, why="covers scans down to one probe in 15 s (nmap -T1)")
    fast_alarm: float = knob(9.21, "nats", lo=3.0, hi=60.0, why="ln 10^4: 7 refusals or 10 silences, one false in 10^4")
    slow_tau_s: float = knob(86_400.0, "s", lo=600.0, hi=604_800.0, why="covers one probe in 5 minutes (nmap -T0)")
    slow_alarm: float = knob(11.51, "nats", lo=3.0, hi=80.0, why="ln 10^5: a day of memory needs stronger evidence")


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """What a scan detector says of one incident in its own words."""

    title: str
    reason: str
    things: str
    """What was tried, in the plural: ports, hosts, services."""
    targets: int
    """Distinct targets tried."""
    objects: list[Address]
    object_count: int
    ports: list[int]
    port_count: int
    next_steps: list[str]


class ScanDetector(Detector):
    """A detector that walks the contacts of one kind of key; subclasses choose the key and the words."""

    tuning: ScanTuning

    def __init__(self, tuning: Tuning, site: Site) -> None:
        """Make empty state."""
        super().__init__(tuning, site)
        self._mixer = Mixer(site.mixer_secret)
        self._evidence = Evidence(self._mixer, Weights())
        self._ledger = Ledger(self._plan())

    @abstractmethod
    def _plan(self) -> LedgerPlan:
        """Return the thresholds and caps of the ledger."""

    @abstractmethod
    def _keys(self, contacts: ScanContacts) -> U64:
        """Return `u8 [n]`, the key that each contact counts for."""

    @abstractmethod
    def _account(self, incident: Incident, who: Standing) -> Account:
        """Return the incident in words and lists."""

    def _weights(self, contacts: ScanContacts) -> I64:
        """Return `i8 [n]`, the micronats that each contact weighs here."""
        return contacts.weight

    def _credible(self, incident: Incident, now_ns: int, tables: Tables) -> bool | None:  # noqa: ARG002 - see subclasses
        """Return whether the incident is what it seems; None to ask again at the next tick."""
        return incident.clock is not None

    def _clocks(self) -> tuple[Clock, Clock]:
        tuning = self.tuning
        return Clock(tuning.fast_tau_s, tuning.fast_alarm), Clock(tuning.slow_tau_s, tuning.slow_alarm)

    def push(self, seen: Slice) -> None:
        """Weigh the settled contacts of the slice and walk their rows."""
        contacts = self._evidence.take(seen.contacts)
        if contacts is not None:
            self._ledger.add(self._keys(contacts), contacts, self._weights(contacts))

    def tick(self, now_ns: int, tables: Tables) -> list[Finding]:
        """Return incidents that ended, then those that are new or changed."""
        self._evidence.loss = min(max(tables.loss_estimate or 0.0, 0.0), 1.0)
        self._ledger.settle(now_ns)
        over = self._ledger.book.take_over(FINDINGS_A_TICK)
        findings = [replace(item.finding, closed=True) for item in over if item.finding is not None]
        for incident in self._judged(now_ns, tables)[: FINDINGS_A_TICK - len(findings)]:
            incident.finding = self._finding(incident, tables)
            incident.changed = False
            findings.append(incident.finding)
        return findings

    def gauges(self) -> dict[str, Gauge]:
        """Return the gauges of rows, incidents and targets."""
        return {**self._ledger.gauges(), "targets": self._evidence.history.gauge}

    def state_bytes(self) -> int:
        """Return the memory of ledger and history."""
        return self._ledger.nbytes + self._evidence.history.nbytes

    def _per_source(self) -> int:
        """Return how many incidents one source may have open here: beyond, one incident of another kind says more."""
        return 3

    def _judged(self, now_ns: int, tables: Tables) -> list[Incident]:
        """Return the changed incidents that are credible and not one too many of their source."""
        book = self._ledger.book
        reported = Counter(item.src for item in book if item.finding is not None)
        judged = []
        for incident in book:
            if not incident.changed:
                continue
            credible = self._credible(incident, now_ns, tables)
            incident.changed = credible is None
            if incident.finding is None and credible:
                credible = reported[incident.src] < self._per_source()
                reported[incident.src] += credible
            if credible:
                incident.changed = True
                judged.append(incident)
        return judged

    def _finding(self, incident: Incident, tables: Tables) -> Finding:
        who = standing(incident.src, incident.dst, self.site, tables)
        account, results = self._account(incident, who), incident.results
        learned = found(incident, tables)
        failed = results.count(*FAILED)
        return Finding(
            key=incident.key,
            subject=Endpoint(incident.src),
            score=score(account.targets, learned.open_count > 0, who),
            confidence=confidence(self._nats(incident), results.count(Outcome.SILENT) / max(failed, 1)),
            first_ns=incident.first_ns,
            last_ns=incident.last_ns,
            count=int(results.counts.sum()),
            title=title(account.title),
            reason=account.reason,
            objects=[Endpoint(addr) for addr in account.objects[:OBJECTS_LISTED]],
            object_count=account.object_count,
            flows=flow_refs(incident, tables),
            proto=incident.proto,
            ports=account.ports[:PORTS_LISTED],
            port_count=account.port_count,
            counterfactual=counterfactual(incident, self.tuning.targets, account.things),
            observations=self._observations(incident, account.things),
            findings=learned,
            benign_checked=benign_checks(incident, who, account.things),
            visibility_note=who.visibility_note,
            next_steps=account.next_steps,
        )

    def _nats(self, incident: Incident) -> float:
        return incident.peak if incident.clock is not None else self.tuning.fast_alarm

    def _observations(self, incident: Incident, things: str) -> list[Observation]:
        results = incident.results
        failed, total = results.count(*FAILED), max(int(results.counts.sum()), 1)
        clock = incident.clock or self._ledger.plan.fast
        span_s = (incident.last_ns - incident.first_ns) / 1e9
        rows = [
            ("log-likelihood ratio", round(incident.peak, 2), "nats", clock.alarm, clock.tau_s, 0.7),
            ("failing targets", float(failed), things, float(self.tuning.targets), round(span_s, 3), 0.3),
            ("share of failures", round(failed / total, 3), "share", 0.5, round(span_s, 3), 0.0),
            ("rate of new targets", round(total / max(span_s, 0.001), 2), "per s", 0.0, round(span_s, 3), 0.0),
        ]
        return [
            Observation(name=name, value=value, unit=unit, threshold=threshold, window_s=window_s, weight=weight)
            for name, value, unit, threshold, window_s, weight in rows
        ]
