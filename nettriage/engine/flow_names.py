"""What the first payload of a flow names: the server name, host, question or software in clear."""

from __future__ import annotations

import re

from nettriage.model.safetext import SafeStr, safe

NAME_MAX = 96
_HOST = re.compile(rb"\r\n[Hh]ost:[ \t]*([^\r\n]{1,255})")
_REQUEST = re.compile(rb"[A-Z]{3,8} [^\r\n]{1,2000} HTTP/1\.[01]\r\n")
_BANNER = re.compile(rb"(?:SSH-|220[ -]|\+OK |\* OK )[^\r\n]{1,255}")


def flow_name(client: bytes, server: bytes, dport: int) -> SafeStr:
    """Return the name that the payloads of a flow carry, made harmless; empty where they carry none."""
    if client[:1] == b"\x16":
        found = server_name(client)
    elif _REQUEST.match(client):
        host = _HOST.search(client)
        found = host.group(1) if host else b""
    elif dport == 53:
        found = question_name(client)
    else:
        banner = _BANNER.match(server) or _BANNER.match(client)
        found = banner.group(0) if banner else b""
    return safe(found, NAME_MAX)


def server_name(record: bytes) -> bytes:
    """Return the server name of a TLS ClientHello (RFC 6066 3), empty where there is none."""
    try:
        if record[5] != 1:
            return b""
        at = 5 + 4 + 2 + 32
        at += 1 + record[at]
        at += 2 + int.from_bytes(record[at : at + 2], "big")
        at += 1 + record[at]
        end = at + 2 + int.from_bytes(record[at : at + 2], "big")
        return _name_extension(record, at + 2, min(end, len(record)))
    except IndexError:
        return b""


def question_name(message: bytes) -> bytes:
    """Return the first question of a DNS message (RFC 1035 4.1.2) with dots, empty where it is not whole."""
    labels, at = [], 12
    while at < len(message) and 0 < message[at] < 64:
        label = message[at + 1 : at + 1 + message[at]]
        if len(label) < message[at]:
            return b""
        labels.append(label)
        at += 1 + message[at]
    return b".".join(labels)


def _name_extension(record: bytes, at: int, end: int) -> bytes:
    while at + 4 <= end:
        kind, size = (int.from_bytes(record[at + part : at + part + 2], "big") for part in (0, 2))
        if kind == 0:
            length = int.from_bytes(record[at + 7 : at + 9], "big")
            return record[at + 9 : at + 9 + length]
        at += 4 + size
    return b""
