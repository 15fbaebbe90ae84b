"""Tools that give themselves away by the certificate that their server makes for itself (TLS 1.2 and below)."""

from __future__ import annotations

from detectors._kit import tls
from nettriage.model.safetext import safe

from .tool_talk import ToolTalk


def recognise(client: bytes, server: bytes) -> ToolTalk | None:
    """Return frp where the server's certificate has neither subject nor issuer (frp pkg/transport/tls.go)."""
    if not tls.is_tls(client) or not tls.is_tls(server):
        return None
    shown = tls.certificate(server)
    if shown is None or not shown.empty_names:
        return None
    hello = tls.client_hello(client)
    words = "certificate with empty subject and issuer" + (f", JA4 {hello.ja4}" if hello else "")
    return ToolTalk(tool="frp", evidence=safe(words), confidence=0.6, score=52.0)
