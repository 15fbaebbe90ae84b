"""Tests of time as text."""

from __future__ import annotations

import pytest

from nettriage.engine.times import rfc3339


@pytest.mark.parametrize(
    ("ts_ns", "text"),
    [
        (1_700_000_000_123_456_789, "2023-11-14T22:13:20.123456Z"),
        (0, "1970-01-01T00:00:00.000000Z"),
        (-1, "1970-01-01T00:00:00.000000Z"),
        (2**63 - 1, "2262-04-11T23:47:16.854775Z"),
    ],
)
def test_times_are_rfc3339(ts_ns: int, text: str) -> None:
    """Times are UTC with microseconds; impossible ones do not raise."""
    assert rfc3339(ts_ns) == text
