"""Tests of the proxy handshake parsers: whole, cut anywhere, and hostile."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from detectors._kit import http_proxy, socks
from nettriage.model.addresses import to_words

GRANTED = b"\x05\x00\x00\x01" + bytes(6)
LOGIN = b"\x05\x01\x02" + b"\x01\x03bob\x06s3cret" + b"\x05\x01\x00\x03\x08intranet\x01\xbb"
LOGIN_REPLY = b"\x05\x02\x01\x00" + GRANTED


def test_socks5_login_tells_target_user_and_length():
    """The parser skips the password, finds the request behind it, and knows where the stream begins."""
    talk = socks.parse(LOGIN + b"stream", LOGIN_REPLY + b"back")

    assert (talk.target, talk.user, talk.granted) == ("intranet:443", "bob", True)
    assert (talk.client_bytes, talk.server_bytes) == (len(LOGIN), len(LOGIN_REPLY))


def test_socks5_over_ipv6_tells_the_address():
    """An IPv6 target is shown as an address with brackets before its port."""
    body = bytes.fromhex("20010db8000000000000000000000009")
    talk = socks.parse(b"\x05\x01\x00\x05\x01\x00\x04" + body + b"\x00\x16", b"\x05\x00" + GRANTED)

    assert talk.address == to_words("2001:db8::9")
    assert talk.target == "[2001:db8::9]:22"


def test_connect_after_a_demand_for_credentials_is_the_second_request():
    """A proxy that first asks for credentials is followed to the request that it grants."""
    ask = b"CONNECT intranet:22 HTTP/1.1\r\n\r\n"
    again = b"CONNECT intranet:22 HTTP/1.1\r\nProxy-Authorization: Basic Ym9iOnMzY3JldA==\r\n\r\n"
    demand = b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n"
    talk = http_proxy.parse(ask + again + b"SSH-2.0-x", demand + b"HTTP/1.1 200 OK\r\n\r\n")

    assert (talk.granted, talk.user) == (True, "bob")
    assert talk.client_bytes == len(ask + again)


@pytest.mark.parametrize("cut", range(len(LOGIN)))
def test_a_cut_socks_handshake_never_tells_a_wrong_target(cut):
    """A handshake cut at any byte gives either no target or the right one."""
    talk = socks.parse(LOGIN[:cut], LOGIN_REPLY[:2])

    assert talk is None or talk.target == ""


@given(
    st.binary(max_size=80), st.binary(max_size=80), st.sampled_from([b"\x05", b"\x04\x01", b"CONNECT ", b"GET http://"])
)
def test_no_bytes_make_the_parsers_raise(client, server, start):
    """Whatever follows a plausible start, the parsers return, and only with a port that exists."""
    for talk in (socks.parse(start + client, server), http_proxy.parse(start + client, server)):
        assert talk is None or 0 <= talk.port < 65_536
