"""Tests of the sessions that follow to services that a scan found."""

from detectors._kit import forge
from nettriage.model.addresses import AddressSet
from nettriage.model.site import Site
from tests.detectors.driver import SITE, detector, run_frames

SCANNER, VICTIM, OTHER = "10.0.0.5", "10.0.1.9", "10.0.0.77"
TALK = ((0, b"login root"), (1, b"welcome"))


def scan(used_before=False):
    """Return a scene with a scan that finds port 22, and half a minute of quiet."""
    scene = forge.Scene()
    if used_before:
        scene.session(OTHER, VICTIM, 22, turns=TALK)
    for port in range(20, 60):
        (scene.half_open if port == 22 else scene.refused)(SCANNER, VICTIM, port)
    return scene.wait(30 * forge.S)


def alert(scene, site=SITE, cut=None):
    """Return the only vertical scan of a scene."""
    (found,) = run_frames(scene.frames(), detector("vertical-scan", site), cut=cut, site=site).alerts
    return found


def sessions(record):
    """Return who followed where."""
    return [(item.src, item.dst, item.port) for item in record.findings.follow_up]


def test_session_of_the_scanner_follows():
    """A session of the scanner to what it found is told, raises the score by 20, and is in the reason."""
    without = alert(scan().wait(30 * forge.S))
    followed = alert(scan().session(SCANNER, VICTIM, 22, turns=TALK).wait(30 * forge.S))

    assert sessions(without) == []
    assert sessions(followed) == [(SCANNER, VICTIM, 22)]
    assert followed.score == without.score + 20
    assert f"Afterwards {SCANNER} used {VICTIM}:22" in followed.reason


def test_anybody_may_follow_to_a_service_that_nobody_used():
    """A third host is told where the service was new; where hosts used it before, their sessions are theirs."""
    new = scan().session(OTHER, VICTIM, 22, turns=TALK).wait(30 * forge.S)
    used = scan(used_before=True).session("10.0.0.78", VICTIM, 22, turns=TALK).wait(30 * forge.S)

    assert sessions(alert(new)) == [(OTHER, VICTIM, 22)]
    assert sessions(alert(used)) == []


def test_what_is_no_session_does_not_follow():
    """Neither a handshake without payload, nor payload in one direction, nor another port follows."""
    scene = scan().session(SCANNER, VICTIM, 22, turns=()).session(SCANNER, VICTIM, 22, turns=((0, b"hi"),))
    scene.session(SCANNER, VICTIM, 9999, turns=TALK)

    assert sessions(alert(scene.wait(30 * forge.S))) == []


def test_half_an_hour_later_nothing_follows():
    """A session 31 minutes after the scan has nothing to do with it."""
    late = scan().wait(31 * 60 * forge.S).session(SCANNER, VICTIM, 22, turns=TALK)

    assert sessions(alert(late)) == []


def test_declared_scanner_is_not_made_worse():
    """A declared scanner logs in where it looks: told, without points."""
    site = Site(scanners=AddressSet((SCANNER,)), mixer_secret=7)
    scene = scan().session(SCANNER, VICTIM, 22, turns=TALK).wait(30 * forge.S)

    assert sessions(alert(scene, site)) == [(SCANNER, VICTIM, 22)]
    assert alert(scene, site).score == alert(scan(), site).score


def test_cuts_are_invisible():
    """Batches of one or seven packets tell the same sessions."""
    scene = scan().session(SCANNER, VICTIM, 22, turns=TALK).session(OTHER, VICTIM, 22, turns=TALK).wait(30 * forge.S)

    assert sessions(alert(scene, cut=1)) == sessions(alert(scene, cut=7)) == sessions(alert(scene)) != []


def test_table_is_bounded():
    """More found services than the table holds give way and are counted; a busy service is watched no further."""
    scene = forge.Scene()
    for port in range(1, 1_400):
        (scene.half_open if port > 40 else scene.refused)(SCANNER, VICTIM, port)
    run = run_frames(scene.wait(forge.S).frames(), detector("vertical-scan"))
    gauge = run.detectors[0].gauges()["found services"]

    assert gauge.used == gauge.cap < 1_359 == gauge.used + gauge.evicted
