"""The WebSocket handshake (RFC 6455 4) and the first frames behind it."""

from __future__ import annotations

import re
from dataclasses import dataclass

_REQUEST = re.compile(rb"GET (\S{1,1024}) HTTP/1\.1\r\n")
_FRAMES_MAX = 8


@dataclass(frozen=True, slots=True)
class Upgrade:
    """A connection that became a WebSocket, as far as both sides show it."""

    path: bytes
    headers: dict[bytes, bytes]
    """Request headers, names in lower case; of equal names the last."""
    client: bytes
    """Payload of the client's first frames, unmasked."""
    server: bytes
    """Payload of the server's first frames."""

    @property
    def protocols(self) -> tuple[bytes, ...]:
        """Subprotocols that the client offered."""
        return tuple(part.strip() for part in self.headers.get(b"sec-websocket-protocol", b"").split(b","))


def parse(client: bytes, server: bytes) -> Upgrade | None:
    """Return the upgrade that both sides agreed on, or None where there is none."""
    asked = _REQUEST.match(client)
    if asked is None or not server.startswith(b"HTTP/1.1 101"):
        return None
    head, found, rest = client.partition(b"\r\n\r\n")
    _, answered, answer = server.partition(b"\r\n\r\n")
    headers = _headers(head)
    if not found or not answered or b"websocket" not in headers.get(b"upgrade", b"").lower():
        return None
    return Upgrade(asked[1], headers, payload(rest), payload(answer))


def payload(stream: bytes) -> bytes:
    """Return the payload of the first data frames of a stream (RFC 6455 5.2), unmasked; the last may be cut."""
    out, at = b"", 0
    for _ in range(_FRAMES_MAX):
        if len(stream) < at + 2:
            break
        opcode, size, masked = stream[at] & 0x0F, stream[at + 1] & 0x7F, bool(stream[at + 1] & 0x80)
        at += 2
        extended = {126: 2, 127: 8}.get(size, 0)
        if extended:
            size = int.from_bytes(stream[at : at + extended])
            at += extended
        mask = stream[at : at + 4] if masked else b""
        at += len(mask)
        if opcode <= 2:
            out += _unmasked(stream[at : at + size], mask)
        at += size
    return out


def _headers(head: bytes) -> dict[bytes, bytes]:
    headers = {}
    for line in head.split(b"\r\n")[1:]:
        name, colon, value = line.partition(b":")
        if colon:
            headers[name.strip().lower()] = value.strip()
    return headers


def _unmasked(body: bytes, mask: bytes) -> bytes:
    return bytes(byte ^ mask[at % 4] for at, byte in enumerate(body)) if len(mask) == 4 else body
