"""Tests of the Ligolo detector; the flows are synthetic, after selfcert.go and the framing of yamux in TLS."""

from __future__ import annotations

import pytest

from detectors._kit import forge
from detectors._kit.placing import web_socket_accept
from nettriage.model.alert import Alert
from tests.detectors.driver import detector, run_frames
from tests.detectors.tls_bytes import certificate, client_hello, name, record, server_flight

AGENT, PROXY = "10.0.1.12", "192.0.2.66"
FINISHED = record(20, b"\x01") + record(23, bytes(53))


def _data(*sizes: int) -> bytes:
    return b"".join(record(23, b"\xa7" * size) for size in sizes)


def _handshake(flight: int = 900) -> list[tuple[int, bytes]]:
    server = server_flight(None, tls13=True) + record(20, b"\x01") + _data(flight, 53)
    return [(0, client_hello()), (1, server), (0, FINISHED)]


def _alerts(turns, *, port: int = 443, gap_ns: int = forge.MS, server: str = PROXY) -> list[Alert]:
    scene = forge.Scene().session(AGENT, server, port, turns, gap_ns=gap_ns)
    scene.wait(10 * forge.S).session("10.0.9.1", "10.0.9.2", 80)
    return run_frames(scene.frames(), detector("ligolo")).of("ligolo")


@pytest.mark.parametrize(
    "sizes",
    [(29, 29, 18, 29, 18), (120, 29, 29, 18, 29), (36, 36, 25, 36, 25)],
    ids=["TLS 1.3", "ticket before", "TLS 1.2"],
)
def test_the_server_that_opens_a_stream_first_is_told(sizes):
    """The first records of the TLS server name the tool on any port, and the TLS client is the agent."""
    (alert,) = _alerts([*_handshake(), (1, _data(*sizes))])

    assert alert.subject.ip == AGENT
    assert alert.tool is not None
    assert alert.tool.name == "Ligolo-ng"
    assert "t13d1516h2_8daaf6152771" in alert.reason
    assert alert.severity in ("high", "critical")


@pytest.mark.parametrize("sizes", [(29, 18, 29, 29), (29, 29, 19, 29), (29, 29, 18, 700), (34, 34, 23, 34)])
def test_other_records_are_silent(sizes):
    """Records in another order or of other sizes are those of any service."""
    assert _alerts([*_handshake(), (1, _data(*sizes))]) == []


def test_the_same_records_from_the_client_are_silent():
    """A client that opens the first stream is ordinary software with yamux."""
    assert _alerts([*_handshake(), (0, _data(29, 29, 18, 29))]) == []


def test_the_certificate_of_the_proxy_names_it():
    """Up to TLS 1.2 the organisation in the certificate is enough."""
    (alert,) = _alerts([(0, client_hello()), (1, server_flight(certificate(name(o=b"ligolo"))))])

    assert "organisation ligolo" in alert.reason
    assert alert.subject.ip == AGENT
    assert alert.severity == "critical"


def test_an_agent_that_listens_is_the_subject():
    """A certificate named after address and port is that of an agent in bind mode: the TLS server acts."""
    flight = server_flight(certificate(name(o=b"0.0.0.0:4444")))
    (alert,) = _alerts([(0, client_hello()), (1, flight)], server="10.0.2.22", port=4444)

    assert (alert.subject.ip, alert.subject.port) == ("10.0.2.22", 4444)


def test_another_certificate_is_silent():
    """An organisation of another name says nothing."""
    assert _alerts([(0, client_hello()), (1, server_flight(certificate(name(o=b"Ligolotti", cn=b"www"))))]) == []


def test_the_default_port_alone_is_a_hint_and_adds_to_other_marks():
    """TLS on port 11601 is medium by itself; with the first records it weighs more than they alone."""
    hint = _alerts(_handshake(), port=11_601)[0]
    shape = [*_handshake(), (1, _data(29, 29, 18, 29))]

    assert hint.severity == "medium"
    assert _alerts(shape, port=11_601)[0].score > _alerts(shape)[0].score


def _beating(size: int, turns: int = 6, *, sides: tuple[int, ...] = (1, 0)) -> list[Alert]:
    scene = forge.Scene()
    beats = [(side, _data(size - 5)) for _ in range(turns) for side in sides]
    shown = scene.session(AGENT, PROXY, 443, [*_handshake(3_000), *beats], gap_ns=30 // len(sides) * forge.S)
    shown.wait(10 * forge.S).session("10.0.9.1", "10.0.9.2", 80)
    return run_frames(scene.frames(), detector("ligolo")).of("ligolo")


def test_keepalives_alone_are_medium():
    """Records of 34 bytes both ways every 30 s in a quiet flow show yamux where the first records are hidden."""
    (alert,) = _beating(34)

    assert alert.severity == "medium"
    assert "keepalives" in alert.reason


@pytest.mark.parametrize(("size", "turns"), [(39, 6), (24, 6), (34, 2)], ids=["HTTP/2 ping", "MQTT ping", "too few"])
def test_other_keepalives_are_silent(size, turns):
    """Keepalives of other protocols have other sizes, and two are too few."""
    assert _beating(size, turns) == []


def test_keepalives_of_one_side_alone_are_silent():
    """A ping of yamux is answered in kind; what nobody answers is something else."""
    assert _beating(34, turns=8, sides=(1,)) == []


def test_yamux_that_the_server_opens_in_websocket_is_told():
    """Without TLS the headers themselves stand in the server's first frame."""
    ask = (
        b"GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"User-Agent: Mozilla/5.0 Chrome/103.0.0.0\r\nSec-WebSocket-Key: c2FtcGxlIG5vbmNlIDEyMw==\r\n\r\n"
    )
    opened = bytes.fromhex("000100010000000100000000")
    (alert,) = _alerts([(0, ask), (1, web_socket_accept(b"")), (1, b"\x82\x0c" + opened)], port=80)

    assert alert.subject.ip == AGENT
    assert "WebSocket" in alert.reason
