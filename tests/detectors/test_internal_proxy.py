"""Tests of the internal proxy detector: every handshake, both sides, and the roles that lower it."""

from __future__ import annotations

from itertools import count

import pytest

from detectors._kit import forge
from nettriage.model.addresses import AddressPairs, AddressSet
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


INSIDE = {
    "SSH": ((0, b"SSH-2.0-OpenSSH_9.2\r\n"), (1, b"SSH-2.0-OpenSSH_9.2\r\n")),
    "SMTP": ((1, b"220 mail ESMTP\r\n"), (0, b"EHLO x\r\n")),
    "RDP": ((0, b"\x03\x00\x00\x13\x0e\xe0" + bytes(13)), (1, b"\x03\x00\x00\x13\x0e\xd0" + bytes(13))),
    "a further proxy": ((0, b"\x05\x01\x00"), (1, b"\x05\x00")),
}


@pytest.mark.parametrize("inner", INSIDE)
def test_what_no_browser_speaks_is_named_and_raised_even_in_a_declared_proxy(inner):
    """SSH, mail, remote desktop or a further proxy inside of CONNECT is a finding of its own."""
    ask = ((0, b"CONNECT www.example.com:443 HTTP/1.1\r\n\r\n"), (1, b"HTTP/1.1 200 OK\r\n\r\n"))
    site = Site(proxies=AddressSet(["10.0.1.12"]), mixer_secret=SITE.mixer_secret)
    (alert,) = _alerts((*ask, *INSIDE[inner]), port=3128, site=site)

    assert alert.severity == "medium"
    assert f"but {inner} goes through it" in alert.reason


def test_an_allowed_pair_is_informational_and_says_so():
    """A proxy whose clients are all covered by declared pairs is shown at the lowest severity, with the pair."""
    site = Site(allow=AddressPairs(["10.0.1.0/28 <-> 10.0.1.12"]), mixer_secret=SITE.mixer_secret)
    (alert,) = _alerts((*HANDSHAKES["SOCKS5"], *PAGE), site=site)

    assert alert.severity == "info"
    assert "10.0.1.0/28 <-> 10.0.1.12 is declared under network.allow" in alert.reason


def _hello(seed: int) -> bytes:
    body = b"\x03\x03" + bytes((seed * 37 + at * 11) % 251 for at in range(32)) + bytes(4)
    return b"\x16\x03\x01" + (4 + len(body)).to_bytes(2) + b"\x01" + len(body).to_bytes(3) + body


@pytest.mark.parametrize("opens", [True, False])
def test_a_proxy_that_sends_its_own_client_hello_opens_tls(opens):
    """Whether the ClientHello inside of CONNECT goes onward tells an intercepting proxy from a plain one."""
    frames = []
    for number in range(3):
        now_ns = forge.START_NS + number * forge.S
        ask = ((0, b"CONNECT www.example.com:443 HTTP/1.1\r\n\r\n"), (1, b"HTTP/1.1 200 OK\r\n\r\n"))
        inner = forge.Scene(now_ns=now_ns, _ports=count(41_000 + number))
        inner.session("10.0.1.11", "10.0.1.12", 8080, (*ask, (0, _hello(number))), gap_ns=forge.MS)
        onward = forge.Scene(now_ns=now_ns + forge.MS, _ports=count(42_000 + number))
        onward.session("10.0.1.12", "192.0.2.80", 443, ((0, _hello(number + 100 * opens)),), gap_ns=5 * forge.MS)
        frames += inner.frames() + onward.frames()
    late = forge.Scene(now_ns=forge.START_NS + 10 * forge.S).session("10.0.9.1", "10.0.9.2", 80).frames()
    frames = sorted(frames, key=lambda item: item[0]) + late
    (alert,) = run_frames(frames, detector("internal-proxy")).of("internal-proxy")

    assert ("it opens the TLS of its clients" in alert.reason) == opens


def _der(tag: int, body: bytes) -> bytes:
    size = bytes((len(body),)) if len(body) < 128 else b"\x82" + len(body).to_bytes(2)
    return bytes((tag,)) + size + body


def _name(organisation: bytes) -> bytes:
    pair = _der(0x30, _der(6, b"\x55\x04\x0a") + _der(0x0C, organisation))
    return _der(0x30, _der(0x31, pair))


def test_a_forged_certificate_names_the_intercepting_tool():
    """A certificate inside that is issued by the authority of Burp names it (TLS 1.2 and below)."""
    validity = _der(0x30, _der(0x17, b"260101000000Z") + _der(0x17, b"270101000000Z"))
    signed = b"\xa0\x03\x02\x01\x02" + _der(2, b"\x01") + _der(0x30, b"") + _name(b"PortSwigger") + validity
    certificate = _der(0x30, _der(0x30, signed + _name(b"example")))
    chain = len(certificate).to_bytes(3) + certificate
    body = len(chain).to_bytes(3) + chain
    message = b"\x0b" + len(body).to_bytes(3) + body
    record = b"\x16\x03\x03" + len(message).to_bytes(2) + message
    ask = ((0, b"CONNECT www.example.com:443 HTTP/1.1\r\n\r\n"), (1, b"HTTP/1.1 200 OK\r\n\r\n"))
    (alert,) = _alerts((*ask, (0, _hello(1)), (1, record)), port=8080)

    assert alert.tool is not None
    assert alert.tool.name == "Burp Suite"


def test_a_host_that_tells_the_true_client_is_taken_for_a_balancer():
    """The PROXY protocol towards a back end is role evidence, and lowers an HTTP proxy on a strange port."""
    scene = forge.Scene().session("10.0.1.11", "10.0.1.12", 8444, (*HANDSHAKES["HTTP CONNECT"], *PAGE))
    told = b"PROXY TCP4 10.0.1.11 10.0.1.12 40000 8444\r\n"
    scene.session("10.0.1.12", "10.0.2.21", 8080, ((0, told + b"GET / HTTP/1.1\r\n\r\n"), (1, b"HTTP/1.1 200\r\n\r\n")))
    (alert,) = run_frames(scene.frames(), detector("internal-proxy")).of("internal-proxy")

    assert alert.severity == "low"
    assert "PROXY protocol" in alert.reason
