"""The SSH handshake in the clear: who is client and who is server, software, and key exchange (RFC 4253)."""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import md5

from nettriage.model.safetext import SafeStr, safe

_KEXINIT = 20
_CLIENT_MESSAGES = frozenset({30, 32, 34})
"""KEXDH_INIT and ECDH_INIT, GEX_INIT, GEX_REQUEST: what only a client sends (RFC 4253 8, RFC 5656 4, RFC 4419 3)."""
_SERVER_MESSAGES = frozenset({31, 33})
_CLIENT_MARKS = (b"ext-info-c", b"kex-strict-c-v00@openssh.com")
"""RFC 8308 2.1 and the strict key exchange of OpenSSH: names that only a client lists."""
_SERVER_MARKS = (b"ext-info-s", b"kex-strict-s-v00@openssh.com")
_PACKET_MAX = 35_000
"""RFC 4253 6.1."""
_BANNER_MAX = 255


@dataclass(frozen=True, slots=True)
class Hello:
    """What one side said before encryption began."""

    software: SafeStr
    """Identification string without ``SSH-2.0-``."""
    is_client: bool | None
    """Whether it acts as the SSH client; None where it did not show yet."""
    hassh: str
    """MD5 of key exchange, cipher, MAC and compression lists of a client (HASSH); empty where not seen."""


def parse(stream: bytes) -> Hello | None:
    """Return what one side of an SSH connection said, or None where it does not begin as SSH."""
    if not stream.startswith(b"SSH-"):
        return None
    banner, newline, rest = stream[:_BANNER_MAX].partition(b"\n")
    software = safe(banner.rstrip(b"\r").removeprefix(b"SSH-2.0-"), 64)
    if not newline:
        return Hello(software, None, "")
    rest = stream[len(banner) + 1 :]
    is_client, lists = _key_exchange(rest)
    return Hello(software, is_client, _hassh(lists))


def _key_exchange(rest: bytes) -> tuple[bool | None, list[bytes]]:
    """Return who speaks, and the name lists of KEXINIT, from the binary packets behind the banner."""
    is_client: bool | None = None
    lists: list[bytes] = []
    at = 0
    while len(rest) >= at + 6:
        size, kind = int.from_bytes(rest[at : at + 4]), rest[at + 5]
        if not 2 <= size <= _PACKET_MAX:
            break
        if kind == _KEXINIT and not lists:
            lists = _name_lists(rest[at + 6 + 16 : at + 4 + size])
            is_client = _by_marks(lists)
        elif kind in _CLIENT_MESSAGES or kind in _SERVER_MESSAGES:
            return kind in _CLIENT_MESSAGES, lists
        else:
            break
        at += 4 + size
    return is_client, lists


def _by_marks(lists: list[bytes]) -> bool | None:
    names = lists[0].split(b",") if lists else []
    if any(mark in names for mark in _CLIENT_MARKS):
        return True
    return False if any(mark in names for mark in _SERVER_MARKS) else None


def _name_lists(body: bytes) -> list[bytes]:
    lists, at = [], 0
    for _ in range(10):
        size = int.from_bytes(body[at : at + 4])
        if len(body) < at + 4 + size:
            break
        lists.append(body[at + 4 : at + 4 + size])
        at += 4 + size
    return lists


def _hassh(lists: list[bytes]) -> str:
    if len(lists) < 8:
        return ""
    return md5(b";".join((lists[0], lists[2], lists[4], lists[6])), usedforsecurity=False).hexdigest()
