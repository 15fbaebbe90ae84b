"""The sequential test of scans."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from detectors._kit.sequential import MICRONATS, Clock, SequentialTest
from nettriage.model.columns import group

S = 1_000_000_000
CLOCK = Clock(tau_s=600.0, alarm=9.21)
EVENTS = st.lists(
    st.tuples(st.integers(0, 3), st.integers(0, 40 * S), st.sampled_from([1_386_000, 1_000_000, 250_000, -1_386_000])),
    max_size=60,
)


def walk(test, rows, ts_ns, weights):
    """Push events in row order and give the walks back in event order."""
    groups = group(np.array(rows, np.int64))
    after = test.add(groups, np.array(ts_ns, np.int64)[groups.order], np.array(weights, np.int64)[groups.order])
    back = np.empty(len(rows), np.int64)
    back[groups.order] = after
    return back.tolist()


@settings(deadline=None, max_examples=60)
@given(EVENTS, st.integers(1, 60))
def test_cuts_change_no_bit(events, cut):
    """However the events are cut into slices, every walk is the same to the last bit."""
    clock, now = Clock(1.0, 9.21), 0
    rows, ts_ns, weights = [], [], []
    for row, gap, weight in events:
        now += gap // 100
        rows.append(row), ts_ns.append(now), weights.append(weight)
    whole, parts = SequentialTest(4, clock), SequentialTest(4, clock)

    expected = walk(whole, rows, ts_ns, weights)
    actual = []
    for at in range(0, len(rows), cut):
        part = slice(at, at + cut)
        actual += walk(parts, rows[part], ts_ns[part], weights[part])

    assert expected == actual


@settings(deadline=None, max_examples=60)
@given(EVENTS)
def test_walk_follows_the_formula(events):
    """The walk is Page's CUSUM with exponential forgetting, within the grain of the grid."""
    now, walks, last = 1_700_000_000 * S, [0.0] * 4, [0] * 4
    test = SequentialTest(4, CLOCK)
    for row, gap, weight in events:
        now += gap
        walks[row] = max(0.0, walks[row] * math.exp(-(now - last[row]) / 600e9) + weight / MICRONATS)
        last[row] = now

        actual = walk(test, [row], [now], [weight])[0] / MICRONATS
        assert actual == pytest.approx(walks[row], rel=0.1, abs=0.1)


def test_seven_refusals_alarm_and_six_do_not():
    """Seven quick refusals reach ln(10^4); six stay below."""
    after = walk(SequentialTest(1, CLOCK), [0] * 7, [0] * 7, [1_386_000] * 7)

    assert after[5] < CLOCK.alarm * MICRONATS <= after[6]


def test_answers_are_no_credit():
    """A long good past does not delay the alarm: the walk never goes below zero."""
    test = SequentialTest(1, CLOCK)
    walk(test, [0] * 50, [0] * 50, [-1_386_000] * 50)

    assert walk(test, [0], [0], [1_386_000]) == [1_386_000]


def test_rows_cleared_start_again():
    """A row given to another key has no past."""
    test = SequentialTest(2, CLOCK)
    walk(test, [0, 1], [S, S], [1_386_000, 1_386_000])
    test.clear(np.array([0]))

    assert test.value(np.array([0, 1]), S).tolist() == [0, 1_386_000]


def test_walk_fades_to_nothing():
    """After one time constant about a third of a walk is left, after fifteen nothing."""
    test = SequentialTest(1, CLOCK)
    walk(test, [0], [0], [1_000_000])

    assert test.value(np.array([0]), 600 * S)[0] == pytest.approx(368_000, rel=0.02)
    assert test.value(np.array([0]), 9_100 * S)[0] == 0
