"""Tests of the protocol mismatch detector: foreign protocols that both sides speak, and what is common or one-sided."""

from __future__ import annotations

import pytest

from detectors._kit import forge
from nettriage.model.alert import Alert
from tests.detectors.driver import detector, run_frames
from tests.detectors.tls_bytes import client_hello, server_flight

CLIENT, SERVER = "10.0.1.12", "192.0.2.66"
BANNER = b"SSH-2.0-OpenSSH_9.2p1\r\n"
SSH = ((1, BANNER), (0, BANNER))
SOCKS = ((0, b"\x05\x02\x00\x02"), (1, b"\x05\x00"), (0, b"\x05\x01\x00\x01\x0a\x00\x02\x16\x00\x50" + bytes(30)))
OPENVPN = ((0, b"\x00\x0e\x38" + bytes(range(13))), (1, b"\x00\x1a\x40" + bytes(range(25))))
TLS = ((0, client_hello()), (1, server_flight(None)))
HTTP = ((0, b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"), (1, b"HTTP/1.1 200 OK\r\n\r\n"))
SHELL = ((0, b"/bin/sh: 0: can't access tty\n$ "), (1, b"id\n"), (0, b"uid=0(root)\n"))
RDP = ((0, b"\x03\x00\x00\x2b\x26\xe0" + bytes(37)), (1, b"\x03\x00\x00\x13\x0e\xd0" + bytes(13)))
SMB = ((0, b"\x00\x00\x00\x45\xffSMB" + bytes(65)), (1, b"\x00\x00\x00\x45\xfeSMB" + bytes(65)))


def _alerts(turns, port: int) -> list[Alert]:
    scene = forge.Scene().session(CLIENT, SERVER, port, turns, gap_ns=forge.MS)
    scene.wait(10 * forge.S).session("10.0.9.1", "10.0.9.2", 80)
    return run_frames(scene.frames(), detector("protocol-mismatch")).of("protocol-mismatch")


@pytest.mark.parametrize(
    ("spoken", "turns", "port"),
    [
        ("SSH", SSH, 443), ("SSH", SSH, 53), ("SOCKS", SOCKS, 443), ("OpenVPN", OPENVPN, 443), ("TLS", TLS, 22),
        ("TLS", TLS, 53), ("HTTP", HTTP, 22), ("plain text", SHELL, 443), ("RDP", RDP, 443), ("SMB", SMB, 443),
    ],
)  # fmt: skip
def test_a_foreign_protocol_of_both_sides_is_said(spoken, turns, port):
    """What is spoken, where, and what the port expects stand in the reason; the client is the subject."""
    (alert,) = _alerts(turns, port)

    assert alert.subject.ip == CLIENT
    assert alert.title == f"{spoken} on port {port}"
    assert f"speaks {spoken} on port {port}, which expects" in alert.reason
    assert alert.severity in ("medium", "high")


@pytest.mark.parametrize(
    ("turns", "port"),
    [(SSH, 22), (TLS, 443), (TLS, 8443), (HTTP, 80), (HTTP, 443), (TLS, 4433), (SSH, 2222), (RDP, 3389), (SMB, 445)],
)
def test_what_belongs_there_or_is_common_is_silent(turns, port):
    """Owners of their ports, HTTP on 443, and ports that nobody owns raise nothing."""
    assert _alerts(turns, port) == []


@pytest.mark.parametrize(
    ("turns", "port"),
    [
        (((0, client_hello()), (1, BANNER)), 22),
        (((0, BANNER), (1, b"HTTP/1.1 400 Bad Request\r\n\r\n")), 443),
        (((0, b"\x05\x01\x00"), (1, b"\x15\x03\x01\x00\x02\x02\x46")), 443),
        (((0, b"\x05\x01\x00" + bytes(30)), (1, b"\x05\x07")), 443),
        (((0, b"GET / HTTP/1.0\r\n\r\n"),), 22),
    ],
    ids=["TLS probe at SSH", "SSH probe at a web server", "SOCKS probe at TLS", "method not offered", "no answer"],
)  # fmt: skip
def test_probes_that_are_not_answered_in_kind_are_silent(turns, port):
    """A scanner may say what it likes; only an answer in the same protocol counts."""
    assert _alerts(turns, port) == []
