"""The SOCKS handshake as both sides speak it: SOCKS4, SOCKS4a and SOCKS5 (RFC 1928, RFC 1929)."""

from __future__ import annotations

from nettriage.model.batch import V4_PREFIX
from nettriage.model.finding import Address
from nettriage.model.safetext import SafeStr, safe

from .proxy_talk import ProxyTalk

_NO_METHOD = 0xFF
_USER_PASSWORD = 2
_METHODS = frozenset({0, 1, 2, 3, 5, 6, 7, 8, 9, *range(0x80, 0xFF)})
"""Methods that IANA assigned or left to private use; 4 and 10 to 127 were never given out."""
_REPLY_5_MAX = 8
_GRANTED_4, _REFUSED_4_LAST = 0x5A, 0x5D


def parse(client: bytes, server: bytes) -> ProxyTalk | None:
    """Return what a SOCKS client asked of its server, or None where the bytes are not (yet) a SOCKS handshake."""
    if client[:1] == b"\x05":
        return _socks5(client, server)
    if client[:1] == b"\x04":
        return _socks4(client, server)
    return None


def _socks4(client: bytes, server: bytes) -> ProxyTalk | None:
    if len(client) < 9 or client[1] not in (1, 2) or not _answers_4(server):
        return None
    user, found, rest = client[8:].partition(b"\0")
    if not found or not _printable(user):
        return None
    port, words = int.from_bytes(client[2:4]), client[4:8]
    name, end = b"", 9 + len(user)
    by_name = words[:3] == b"\0\0\0" and words[3] != 0
    if by_name:
        name, found, _ = rest.partition(b"\0")
        if not found or not name or not _printable(name):
            return None
        end += len(name) + 1
    address = None if by_name else _v4(words)
    return ProxyTalk(
        protocol="SOCKS4a" if by_name else "SOCKS4", host=safe(name), address=address, port=port,
        answered=bool(server), granted=server[1] == _GRANTED_4 if server else None, user=safe(user, 64),
        client_bytes=end, server_bytes=8,
    )  # fmt: skip


def _answers_4(server: bytes) -> bool:
    return not server or (len(server) >= 8 and server[0] == 0 and _GRANTED_4 <= server[1] <= _REFUSED_4_LAST)


def _socks5(client: bytes, server: bytes) -> ProxyTalk | None:
    count = client[1] if len(client) > 1 else 0
    methods = client[2 : 2 + count]
    if not count or len(methods) < count or len(set(methods)) < count or not _METHODS.issuperset(methods):
        return None
    if server and not _answers_greeting(server, methods):
        return None
    method = server[1] if server else methods[0]
    at, server_at, user = 2 + count, 2, SafeStr("")
    if method == _USER_PASSWORD:
        user, at = _skip_password(client, at)
        server_at = 4
    return _request(client, at, server, server_at, method, user)


def _answers_greeting(server: bytes, methods: bytes) -> bool:
    return len(server) >= 2 and server[0] == 5 and (server[1] in methods or server[1] == _NO_METHOD)


def _skip_password(client: bytes, at: int) -> tuple[SafeStr, int]:
    """Return the user name and the end of the RFC 1929 message at `at`; the password is passed over, never kept."""
    if len(client) < at + 2 or client[at] != 1:
        return SafeStr(""), len(client)
    end = at + 2 + client[at + 1]
    password = client[end] if end < len(client) else 0
    return safe(client[at + 2 : end], 64), end + 1 + password


def _request(client: bytes, at: int, server: bytes, server_at: int, method: int, user: SafeStr) -> ProxyTalk | None:
    target = _target(client, at)
    if target is None:
        if not server:
            return None
        refused = method == _NO_METHOD or (method == _USER_PASSWORD and server[3:4] not in (b"", b"\0"))
        return ProxyTalk(
            protocol="SOCKS5", host=SafeStr(""), address=None, port=0, answered=True,
            granted=False if refused else None, user=user, client_bytes=len(client), server_bytes=len(server),
        )  # fmt: skip
    name, address, port, end = target
    reply = server[server_at : server_at + 4]
    granted = reply[1] == 0 if len(reply) == 4 and reply[0] == 5 and reply[1] <= _REPLY_5_MAX else None
    bound = _target(server, server_at)
    return ProxyTalk(
        protocol="SOCKS5", host=name, address=address, port=port, answered=bool(server), granted=granted, user=user,
        client_bytes=end, server_bytes=len(server) if bound is None else bound[3],
    )  # fmt: skip


def _target(stream: bytes, at: int) -> tuple[SafeStr, Address | None, int, int] | None:
    """Return name, address, port and end of a SOCKS5 request or reply at `at` (RFC 1928 sections 4 and 6)."""
    head = stream[at : at + 5]
    if len(head) < 5 or head[0] != 5 or head[1] > _REPLY_5_MAX or head[2] != 0:
        return None
    kind, start = head[3], at + 4
    sizes = {1: 4, 3: 1 + head[4], 4: 16}
    if kind not in sizes or len(stream) < start + sizes[kind] + 2:
        return None
    end = start + sizes[kind]
    port = int.from_bytes(stream[end : end + 2])
    body = stream[start:end]
    if kind == 3:
        return safe(body[1:]), None, port, end + 2
    return SafeStr(""), _v4(body) if kind == 1 else (int.from_bytes(body[:8]), int.from_bytes(body[8:])), port, end + 2


def _v4(words: bytes) -> Address:
    return 0, V4_PREFIX | int.from_bytes(words)


def _printable(text: bytes) -> bool:
    return all(0x20 <= byte < 0x7F for byte in text)
