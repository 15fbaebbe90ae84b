"""The horizontal scan, beyond what its examples say."""

from detectors._kit import forge
from tests.detectors.driver import detector, run_frames


def test_finding_lists_who_answered():
    """Hosts that answered come first among the objects and stand in the reason."""
    scene = forge.Scene()
    for host in range(1, 21):
        (scene.half_open if host == 13 else scene.refused)("10.0.0.5", f"10.0.1.{host}", 445)
    (finding,) = run_frames(scene.frames(), detector("horizontal-scan")).findings

    assert "answered by 10.0.1.13" in finding.reason
    assert finding.objects[0].addr[1] & 0xFF == 13
    assert (finding.object_count, finding.ports) == (20, [445])


def test_worm_is_found_among_good_contacts():
    """A source that browses with success and sweeps another port is found for that port only."""
    scene = forge.Scene()
    for host in range(1, 31):
        scene.session("10.0.0.5", f"192.0.2.{host}", 443)
        scene.refused("10.0.0.5", f"10.0.1.{host}", 445)
    run = run_frames(scene.frames(), detector("horizontal-scan"))

    assert [alert.ports for alert in run.alerts] == [[445]]


def test_resolver_with_dead_servers_is_quiet():
    """A resolver that gets no answer from one name server in three is no scanner."""
    scene = forge.Scene()
    for host in range(1, 121):
        scene.query("10.0.0.53", f"198.51.{host % 4}.{host}", 53, answer=None if host % 3 == 0 else b"!")

    assert run_frames(scene.frames(), detector("horizontal-scan")).findings == []


def test_multicast_never_counts():
    """Discovery by multicast reaches many groups and is no scan."""
    scene = forge.Scene()
    for group in range(1, 40):
        scene.put(forge.udp("10.0.0.5", 40_000, f"239.1.1.{group}", 1900, b"M-SEARCH"))

    assert run_frames(scene.frames(), detector("horizontal-scan")).findings == []


def test_backscatter_is_no_scan():
    """Resets and SYN-ACKs of a flood that borrowed an address do not make it a scanner."""
    scene = forge.Scene()
    for host in range(1, 200):
        scene.put(forge.tcp(f"198.51.100.{host}", 80, "10.0.0.5", 1024 + host, forge.RST | forge.ACK, ack=5))

    assert run_frames(scene.frames(), detector("horizontal-scan")).findings == []


def test_ipv6_is_like_ipv4():
    """A sweep over IPv6 is found as well."""
    scene = forge.Scene()
    for host in range(1, 21):
        scene.refused("2001:db8::5", f"2001:db8:1::{host:x}", 22)

    assert len(run_frames(scene.frames(), detector("horizontal-scan")).findings) == 1
