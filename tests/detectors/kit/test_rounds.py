"""Tests of scans that come round."""

import pytest

from detectors._kit import forge
from tests.detectors.driver import detector, run_frames

MINUTE = 60 * forge.S


def rounds(starts, sets):
    """Return the horizontal scan of a source that tries `sets[i]` hosts of a network at minute `starts[i]`."""
    scene = forge.Scene()
    begin = scene.now_ns
    for start, hosts in zip(starts, sets, strict=True):
        scene.now_ns = begin + int(start * MINUTE)
        for host in hosts:
            scene.refused("10.0.0.5", f"10.0.1.{host}", 9100)
    frames = scene.wait(forge.S).session("10.0.0.9", "10.0.1.1", 80).frames()
    (alert,) = run_frames(frames, detector("horizontal-scan")).alerts
    return alert


def schedule(alert):
    """Return what the record says of a schedule."""
    return next(check for check in alert.benign_checked if "schedule" in check.hypothesis)


def test_three_equal_rounds_are_a_schedule():
    """The same hosts every five minutes, three times: 25 points less, and said with its numbers."""
    once = rounds([0], [range(1, 31)])
    thrice = rounds([0, 5, 10], [range(1, 31)] * 3)

    assert thrice.score == pytest.approx(once.score - 25, abs=0.2)
    assert schedule(thrice).holds
    assert "3 rounds, 5 min apart" in schedule(thrice).rejected_because
    assert not schedule(once).holds


def test_other_targets_or_periods_are_no_schedule():
    """Neither half of the hosts, nor another period, nor retries within a minute make a schedule."""
    hosts = range(1, 31)

    assert not schedule(rounds([0, 5, 10], [hosts, range(1, 16), hosts])).holds
    assert not schedule(rounds([0, 5, 18], [hosts] * 3)).holds
    assert not schedule(rounds([0, 0.2, 0.4, 0.6], [hosts] * 4)).holds
