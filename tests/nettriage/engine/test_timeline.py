"""Tests of the timeline of an incident."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from nettriage.engine.timeline import STEPS_MAX, Tally

S = 1_000_000_000


def test_steps_double_when_the_life_outgrows_them() -> None:
    """After 60 steps of a second the step is two seconds, and what was counted is kept."""
    tally = Tally(100 * S)
    tally.add(100 * S, 100 * S, 5)
    tally.add(159 * S, 159 * S, 1)
    before = tally.record()
    tally.add(160 * S, 160 * S, 2)
    after = tally.record()

    assert (before.step_s, len(before.counts)) == (1.0, 60)
    assert (after.step_s, after.counts[0], after.counts[29], after.counts[30]) == (2.0, 5, 1, 2)
    assert after.t0 == "1970-01-01T00:01:40.000000Z"


def test_a_count_over_a_span_is_spread_over_its_steps() -> None:
    """Ten events of five seconds are two each second."""
    tally = Tally(0)
    tally.add(0, 4 * S, 10)

    assert tally.record().counts == [2, 2, 2, 2, 2]


@given(st.lists(st.tuples(st.integers(-S, 10**18), st.integers(-S, 10**18), st.integers(-3, 1000)), max_size=20))
def test_nothing_is_lost_or_invented(spans: list[tuple[int, int, int]]) -> None:
    """Whatever the times, the steps hold every event once, and there are never more than 60."""
    tally = Tally(0)
    for first_ns, last_ns, count in spans:
        tally.add(first_ns, last_ns, count)

    assert sum(tally.record().counts) == sum(max(count, 0) for _, _, count in spans)
    assert len(tally.record().counts) <= STEPS_MAX
