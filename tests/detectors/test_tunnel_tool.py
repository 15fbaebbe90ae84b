"""Tests of the tunnel tool detector: each tool by its bytes. All flows are synthetic, byte-exact after the sources."""

from __future__ import annotations

import json
from base64 import urlsafe_b64encode

import pytest

from detectors._kit import forge
from detectors._kit.placing import web_socket_accept
from nettriage.model.addresses import AddressSet
from nettriage.model.alert import Alert
from nettriage.model.site import Site
from tests.detectors.driver import SITE, detector, run_frames

AGENT, OUTSIDE = "10.0.1.12", "192.0.2.66"
DIGEST = bytes(range(32))
NONCE = bytes(range(100, 132))
PASSWORD = b"Zx" * 32
YAMUX_OPEN = bytes.fromhex("000100010000000100000000")
YAMUX_DATA = bytes.fromhex("000000000000000100000003") + b"abc"
TARGET = {"id": "0", "p": "Tcp", "r": "10.0.2.22", "rp": 22}
SOCKS_ASK = b"\x05\x01\x00\x05\x01\x00\x01\x0a\x00\x02\x16\x00\x50"
SOCKS_ANSWER = b"\x05\x00\x05\x00\x00\x01" + bytes(6)


def _upgrade(path: bytes = b"/", *headers: bytes) -> bytes:
    lines = (b"GET " + path + b" HTTP/1.1", b"Host: gate:8080", b"Upgrade: websocket", b"Connection: Upgrade", *headers)
    return b"\r\n".join((*lines, b"Sec-WebSocket-Key: c2FtcGxlIG5vbmNlIDEyMw==", b"", b""))


def _message(kind: bytes, body: dict[str, object]) -> bytes:
    text = json.dumps(body).encode()
    return kind + len(text).to_bytes(8) + text


def _counted(text: bytes) -> bytes:
    return len(text).to_bytes(4, "little") + text


def _token() -> bytes:
    payload = urlsafe_b64encode(json.dumps(TARGET).encode()).rstrip(b"=")
    return b"eyJhbGciOiJIUzI1NiJ9." + payload + b".c2lnbmF0dXJl"


def _shell_post(uri: bytes, *headers: bytes) -> bytes:
    return b"\r\n".join((b"POST " + uri + b" HTTP/1.1", b"Host: web", *headers, b"Content-Length: 0", b"", b""))


OK = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n"
NEO = _shell_post(b"/up/tunnel.php", b"Content-Type: application/octet-stream")
TOOLS = {
    "chisel": ((0, _upgrade(b"/", b"Sec-WebSocket-Protocol: chisel-v3")), (1, web_socket_accept(b"chisel-v3"))),
    "wstunnel": (
        (0, _upgrade(b"/v1/events", b"Sec-WebSocket-Protocol: v1, authorization.bearer." + _token())),
        (1, web_socket_accept(b"v1")),
    ),
    "RTUN": ((0, _upgrade(b"/tcp/10022", b"Authorization: Bearer k")), (1, web_socket_accept(b""))),
    "frp": ((0, _message(b"o", {"version": "0.61.0", "os": "linux"})), (1, _message(b"1", {"version": "0.61.0"}))),
    "rathole": ((0, b"\0\0\0\0\x01" + DIGEST), (1, b"\0\0\0\0\x01" + NONCE), (0, DIGEST[::-1]), (1, bytes(4))),
    "nps": ((0, b"TST" + _counted(b"0.26.0") + _counted(b"0.26.10")), (1, b"0123456789abcdef" * 2)),
    "revsocks": ((0, PASSWORD), (1, YAMUX_OPEN), (0, YAMUX_DATA)),
    "yamux": ((0, YAMUX_OPEN + YAMUX_DATA), (1, bytes.fromhex("000100020000000100000000"))),
    "reGeorg": (
        (0, _shell_post(b"/t.jsp?cmd=connect&target=10.0.2.22&port=445", b"X-CMD: CONNECT", b"X-TARGET: 10.0.2.22")),
        (1, OK + b"X-STATUS: OK\r\n\r\n"),
    ),
    "Neo-reGeorg": tuple(turn for _ in range(4) for turn in ((0, NEO), (1, OK + b"\r\n"))),
    "EarthWorm rssocks or alike": ((1, SOCKS_ASK), (0, SOCKS_ANSWER)),
}  # fmt: skip


def _alerts(turns, *, client: str = AGENT, server: str = OUTSIDE, port: int = 8080, site: Site = SITE) -> list[Alert]:
    scene = forge.Scene().session(client, server, port, turns, gap_ns=forge.MS)
    scene.wait(10 * forge.S).session("10.0.9.1", "10.0.9.2", 80)
    return run_frames(scene.frames(), detector("tunnel-tool", site), site=site).of("tunnel-tool")


@pytest.mark.parametrize("tool", TOOLS)
def test_each_tool_is_named_at_its_client(tool):
    """The bytes of a tool name it, whatever the port, and its client is the subject."""
    (alert,) = _alerts(TOOLS[tool])

    assert alert.tool is not None
    assert alert.tool.name == tool
    assert alert.tool.evidence
    assert alert.subject.ip == AGENT
    assert [party.ip for party in alert.via] == [AGENT, OUTSIDE]
    assert alert.severity in ("medium", "high", "critical")


@pytest.mark.parametrize(
    ("tool", "target"),
    [("wstunnel", "10.0.2.22:22"), ("reGeorg", "10.0.2.22:445"), ("EarthWorm rssocks or alike", "10.0.2.22:80")],
)
def test_the_target_that_a_tool_reveals_is_shown(tool, target):
    """A token, a query or a request that names the onward target puts it into the reason."""
    (alert,) = _alerts(TOOLS[tool])

    assert target in alert.reason


def test_htran_leaks_its_hidden_next_hop():
    """The error text of HTran makes the host that sent it the subject, and names whom it could not reach."""
    text = b"[SERVER]connection to 10.0.2.22:3389 error\r\n"
    (alert,) = _alerts(((1, text),), client="10.0.1.11", server="10.0.1.12", port=8081)

    assert alert.subject.ip == "10.0.1.12"
    assert "10.0.2.22:3389" in alert.reason


def test_a_tool_server_inside_is_the_subject_when_its_client_is_outside():
    """Where only the server stands in the home network, it is the host that acts."""
    (alert,) = _alerts(TOOLS["chisel"], client=OUTSIDE, server=AGENT)

    assert (alert.subject.ip, alert.subject.port) == (AGENT, 8080)


@pytest.mark.parametrize(
    "turns",
    [
        ((0, TOOLS["chisel"][0][1]), (1, b"HTTP/1.1 404 Not Found\r\n\r\n")),
        ((0, b"\0\0\0\0\x01" + DIGEST), (1, b"\0\0\0\0\x01" + bytes(32))),
        ((0, b"TSTING the mail server\r\n" + bytes(16)), (1, b"500 what?\r\n")),
        ((0, YAMUX_OPEN), (1, b"HTTP/1.1 400 Bad Request\r\n\r\n")),
        ((0, b"o" + bytes(7) + b"\x04nope"), (1, b"1")),
        ((0, _shell_post(b"/save.php?cmd=save")), (1, OK + b"\r\n")),
        ((0, PASSWORD), (1, b"hello, " + PASSWORD)),
    ],
    ids=["refused upgrade", "rathole of zeros", "TST text", "yamux alone", "no JSON", "ordinary command", "64 letters"],
)
def test_bytes_that_only_begin_alike_are_silent(turns):
    """Half a handshake, or one whose other side speaks something else, raises nothing."""
    assert _alerts(turns) == []


def test_many_connections_of_one_tool_are_one_incident():
    """A tool that connects again and again is counted, not repeated."""
    scene = forge.Scene()
    for _ in range(5):
        scene.session(AGENT, OUTSIDE, 2333, TOOLS["rathole"], gap_ns=forge.S)
    (alert,) = run_frames(scene.frames(), detector("tunnel-tool")).alerts

    assert alert.count == 5


def test_a_declared_bastion_lowers_the_score():
    """A host that forwards by design is shown lower, not hidden."""
    site = Site(bastions=AddressSet([AGENT]), mixer_secret=SITE.mixer_secret)

    assert _alerts(TOOLS["yamux"], site=site)[0].score < _alerts(TOOLS["yamux"])[0].score - 20


def test_text_from_the_wire_is_harmless():
    """Escape sequences in a path do not reach the record."""
    hostile = (
        (0, _upgrade(b"/\x1b[31m/tcp/80", b"Authorization: Bearer k")), (1, web_socket_accept(b"")),
    )  # fmt: skip
    (alert,) = _alerts(hostile)

    assert "\x1b" not in alert.reason
