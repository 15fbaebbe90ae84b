"""The host sweep, beyond what its examples say."""

import pytest

from detectors._kit import forge
from tests.detectors.driver import detector, run_frames


def test_finding_lists_who_is_there():
    """The hosts that answered a ping sweep are listed first."""
    scene = forge.Scene()
    for host in range(1, 31):
        scene.put(forge.icmp_echo("10.0.0.5", f"10.0.1.{host}", 7, 1))
        if host == 9:
            scene.put(forge.icmp_echo("10.0.1.9", "10.0.0.5", 7, 1, reply=True))
    (finding,) = run_frames(scene.frames(), detector("host-sweep")).findings

    assert "there: 10.0.1.9" in finding.reason
    assert finding.object_count == 30


def test_ipv6_ping_sweep():
    """Echo requests over IPv6 count like those over IPv4."""
    scene = forge.Scene()
    for host in range(1, 21):
        scene.put(forge.icmp_echo("2001:db8::5", f"2001:db8:1::{host:x}", 7, 1))

    assert [finding.proto for finding in run_frames(scene.frames(), detector("host-sweep")).findings] == [58]


@pytest.mark.parametrize(("gap_s", "fires"), [(1, True), (30, False)])
def test_window_decides(gap_s, fires):
    """Ten hosts a minute are a sweep, two a minute are not."""
    scene = forge.Scene()
    for host in range(1, 16):
        scene.put(forge.icmp_echo("10.0.0.5", f"10.0.1.{host}", 7, 1)).wait(gap_s * forge.S)

    assert bool(run_frames(scene.frames(), detector("host-sweep")).findings) is fires


def test_address_probes_are_no_sweep():
    """Requests of a sender without an address (RFC 5227) do not count."""
    scene = forge.Scene()
    for host in range(1, 60):
        scene.put(forge.arp("0.0.0.0", f"10.0.0.{host}"))

    assert run_frames(scene.frames(), detector("host-sweep")).findings == []


def test_repeated_requests_are_one_host():
    """A host that asks for one dead neighbour again and again sweeps nothing."""
    scene = forge.Scene()
    for _ in range(100):
        scene.put(forge.arp("10.0.0.5", "10.0.0.77")).wait(100 * forge.MS)

    assert run_frames(scene.frames(), detector("host-sweep")).findings == []
