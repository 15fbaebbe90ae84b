"""The HTTP proxy handshake as both sides speak it: CONNECT (RFC 9110 9.3.6) and absolute-form (RFC 9112 3.2.2)."""

from __future__ import annotations

import re
from binascii import a2b_base64

from nettriage.model.addresses import to_words
from nettriage.model.finding import Address
from nettriage.model.safetext import SafeStr, safe

from .proxy_talk import ABSOLUTE_URI, CONNECT, ProxyTalk

_CONNECT = re.compile(rb"CONNECT (\[[0-9A-Fa-f:.]{2,45}\]|[^\s:/\[\]]{1,253}):(\d{1,5}) HTTP/1\.[01]\r?\n")
_ABSOLUTE = re.compile(
    rb"[A-Z]{3,9} (http|https|ftp)://(?:[^\s/@]{0,64}@)?(\[[0-9A-Fa-f:.]{2,45}\]|[^\s:/?#\[\]]{1,253})(?::(\d{1,5}))?[/?#\s]"
)
_STATUS = re.compile(rb"HTTP/1\.[01] (\d{3})[ \r\n]")
_USER = re.compile(rb"\r\nProxy-Authorization: *Basic +([A-Za-z0-9+/=]{4,172})\r\n", re.IGNORECASE)
_DEFAULT_PORTS = {b"http": 80, b"https": 443, b"ftp": 21}
_AUTH_REQUIRED = 407
_GATEWAY_ERRORS = frozenset({502, 503, 504})
_ATTEMPTS_MAX = 3
"""Requests of one connection that are followed while the proxy asks for credentials."""


def parse(client: bytes, server: bytes) -> ProxyTalk | None:
    """Return what an HTTP client asked of its proxy, or None where the bytes are no such request.

    A server that answers as no proxy would (400, 404, 405, 501 ...) gives None, too: its client only tried.
    """
    if client.startswith(b"CONNECT "):
        return _connect(client, server)
    found = _ABSOLUTE.match(client)
    if found is None:
        return None
    port = int(found[3]) if found[3] else _DEFAULT_PORTS[found[1]]
    return _talk(ABSOLUTE_URI, found[2], port, client, server, (0, 0))


def _connect(client: bytes, server: bytes) -> ProxyTalk | None:
    at, server_at = 0, 0
    for _ in range(_ATTEMPTS_MAX):
        status = _STATUS.match(server, server_at)
        again = client.find(b"CONNECT ", at + 1)
        answer = server.find(b"HTTP/1.", server_at + 1)
        if status is None or int(status[1]) != _AUTH_REQUIRED or again < 0 or answer < 0:
            break
        at, server_at = again, answer
    found = _CONNECT.match(client, at)
    return None if found is None else _talk(CONNECT, found[1], int(found[2]), client, server, (at, server_at))


def _talk(
    protocol: str, host: bytes, port: int, client: bytes, server: bytes, start: tuple[int, int]
) -> ProxyTalk | None:
    at, server_at = start
    status = _STATUS.match(server, server_at)
    if (server and status is None) or not 0 < port < 65_536:
        return None
    granted = _granted(protocol, int(status[1])) if status else None
    if status and granted is None:
        return None
    name, address = _host(host)
    tunnel = protocol == CONNECT
    return ProxyTalk(
        protocol=protocol, host=name, address=address, port=port, answered=bool(server), granted=granted,
        user=_user(client), client_bytes=_head_end(client, at) if tunnel else 0,
        server_bytes=_head_end(server, server_at) if tunnel else 0,
    )  # fmt: skip


def _granted(protocol: str, status: int) -> bool | None:
    """Return whether a proxy agreed, None where the status is not one that tells a proxy."""
    if 200 <= status < 300 or (protocol == ABSOLUTE_URI and 300 <= status < 400):
        return True
    return False if status == _AUTH_REQUIRED or status in _GATEWAY_ERRORS else None


def _head_end(stream: bytes, at: int) -> int:
    end = stream.find(b"\r\n\r\n", at)
    return len(stream) if end < 0 else end + 4


def _host(host: bytes) -> tuple[SafeStr, Address | None]:
    text = host.strip(b"[]").decode("latin-1")
    try:
        return SafeStr(""), to_words(text)
    except ValueError:
        return safe(host), None


def _user(client: bytes) -> SafeStr:
    """Return the user name of basic credentials; the password is cut off before anything is kept."""
    found = _USER.search(client)
    token = found[1].rstrip(b"=") if found else b""
    if len(token) % 4 == 1 or b"=" in token:
        return SafeStr("")
    return safe(a2b_base64(token + b"=" * (-len(token) % 4)).partition(b":")[0], 64)
