"""The order of the list, and when it may change."""

from tests.tui.made import alert
from tui.filter_language import parse
from tui.ranking import CALM_S, Ranking


def _alerts(*scores: float) -> dict[str, object]:
    made = [alert(number, score=score) for number, score in enumerate(scores)]
    return {each.id: each for each in made}


def test_worst_first() -> None:
    """Severity and score decide."""
    ranking = Ranking()
    made = [alert(1, severity="low", score=99), alert(2, severity="critical", score=88), alert(3, score=70)]
    ranking.renew({each.id: each for each in made}, 0.0, None)

    assert ranking.ids == ["A-0002", "A-0003", "A-0001"]


def test_rows_stay_while_somebody_works() -> None:
    """After a key press, what is new joins at the end and is counted; later it takes its place."""
    ranking = Ranking()
    ranking.renew(_alerts(10, 20), 0.0, None)
    ranking.key_pressed(10.0)
    ranking.renew(_alerts(10, 20, 90), 11.0, None)
    during, waiting = list(ranking.ids), ranking.waiting
    ranking.renew(_alerts(10, 20, 90), 10.0 + CALM_S, None)

    assert (during, waiting) == (["A-0001", "A-0000", "A-0002"], 1)
    assert (ranking.ids, ranking.waiting) == (["A-0002", "A-0001", "A-0000"], 0)


def test_rows_change_places_once_a_second_at_most() -> None:
    """Two updates within a second give one order."""
    ranking = Ranking()
    ranking.renew(_alerts(10, 20), 0.0, None)
    ranking.renew(_alerts(30, 20), 0.5, None)

    assert ranking.ids == ["A-0001", "A-0000"]


def test_a_filter_works_at_once() -> None:
    """Typing a filter narrows the list even right after a key press."""
    ranking = Ranking()
    alerts = _alerts(10, 20, 90)
    ranking.renew(alerts, 0.0, None)
    ranking.key_pressed(0.1)
    ranking.narrow(parse("score>15"))
    ranking.renew(alerts, 0.2, None)

    assert ranking.ids == ["A-0002", "A-0001"]


def test_what_no_longer_matches_leaves_the_list() -> None:
    """A row that is gone from the book is not shown any longer, whatever the moment."""
    ranking = Ranking()
    ranking.renew(_alerts(10, 20), 0.0, None)
    ranking.key_pressed(0.1)
    ranking.renew(_alerts(10), 0.2, None)

    assert ranking.ids == ["A-0000"]


def test_every_sort_can_be_turned_round() -> None:
    """Reversed means reversed, for each column."""
    alerts = _alerts(10, 20, 90)
    for sort in ("score", "age", "first seen", "count", "kind", "source"):
        ranking = Ranking()
        ranking.by(sort, reverse=False)
        ranking.renew(alerts, 0.0, None)
        forward = ranking.ids
        ranking.by(sort, reverse=True)
        ranking.renew(alerts, 0.0, None)

        assert ranking.ids == forward[::-1]
