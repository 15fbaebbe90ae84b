"""Numbers and times as short text."""

import pytest

from tui import figures


@pytest.mark.parametrize(
    ("value", "text"),
    [(0, "0"), (7, "7"), (0.4, "0.4"), (9_999, "9,999"), (12_345, "12.3k"), (999_960, "1.0M"), (4_100_000, "4.1M"),
     (99_960_000, "100M"), (3.2e9, "3.2G")],
)  # fmt: skip
def test_counts_keep_to_five_cells(value: float, text: str) -> None:
    """A count never pushes its column."""
    assert figures.count(value) == text
    assert len(text) <= 5


@pytest.mark.parametrize(
    ("seconds", "text"), [(-3, "0s"), (59.9, "59s"), (60, "1m"), (7_200, "2h"), (90_000, "1d"), (1e12, "999d")]
)
def test_ages_keep_to_four_cells(seconds: float, text: str) -> None:
    """An age is a number and a unit, and never negative."""
    assert figures.duration(seconds) == text
    assert len(text) <= 4


def test_small_shares_are_not_called_zero() -> None:
    """A drop rate of two in ten thousand is shown, zero stays zero."""
    assert figures.percent(0.0002) == "0.02%"
    assert figures.percent(0) == "0%"


def test_rates_and_sizes_read_as_on_the_wire() -> None:
    """Rates carry their units."""
    assert figures.bits_rate(1.84e9) == "1.84 Gb/s"
    assert figures.packet_rate(312_000) == "312 kpps"
    assert figures.size(88_000_000) == "88M"


def test_foreign_times_are_no_times() -> None:
    """A text that is no RFC 3339 time has no seconds and no clock."""
    assert figures.seconds_of("\x1b[2J") is None
    assert figures.clock("yesterday") == "-"
    assert figures.clock("2026-03-04T14:02:11.250000Z") == "14:02:11Z"
