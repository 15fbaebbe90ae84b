"""Distinct counters."""

import numpy as np
import pytest

from detectors._kit.distinct import DistinctCounters
from nettriage.model.columns import Mixer

MIX = Mixer(7)


def test_small_counts_are_exact():
    """Up to sixteen distinct keys the count is exact, however often each comes."""
    counters = DistinctCounters(3)
    keys = MIX(np.arange(16, dtype=np.uint64))
    counters.add(np.repeat(1, 48), np.tile(keys, 3))

    assert counters.count(np.arange(3)).tolist() == [0, 16, 0]


@pytest.mark.parametrize("number", [100, 1_000, 50_000])
def test_large_counts_are_close(number):
    """Beyond, the estimate stays within four standard errors."""
    counters = DistinctCounters(1)
    counters.add(np.zeros(number, np.intp), MIX(np.arange(number, dtype=np.uint64)))

    assert counters.count(np.array([0]))[0] == pytest.approx(number, rel=4 * 1.04 / 8)


def test_cuts_change_nothing():
    """Keys added one by one or at once give the same counters."""
    random = np.random.default_rng(4)
    rows, keys = random.integers(0, 4, 300), MIX(random.integers(0, 40, 300).astype(np.uint64))
    whole, parts = DistinctCounters(4), DistinctCounters(4)
    whole.add(rows, keys)
    for at in range(300):
        parts.add(rows[at : at + 1], keys[at : at + 1])

    assert whole.count(np.arange(4)).tolist() == parts.count(np.arange(4)).tolist()


def test_union_of_few_and_many_is_that_of_one_counter():
    """Keys divided over a counter of few and one of many count as if one counter had seen them all."""
    counters = DistinctCounters(3)
    keys = MIX(np.arange(300, dtype=np.uint64))
    counters.add(np.repeat([0, 1], [5, 295]), keys)
    counters.add(np.full(300, 2), keys)

    assert counters.merged(np.array([[0, 1]])).tolist() == counters.count(np.array([2])).tolist()


def test_cleared_row_of_many_starts_anew():
    """What a cleared row of many keys had seen shows neither in a small nor in a large count."""
    counters, fresh = DistinctCounters(1), DistinctCounters(1)
    counters.add(np.zeros(5_000, np.intp), MIX(np.arange(5_000, dtype=np.uint64)))
    counters.clear(np.array([0]))
    keys = MIX(np.arange(9_000, 9_040, dtype=np.uint64))
    for counter in (counters, fresh):
        counter.add(np.zeros(40, np.intp), keys)

    assert counters.count(np.array([0])).tolist() == fresh.count(np.array([0])).tolist()


def test_few_keys_surely_do_not_exceed():
    """A union that holds no more keys than the limit may not exceed it; one of many always may."""
    counters = DistinctCounters(3)
    counters.add(np.repeat([0, 1], [5, 100]), MIX(np.arange(105, dtype=np.uint64)))

    assert counters.may_exceed(np.array([[0, 2], [1, 2]]), 5).tolist() == [False, True]


def test_union_counts_once():
    """A key in two counters counts once in their union."""
    counters = DistinctCounters(2)
    keys = MIX(np.arange(10, dtype=np.uint64))
    counters.add(np.repeat([0, 1], 6), np.concatenate((keys[:6], keys[4:])))

    assert counters.merged(np.array([[0, 1]])).tolist() == [10]


def test_cleared_rows_are_empty():
    """A cleared row counts nothing, and absent rows are left out."""
    counters = DistinctCounters(2)
    counters.add(np.array([0, -1]), MIX(np.arange(2, dtype=np.uint64)))
    counters.clear(np.array([0]))

    assert counters.count(np.array([0, 1])).tolist() == [0, 0]
