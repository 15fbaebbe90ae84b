"""What is spoken inside of a proxied connection, who forges certificates there, and who tells the true client."""

from __future__ import annotations

import re

from . import tls

UNUSUAL = frozenset({"SSH", "SMTP", "RDP", "SMB", "a further proxy"})
"""Protocols that nobody's browser speaks through a web proxy."""
_SMB = (b"\xfeSMB", b"\xffSMB")
_MAIL = re.compile(rb"(EHLO|HELO) ", re.IGNORECASE)
_HTTP = re.compile(rb"[A-Z]{3,9} /\S* HTTP/1\.")
_PROXY_V1 = re.compile(rb"PROXY TCP[46] \S{2,39} \S{2,39} \d{1,5} \d{1,5}\r\n")
_PROXY_V2 = b"\r\n\r\n\0\r\nQUIT\n"
_INTERCEPTORS = {
    "portswigger": "Burp Suite", "mitmproxy": "mitmproxy", "do_not_trust_fiddlerroot": "Fiddler",
    "charles proxy": "Charles", "zed attack proxy": "ZAP",
}  # fmt: skip
"""Words in the issuer of the certificates that intercepting proxies forge."""


def spoken(client: bytes, server: bytes) -> str:
    """Return the protocol of a stream by its first bytes, empty where it is not known."""
    marks = (
        ("SSH", client.startswith(b"SSH-") or server.startswith(b"SSH-")),
        ("TLS", tls.is_tls(client)),
        ("SMTP", server.startswith(b"220") and (b"SMTP" in server[:128].upper() or bool(_MAIL.match(client)))),
        ("RDP", client[:3] == b"\x03\0\0" and client[5:6] == b"\xe0"),
        ("SMB", client[4:8] in _SMB),
        ("a further proxy", client.startswith(b"CONNECT ") or (client[:1] == server[:1] == b"\x05")),
        ("HTTP", bool(_HTTP.match(client))),
    )
    return next((name for name, holds in marks if holds), "")


def interceptor(server: bytes) -> str:
    """Return the tool whose authority signed the certificate of a TLS server, empty where none is known.

    From TLS 1.3 on certificates are encrypted.
    """
    found = tls.certificate(server)
    if found is None:
        return ""
    issuer = f"{found.issuer_organisation} {found.issuer_name}".lower()
    return next((name for word, name in _INTERCEPTORS.items() if word in issuer), "")


def tells_client(stream: bytes) -> bool:
    """Whether a stream begins with the PROXY protocol: a balancer tells its back end who the true client is."""
    return stream.startswith(_PROXY_V2) or _PROXY_V1.match(stream) is not None
