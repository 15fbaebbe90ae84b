"""DNS names as tunnels write them: labels, entropy, and the marks of known tools."""

from __future__ import annotations

import math
import re
from collections import Counter

from nettriage.model.alert import Tool
from nettriage.model.safetext import SafeStr, safe

NULL, PRIVATE = 10, 65_399
TUNNEL_TYPES = (16, NULL, 25, 5, 15, PRIVATE)
"""TXT, NULL, KEY, CNAME, MX and the private type of iodine: the types that carry data back."""
HASH_LENGTHS = frozenset({32, 40, 64})
"""Hexadecimal digits of MD5, SHA-1 and SHA-256."""
_IODINE_VERSION = b"vaaaak"
_IODINE_TESTS = (b"aaahhh-drink-mal-ein", b"aabbccddeeffgghhiijjkkllmmnnooppqq")
_DNS2TCP = frozenset({b"=auth", b"=resource", b"=connect"})
_DNSCAT_TYPES = frozenset({0, 1, 2, 3, 0xFF})
_HEX = re.compile(rb"[0-9a-f]+")
_SAME_SESSION_MIN = 4
"""Names with one dnscat2 session id that make chance impossible (2**-48)."""


def labels(wire: bytes) -> list[bytes]:
    """Return the labels of a name as on the wire (RFC 1035 3.1); one that was cut off keeps what is there."""
    found, at = [], 0
    while at < len(wire) and 0 < wire[at] < 64:
        found.append(wire[at + 1 : at + 1 + wire[at]])
        at += 1 + wire[at]
    return found


def text(wire: bytes) -> SafeStr:
    """Return the dotted, harmless text of a name as on the wire."""
    return safe(b".".join(labels(wire)))


def mean_entropy(names: list[list[bytes]]) -> float:
    """Return the mean Shannon entropy of the names, in bits a character, dots left out."""
    values = [_entropy(b"".join(name).lower()) for name in names if name]
    return sum(values) / len(values) if values else 0.0


def _entropy(data: bytes) -> float:
    return -sum(count / len(data) * math.log2(count / len(data)) for count in Counter(data).values()) if data else 0.0


def hash_lookups(names: list[list[bytes]]) -> bool:
    """Return whether the names are look-ups of file or mail digests: one hexadecimal label of a digest's length."""
    first = [name[0].lower() for name in names if name]
    return bool(first) and all(len(label) in HASH_LENGTHS and _HEX.fullmatch(label) for label in first)


def tool_of(names: list[list[bytes]], null_share: float) -> Tool | None:
    """Return the tool that the names betray, with the bytes; None where they betray none."""
    lowered = [[label.lower() for label in name] for name in names if name]
    return _iodine(lowered) or _dns2tcp(lowered) or _dnscat2(lowered) or _by_type(null_share)


def _iodine(names: list[list[bytes]]) -> Tool | None:
    for name in names:
        if name[0].startswith(_IODINE_VERSION):
            return Tool(name="iodine", confidence=0.95, evidence=safe(b"version query " + name[0]))
        if any(test in name[0] for test in _IODINE_TESTS):
            return Tool(name="iodine", confidence=0.97, evidence=safe(b"codec test " + name[0]))
    return None


def _dns2tcp(names: list[list[bytes]]) -> Tool | None:
    for name in names:
        marks = _DNS2TCP.intersection(name)
        if marks:
            return Tool(name="dns2tcp", confidence=0.97, evidence=safe(b"label " + min(marks)))
    return None


def _dnscat2(names: list[list[bytes]]) -> Tool | None:
    if any(name[0] == b"dnscat" for name in names):
        return Tool(name="dnscat2", confidence=0.95, evidence=safe("first label dnscat"))
    sessions = Counter(session for name in names if (session := _dnscat_session(name)))
    session, count = sessions.most_common(1)[0] if sessions else (b"", 0)
    if count < _SAME_SESSION_MIN:
        return None
    return Tool(
        name="dnscat2", confidence=0.9, evidence=safe(f"session id {session.hex()} in {count} of {len(names)} names")
    )


def _dnscat_session(name: list[bytes]) -> bytes:
    """Return the session id in the five-byte header of a dnscat2 packet, empty where there is none."""
    digits = name[0]
    if len(digits) < 18 or len(digits) % 2 or not _HEX.fullmatch(digits):
        return b""
    head = bytes.fromhex(digits[:10].decode())
    return head[3:5] if head[2] in _DNSCAT_TYPES else b""


def _by_type(null_share: float) -> Tool | None:
    if null_share < 0.8:
        return None
    return Tool(name="iodine", confidence=0.7, evidence=safe(f"{null_share:.0%} of the queries are NULL or type 65399"))
