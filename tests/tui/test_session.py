"""What the screens know, and when they say what."""

from nettriage.model.frames import Failed, Finished
from tests.tui.made import alert, update
from tui.incident_book import IncidentBook, tally
from tui.session import NO_PACKETS_S, STALE_S, Session


def test_the_book_keeps_the_latest_state() -> None:
    """Updates of one incident replace one another; the order of first telling stays."""
    book = IncidentBook()
    book.merge([alert(1, score=10), alert(2), alert(1, score=50)])

    assert [each.score for each in book.alerts.values()] == [50, 93]


def test_the_book_is_bounded_and_lets_the_quiet_go_first() -> None:
    """Over the cap, closed incidents go, then those seen longest ago; the gauge counts them."""
    book = IncidentBook(cap=2)
    old = alert(1, last_seen="2026-03-04T10:00:00.000000Z")
    closed = alert(2, activity="close")
    book.merge([old, closed, alert(3), alert(4)])

    assert list(book.alerts) == ["A-0003", "A-0004"]
    assert book.gauge().evicted == 2


def test_tally_counts_worst_first() -> None:
    """Severities without incidents are not mentioned."""
    assert list(tally([alert(1, severity="low"), alert(2, severity="critical")]).items()) == [
        ("critical", 1),
        ("low", 1),
    ]


def test_a_frozen_view_stands_still_and_counts_what_is_new() -> None:
    """Capture goes on behind it; thawed, everything is there."""
    session = Session("eth1")
    session.take(update([alert(1)]), 0.0)
    session.freeze(1.0)
    session.take(update([alert(1, score=99), alert(2)], 2), 2.0)
    shown, behind = dict(session.alerts), session.new_behind
    session.thaw()

    assert (len(shown), shown["A-0001"].score, behind) == (1, 93, 2)
    assert len(session.alerts) == 2


def test_no_packets_never_looks_like_all_quiet() -> None:
    """Updates without packets turn into a warning after ten seconds."""
    session = Session("eth1")
    session.take(update([], received=5), 0.0)
    session.take(update([], 2, received=5), NO_PACKETS_S)

    assert session.mode(NO_PACKETS_S) == "no packets"


def test_silence_of_the_sensor_is_stale() -> None:
    """Without updates the picture is called old."""
    session = Session("eth1")
    session.take(update([]), 0.0)

    assert session.mode(STALE_S - 0.1) == "live"
    assert session.mode(STALE_S) == "stale"


def test_how_a_run_ends_is_told_apart() -> None:
    """Finished, failed and lost are three things."""
    finished, failed, lost = Session("a"), Session("b"), Session("c")
    finished.ending = Finished(exit_code=0)
    failed.ending = Failed(message="no", exit_code=4)
    lost.link_lost = True

    assert [session.mode(0) for session in (finished, failed, lost)] == ["finished", "failed", "sensor lost"]


def test_only_a_live_capture_is_worth_a_second_question() -> None:
    """Leaving a file, or a capture that is over, asks nothing."""
    live, replay = Session("eth1"), Session("day.pcap")
    live.take(update([]), 0.0)
    replay.take(update([], kind="file"), 0.0)

    assert live.capturing
    assert not replay.capturing
