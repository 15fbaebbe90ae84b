"""The frame of the scan detectors: weighed contacts walk by a sequential test with two clocks."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass

from detectors._kit.incident_detector import Account, IncidentDetector
from detectors._kit.incidents import Incident
from detectors._kit.ledger import LedgerPlan
from detectors._kit.results import ANSWERED, FAILED
from detectors._kit.scancontacts import Evidence, ScanContacts, Weights
from detectors._kit.sequential import Clock
from detectors._kit.verdict import Standing, benign_checks, confidence, counterfactual, failed_share, score
from nettriage.model.alert import Observation
from nettriage.model.finding import Address, Finding
from nettriage.model.health import Gauge
from nettriage.model.site import Site
from nettriage.model.slices import Outcome, Slice
from nettriage.model.tables import Tables
from nettriage.model.tuning import Tuning, knob


@dataclass(frozen=True, slots=True, kw_only=True)
class ScanTuning(Tuning):
    """Thresholds that the scan detectors share."""

    targets: int = knob(7, "targets", lo=3, hi=1_000, why="fewer failing targets are a mistyped address or a dead host")
    fast_tau_s: float = knob(600.0, "s", lo=10.0, hi=7_200.0, why="covers scans down to one probe in 15 s (nmap -T1)")
    fast_alarm: float = knob(9.21, "nats", lo=3.0, hi=60.0, why="ln 10^4: 7 refusals or 10 silences, one false in 10^4")
    slow_tau_s: float = knob(86_400.0, "s", lo=600.0, hi=604_800.0, why="covers one probe in 5 minutes (nmap -T0)")
    slow_alarm: float = knob(11.51, "nats", lo=3.0, hi=80.0, why="ln 10^5: a day of memory needs stronger evidence")


@dataclass(frozen=True, slots=True, kw_only=True)
class Words:
    """What tells one kind of scan from another."""

    title: str
    reason: str
    things: str
    """What was tried, in the plural: ports, hosts, services."""
    objects: list[Address]
    object_count: int
    ports: list[int]
    port_count: int
    next_steps: list[str]


class ScanDetector(IncidentDetector):
    """A detector that walks the contacts of one kind of key; subclasses choose the key and the words."""

    tuning: ScanTuning

    def __init__(self, tuning: Tuning, site: Site) -> None:
        """Make empty state."""
        super().__init__(tuning, site)
        self._evidence = Evidence(self._mixer, Weights())

    def _contacts(self, seen: Slice) -> ScanContacts | None:
        return self._evidence.take(seen.contacts)

    @abstractmethod
    def _words(self, incident: Incident, who: Standing) -> Words:
        """Return title, reason and lists of an incident."""

    def tick(self, now_ns: int, tables: Tables) -> list[Finding]:
        """Judge, and note how much the capture loses: silence of a lossy capture says less from now on."""
        self._evidence.loss = min(max(tables.loss_estimate or 0.0, 0.0), 1.0)
        return super().tick(now_ns, tables)

    def gauges(self) -> dict[str, Gauge]:
        """Return the gauges of rows, incidents and targets."""
        return {**super().gauges(), "targets": self._evidence.history.gauge}

    def state_bytes(self) -> int:
        """Return the memory of ledger and history."""
        return super().state_bytes() + self._evidence.history.nbytes

    def _ledger_plan(self, *, rows: int, incidents: int, cells: int, floor: int | None = None) -> LedgerPlan:
        tuning = self.tuning
        return LedgerPlan(
            name=self.card.kind, rows=rows, incidents=incidents, cells=cells,
            fast=Clock(tuning.fast_tau_s, tuning.fast_alarm), slow=Clock(tuning.slow_tau_s, tuning.slow_alarm),
            floor=tuning.targets if floor is None else floor,
        )  # fmt: skip

    def _account(self, incident: Incident, who: Standing) -> Account:
        words, results = self._words(incident, who), incident.results
        nats = incident.peak if incident.clock is not None else self.tuning.fast_alarm
        silent_share = results.count(Outcome.SILENT) / max(results.count(*FAILED), 1)
        return Account(
            title=words.title,
            reason=words.reason,
            score=score(int(results.counts.sum()) + incident.absent, results.count(*ANSWERED) > 0, who),
            confidence=confidence(nats, silent_share),
            objects=words.objects,
            object_count=words.object_count,
            ports=words.ports,
            port_count=words.port_count,
            counterfactual=counterfactual(incident, self._ledger.plan.floor, words.things),
            observations=self._observations(incident, words.things),
            benign_checked=benign_checks(incident, who, words.things),
            next_steps=words.next_steps,
        )

    def _observations(self, incident: Incident, things: str) -> list[Observation]:
        results = incident.results
        failed, total = results.count(*FAILED), max(int(results.counts.sum()), 1)
        clock = incident.clock or self._ledger.plan.fast
        span_s = round((incident.last_ns - incident.first_ns) / 1e9, 3)
        rows = (
            ("log-likelihood ratio", round(incident.peak, 2), "nats", clock.alarm, clock.tau_s, 0.7),
            ("failing targets", float(failed), things, float(self._ledger.plan.floor), span_s, 0.3),
            ("share of failures", round(failed_share(incident), 3), "share", 0.5, span_s, 0.0),
            ("rate of new targets", round(total / max(span_s, 0.001), 2), "per s", 0.0, span_s, 0.0),
        )
        return [
            Observation(name=name, value=value, unit=unit, threshold=threshold, window_s=window_s, weight=weight)
            for name, value, unit, threshold, window_s, weight in rows
        ]
