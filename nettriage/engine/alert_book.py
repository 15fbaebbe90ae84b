"""The alert book: findings folded into incidents, one for each (kind, key) while it lasts."""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from dataclasses import dataclass, field, replace

import msgspec

from nettriage.engine.community_id import community_id
from nettriage.engine.record import Frame, Moment, Recorder
from nettriage.engine.timeline import Tally
from nettriage.model.addresses import to_text
from nettriage.model.alert import SEVERITIES, Activity, Alert, Related
from nettriage.model.detector import Card
from nettriage.model.finding import Address, Finding, FlowRef
from nettriage.model.health import Gauge
from nettriage.model.site import Site

OPEN_MAX = 4_096
"""Incidents that may be open at once: far beyond what a person triages; a record takes about 4 KiB."""
CLOSED_MAX = 1_024
"""Closed incidents that are remembered, newest first."""
EVICTED_AT_ONCE = 64
"""Open incidents closed early when the book is full: the lowest severity first, of those the longest quiet."""
QUIET_NS = 3_600_000_000_000
"""An incident whose detector says nothing for an hour is over: its detector forgot it."""
FLOWS_MAX = 40
"""Flows remembered of an incident, newest kept: with their ids about 14 KiB, so a full book stays below 100 MiB."""
COMMUNITY_IDS_MAX = 20
RELATED_MAX = 16
"""Other incidents of its subject that a record names, newest kept."""


@dataclass(slots=True)
class Incident:
    """One incident, with what must outlive its last finding."""

    id: str
    subject: Address
    """Who acted when it was raised."""
    card: Card
    finding: Finding
    first_ns: int
    detected_ns: int
    touched_ns: int
    """Packet time of the judgement that last said something of it."""
    tally: Tally
    counted_until_ns: int
    counted: int = 0
    """Events that are in the tally."""
    flows: OrderedDict[FlowRef, str] = field(default_factory=OrderedDict)
    """Flows that belong to it, oldest first, each with its community id."""
    alert: Alert = field(init=False)

    def take(self, finding: Finding, now_ns: int) -> None:
        """Replace the finding, and count what is new in it."""
        self.tally.add(self.counted_until_ns, finding.last_ns, finding.count - self.counted)
        self.counted, self.counted_until_ns = finding.count, finding.last_ns
        self.finding = finding
        self.touched_ns = now_ns
        for flow in finding.flows:
            if flow in self.flows:
                self.flows.move_to_end(flow)
            else:
                self.flows[flow] = community_id(flow)
        while len(self.flows) > FLOWS_MAX:
            self.flows.popitem(last=False)

    @property
    def community_ids(self) -> list[str]:
        """Distinct community ids of its newest flows, newest last."""
        newest = list(self.flows.values())[-COMMUNITY_IDS_MAX:]
        return list(dict.fromkeys(newest))

    @property
    def severity_rank(self) -> int:
        """Index into `SEVERITIES`."""
        return SEVERITIES.index(self.alert.severity)


class AlertBook:
    """All incidents, open and lately closed."""

    def __init__(self, site: Site) -> None:
        self._recorder = Recorder(site)
        self._open: dict[tuple[str, int], Incident] = {}
        self._closed: OrderedDict[str, Incident] = OrderedDict()
        self._by_id: dict[str, Incident] = {}
        self._by_subject: dict[Address, list[str]] = {}
        """Ids of the incidents in the book by subject, oldest first."""
        self._evicted_open = 0
        self._evicted_closed = 0
        self.forgotten: list[str] = []
        """Ids of incidents that left the book; whoever keeps something for them clears it and this list."""

    def find(self, alert_id: str) -> Incident | None:
        """Return the incident of an id, None where the book no longer has it."""
        return self._by_id.get(alert_id)

    def alerts(self) -> list[Alert]:
        """Return the last record of every incident, in the order in which they were raised."""
        return [incident.alert for incident in self._by_id.values()]

    def gauges(self) -> dict[str, Gauge]:
        """Return how full the book is."""
        return {
            "alerts.open": Gauge(cap=OPEN_MAX, used=len(self._open), evicted=self._evicted_open),
            "alerts.closed": Gauge(cap=CLOSED_MAX, used=len(self._closed), evicted=self._evicted_closed),
        }

    def incident(self, card: Card, finding: Finding, now_ns: int) -> tuple[Incident, bool]:
        """Return the incident that a finding belongs to, and whether it is a new one."""
        incident = self._open.get((card.kind, finding.key))
        if incident is not None:
            return incident, False
        first_ns = finding.first_ns
        incident = Incident(
            self._new_id(card.kind, finding), finding.subject.addr, card, finding, first_ns, now_ns, now_ns,
            Tally(first_ns), first_ns,
        )  # fmt: skip
        self._open[card.kind, finding.key] = self._by_id[incident.id] = incident
        self._by_subject.setdefault(finding.subject.addr, []).append(incident.id)
        return incident, True

    def write(self, incident: Incident, finding: Finding, moment: Moment, packets_kept: int, *, new: bool) -> Alert:
        """Take the finding into the incident and return its new record."""
        incident.take(finding, moment.now_ns)
        activity: Activity = "create" if new else "update"
        self._record(incident, moment, packets_kept, "close" if finding.closed else activity)
        if finding.closed:
            self._close(incident)
        return incident.alert

    def relate(self, incident: Incident) -> list[Alert]:
        """Name a new incident in the records of the open ones of its subject; return these records."""
        changed = []
        for other_id in self._by_subject[incident.subject][-RELATED_MAX - 1 : -1]:
            other = self._by_id[other_id]
            if other.alert.activity != "close":
                other.alert = msgspec.structs.replace(other.alert, activity="update", related=self._related(other))
                changed.append(other.alert)
        return changed

    def tidy(self, moment: Moment) -> list[Alert]:
        """Close what is long quiet, and what is over the cap; return the records of what was closed."""
        quiet = [item for item in self._open.values() if moment.now_ns - item.touched_ns > QUIET_NS]
        closed = [self._end(incident, moment) for incident in quiet]
        if len(self._open) > OPEN_MAX:
            by_worth = sorted(self._open.values(), key=lambda item: (item.severity_rank, item.touched_ns, item.id))
            surplus = by_worth[: len(self._open) - OPEN_MAX + EVICTED_AT_ONCE]
            self._evicted_open += len(surplus)
            closed += [self._end(incident, moment) for incident in surplus]
        return closed

    def _end(self, incident: Incident, moment: Moment) -> Alert:
        incident.finding = replace(incident.finding, closed=True)
        self._record(incident, moment, incident.alert.evidence.packets, "close")
        self._close(incident)
        return incident.alert

    def _record(self, incident: Incident, moment: Moment, packets_kept: int, activity: Activity) -> None:
        frame = Frame(
            id=incident.id,
            first_ns=incident.first_ns,
            detected_ns=incident.detected_ns,
            activity=activity,
            community_ids=incident.community_ids,
            packets_kept=packets_kept,
            timeline=incident.tally.record(),
            related=self._related(incident),
        )
        incident.alert = self._recorder.alert(incident.card, incident.finding, frame, moment)

    def _related(self, incident: Incident) -> list[Related]:
        """Return the other incidents of the subject, oldest first."""
        newest = self._by_subject[incident.subject][-RELATED_MAX - 1 :]
        others = [self._by_id[each] for each in newest if each != incident.id]
        return [Related(id=other.id, kind=other.card.kind) for other in others[-RELATED_MAX:]]

    def _close(self, incident: Incident) -> None:
        del self._open[incident.card.kind, incident.finding.key]
        self._closed[incident.id] = incident
        while len(self._closed) > CLOSED_MAX:
            gone = next(iter(self._closed))
            self._forget(gone)
            self.forgotten.append(gone)
            self._evicted_closed += 1

    def _forget(self, alert_id: str) -> None:
        del self._closed[alert_id]
        subject = self._by_id.pop(alert_id).subject
        self._by_subject[subject].remove(alert_id)
        if not self._by_subject[subject]:
            del self._by_subject[subject]

    def _new_id(self, kind: str, finding: Finding) -> str:
        """Return an id that another run over the same packets gives too: it leaves out the keyed hash."""
        turn = 0
        while True:
            subject = f"{to_text(*finding.subject.addr)}|{finding.subject.port}|{finding.first_ns}|{turn}"
            name = "a" + hashlib.sha256(f"{kind}|{subject}".encode()).hexdigest()[:12]
            if name not in self._by_id:
                return name
            turn += 1
