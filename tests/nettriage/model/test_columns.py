"""Tests of column arithmetic."""

from __future__ import annotations

import numpy as np

from nettriage.model.columns import Mixer, group


def test_groups_keep_the_order_of_rows() -> None:
    """Rows of one id stand together, in the order in which they came."""
    groups = group(np.array([5, 2, 5, 5, 2, 9]))

    assert groups.ids.tolist() == [2, 5, 9]
    assert groups.order.tolist() == [1, 4, 0, 2, 3, 5]
    assert groups.first.tolist() == [1, 0, 5]
    assert groups.last.tolist() == [4, 3, 5]
    assert groups.sum(np.array([1, 10, 2, 3, 20, 7])).tolist() == [30, 6, 7]


def test_no_rows_make_no_groups() -> None:
    """An empty column has no groups, and their sums are empty."""
    groups = group(np.zeros(0, np.int64))

    assert len(groups.ids) == 0
    assert groups.sum(np.zeros(0, np.int64)).tolist() == []


def test_another_secret_gives_other_keys() -> None:
    """Keys depend on the secret, on every column, and are never 0."""
    low = np.arange(10_000)
    high = np.zeros(10_000, np.int64)
    keys = Mixer(1)(low, high)

    assert len(np.unique(keys)) == 10_000
    assert (Mixer(2)(low, high) != keys).all()
    assert (Mixer(1)(low, high + 1) != keys).all()
    assert (Mixer(0)(np.zeros(3, np.int64)) != 0).all()


def test_keys_spread_over_sets() -> None:
    """Consecutive values fill sets evenly: no set of 1024 holds more than four times its share."""
    sets = Mixer(3)(np.arange(65_536)) & np.uint64(1023)

    assert np.bincount(sets.astype(np.int64)).max() < 4 * 64
