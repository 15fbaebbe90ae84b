"""The fixed-source-port scan, beyond what its examples say."""

import pytest

from detectors._kit import forge
from tests.detectors.driver import detector, run_frames

KIND = "fixed-source-port-scan"


def findings(scene):
    """Return what the detector finally says of a scene."""
    return run_frames(scene.frames(), detector(KIND)).findings


def scan(ports, *, sport=53, source="10.0.0.5"):
    """Return refused connections of one source port."""
    scene = forge.Scene()
    for port in ports:
        scene.refused(source, "10.0.1.9", port, sport=sport)
    return scene


@pytest.mark.parametrize(("ports", "fires"), [(9, False), (10, True)])
def test_ten_ports_are_needed(ports, fires):
    """Nine ports from one source port are nothing, ten are a scan."""
    assert bool(findings(scan(range(100, 100 + ports)))) is fires


def test_changing_source_ports_are_ordinary():
    """Forty refused ports from forty source ports are left to the vertical scan."""
    scene = forge.Scene()
    for port in range(100, 140):
        scene.refused("10.0.0.5", "10.0.1.9", port)

    assert findings(scene) == []


def test_source_port_is_named():
    """The reason names the source port, and what a service port is good for."""
    (finding,) = findings(scan(range(100, 120), sport=88))

    assert "tcp port 88 alone" in finding.reason
    assert "filters" in finding.reason


def test_scan_incident_leads_where_the_port_hides_nothing():
    """From an ephemeral port it stays low and says that the scan leads; from port 53 it is told in full."""
    (common,), (hidden,) = findings(scan(range(100, 150), sport=61_000)), findings(scan(range(100, 150), sport=53))

    assert common.score <= 35 < 40 <= hidden.score
    assert "leads" in common.reason


def test_sessions_that_follow_raise_the_scan_incident_alone():
    """Where the scan incident leads, a session to what was found does not raise this one beside it."""
    scene = forge.Scene().half_open("10.0.0.5", "10.0.1.9", 100, sport=61_000)
    scene.items += scan(range(100, 150), sport=61_000).items
    scene.half_open("10.0.0.5", "10.0.1.9", 22, sport=61_000).wait(5 * forge.S)
    (finding,) = findings(scene.session("10.0.0.5", "10.0.1.9", 22))

    assert finding.findings.open_count >= 1
    assert finding.score <= 35


def test_two_ports_of_a_source_are_two_incidents():
    """Scans from two source ports are told apart."""
    scene = scan(range(100, 120), sport=53)
    scene.items += scan(range(200, 220), sport=20).items

    assert len(run_frames(scene.frames(), detector(KIND)).findings) == 2


def test_refusals_alone_accuse_nobody():
    """A host that only receives refusals may have had its address borrowed: nothing is said of it."""
    scene = forge.Scene()
    for port in range(100, 150):
        scene.put(forge.tcp("10.0.1.9", port, "10.0.0.5", 53, forge.RST | forge.ACK, ack=8, window=0))

    assert findings(scene) == []


def test_traceroute_is_no_scan():
    """UDP traceroute keeps its source port and walks destination ports."""
    scene = forge.Scene()
    for hop in range(30):
        scene.put(forge.udp("10.0.0.5", 50_000, "192.0.2.9", 33_434 + hop, b"\0" * 12, ttl=hop + 1))

    assert findings(scene) == []


def test_late_failures_of_a_busy_port_do_not_make_a_scan():
    """A socket that mostly reaches its peers is no scanner when some of them do not answer."""
    scene = forge.Scene().refused("10.0.0.5", "10.0.1.1", 9_000, sport=7_000)
    for host in range(1, 31):
        act = scene.refused if host % 3 == 0 else scene.session
        act("10.0.0.5", f"10.0.2.{host}", 9_000, sport=7_000)

    assert findings(scene) == []


@pytest.mark.parametrize("cut", [1, 5, 64])
def test_open_ports_before_the_first_failure_are_left_out_under_any_cut(cut):
    """Which contacts are followed does not depend on the batches."""
    scene = forge.Scene()
    for port in range(100, 130):
        (scene.half_open if port < 105 or port % 7 == 0 else scene.refused)("10.0.0.5", "10.0.1.9", port, sport=53)
    (whole,) = run_frames(scene.frames(), detector(KIND)).findings
    (parts,) = run_frames(scene.frames(), detector(KIND), cut=cut).findings

    assert whole == parts
