"""Forwarders of intruders: HTran by its error text, EarthWorm by SOCKS served over a connection that it dialled."""

from __future__ import annotations

import re

from detectors._kit import socks
from nettriage.model.safetext import safe

from .tool_talk import ToolTalk

_ERROR = re.compile(rb"\[SERVER\]connection to ([^\s:]{1,128}):(\d{1,5}) error(?:\r\n|\n)")
"""HiwinCN/HTran, Windows_Version/HTran.cpp and Unix-like_Version/HTran.c."""


def recognise(client: bytes, server: bytes) -> ToolTalk | None:
    """Return the forwarder that gave itself away, None where none did."""
    return _htran(client, server) or _reverse_socks(client, server)


def _htran(client: bytes, server: bytes) -> ToolTalk | None:
    """The forwarder tells its client that the hidden next hop refused: the host that said it is the relay."""
    for side, stream in enumerate((client, server)):
        found = _ERROR.match(stream)
        if found:
            hop = safe(b":".join(found.groups()), 128)
            return ToolTalk(
                tool="HTran", evidence=safe(found[0].strip()), confidence=0.98, score=86.0, target=hop,
                acting_side=side,
            )  # fmt: skip
    return None


def _reverse_socks(client: bytes, server: bytes) -> ToolTalk | None:
    """A host that dials out and then serves SOCKS5 over that connection: EarthWorm rssocks and its kin."""
    if server[:1] != b"\x05" or client[:1] != b"\x05":
        return None
    talk = socks.parse(server, client)
    if talk is None or not talk.answered or talk.protocol != "SOCKS5" or not talk.port:
        return None
    words = f"SOCKS5 asked by the host that was called: {server[:3].hex(' ')}, answered {client[:2].hex(' ')}"
    return ToolTalk(
        tool="EarthWorm rssocks or alike", evidence=safe(words), confidence=0.85, score=80.0,
        target=safe(talk.target, 128),
    )  # fmt: skip
