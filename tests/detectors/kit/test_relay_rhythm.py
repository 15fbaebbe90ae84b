"""Tests of the parts that pair flows by their rhythm: odds, looks back, and the table of pairs."""

from __future__ import annotations

import math

import numpy as np
import pytest

from detectors._kit.binomial import chance_within, log10_tail
from detectors._kit.preceding import Events, preceding


def _exact(hits: int, tries: int, chance: float) -> float:
    tail = sum(
        math.comb(tries, k) * chance**k * (1 - chance) ** (tries - k) for k in range(hits, tries + 1)
    )  # fmt: skip
    return math.log10(tail)


@pytest.mark.parametrize(("hits", "tries", "chance"), [(4, 4, 0.01), (7, 12, 0.1), (30, 40, 0.3), (5, 100, 0.01)])
def test_the_bound_claims_no_more_than_the_tail(hits, tries, chance):
    """The logarithm lies above the exact one, and not far above it."""
    bound = float(log10_tail(np.array([hits]), np.array([tries]), np.array([chance]))[0])
    exact = _exact(hits, tries, chance)

    assert exact - 1e-9 <= bound <= exact + 2


def test_fewer_hits_than_chance_gives_are_no_evidence():
    """Where chance explains the hits, the odds are 1."""
    assert log10_tail(np.array([1.0, 0.0]), np.array([100.0, 0.0]), np.array([0.5, 0.5])).tolist() == [0.0, 0.0]


def test_chance_grows_with_rate_and_window():
    """One event a second and a window of a second: 1 - 1/e."""
    chance = chance_within(np.array([10.0]), np.array([10e9]), np.array([1e9]))

    assert chance[0] == pytest.approx(1 - math.exp(-1))


def test_looks_back_stay_at_their_host_and_within_the_window():
    """Only what came into the same host, at most so long before, precedes; of many the latest ones."""
    into = Events(np.array([7, 7, 7, 9], np.uint64), np.array([0, 80, 95, 99]))
    out = Events(np.array([7, 9, 8], np.uint64), np.array([100, 120, 120]))

    pairs = list(zip(*(part.tolist() for part in preceding(into, out, 20, nearest=4)), strict=True))
    assert pairs == [(1, 0), (2, 0)]
    latest = preceding(into, out, 200, nearest=1)
    assert list(zip(*(part.tolist() for part in latest), strict=True)) == [(2, 0), (3, 1)]


def test_nothing_precedes_where_nothing_came():
    """Empty columns give empty pairs."""
    none = Events(np.zeros(0, np.uint64), np.zeros(0, np.int64))
    one = Events(np.array([7], np.uint64), np.array([1]))

    assert [len(part) for part in (*preceding(none, one, 20, 4), *preceding(one, none, 20, 4))] == [0, 0, 0, 0]
