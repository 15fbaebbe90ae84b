"""The pipeline: raw packets in, incidents out, on packet time alone."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import ParamSpec, TypeVar

import msgspec

from nettriage.engine.alert_book import AlertBook, Incident
from nettriage.engine.cells import CellClock
from nettriage.engine.evidence import Evidence
from nettriage.engine.packet_history import Kept
from nettriage.engine.record import Moment
from nettriage.engine.times import rfc3339
from nettriage.model.alert import Alert
from nettriage.model.alert import Evidence as EvidenceRecord
from nettriage.model.batch import BATCH_ROWS_MAX, RawBatch
from nettriage.model.detector import Detector
from nettriage.model.finding import Finding
from nettriage.model.health import CaptureHealth, Gauge
from nettriage.model.panel import Panel
from nettriage.model.site import Site
from nettriage.model.slices import Slice
from nettriage.model.snapshot import WindowInfo
from nettriage.model.tables import Tables
from sniff.decode import decode
from sniff.state import State

_log = logging.getLogger(__name__)
T = TypeVar("T")
P = ParamSpec("P")


class Pipeline:
    """Decodes, keeps state, lets the detectors judge at the ends of cells, and folds what they find.

    No clock is read in here: the same packets give the same incidents, however the source cuts its batches.
    """

    def __init__(
        self,
        site: Site,
        detectors: Sequence[Detector],
        *,
        keep_packets: bool = True,
        state: State | None = None,
        strict: bool = False,
    ) -> None:
        """Make a pipeline without any past.

        `keep_packets` keeps packets as evidence. A detector that raises is parked and shown in the capture
        health; where `strict` is set, the error is raised instead.
        """
        self.state = State(site) if state is None else state
        self._active = list(detectors)
        self._strict = strict
        self._clock = CellClock()
        self._book = AlertBook(site)
        self._evidence = Evidence() if keep_packets else None
        self._records: list[Alert] = []
        self._parked: list[str] = []
        self._first_ns: int | None = None
        self._finished = False

    @property
    def now_ns(self) -> int | None:
        """Packet clock, None before the first packet."""
        return self._clock.now_ns

    @property
    def tables(self) -> Tables:
        """The state, for drill-down; read-only."""
        return self.state.tables

    @property
    def health(self) -> CaptureHealth:
        """What was seen and lost, as far as the packets themselves tell."""
        health = CaptureHealth()
        self.state.fill_health(health)
        if self._parked:
            parked = f"{', '.join(self._parked)} failed and judge nothing any more; see the log"
            health.note = f"{health.note}; {parked}" if health.note else parked
        return health

    @property
    def window(self) -> WindowInfo:
        """Packet time covered."""
        if self._first_ns is None or self.now_ns is None:
            return WindowInfo()
        return WindowInfo(
            first_packet=rfc3339(self._first_ns), last_packet=rfc3339(self.now_ns), jumps=self._clock.jumps
        )

    def push(self, raw: RawBatch) -> list[Alert]:
        """Take in packets; return the new records of incidents, in the order in which they were written."""
        if len(raw) and self._first_ns is None:
            self._first_ns = int(raw.ts_ns[0])
        done = 0
        for row, ends in self._clock.split(raw.ts_ns):
            self._take(raw, done, row)
            done = row
            self._judge(ends)
        return self._drain()

    def advance(self, now_ns: int) -> list[Alert]:
        """Let packet time pass without packets; return the new records of incidents."""
        self._judge(self._clock.advance(now_ns))
        return self._drain()

    def finish(self) -> list[Alert]:
        """Run the packet clock on until every pending outcome is settled, judge, and return the new records."""
        if self.now_ns is not None and not self._finished:
            self._finished = True
            seen = self.state.settle()
            self._feed(seen)
            self._judge_at(max(seen.now_ns, self.now_ns))
        return self._drain()

    def alerts(self) -> list[Alert]:
        """Return the last record of every incident, in the order in which they were raised."""
        return self._book.alerts()

    def incident(self, alert_id: str) -> Incident | None:
        """Return an incident by its id, None where it is not (or no longer) known."""
        return self._book.find(alert_id)

    def packets(self, alert_id: str) -> list[Kept]:
        """Return the packets kept for an incident, in order of time."""
        return self._evidence.packets(alert_id) if self._evidence else []

    def limits(self) -> dict[str, Gauge]:
        """Return the gauge of every bounded table."""
        gauges = dict(self.state.gauges())
        for detector in tuple(self._active):
            for name, gauge in self._guarded(detector, {}, detector.gauges).items():
                gauges[f"{detector.card.kind}.{name}"] = gauge
        gauges.update(self._book.gauges())
        if self._evidence:
            gauges.update(self._evidence.gauges())
        return gauges

    def panel(self) -> Panel | None:
        """Return the live rows of the detector that has any."""
        if self.now_ns is None:
            return None
        for detector in tuple(self._active):
            panel = self._guarded(detector, None, detector.panel, self.now_ns, self.tables)
            if panel is not None:
                return self._with_tools(panel)
        return None

    def _with_tools(self, panel: Panel) -> Panel:
        """Return the panel with the tools that the incidents of its sources name."""
        tools = {alert.subject.ip: alert.tool.name for alert in self._book.alerts() if alert.tool}
        for row in panel.rows:
            row.tool = tools.get(row.ip)
        return panel

    def _take(self, raw: RawBatch, start: int, stop: int) -> None:
        for at in range(start, stop, BATCH_ROWS_MAX):
            end = min(at + BATCH_ROWS_MAX, stop)
            part = raw if (at, end) == (0, len(raw)) else raw.rows(slice(at, end))
            seen = self.state.push(decode(part))
            self._feed(seen)
            if self._evidence:
                self._evidence.remember(seen)

    def _feed(self, seen: Slice) -> None:
        if seen.is_quiet:
            return
        for detector in tuple(self._active):
            self._guarded(detector, None, detector.push, seen)

    def _judge(self, ends: list[int]) -> None:
        for now_ns in ends:
            self._feed(self.state.advance(now_ns))
            self._judge_at(now_ns)

    def _judge_at(self, now_ns: int) -> None:
        moment = Moment(now_ns, self.tables)
        self.tables.health.clock_jumps = self._clock.jumps
        self._follow_evidence()
        for detector in tuple(self._active):
            findings = self._guarded(detector, [], detector.tick, now_ns, self.tables)
            for finding in findings:
                self._fold(detector, finding, moment)
        self._records += self._book.tidy(moment)
        for gone in self._book.forgotten:
            if self._evidence:
                self._evidence.forget(gone)
        self._book.forgotten.clear()

    def _fold(self, detector: Detector, finding: Finding, moment: Moment) -> None:
        incident, new = self._book.incident(detector.card, finding, moment.now_ns)
        kept = 0
        if self._evidence:
            if new:
                self._evidence.raise_for(incident.id, finding, self.tables)
            else:
                self._evidence.renew(incident.id, finding, self.tables)
            kept = self._evidence.count(incident.id)
        self._records.append(self._book.write(incident, finding, moment, kept, new=new))
        if new:
            self._records += self._book.relate(incident)

    def _follow_evidence(self) -> None:
        if not self._evidence:
            return
        for alert_id in self._evidence.follow():
            incident = self._book.find(alert_id)
            if incident is not None:
                kept = EvidenceRecord(packets=self._evidence.count(alert_id))
                incident.alert = msgspec.structs.replace(incident.alert, evidence=kept)

    def _drain(self) -> list[Alert]:
        records, self._records = self._records, []
        return records

    def _guarded(self, detector: Detector, otherwise: T, call: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Call into a detector; one that raises is a bug and is parked, so that the others go on."""
        try:
            return call(*args, **kwargs)
        except Exception:  # a parked detector is logged and shown, or crashes the tests
            if self._strict:
                raise
            _log.exception("detector=%s parked: it raised", detector.card.kind)
            if detector in self._active:
                self._active.remove(detector)
                self._parked.append(detector.card.kind)
            return otherwise
