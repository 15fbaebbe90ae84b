"""Tunnels through a script on a web server: reGeorg by its words, Neo-reGeorg by its shape."""

from __future__ import annotations

import re
from urllib.parse import parse_qs

from nettriage.model.safetext import SafeStr, safe

from .tool_talk import ToolTalk

_POST = re.compile(rb"POST (\S{1,512}) HTTP/1\.1\r\n((?:[^\r\n]{1,1024}\r\n){0,40})\r\n")
_COMMANDS = frozenset({"connect", "read", "forward", "disconnect"})
_CMD_HEADER = re.compile(rb"^X-CMD: *(CONNECT|READ|FORWARD|DISCONNECT)\r?$", re.IGNORECASE | re.MULTILINE)
_TARGET_HEADERS = tuple(
    re.compile(rb"^X-%b: *(\S+)\r?$" % name, re.IGNORECASE | re.MULTILINE) for name in (b"TARGET", b"PORT")
)
_STATUS_HEADER = re.compile(rb"^X-STATUS: *(OK|FAIL)\r?$", re.IGNORECASE | re.MULTILINE)
_GREETING = b"Georg says, 'All seems fine'"
_SCRIPT = re.compile(rb"\.(?:php|jspx?|aspx?|ashx|cfm)(?:\?|$)", re.IGNORECASE)
_POSTS_MIN = 3
"""Requests of one flow that make the shape; more do not fit into what is kept of it."""


def recognise(client: bytes, server: bytes) -> ToolTalk | None:
    """Return the web shell that a client tunnels through, None where its requests are ordinary."""
    posts = _POST.findall(client)
    if not posts:
        return None
    return _regeorg(posts, server) or _neo_regeorg(posts, server)


def _regeorg(posts: list[tuple[bytes, bytes]], server: bytes) -> ToolTalk | None:
    """sensepost/reGeorg reGeorgSocksProxy.py: command and target in the query and in X- headers."""
    target = SafeStr("")
    commands = 0
    for uri, headers in posts:
        query = parse_qs(uri.partition(b"?")[2].decode("latin-1"), max_num_fields=8) if b"cmd=" in uri else {}
        by_query = query.get("cmd", [""])[0].lower() in _COMMANDS
        by_header = _CMD_HEADER.search(headers)
        commands += bool(by_query or by_header)
        target = target or _target(query, headers)
    told = bool(_STATUS_HEADER.search(server)) or _GREETING in server
    if not commands or not (told or target):
        return None
    words = "X-CMD or ?cmd= requests" + (", X-STATUS in the answer" if told else "")
    return ToolTalk(
        tool="reGeorg", evidence=safe(words), confidence=0.97 if told else 0.8, score=86.0, target=target
    )  # fmt: skip


def _target(query: dict[str, list[str]], headers: bytes) -> SafeStr:
    host, port = query.get("target", [""])[0], query.get("port", [""])[0]
    if not host:
        found = [pattern.search(headers) for pattern in _TARGET_HEADERS]
        host, port = (match[1].decode("latin-1") if match else "" for match in found)
    return safe(f"{host}:{port}", 128) if host and port else SafeStr("")


def _neo_regeorg(posts: list[tuple[bytes, bytes]], server: bytes) -> ToolTalk | None:
    """L-codes/Neo-reGeorg neoreg.py: one script, nothing but octet streams posted to it, again and again."""
    uris = {uri for uri, _ in posts}
    streams = sum(b"application/octet-stream" in headers.lower() for _, headers in posts)
    if len(posts) < _POSTS_MIN or len(uris) > 1 or streams < len(posts) or not _SCRIPT.search(next(iter(uris))):
        return None
    if server.count(b"HTTP/1.1 200") < _POSTS_MIN - 1:
        return None
    words = f"{len(posts)} octet streams in a row posted to {safe(next(iter(uris)), 64)}"
    return ToolTalk(tool="Neo-reGeorg", evidence=safe(words), confidence=0.6, score=56.0)
