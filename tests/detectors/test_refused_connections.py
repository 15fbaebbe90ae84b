"""Refused connections, beyond what the examples say."""

import pytest

from detectors._kit import forge
from nettriage.model.addresses import to_text
from tests.detectors.driver import detector, run_frames

KIND = "refused-connections"


def refusal(port, *, server="10.0.1.9", client="10.0.0.5", sport=40_000, **fields):
    """Return the reset of a closed port."""
    return forge.tcp(server, port, client, sport, forge.RST | forge.ACK, ack=8, **{"window": 0, **fields})


def findings(scene):
    """Return what the detector finally says of a scene."""
    return run_frames(scene.frames(), detector(KIND)).findings


@pytest.mark.parametrize(("ports", "fires"), [(6, False), (7, True)])
def test_seven_ports_are_needed(ports, fires):
    """Six refusing ports are nothing, seven are an incident."""
    assert bool(findings(forge.Scene().put(*(refusal(port) for port in range(100, 100 + ports))))) is fires


def test_refusals_spread_over_an_hour_are_nothing():
    """One refusal every five minutes is a client with a dead service here and there."""
    scene = forge.Scene()
    for port in range(100, 112):
        scene.put(refusal(port)).wait(300 * forge.S)

    assert findings(scene) == []


def test_scan_incident_leads_where_probes_were_seen():
    """With the SYNs in sight the score stays at 35 at most and the reason says who leads."""
    scene = forge.Scene()
    for port in range(100, 400):
        scene.refused("10.0.0.5", "10.0.1.9", port)
    (finding,) = findings(scene)

    assert finding.score <= 35
    assert "scan incident of 10.0.0.5 leads" in finding.reason


def test_one_way_feed_gives_a_full_score():
    """With the servers' side alone nothing else tells of the scan, so this does."""
    (finding,) = findings(forge.Scene().put(*(refusal(port) for port in range(100, 400))))

    assert finding.score > 40
    assert to_text(*finding.subject.addr) == "10.0.0.5"
    assert "not in this capture" in finding.reason


def test_resets_of_sessions_do_not_count():
    """A reset with a sequence number or a window ends a session; it is no refusal."""
    scene = forge.Scene()
    scene.put(
        *(refusal(port, seq=77) for port in range(100, 130)), *(refusal(port, window=512) for port in range(200, 230))
    )

    assert findings(scene) == []


def test_backscatter_of_one_service_is_quiet():
    """Refusals of one service to many of its supposed clients' ports are one target."""
    scene = forge.Scene()
    for turn in range(500):
        scene.put(refusal(80, server="198.51.100.7", sport=1_024 + turn * 7))

    assert findings(scene) == []


def test_order_of_a_mirror_does_not_matter():
    """Where the mirror swaps neighbouring packets the probes are still known as seen."""
    scene = forge.Scene()
    for port in range(100, 160):
        scene.refused("10.0.0.5", "10.0.1.9", port)
    frames = scene.frames()
    swapped = [(ts + (15_000_000 if at % 3 == 0 else 0), frame) for at, (ts, frame) in enumerate(frames)]
    (finding,) = run_frames(sorted(swapped, key=lambda item: item[0]), detector(KIND)).findings

    assert finding.score <= 35
