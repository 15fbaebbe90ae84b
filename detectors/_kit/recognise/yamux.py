"""The multiplexer yamux in the clear (hashicorp/yamux spec.md), and revsocks, which speaks it behind a password."""

from __future__ import annotations

import re

from nettriage.model.safetext import safe

from .tool_talk import ToolTalk

_HEADER = 12
_DATA, _WINDOW, _PING, _GO_AWAY = range(4)
_FLAGS_MAX = 15
_SYN = 1
_FRAMES_MAX = 16
_PASSWORD = re.compile(rb"[A-Za-z0-9]{64}(?![A-Za-z0-9])")


def frames(stream: bytes) -> list[tuple[int, int, int]] | None:
    """Return (type, flags, stream id) of the frames of a stream, None where a header breaks the protocol."""
    found: list[tuple[int, int, int]] = []
    at = 0
    while len(stream) >= at + _HEADER and len(found) < _FRAMES_MAX:
        version, kind = stream[at], stream[at + 1]
        flags, sid = int.from_bytes(stream[at + 2 : at + 4]), int.from_bytes(stream[at + 4 : at + 8])
        if version or kind > _GO_AWAY or flags > _FLAGS_MAX or (kind >= _PING) != (sid == 0):
            return None
        found.append((kind, flags, sid))
        at += _HEADER + (int.from_bytes(stream[at + 8 : at + 12]) if kind == _DATA else 0)
    return found


def opens(stream: bytes) -> bool:
    """Whether a stream begins as yamux and opens a session or pings: a frame with SYN comes first."""
    first = frames(stream[:_HEADER])
    return bool(first and first[0][1] & _SYN and first[0][0] != _GO_AWAY)


def recognise(client: bytes, server: bytes) -> ToolTalk | None:
    """Return yamux where both sides speak it, and revsocks where the client gave a password before."""
    password = _PASSWORD.match(client)
    if password and opens(server) and frames(client[64:]) is not None:
        words = "a password of 64 characters, answered by yamux"
        return ToolTalk(tool="revsocks", evidence=safe(words), confidence=0.95, score=84.0)
    ours, theirs = frames(client), frames(server)
    if not ours or not theirs or not (opens(client) or opens(server)):
        return None
    words = f"yamux headers on both sides: {client[:_HEADER].hex(' ')} and {server[:_HEADER].hex(' ')}"
    return ToolTalk(tool="yamux", evidence=safe(words), confidence=0.9, score=62.0)
