"""Where the two hosts of a tunnel stand: who of them acts for us, and how much that weighs."""

from __future__ import annotations

from nettriage.model.site import Site

from .legs import NotedFlow

_OUTWARD = 4.0
"""Added where a tunnel crosses the border of the home network."""
_DECLARED = 30.0
"""Taken off where the operator declared the host as one that forwards by design."""
_SCORE_MAX = 96.0


def acting_side(flow: NotedFlow, preferred: int, site: Site) -> int:
    """Return the side of the acting host: the preferred one, unless only the other stands in the home network."""
    home = [end.addr in site.home for end in flow.ends]
    return 1 - preferred if home[1 - preferred] and not home[preferred] else preferred


def placed_score(score: float, flow: NotedFlow, site: Site) -> float:
    """Return a score with the place of the hosts counted in."""
    home = [end.addr in site.home for end in flow.ends]
    if any(end.addr in site.bastions or end.addr in site.proxies for end in flow.ends):
        score -= _DECLARED
    return max(min(score + _OUTWARD * (home[0] != home[1]), _SCORE_MAX), 0.0)


def web_socket_accept(protocol: bytes) -> bytes:
    """Return the answer of a server that accepts a WebSocket, for forged examples (RFC 6455 4.2.2)."""
    return (
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\nSec-WebSocket-Protocol: " + protocol + b"\r\n\r\n"
    )
