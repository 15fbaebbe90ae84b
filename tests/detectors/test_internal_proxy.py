"""Tests of the internal proxy detector: every handshake, both sides, and the roles that lower it."""

from __future__ import annotations

import pytest

from detectors._kit import forge
from nettriage.model.addresses import AddressSet
from nettriage.model.alert import Alert
from nettriage.model.site import Site
from tests.detectors.driver import SITE, detector, run_frames

PAGE = ((0, b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"), (1, b"HTTP/1.1 200 OK\r\n\r\nhello"))
SOCKS4_REPLY = b"\x00\x5a" + bytes(6)
SOCKS5_REPLY = b"\x05\x00\x00\x01" + bytes(6)
HANDSHAKES = {
    "SOCKS4": ((0, b"\x04\x01\x00\x50\x0a\x00\x02\x16bob\x00"), (1, SOCKS4_REPLY)),
    "SOCKS4a": ((0, b"\x04\x01\x00\x50\x00\x00\x00\x01\x00intranet\x00"), (1, SOCKS4_REPLY)),
    "SOCKS5": (
        (0, b"\x05\x01\x00"), (1, b"\x05\x00"), (0, b"\x05\x01\x00\x03\x08intranet\x00\x50"), (1, SOCKS5_REPLY),
    ),
    "HTTP CONNECT": (
        (0, b"CONNECT intranet:22 HTTP/1.1\r\nHost: intranet:22\r\n\r\n"),
        (1, b"HTTP/1.0 200 Connection established\r\n\r\n"),
    ),
    "HTTP absolute-URI": ((0, b"GET http://intranet/ HTTP/1.1\r\nHost: x\r\n\r\n"), (1, b"HTTP/1.1 200 OK\r\n\r\n")),
}  # fmt: skip


def _alerts(turns, *, client="10.0.1.11", proxy="10.0.1.12", port=1080, site: Site = SITE) -> list[Alert]:
    scene = forge.Scene().session(client, proxy, port, turns, gap_ns=forge.MS)
    scene.wait(10 * forge.S).session("10.0.9.1", "10.0.9.2", 80)
    return run_frames(scene.frames(), detector("internal-proxy", site), site=site).of("internal-proxy")


@pytest.mark.parametrize("protocol", HANDSHAKES)
def test_every_handshake_is_recognised_and_names_the_server(protocol):
    """Each proxy protocol that both sides speak makes its server the subject and its client an object."""
    (alert,) = _alerts((*HANDSHAKES[protocol], *PAGE))

    assert (alert.subject.ip, alert.subject.port) == ("10.0.1.12", 1080)
    assert "10.0.1.11" in {party.ip for party in alert.objects}
    assert protocol in alert.reason


def test_a_password_is_never_kept():
    """A SOCKS5 login shows the user name and hides the password."""
    login = (
        (0, b"\x05\x02\x00\x02"), (1, b"\x05\x02"), (0, b"\x01\x03bob\x06s3cret"), (1, b"\x01\x00"),
        (0, b"\x05\x01\x00\x01\x0a\x00\x02\x16\x00\x16"), (1, SOCKS5_REPLY),
    )  # fmt: skip
    (alert,) = _alerts((*login, *PAGE))

    assert "bob" in alert.reason
    assert "10.0.2.22:22" in alert.reason
    assert "s3cret" not in str(alert)


def test_a_pipelined_greeting_is_understood():
    """A client that sends greeting and request at once still tells its target."""
    pipelined = ((0, b"\x05\x01\x00\x05\x01\x00\x01\x0a\x00\x02\x16\x00\x50"), (1, b"\x05\x00" + SOCKS5_REPLY))
    (alert,) = _alerts((*pipelined, *PAGE))

    assert "10.0.2.22:80" in alert.reason


def test_a_server_that_dials_out_to_its_client_is_the_subject():
    """A SOCKS client that is the responder makes the originator the proxy, without a listening port."""
    reverse = tuple((1 - side, payload) for side, payload in HANDSHAKES["SOCKS5"])
    (alert,) = _alerts(reverse, client="10.0.1.12", proxy="192.0.2.66", port=443)

    assert (alert.subject.ip, alert.subject.port) == ("10.0.1.12", None)
    assert alert.score >= 65


@pytest.mark.parametrize(
    "turns",
    [
        ((0, b"\x05\x01\x00"), (1, b"220 mail ready\r\n")),
        ((0, b"CONNECT intranet:22 HTTP/1.1\r\n\r\n"), (1, b"HTTP/1.1 405 Method Not Allowed\r\n\r\n")),
        ((0, b"GET http://10.0.1.12/ HTTP/1.1\r\n\r\n"), (1, b"HTTP/1.1 200 OK\r\n\r\n")),
        PAGE,
    ],
    ids=["other answer", "refused method", "its own absolute URI", "ordinary request"],
)
def test_a_server_that_does_not_speak_the_protocol_is_silent(turns):
    """Requests that the server does not answer as a proxy raise nothing."""
    assert _alerts(turns) == []


def test_one_side_alone_stays_low():
    """A request without any answer, as on a one-way feed, scores below medium."""
    (alert,) = _alerts(((0, b"\x05\x01\x00\x05\x01\x00\x01\x0a\x00\x02\x16\x00\x50"),))

    assert alert.severity == "low"


def test_a_declared_proxy_is_informational():
    """A proxy that the settings list is shown at the lowest severity."""
    site = Site(proxies=AddressSet(["10.0.1.12"]), mixer_secret=SITE.mixer_secret)
    (alert,) = _alerts((*HANDSHAKES["SOCKS5"], *PAGE), site=site)

    assert alert.severity == "info"


def test_an_official_looking_web_proxy_stays_low_but_socks_does_not():
    """Many clients on a standard port that only reach web sites outside look like an office proxy; SOCKS never does."""
    scene = forge.Scene()
    ask = b"CONNECT www.example.com:443 HTTP/1.1\r\n\r\n"
    for client in range(6):
        http = ((0, ask), (1, b"HTTP/1.1 200 OK\r\n\r\n"))
        scene.session(f"10.0.1.{20 + client}", "10.0.1.12", 3128, http)
        scene.session(f"10.0.1.{20 + client}", "10.0.1.13", 3128, HANDSHAKES["SOCKS5"])
    by_host = {alert.subject.ip: alert for alert in run_frames(scene.frames(), detector("internal-proxy")).alerts}

    assert by_host["10.0.1.12"].severity == "low"
    assert by_host["10.0.1.13"].score >= 40


def test_the_onward_leg_is_found_and_timed():
    """The connection that the proxy opens for its client becomes the second leg and the end of `via`."""
    kind = detector("internal-proxy")
    alert = run_frames(kind.examples[0].traffic(), kind).alerts[0]

    assert [party.ip for party in alert.via] == ["10.0.1.11", "10.0.1.12", "10.0.2.22"]
    assert [leg.dst for leg in alert.legs] == ["10.0.1.12", "10.0.2.22"]
    assert alert.legs[1].lag_ms >= 0
