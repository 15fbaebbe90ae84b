"""Tests of the bounded key table."""

from __future__ import annotations

import numpy as np
import pytest

from nettriage.model.columns import Mixer
from nettriage.model.keytable import WAYS, KeyTable

SECOND_NS = 1_000_000_000


def keys_of_set(table: KeyTable, count: int, number: int = 3) -> np.ndarray:
    """Return `count` different keys that all fall into one set."""
    sets = table.capacity // WAYS
    return (np.arange(1, count + 1, dtype=np.uint64) * np.uint64(sets)) | np.uint64(number)


def at(second: int, count: int) -> np.ndarray:
    """Return `count` times of one second."""
    return np.full(count, second * SECOND_NS, np.int64)


def test_a_key_keeps_its_row() -> None:
    """A key that is located again has the row that it had, and is not new."""
    table = KeyTable("t", 1024)
    keys = Mixer(7)(np.arange(300))
    first = table.locate(keys, at(0, 300))

    again = table.locate(keys[::-1].copy(), at(1, 300))

    assert (again.rows[::-1] == first.rows).all()
    assert len(again.new_rows) == 0
    assert (table.find(keys) == first.rows).all()


def test_new_keys_are_told_in_order_of_appearance() -> None:
    """New rows come in the order in which their keys appeared, each with its first row in the batch."""
    table = KeyTable("t", 64)
    keys = np.array([9, 5, 9, 7, 5], np.uint64)

    found = table.locate(keys, at(0, 5))

    assert found.new_first.tolist() == [0, 1, 3]
    assert found.rows[found.new_first].tolist() == found.new_rows.tolist()
    assert found.rows[0] == found.rows[2]


@pytest.mark.parametrize("step", [1, 2])
def test_new_keys_of_a_set_that_differ_only_in_few_bits_are_told_apart(step: int) -> None:
    """Keys that are alike but for the bits that the sort needs for their index get a row each, equal ones the same."""
    table = KeyTable("t", 1024)
    alike = keys_of_set(table, WAYS)[::step]
    keys = np.concatenate((alike, alike[::-1], np.tile(alike, 20)))

    found = table.locate(keys, at(0, len(keys)))

    assert found.new_first.tolist() == list(range(len(alike)))
    assert len(set(found.new_rows.tolist())) == len(alike)
    assert (table.keys[found.rows] == keys).all()


def test_the_longest_untouched_row_gives_way() -> None:
    """In a full set the row that was touched longest ago is given to the new key."""
    table = KeyTable("t", 64)
    keys = keys_of_set(table, WAYS + 1)
    for second, key in enumerate(keys[:WAYS]):
        table.locate(key[None], at(second, 1))
    table.locate(keys[:1], at(100, 1))

    found = table.locate(keys[WAYS:], at(101, 1))

    assert found.evicted.tolist() == found.new_rows.tolist()
    assert table.find(keys[1:2])[0] == -1
    assert table.find(keys[:1])[0] >= 0
    assert table.gauge.evicted == 1
    assert table.gauge.used == WAYS


def test_credit_outlives_a_flood() -> None:
    """A row with credit survives newer rows without it."""
    table = KeyTable("t", 64)
    keys = keys_of_set(table, 5 * WAYS)
    old = table.locate(keys[:1], at(0, 1))
    table.credit_ns[old.rows] = 3600 * SECOND_NS
    table.touch(old.rows, at(0, 1))
    for second, key in enumerate(keys[1:], start=1):
        table.locate(key[None], at(second, 1))

    assert table.find(keys[:1])[0] == old.rows[0]


def test_more_new_keys_than_ways_in_one_batch_are_refused_and_counted() -> None:
    """Keys of one batch never evict one another: what does not fit gets row -1 and is counted."""
    table = KeyTable("t", 64)
    keys = keys_of_set(table, WAYS + 3)

    found = table.locate(keys, at(0, len(keys)))

    assert (found.rows == -1).sum() == 3
    assert table.gauge.refused == 3
    assert len(set(found.rows[found.rows >= 0].tolist())) == WAYS


def test_a_dropped_row_is_free() -> None:
    """A dropped key is forgotten, its row is reused first, and nothing counts as evicted."""
    table = KeyTable("t", 64)
    keys = keys_of_set(table, WAYS + 1)
    rows = table.locate(keys[:WAYS], at(0, WAYS)).rows

    table.drop(rows[2:3])
    found = table.locate(keys[WAYS:], at(1, 1))

    assert found.rows[0] == rows[2]
    assert len(found.evicted) == 0
    assert table.gauge.used == WAYS


@pytest.mark.parametrize("capacity", [0, 7, 100])
def test_a_capacity_that_cannot_be_cut_into_sets_is_refused(capacity: int) -> None:
    """A capacity that is no power of two is a programmer's error and says so."""
    with pytest.raises(ValueError, match="power of two"):
        KeyTable("t", capacity)
