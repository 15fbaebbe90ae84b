"""What is promised of every scan: how many failing targets, and how much packet time, until it is called."""

from datetime import datetime

import pytest

from detectors._kit import forge
from tests.detectors.driver import detector, run_frames

MINUTE = 60 * forge.S


def paced(probes, gap_ns):
    """Return a scan of one host at one probe every `gap_ns`, beside a session that shows both directions."""
    scene = forge.Scene().session("10.0.0.7", "10.0.1.9", 80)
    for port in range(2000, 2000 + probes):
        scene.refused("10.0.0.5", "10.0.1.9", port).wait(gap_ns)
    return scene.frames()


def minutes_to_alert(alert):
    """Return the packet time between the first probe and the alert."""
    first, detected = (datetime.fromisoformat(stamp) for stamp in (alert.first_seen, alert.detected_at))
    return (detected - first).total_seconds() / 60


@pytest.mark.parametrize(
    ("gap_ns", "limit_min"), [(forge.MS, 0.1), (15 * forge.S, 3), (5 * MINUTE, 61)], ids=["default", "T1", "T0"]
)
def test_a_scan_is_called_in_time_at_every_pace(gap_ns, limit_min):
    """Ten refused ports at full speed, at one in 15 s and at one in 5 minutes are called within the promise."""
    (alert,) = run_frames(paced(14, gap_ns), detector("vertical-scan")).alerts

    assert minutes_to_alert(alert) <= limit_min


def test_harmless_explanations_are_tried_with_numbers():
    """Scanner, dead service, peer-to-peer, backscatter, NAT and loss stand in the finding, with numbers."""
    (finding,) = run_frames(paced(20, forge.MS), detector("vertical-scan")).findings
    tried = {check.hypothesis: check.rejected_because for check in finding.benign_checked}

    assert {
        "a declared scanner or monitor",
        "one dead service, retried",
        "peer-to-peer or ordinary use",
        "backscatter of packets sent under its address",
        "many clients behind one address",
        "answers lost by the capture",
    } <= tried.keys()
    assert "20 failing targets were seen" in tried["backscatter of packets sent under its address"]
    assert "0 answers stand against 20 failures" in tried["many clients behind one address"]
