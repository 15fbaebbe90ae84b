"""Tests of bastion sessions: whose session opened what, on declared and learned bastions."""

from __future__ import annotations

from detectors._kit import forge
from nettriage.model.addresses import AddressSet
from nettriage.model.site import Site
from tests.detectors.driver import SITE, Run, detector, run_frames

BASTION, TARGET = "10.0.2.5", "10.0.3.9"
DECLARED = Site(mixer_secret=1, bastions=AddressSet([BASTION]))
TYPED_NS = forge.START_NS + 300_000 + 3 * 500 * forge.MS + 2 * 200_000


def _session(client: str, sport: int, start_ns: int = forge.START_NS, port: int = 22) -> list:
    scene = forge.Scene(now_ns=start_ns)
    turns = [(turn % 2, bytes(36)) for turn in range(12)]
    return scene.session(client, BASTION, port, turns, gap_ns=500 * forge.MS, sport=sport).items


def _onward(at_ns: int, sport: int = 41_000) -> list:
    scene = forge.Scene(now_ns=at_ns)
    turns = [(1, bytes(40)), (0, bytes(40))]
    return scene.session(BASTION, TARGET, 22, turns, sport=sport, isn=(sport, 70_000)).items


def _run(frames: list, site: Site = SITE) -> Run:
    return run_frames(sorted(frames, key=lambda item: item[0]), detector("bastion-session", site), site=site)


def test_a_connection_inside_a_session_is_told_with_its_parent():
    """On a declared bastion one client is enough: the session and the connection are its legs."""
    run = _run(_session("10.0.1.11", 50_000) + _onward(TYPED_NS + forge.MS), DECLARED)
    (alert,) = run.of("bastion-session")

    assert alert.severity == "info"
    assert [party.ip for party in alert.via] == ["10.0.1.11", BASTION, TARGET]
    assert [(leg.src, leg.sport) for leg in alert.legs] == [("10.0.1.11", 50_000), (BASTION, 41_000)]
    assert "1 connection opened inside the session" in alert.reason
    assert ", 1 closed" in alert.reason


def test_the_session_ends_the_incident():
    """When the parent session is closed, so is what was said of it."""
    (alert,) = _run(_session("10.0.1.11", 50_000) + _onward(TYPED_NS + forge.MS), DECLARED).of("bastion-session")

    assert alert.activity == "close"


def test_of_two_sessions_the_one_with_the_latest_data_is_the_parent():
    """Two administrators type; the connection belongs to the one who typed last before it."""
    frames = _session("10.0.1.11", 50_000) + _session("10.0.1.12", 50_001, forge.START_NS + 5 * forge.MS)
    (alert,) = _run(frames + _onward(TYPED_NS + 6 * forge.MS), DECLARED).of("bastion-session")

    assert alert.via[0].ip == "10.0.1.12"


def test_a_server_with_one_client_is_no_bastion():
    """Undeclared, and used by one host only: nothing is said."""
    assert _run(_session("10.0.1.11", 50_000) + _onward(TYPED_NS + forge.MS)).of("bastion-session") == []


def test_errands_of_the_bastion_itself_are_left_out():
    """A connection 200 ms after the last data, and one in a session on another port, belong to nobody."""
    late = _run(_session("10.0.1.11", 50_000) + _onward(TYPED_NS + 200 * forge.MS), DECLARED)
    other = _run(_session("10.0.1.11", 50_000, port=8080) + _onward(TYPED_NS + forge.MS), DECLARED)

    assert late.of("bastion-session") == other.of("bastion-session") == []
