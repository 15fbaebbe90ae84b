"""The degraded capture, beyond what its examples say."""

from types import SimpleNamespace

import numpy as np
import pytest

from nettriage.model.health import CaptureHealth
from tests.detectors.driver import detector

S = 1_000_000_000


class Packets:
    """Packets of some lengths."""

    def __init__(self, wire_len):
        """Keep the lengths."""
        self.wire_len = wire_len

    def __len__(self):
        return len(self.wire_len)


def tables(**values):
    """Return tables of a sound capture, some values changed."""
    health = CaptureHealth(received=100_000)
    for name in ("kernel_drops", "nic_drops", "interface_state", "clock_jumps"):
        if name in values:
            setattr(health, name, values.pop(name))
    seen = {"one_way_share": 0.0, "loss_estimate": 0.0, "duplicate_share": 0.0, **values}
    return SimpleNamespace(health=health, **seen)


def told(made, state, *moments_s):
    """Tick at some moments, and return the titles and scores of all findings."""
    return [(item.title, item.score, item.closed) for at in moments_s for item in made.tick(at * S, state)]


@pytest.mark.parametrize(
    ("values", "name", "score"),
    [
        ({"kernel_drops": 3_000}, "packets dropped by the kernel", 50.0),
        ({"kernel_drops": 30_000}, "packets dropped by the kernel", 75.0),
        ({"nic_drops": 3_000}, "packets dropped by the interface", 50.0),
        ({"loss_estimate": 0.02}, "acknowledged data never seen", 50.0),
        ({"one_way_share": 0.9}, "one-way flows", 25.0),
        ({"duplicate_share": 0.5}, "duplicates", 25.0),
        ({"interface_state": "gone"}, "interface", 75.0),
        ({"clock_jumps": 1}, "clock leaps", 25.0),
    ],
)
def test_symptom_that_lasts_is_told_once(values, name, score):
    """Each symptom is told after it has lasted, once, as severe as it is."""
    made = detector("capture-degraded")

    assert told(made, tables(**values), 0, 5) == []
    assert told(made, tables(**values), 11, 12, 13) == [(f"Degraded capture: {name}", score, False)]


def test_burst_is_no_symptom():
    """Loss that goes away before it lasted is not told."""
    made = detector("capture-degraded")
    told(made, tables(loss_estimate=0.2), 0, 5)

    assert told(made, tables(), 6, 20) == []
    assert told(made, tables(loss_estimate=0.2), 21, 25) == []


def test_mended_feed_closes_the_incident():
    """A symptom that goes away closes its incident; one that grows is told again."""
    made = detector("capture-degraded")
    told(made, tables(loss_estimate=0.02), 0, 11)

    assert [score for _, score, _ in told(made, tables(loss_estimate=0.3), 12)] == [75.0]
    assert [closed for _, _, closed in told(made, tables(), 13)] == [True]


def test_merged_frames_are_told_with_what_to_switch_off():
    """Frames longer than any Ethernet frame are told with the line that mends it; jumbo frames are not."""
    made, jumbo = detector("capture-degraded"), detector("capture-degraded")
    for seen_by, longest in ((made, 20_000), (jumbo, 9_018)):
        seen_by.push(SimpleNamespace(packets=Packets(np.array([60] * 40 + [longest]))))
    told(made, tables(), 0)
    told(jumbo, tables(), 0)
    (finding,) = made.tick(11 * S, tables())

    assert finding.title == "Degraded capture: merged frames"
    assert "ethtool -K IFACE gro off" in finding.next_steps[0]
    assert jumbo.tick(11 * S, tables()) == []


def test_leap_of_the_clock_is_over_in_the_end():
    """A clock that stays in step after a leap closes the incident, and a leap back does not stop the judging."""
    made = detector("capture-degraded")
    leapt = tables(clock_jumps=2)
    told(made, tables(clock_jumps=1), 5_000)

    assert len(told(made, leapt, 1_000, 1_011)) == 1
    assert [closed for _, _, closed in told(made, leapt, 1_700)] == [True]
