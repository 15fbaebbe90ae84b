"""The degraded capture, beyond what its examples say."""

from types import SimpleNamespace

import pytest

from nettriage.model.health import CaptureHealth
from tests.detectors.driver import detector

S = 1_000_000_000


def tables(**values):
    """Return tables of a sound capture, some values changed."""
    health = CaptureHealth(received=100_000)
    for name in ("kernel_drops", "nic_drops", "interface_state"):
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
