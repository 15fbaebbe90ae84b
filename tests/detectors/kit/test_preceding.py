"""Tests of what came in shortly before something went out."""

import numpy as np

from detectors._kit.preceding import Events, preceding

HOUR_NS = 3_600_000_000_000
MS = 1_000_000


def events(*times_ns):
    """Return events at one host."""
    return Events(np.full(len(times_ns), 7, np.uint64), np.array(times_ns, np.int64))


def test_only_what_came_shortly_before_is_paired():
    """Within the limit counts, at it too; later or too early does not."""
    into, out = preceding(events(0, 90 * MS, 100 * MS, 101 * MS), events(100 * MS), 10 * MS, 4)

    assert sorted(into.tolist()) == [1, 2]
    assert out.tolist() == [0, 0]


def test_a_leap_of_the_clock_pairs_no_strangers():
    """Hours beyond what one look can tell apart, events are compared by their own times."""
    into, out = preceding(events(0, 6 * HOUR_NS), events(9 * HOUR_NS, 9 * HOUR_NS + 5 * MS), 80 * MS, 4)

    assert len(into) == len(out) == 0
