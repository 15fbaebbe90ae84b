"""Tests of what the sensor tells the screens."""

from __future__ import annotations

import msgspec
import pytest

from nettriage.engine import updates
from nettriage.engine.feed import Feed
from nettriage.engine.pipeline import Pipeline
from nettriage.engine.run import Run
from nettriage.engine.updates import Updates
from nettriage.model.frames import Update
from nettriage.model.health import Gauge
from tests.nettriage.engine.knocks import SITE, Knocks
from tests.nettriage.engine.test_feed import Listed
from tests.nettriage.engine.test_novelty import alert

NO_REPLIES = Gauge(cap=1, used=0)


def fresh() -> Updates:
    """Return the updates of a run that has not begun."""
    return Updates(Run(Feed(Listed(), Listed), Pipeline(SITE, [Knocks()])))


def sent(made: Update) -> list[tuple[str, str, int]]:
    """Return id, activity and count of the alerts of an update."""
    return [(record.id, record.activity, record.count) for record in made.alerts]


def test_changes_that_wait_are_sent_once_in_their_last_state() -> None:
    """An incident that was made and changed before the reader was ready is still new to him; a closed one is closed."""
    made = fresh()
    records = [alert(id="a1"), alert(id="a2"), alert(id="a1", activity="update", count=7)]
    made.note([*records, alert(id="a2", activity="close", count=9)])

    assert made.pending
    assert sent(made.make("running", NO_REPLIES)) == [("a1", "create", 7), ("a2", "close", 9)]
    assert records[2].activity == "update"
    assert not made.pending
    assert sent(made.make("running", NO_REPLIES)) == []


def test_skipped_updates_are_counted_and_lose_nothing() -> None:
    """The number goes on, the gauge counts, and the changes come with the next one."""
    made = fresh()
    first = made.make("running", NO_REPLIES)
    made.note([alert(id="a1")])
    made.skip()
    made.skip()
    second = made.make("running", NO_REPLIES)

    assert (first.seq, second.seq) == (1, 4)
    assert second.limits["link.updates"].refused == 2
    assert sent(second) == [("a1", "create", 1)]


def test_changes_for_a_reader_who_never_comes_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Beyond the cap the longest waiting give way and are counted; one message holds only so many."""
    monkeypatch.setattr(updates, "UNSENT_MAX", 10)
    monkeypatch.setattr(updates, "ALERTS_A_MESSAGE", 4)
    made = fresh()
    made.note([alert(id=f"a{number}") for number in range(13)])
    first = made.make("running", NO_REPLIES)

    assert [record.id for record in first.alerts] == ["a3", "a4", "a5", "a6"]
    assert first.limits["link.updates"].evicted == 3
    assert made.pending


def test_an_update_can_be_sent_as_it_is() -> None:
    """Before the first packet there is an update too, whole enough to be encoded and read back."""
    made = fresh().make("running", NO_REPLIES)

    assert msgspec.msgpack.decode(msgspec.msgpack.encode(made), type=Update) == made
    assert (made.now, made.packets_per_s, made.flows) == ("", 0, 0)
