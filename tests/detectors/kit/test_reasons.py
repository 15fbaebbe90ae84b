"""Words for reasons."""

import pytest

from detectors._kit.reasons import counted, duration, listed, port_ranges, protocol_name, rate, title

S = 1_000_000_000


@pytest.mark.parametrize(
    ("ns", "text"),
    [
        (0, "0 ms"),
        (80_000_000, "80 ms"),
        (4_200_000_000, "4.2 s"),
        (240 * S, "4 min"),
        (3 * 3600 * S, "3 h"),
        (-5, "0 ms"),
    ],
)
def test_durations_have_natural_units(ns, text):
    """Spans are told in the unit that a person would use."""
    assert duration(ns) == text


@pytest.mark.parametrize(
    ("count", "ns", "text"), [(1, S, "one at a time"), (101, S, "100/s"), (3, S, "2/s"), (5, 60 * S, "4/min")]
)
def test_rates_have_natural_units(count, ns, text):
    """Rates are a second where that makes sense, else a minute."""
    assert rate(count, ns) == text


def test_lists_are_cut_and_counted():
    """Long lists end with how many more there are."""
    assert listed([1, 2, 3, 4], limit=2) == "1, 2 and 2 more"
    assert listed(["a"], total=5) == "a and 4 more"
    assert listed([]) == ""


def test_ports_become_ranges():
    """Neighbouring ports are one range, in order."""
    assert port_ranges([443, 22, 21, 20, 80, 22]) == "20-22, 80, 443"


def test_small_words():
    """Numbers agree with their nouns, protocols have names, titles fit."""
    assert (counted(1, "port"), counted(1204, "port")) == ("1 port", "1,204 ports")
    assert (protocol_name(6), protocol_name(200)) == ("tcp", "ip-200")
    assert len(title("x" * 100)) == 60
