"""Tests of the names that first payloads carry."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from detectors._kit.forge import dns_query
from nettriage.engine.flow_names import flow_name


def client_hello(name: bytes) -> bytes:
    """Return a TLS ClientHello that asks for a server name (RFC 8446 4.1.2, RFC 6066 3)."""
    entry = b"\0" + len(name).to_bytes(2, "big") + name
    server = len(entry).to_bytes(2, "big") + entry
    extensions = b"\0\x17\0\0" + b"\0\0" + len(server).to_bytes(2, "big") + server
    body = b"\x03\x03" + bytes(32) + b"\x04abcd" + b"\0\x02\x13\x01" + b"\x01\0" + len(extensions).to_bytes(2, "big")
    hello = b"\x01" + (len(body) + len(extensions)).to_bytes(3, "big") + body + extensions
    return b"\x16\x03\x01" + len(hello).to_bytes(2, "big") + hello


@pytest.mark.parametrize(
    ("client", "server", "dport", "name"),
    [
        (client_hello(b"www.example.org"), b"", 443, "www.example.org"),
        (b"GET /a HTTP/1.1\r\nAccept: */*\r\nHost: intranet.example\r\n\r\n", b"", 80, "intranet.example"),
        (b"GET /a HTTP/1.1\r\nAccept: */*\r\n\r\n", b"", 80, ""),
        (b"", b"SSH-2.0-OpenSSH_9.2\r\n", 22, "SSH-2.0-OpenSSH_9.2"),
        (b"", b"220 mail.example ESMTP\r\n", 25, "220 mail.example ESMTP"),
        (dns_query("host.example.org"), b"", 53, "host.example.org"),
        (b"\xff\xfe\x00", b"\x01", 4444, ""),
        (b"GET / HTTP/1.1\r\nHost: a\x1b[2Jb\r\n\r\n", b"", 80, r"a\x1b[2Jb"),
    ],
)
def test_payloads_name_what_they_are_about(client: bytes, server: bytes, dport: int, name: str) -> None:
    """Server name, host, banner or question are found and harmless; what names nothing is empty."""
    assert flow_name(client, server, dport) == name


@given(st.binary(max_size=200), st.binary(max_size=50), st.sampled_from([53, 443]), st.integers(0, 120))
def test_broken_payloads_never_raise(junk: bytes, server: bytes, dport: int, cut: int) -> None:
    """Any bytes, and any part of a ClientHello, give a harmless name or none."""
    for client in (junk, b"\x16" + junk, client_hello(b"www.example.org")[:cut] + junk):
        assert flow_name(client, server, dport).isprintable()
