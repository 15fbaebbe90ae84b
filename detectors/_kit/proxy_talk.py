"""What a proxy handshake says, whatever its protocol."""

from __future__ import annotations

from dataclasses import dataclass

from nettriage.model.addresses import to_text
from nettriage.model.finding import Address
from nettriage.model.safetext import SafeStr

CONNECT = "HTTP CONNECT"
ABSOLUTE_URI = "HTTP absolute-URI"


@dataclass(frozen=True, slots=True, kw_only=True)
class ProxyTalk:
    """One request to a proxy, with its answer as far as seen."""

    protocol: str
    """``SOCKS4``, ``SOCKS4a``, ``SOCKS5``, `CONNECT` or `ABSOLUTE_URI`."""
    host: SafeStr
    """Name of the target; empty where it is an address, or not told yet."""
    address: Address | None
    """Address of the target, where the client gave one."""
    port: int
    """Port of the target; 0 where not told yet."""
    answered: bool
    """Whether the server spoke the same protocol back."""
    granted: bool | None
    """Whether the server agreed; None where its verdict was not seen."""
    user: SafeStr
    """User name of the client; passwords are never kept."""
    client_bytes: int
    """Handshake bytes of the client: what follows is the relayed stream."""
    server_bytes: int
    """Handshake bytes of the server."""
    inner: str = ""
    """Protocol inside of the proxied stream; empty where it is not known (yet)."""
    forger: str = ""
    """Intercepting tool that signed the certificate inside; empty where none is known."""

    @property
    def socks(self) -> bool:
        """Whether it is one of the SOCKS family."""
        return self.protocol.startswith("SOCKS")

    @property
    def target(self) -> str:
        """Target as text, ``host:port``; empty where not told."""
        if not self.port:
            return ""
        name = self.host or (to_text(*self.address) if self.address else "")
        return f"[{name}]:{self.port}" if ":" in name else f"{name}:{self.port}"
