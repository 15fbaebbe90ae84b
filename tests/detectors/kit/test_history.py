"""The history of targets."""

import numpy as np

from detectors._kit.history import SHARED_NS, TargetHistory

S = 1_000_000_000


def note(history, keys, ts_s, failed):
    """Note contacts given as lists."""
    return history.note(np.array(keys, np.uint64), np.array(ts_s, np.int64) * S, np.array(failed, np.bool_))


def test_fourth_failure_at_a_target_is_shared():
    """Three sources that failed within ten minutes make the failure of a fourth a shared one."""
    known = note(TargetHistory(64), [9] * 5, [0, 1, 2, 3, 4], [True] * 5)

    assert known.shared_failure.tolist() == [False, False, False, True, True]


def test_old_failures_are_not_shared():
    """Failures more than ten minutes back do not excuse."""
    later = SHARED_NS // S + 5
    known = note(TargetHistory(64), [9] * 4, [0, 1, 2, later], [True] * 4)

    assert known.shared_failure.tolist() == [False] * 4


def test_cuts_change_nothing():
    """One slice or many give the same knowledge."""
    random = np.random.default_rng(3)
    keys, failed = random.integers(1, 6, 200), random.random(200) < 0.6
    times = np.sort(random.integers(0, 3_000, 200))
    whole = note(TargetHistory(64), keys, times, failed)
    history, shared, served = TargetHistory(64), [], []
    for at in range(0, 200, 7):
        part = slice(at, at + 7)
        known = note(history, keys[part], times[part], failed[part])
        shared += known.shared_failure.tolist()
        served += known.served.tolist()

    assert shared == whole.shared_failure.tolist()
    assert served == whole.served.tolist()


def test_served_counts_answers_before():
    """A service knows how many sources it answered before each contact."""
    known = note(TargetHistory(64), [5, 5, 6, 5], [0, 1, 2, 3], [False, True, False, False])

    assert known.served.tolist() == [0, 0, 0, 1]


def test_full_history_forgets_the_oldest():
    """A history of eight targets keeps eight, and says what it gave up."""
    history = TargetHistory(8)
    note(history, list(range(1, 21)), list(range(20)), [True] * 20)

    assert history.gauge.used == 8
    assert history.gauge.evicted + history.gauge.refused == 12
