"""Tests of cross-OS forwarding: what raises it, and which Linux clients stay unsaid."""

from __future__ import annotations

from detectors import cross_os_forwarding
from detectors._kit import forge
from nettriage.model.addresses import AddressSet
from nettriage.model.site import Site
from tests.detectors.driver import SITE, Run, detector, run_frames

A, B, C = "10.0.1.11", "10.0.1.12", "10.0.2.16"


def _legs(*legs: tuple[str, str, int, tuple[int, int]], site: Site = SITE) -> Run:
    """Run sessions that begin 2 ms apart; each is (source, destination, port, TTLs of both)."""
    frames = []
    for number, (src, dst, port, ttls) in enumerate(legs):
        scene = forge.Scene(now_ns=forge.START_NS + number * 2 * forge.MS)
        cross_os_forwarding._session(scene, src, dst, port, ttls, 41_000 + number)
        frames += scene.items
    return run_frames(sorted(frames, key=lambda item: item[0]), detector("cross-os-forwarding", site), site=site)


def test_a_windows_client_passed_on_by_linux_is_high():
    """Windows behind, Windows before, and Linux between: every hint agrees."""
    (alert,) = _legs((A, B, 13_389, (128, 64)), (B, C, 3389, (64, 128))).of("cross-os-forwarding")

    assert [party.ip for party in alert.via] == [A, B, C]
    assert alert.severity == "high"
    assert "bytes were passed on" in alert.reason


def test_without_a_windows_stack_the_relay_shape_is_medium():
    """Samba on Linux may answer as well: the score stays below high."""
    (alert,) = _legs((A, B, 4455, (64, 64)), (B, C, 445, (64, 64))).of("cross-os-forwarding")

    assert alert.severity == "medium"


def test_a_linux_client_of_its_own_is_unsaid():
    """A mounted share has no flow behind it."""
    assert _legs((B, C, 445, (64, 128))).of("cross-os-forwarding") == []


def test_remote_control_of_windows_from_linux_is_low():
    """Ansible over WinRM looks so: it is said, and low."""
    (alert,) = _legs((B, C, 5985, (64, 128))).of("cross-os-forwarding")

    assert alert.severity == "low"


def test_a_windows_relay_is_none():
    """Windows that connects to Windows is no crossing; relay sees it."""
    assert _legs((A, B, 13_389, (128, 128)), (B, C, 3389, (128, 128))).of("cross-os-forwarding") == []


def test_an_unrelated_accepted_flow_stands_behind_nothing():
    """Volumes must agree: a small request before a share is mounted is no relay."""
    scene = forge.Scene()
    scene.session(A, B, 8080, ((0, bytes(3_000)), (1, bytes(90_000))), sport=50_000)
    outer = forge.Scene(now_ns=forge.START_NS + 2 * forge.MS)
    cross_os_forwarding._session(outer, B, C, 445, (64, 128), 41_000)
    frames = sorted(scene.items + outer.items, key=lambda item: item[0])

    assert run_frames(frames, detector("cross-os-forwarding")).of("cross-os-forwarding") == []


def test_a_declared_proxy_is_informational():
    """What the settings declare is lowered, and said."""
    site = Site(mixer_secret=1, proxies=AddressSet([B]))
    (alert,) = _legs((A, B, 13_389, (128, 64)), (B, C, 3389, (64, 128)), site=site).of("cross-os-forwarding")

    assert alert.severity == "info"
    assert "declared proxy" in alert.reason
