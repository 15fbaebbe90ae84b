"""Tests of the readers of clear handshakes: TLS with JA4 and certificates, SSH roles, WebSocket frames, yamux, GSRN."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from detectors._kit import gsrn, ssh, tls, websocket
from detectors._kit.recognise import yamux
from detectors.tunnel_tool import recognised
from tests.detectors.tls_bytes import CHROME_JA4, certificate, client_hello, name, record, server_flight


def test_a_client_hello_is_read_with_its_published_fingerprint():
    """Name, protocols and the JA4 of FoxIO's own example; GREASE changes nothing."""
    hello = tls.client_hello(client_hello())

    assert hello is not None
    assert (hello.sni, hello.alpn, hello.version) == ("www.example.com", ("h2", "http/1.1"), 0x0304)
    assert hello.ja4 == CHROME_JA4


def test_a_hello_over_several_records_is_joined():
    """A handshake message that is cut into records reads the same."""
    body = client_hello()[5:]
    cut = record(22, body[:100]) + record(22, body[100:])

    assert tls.client_hello(cut) == tls.client_hello(client_hello())


@pytest.mark.parametrize(("tls13", "version"), [(True, 0x0304), (False, 0x0303)])
def test_the_version_that_a_server_chose_is_told(tls13, version):
    """TLS 1.3 hides its version in an extension (RFC 8446 4.2.1)."""
    hello = tls.server_hello(server_flight(None, tls13=tls13))

    assert hello is not None
    assert (hello.version, hello.cipher) == (version, 0xC02F)


def test_names_of_a_certificate_are_read():
    """Organisation and common name of subject and issuer."""
    shown = tls.certificate(
        server_flight(certificate(name(o=b"Org", cn=b"leaf"), name(o=b"mitmproxy", cn=b"mitmproxy")))
    )

    assert shown is not None
    assert (shown.organisation, shown.common_name) == ("Org", "leaf")
    assert (shown.issuer_organisation, shown.issuer_name, shown.empty_names) == ("mitmproxy", "mitmproxy", False)


def test_a_certificate_without_names_points_to_frp():
    """An empty subject and issuer is what frp makes for itself."""
    talk = recognised(client_hello(), server_flight(certificate(name())), 7000)

    assert talk is not None
    assert (talk.tool, talk.confidence) == ("frp", 0.6)


def test_a_cut_certificate_is_none():
    """A certificate that is not wholly there gives no names."""
    assert tls.certificate(server_flight(certificate(name(o=b"ligolo")))[:-80]) is None


def test_frames_are_unmasked_and_joined():
    """Masked and extended frames give their payload; control frames are passed over."""
    text = bytes(range(200))
    masked = (
        b"\x82\xfe" + (200).to_bytes(2) + b"\x01\x02\x03\x04" + bytes(b ^ (at % 4 + 1) for at, b in enumerate(text))
    )

    assert websocket.payload(b"\x89\x02hi" + masked + b"\x81\x03end") == text + b"end"


def test_yamux_frames_are_walked_until_they_break():
    """Headers follow one another by their lengths; a header that breaks the protocol ends it all."""
    opened = bytes.fromhex("000100010000000100000000")
    data = bytes.fromhex("000000000000000100000003") + b"abc"

    assert yamux.frames(opened + data + opened) == [(1, 1, 1), (0, 0, 1), (1, 1, 1)]
    assert yamux.frames(opened + b"\x01" * 12) is None


def test_the_letter_of_a_relay_follows_from_its_address():
    """The sum of the address bytes, modulo 26."""
    assert gsrn.letter(bytes(15) + b"\x1b") == "b"


@given(st.binary(max_size=400), st.binary(max_size=400), st.integers(0, 65_535))
def test_arbitrary_bytes_never_raise(client, server, port):
    """Readers of hostile bytes return something or nothing, whatever comes."""
    recognised(client, server, port)
    gsrn.parse(client, server)
    ssh.parse(b"SSH-2.0-x\n" + client)
    for start in (b"", b"\x16\x03\x01\x01\x00", server_flight(None)):
        tls.client_hello(start + client)
        tls.server_hello(start + server)
        tls.certificate(start + server)
        tls.record_sizes(start + server)


@given(st.binary(max_size=300), st.integers(0, 600))
def test_damaged_handshakes_never_raise(noise, at):
    """A handshake with a piece of it overwritten, or cut short, is read or left alone."""
    for whole in (client_hello(), server_flight(certificate(name(o=b"ligolo")))):
        broken = whole[:at] + noise + whole[at + len(noise) :]
        tls.client_hello(broken)
        tls.certificate(broken)
        tls.server_hello(whole[:at])
