"""Control channels of reverse tunnels with a framing of their own: frp, rathole and nps."""

from __future__ import annotations

import json
import re

from detectors._kit import tls
from nettriage.model.safetext import SafeStr, safe

from .tool_talk import ToolTalk

_FRP_LOGIN, _FRP_ANSWER, _FRP_WORK = b"o", b"1", b"w"
_FRP_V2 = b"FRP\0\x02\r\n"
_FRP_BODY_MAX = 10_240
_FRP_FRAME = 9
"""Type byte and eight bytes of length (fatedier/golib msg/json/process.go)."""
_RATHOLE_HELLO = 37
_RATHOLE_VERSION = b"\0\0\0\x01"
"""Protocol version 1 behind the variant byte of bincode (rapiz1/rathole src/protocol.rs)."""
_NPS_VERSION = re.compile(rb"\d{1,3}\.\d{1,3}\.\d{1,3}$")
_NPS_MD5 = re.compile(rb"[0-9a-f]{32}")


def recognise(client: bytes, server: bytes) -> ToolTalk | None:
    """Return the tool whose control channel both sides speak, None where there is none."""
    return _frp(client, server) or _rathole(client, server) or _nps(client, server)


def _frp(client: bytes, server: bytes) -> ToolTalk | None:
    if client.startswith(_FRP_V2):
        return ToolTalk(tool="frp", evidence=safe("magic FRP of wire protocol 2"), confidence=0.98, score=82.0)
    if client[:3] == b"\x17\x16\x03" and tls.is_tls(client[1:]):
        words = "byte 0x17 before the ClientHello"
        return ToolTalk(tool="frp", evidence=safe(words), confidence=0.9, score=78.0)
    login = _frp_message(client, _FRP_LOGIN) or _frp_message(client, _FRP_WORK)
    if login is None or (server and server[:1] not in (_FRP_ANSWER, b"\0")):
        return None
    version = login.get("version")
    words = f"login message in JSON, version {safe(str(version), 16)}" if version else "work connection in JSON"
    return ToolTalk(tool="frp", evidence=safe(words), confidence=0.97 if version else 0.85, score=82.0)


def _frp_message(stream: bytes, kind: bytes) -> dict[str, object] | None:
    size = int.from_bytes(stream[1:_FRP_FRAME])
    if stream[:1] != kind or not 2 <= size <= _FRP_BODY_MAX or len(stream) < _FRP_FRAME + size:
        return None
    try:
        message = json.loads(stream[_FRP_FRAME : _FRP_FRAME + size])
    except (ValueError, RecursionError):
        return None
    return message if isinstance(message, dict) else None


def _rathole(client: bytes, server: bytes) -> ToolTalk | None:
    """Both hellos are 37 bytes; the client's names the control (0) or data (1) channel, its digest is no zeros."""
    if len(client) < _RATHOLE_HELLO or client[0] > 1 or client[1:5] != _RATHOLE_VERSION:
        return None
    digest = client[5:_RATHOLE_HELLO]
    if client[0] == 1:
        return None  # the data channel alone is too little: its server says nothing of its own
    nonce = server[5:_RATHOLE_HELLO]
    if (
        len(server) < _RATHOLE_HELLO
        or server[:5] != b"\0" + _RATHOLE_VERSION
        or min(map(_variety, (digest, nonce))) < 16
    ):
        return None
    words = "hellos of 37 bytes with a digest and a nonce"
    return ToolTalk(tool="rathole", evidence=safe(words), confidence=0.93, score=82.0)


def _variety(block: bytes) -> int:
    return len(set(block))


def _nps(client: bytes, server: bytes) -> ToolTalk | None:
    """ehang-io/nps client/control.go: ``TST``, two versions behind LE32 lengths; the server answers 32 hex digits."""
    if not client.startswith(b"TST"):
        return None
    core, at = _counted(client, 3)
    version, _ = _counted(client, at)
    if not _NPS_VERSION.match(core) or not _NPS_VERSION.match(version):
        return None
    if server and not _NPS_MD5.match(server):
        return None
    words = f"TST, core version {core.decode()}, version {version.decode()}"
    return ToolTalk(
        tool="nps", evidence=safe(words), confidence=0.97 if server else 0.8, score=82.0, target=SafeStr("")
    )


def _counted(stream: bytes, at: int) -> tuple[bytes, int]:
    size = int.from_bytes(stream[at : at + 4], "little")
    end = at + 4 + size
    return (stream[at + 4 : end], end) if size <= 32 else (b"", at)
