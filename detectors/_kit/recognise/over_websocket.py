"""Tunnels inside WebSocket: chisel, wstunnel, RTUN, revsocks and frp, told by the upgrade and the first frames."""

from __future__ import annotations

import json
import re
from binascii import Error, a2b_base64

from detectors._kit import websocket
from nettriage.model.safetext import SafeStr, safe

from .tool_talk import ToolTalk

_BEARER = b"authorization.bearer."
_RTUN_PATH = re.compile(rb"(?:/\S{0,64})?/(tcp|udp)/(\d{1,5})$")
_RTUN_PORT = 9_000
_FRP_PATH = b"/~!frp"
_PASSWORD = re.compile(rb"[A-Za-z0-9]{64}$")


def recognise(client: bytes, server: bytes, port: int) -> ToolTalk | None:
    """Return the tool behind a WebSocket upgrade that the server at `port` accepted, None where none is known."""
    upgrade = websocket.parse(client, server)
    if upgrade is None:
        return None
    return _chisel(upgrade) or _wstunnel(upgrade) or _frp(upgrade) or _revsocks(upgrade) or _rtun(upgrade, port)


def _chisel(upgrade: websocket.Upgrade) -> ToolTalk | None:
    """jpillora/chisel share/version.go: subprotocol and inner SSH banners carry the protocol version."""
    offered = next((name for name in upgrade.protocols if name.startswith(b"chisel-v")), b"")
    inner = next((text for text in (upgrade.client, upgrade.server) if text.startswith(b"SSH-chisel-")), b"")
    if not offered and not inner:
        return None
    evidence = f"Sec-WebSocket-Protocol: {safe(offered, 32)}" if offered else "no subprotocol"
    if inner:
        evidence += f", then {safe(inner.splitlines()[0], 48)} inside the frames"
    return ToolTalk(tool="chisel", evidence=safe(evidence), confidence=0.99, score=84.0)


def _wstunnel(upgrade: websocket.Upgrade) -> ToolTalk | None:
    """erebe/wstunnel: the subprotocol carries a token whose payload names the onward target in plain JSON."""
    token = next((name[len(_BEARER) :] for name in upgrade.protocols if name.startswith(_BEARER)), None)
    if token is None:
        return None
    claims = _claims(token)
    host, port = claims.get("r"), claims.get("rp")
    target = safe(f"{host}:{port}") if isinstance(host, str) and isinstance(port, int) else SafeStr("")
    direction = claims.get("p")
    words = f"token of protocol {safe(str(direction)[:32])}" if direction is not None else "token without JSON"
    return ToolTalk(
        tool="wstunnel", evidence=safe(f"Sec-WebSocket-Protocol: authorization.bearer, {words}"), confidence=0.98,
        score=82.0, target=target,
    )  # fmt: skip


def _claims(token: bytes) -> dict[str, object]:
    """Return the payload of a JSON web token (RFC 7519 3), unverified; empty where it is none."""
    parts = token.split(b".")
    if len(parts) < 2:
        return {}
    body = parts[1].replace(b"-", b"+").replace(b"_", b"/")
    try:
        claims = json.loads(a2b_base64(body + b"=" * (-len(body) % 4)))
    except (Error, ValueError, RecursionError):
        return {}
    return claims if isinstance(claims, dict) else {}


def _frp(upgrade: websocket.Upgrade) -> ToolTalk | None:
    """fatedier/frp pkg/util/net/websocket.go."""
    if upgrade.path != _FRP_PATH:
        return None
    return ToolTalk(tool="frp", evidence=safe("WebSocket path /~!frp"), confidence=0.98, score=80.0)


def _revsocks(upgrade: websocket.Upgrade) -> ToolTalk | None:
    """kost/revsocks rclient.go: the password travels as the language that the client accepts."""
    language = upgrade.headers.get(b"accept-language", b"")
    if b"chat" not in upgrade.protocols or not _PASSWORD.match(language):
        return None
    words = "subprotocol chat, and a password of 64 characters as Accept-Language"
    return ToolTalk(tool="revsocks", evidence=safe(words), confidence=0.95, score=84.0)


def _rtun(upgrade: websocket.Upgrade, port: int) -> ToolTalk | None:
    """snsinfu/reverse-tunnel agent/agent.go: a path for each port, and a key as bearer."""
    if not upgrade.headers.get(b"authorization", b"").startswith(b"Bearer "):
        return None
    path = _RTUN_PATH.match(upgrade.path)
    if path is None and port != _RTUN_PORT:
        return None
    served = safe(f"port {path[2].decode()}/{path[1].decode()} of the gateway") if path else SafeStr("")
    words = f"WebSocket {safe(upgrade.path, 48)} with Authorization: Bearer"
    return ToolTalk(
        tool="RTUN", evidence=safe(words), confidence=0.9 if path else 0.6, score=74.0 if path else 52.0, target=served
    )  # fmt: skip
