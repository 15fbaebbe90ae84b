"""Tests of folding findings into incidents."""

from __future__ import annotations

from dataclasses import replace

import pytest

from nettriage.engine import alert_book
from nettriage.engine.alert_book import QUIET_NS, AlertBook
from nettriage.engine.record import Moment, trust
from nettriage.model.alert import Alert, Visibility
from nettriage.model.finding import Endpoint, Finding, FlowRef
from sniff.state import State
from tests.nettriage.engine.knocks import SITE, Knocks

S = 1_000_000_000
V4 = 0xFFFF_0000_0000
BASE = Finding(
    key=1, subject=Endpoint((0, V4 | 0x0A000001)), score=50, confidence=0.8, first_ns=S, last_ns=2 * S, count=5,
    title="t", reason="r", proto=6,
)  # fmt: skip


class Desk:
    """A book with an empty state behind it."""

    def __init__(self) -> None:
        self.book = AlertBook(SITE)
        self._tables = State(SITE).tables

    def fold(self, finding: Finding, now_s: int = 10, seen: Visibility | None = None) -> Alert:
        """Fold a finding at a packet time."""
        moment = Moment(now_s * S, self._tables)
        if seen is not None:
            moment.__dict__["visibility"] = seen
        incident, new = self.book.incident(Knocks.card, finding, moment.now_ns)
        return self.book.write(incident, finding, moment, 0, new=new)

    def tidy(self, now_s: int) -> list[Alert]:
        """Tidy at a packet time."""
        return self.book.tidy(Moment(now_s * S, self._tables))


def test_findings_of_one_key_are_one_incident() -> None:
    """The id, the first time and the time of detection stay; the rest is replaced."""
    desk = Desk()
    first = desk.fold(BASE, 10)
    second = desk.fold(replace(BASE, count=9, last_ns=8 * S, first_ns=4 * S, score=70), 12)

    assert (first.activity, second.activity) == ("create", "update")
    assert first.id == second.id
    assert (second.first_seen, second.detected_at) == (first.first_seen, first.detected_at)
    assert (second.count, second.severity) == (9, "high")
    assert sum(second.timeline.counts) == 9
    assert len(desk.book.alerts()) == 1


def test_a_closed_incident_is_not_opened_again() -> None:
    """The same subject makes a new incident with a new id after the old one closed."""
    desk = Desk()
    desk.fold(BASE)
    closed = desk.fold(replace(BASE, closed=True), 20)
    again = desk.fold(replace(BASE, first_ns=30 * S, last_ns=31 * S), 40)
    same_time = [desk.fold(replace(BASE, key=2)).id, desk.fold(replace(BASE, key=3)).id]

    assert (closed.activity, closed.status) == ("close", "resolved")
    assert (again.activity, again.status) == ("create", "new")
    assert len({closed.id, again.id, *same_time}) == 4


def test_an_incident_that_its_detector_forgot_is_closed() -> None:
    """After an hour without a word it is over; the finding of the detector is not touched."""
    desk = Desk()
    desk.fold(BASE, 10)

    assert desk.tidy(QUIET_NS // S) == []
    assert [alert.activity for alert in desk.tidy(QUIET_NS // S + 11)] == ["close"]
    assert BASE.closed is False


def test_a_full_book_gives_up_the_least_worth(monkeypatch: pytest.MonkeyPatch) -> None:
    """Beyond the cap the lowest severities close early and are counted; the rest stays open."""
    monkeypatch.setattr(alert_book, "OPEN_MAX", 10)
    monkeypatch.setattr(alert_book, "CLOSED_MAX", 4)
    monkeypatch.setattr(alert_book, "EVICTED_AT_ONCE", 3)
    desk = Desk()
    for key in range(12):
        desk.fold(replace(BASE, key=key, first_ns=key, score=90 if key % 2 else 10), key)
    closed = desk.tidy(13)
    gauges = desk.book.gauges()

    assert [alert.severity for alert in closed] == ["info"] * 5
    assert (gauges["alerts.open"].used, gauges["alerts.open"].evicted) == (7, 5)
    assert (gauges["alerts.closed"].used, gauges["alerts.closed"].evicted) == (4, 1)
    assert desk.book.forgotten == [closed[0].id]
    assert desk.book.find(closed[0].id) is None


def test_poor_visibility_lowers_the_confidence() -> None:
    """Loss counts in full, a one-way feed in part; both stand in the record."""
    poor = Visibility(loss=0.5, one_way=1.0, duplicates=0.1)
    alert = Desk().fold(BASE, seen=poor)

    assert trust(Visibility()) == 1.0
    assert alert.confidence == pytest.approx(0.8 * 0.5 * 0.7)
    assert (alert.visibility.loss, alert.visibility.one_way, alert.visibility.duplicates) == (0.5, 1.0, 0.1)


def test_community_ids_are_those_of_the_newest_flows() -> None:
    """At most 20 ids stand in the record, each once, the newest flow last."""
    flows = [FlowRef((0, V4 | 1), 1000 + n, (0, V4 | 2), 80, 6) for n in range(30)]
    desk = Desk()
    first = desk.fold(replace(BASE, flows=flows[:20]))
    second = desk.fold(replace(BASE, flows=[*flows[20:], flows[0]]))

    assert len(first.community_ids) == len(set(second.community_ids)) == 20
    assert second.community_ids[-1] == first.community_ids[0]


def test_incidents_of_one_subject_name_each_other() -> None:
    """A second incident of a host names the first, whose record is said again with the second in it; others are not."""
    desk = Desk()
    first = desk.fold(BASE, 10)
    desk.fold(replace(BASE, key=2, subject=Endpoint((0, V4 | 9))), 10)
    second = desk.fold(replace(BASE, key=3, first_ns=3 * S), 11)
    (told,) = desk.book.relate(desk.book.find(second.id))  # type: ignore[arg-type]  # it was just raised

    assert [(item.id, item.kind) for item in second.related] == [(first.id, first.kind)]
    assert [item.id for item in told.related] == [second.id]
    assert (told.id, told.activity) == (first.id, "update")
    assert [len(record.related) for record in desk.book.alerts()] == [1, 0, 1]


def test_forgotten_incidents_are_not_related(monkeypatch: pytest.MonkeyPatch) -> None:
    """What left the book is named no more, and at most so many others are named."""
    monkeypatch.setattr(alert_book, "CLOSED_MAX", 1)
    desk = Desk()
    for key in range(1, 4):
        desk.fold(replace(BASE, key=key, first_ns=key * S, closed=True), 10)
    last = desk.fold(replace(BASE, key=9, first_ns=9 * S), 11)
    many = [desk.fold(replace(BASE, key=key, first_ns=key * S), 12) for key in range(100, 130)][-1]

    assert len(last.related) == 1
    assert len(many.related) == alert_book.RELATED_MAX
