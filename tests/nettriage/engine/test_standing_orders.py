"""Tests of what the operator ordered once and for all."""

from __future__ import annotations

from detectors._kit import forge
from nettriage.model.addresses import AddressSet
from nettriage.model.alert import Alert
from nettriage.model.site import Site
from tests.detectors.driver import detector, run_frames

SCANNER, VICTIM = "10.0.0.5", "10.0.1.9"


def scanned(site: Site, kind: str = "vertical-scan") -> Alert:
    """Return the incident of a scan on a site."""
    scene = forge.Scene()
    for port in range(20, 60):
        (scene.half_open if port == 22 else scene.refused)(SCANNER, VICTIM, port)
    (alert,) = run_frames(scene.frames(), detector(kind, site), site=site).alerts
    return alert


def test_scan_of_an_ignored_scanner_is_suppressed_and_said() -> None:
    """It keeps its record and its counts, at severity info, with the order among the explanations that hold."""
    plain = scanned(Site(mixer_secret=3))
    alert = scanned(Site(ignore_scanners=AddressSet(("10.0.0.0/29",)), mixer_secret=3))

    assert (plain.status, plain.severity) == ("new", "high")
    assert (alert.status, alert.severity, alert.count) == ("suppressed", "info", plain.count)
    assert [check.hypothesis for check in alert.benign_checked if check.holds] == ["a scanner to be ignored"]


def test_ignored_scanners_are_ignored_as_sources_only() -> None:
    """Who scans an ignored scanner is not suppressed."""
    assert scanned(Site(ignore_scanners=AddressSet((VICTIM,)), mixer_secret=3)).status == "new"


def test_watched_host_raises_the_score() -> None:
    """A scan that touches a watched host scores 10 more, and says which host that was."""
    plain = scanned(Site(mixer_secret=3))
    watched = scanned(Site(watch=AddressSet((VICTIM,)), mixer_secret=3))
    elsewhere = scanned(Site(watch=AddressSet(("10.0.7.7",)), mixer_secret=3))

    assert watched.score == plain.score + 10
    assert elsewhere.score == plain.score
    assert any(VICTIM in check.rejected_because for check in watched.benign_checked)
