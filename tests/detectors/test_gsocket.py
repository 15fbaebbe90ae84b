"""Tests of the gsocket detector; the flows are synthetic, byte-exact after gsocket.h."""

from __future__ import annotations

import pytest

from detectors._kit import forge, gsrn
from nettriage.model.alert import Alert
from tests.detectors.driver import detector, run_frames

HOST, RELAY, RESOLVER = "10.0.1.12", "192.0.2.66", "10.0.2.11"
ADDRESS, TOKEN = bytes(range(7, 23)), bytes(range(40, 56))
PING, PONG = b"\x03" + bytes(31), b"\x04" + bytes(31)
START = b"\x05\x01" + bytes(30)


def _hello(kind: int = 1, version: bytes = b"\x01\x03", flags: int = 1) -> bytes:
    token = TOKEN if kind == 1 else bytes(16)
    return bytes((kind,)) + version + bytes((flags,)) + bytes(12) + token + ADDRESS + bytes(80)


def _ask(scene: forge.Scene, name: str) -> forge.Scene:
    query = forge.dns_query(name)
    return scene.query(HOST, RESOLVER, 53, query, forge.dns_reply(query))


def _alerts(scene: forge.Scene) -> list[Alert]:
    scene.wait(10 * forge.S).session("10.0.9.1", "10.0.9.2", 80)
    return run_frames(scene.frames(), detector("gsocket")).of("gsocket")


@pytest.mark.parametrize(
    ("hello", "words"),
    [
        (_hello(1), "waits for its peer"),
        (_hello(2, flags=2 | 8), "calls its peer at a Global Socket relay, as for a shell"),
        (_hello(1, version=b"\x02\x00"), "waits for its peer"),
    ],
    ids=["listen", "connect", "another version"],
)
def test_the_first_message_is_told_by_shape(hello, words):
    """128 bytes of mostly zeros name the toolkit on any port, with its mode, whatever the version."""
    (alert,) = _alerts(forge.Scene().session(HOST, RELAY, 7351, ((0, hello), (0, PING), (1, PONG), (1, START))))

    assert alert.subject.ip == HOST
    assert words in alert.reason
    assert "joined with it" in alert.reason
    assert alert.severity in ("high", "critical")


def test_the_letter_of_the_name_confirms_the_message():
    """A question for the relay whose letter follows from the address raises the score above the message alone."""
    turns = ((0, _hello()), (1, PONG))
    alone = _alerts(forge.Scene().session(HOST, RELAY, 443, turns))[0]
    right = _alerts(_ask(forge.Scene(), f"{gsrn.letter(ADDRESS)}.gs.thc.org").session(HOST, RELAY, 443, turns))[0]
    wrong = _alerts(
        _ask(forge.Scene(), f"{chr(ord(gsrn.letter(ADDRESS)) - 1)}.gs.thc.org").session(HOST, RELAY, 443, turns)
    )

    assert right.score > alone.score
    assert max(alert.score for alert in wrong) == alone.score


@pytest.mark.parametrize("name", ["q.gs.thc.org", "Q.GS.thc.ORG", "gsocket.io", "cdn.gsocket.io"])
def test_a_question_for_a_name_of_the_toolkit_is_said(name):
    """The relays' names and the site of the installer are found in any case of letters."""
    (alert,) = _alerts(_ask(forge.Scene(), name))

    assert alert.subject.ip == HOST
    assert alert.severity == "medium"


@pytest.mark.parametrize("name", ["gs.thc.org", "aa.gs.thc.org", "a.gs.thc.com", "gsocket.it", "www.gsockets.io"])
def test_other_names_are_silent(name):
    """Names that only resemble those of the toolkit raise nothing."""
    assert _alerts(_ask(forge.Scene(), name)) == []


@pytest.mark.parametrize(
    "turns",
    [
        ((0, bytes((1, 1, 3, 1)) + bytes(124)), (1, PONG)),
        ((0, _hello()[:100] + b"\x01" + bytes(27)), (1, PONG)),
        ((0, _hello()), (1, b"HTTP/1.1 400 Bad Request\r\n\r\n")),
        ((0, _hello()[:127]), (1, PONG)),
    ],
    ids=["no address", "a byte that is not zero", "another answer", "too short"],
)
def test_messages_of_another_shape_are_silent(turns):
    """One byte out of place, or an answer in another protocol, is enough to be left alone."""
    assert _alerts(forge.Scene().session(HOST, RELAY, 443, turns)) == []


def test_a_refused_client_is_said_with_the_relays_words():
    """The status of the relay stands in the reason."""
    status = b"\x07\x02" + bytes(30)
    (alert,) = _alerts(forge.Scene().session(HOST, RELAY, 443, ((0, _hello(2)), (1, status))))

    assert "the relay said: refused" in alert.reason
