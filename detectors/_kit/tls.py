"""The TLS handshake in the clear: ClientHello with SNI, ALPN and JA4, ServerHello, certificate up to TLS 1.2."""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import sha256

from nettriage.model.safetext import SafeStr, safe

from . import der

_HANDSHAKE = 22
_CLIENT_HELLO, _SERVER_HELLO, _CERTIFICATE = 1, 2, 11
_SNI, _ALPN, _SIGNATURES, _VERSIONS = 0, 16, 13, 43
_NAMES = {0x0304: "13", 0x0303: "12", 0x0302: "11", 0x0301: "10", 0x0300: "s3", 0x0002: "s2"}
_MESSAGE_MAX = 1 << 16


@dataclass(frozen=True, slots=True)
class ClientHello:
    """What a TLS client offers."""

    version: int
    """Highest version offered."""
    sni: SafeStr
    alpn: tuple[SafeStr, ...]
    ciphers: tuple[int, ...]
    random: bytes
    ja4: str
    """JA4 of FoxIO: readable part, hash of ciphers, hash of extensions and signature algorithms."""


@dataclass(frozen=True, slots=True)
class ServerHello:
    """What a TLS server chose."""

    version: int
    cipher: int


@dataclass(frozen=True, slots=True)
class Certificate:
    """Names in the first certificate of a chain; empty where it has none."""

    organisation: SafeStr
    common_name: SafeStr
    issuer_organisation: SafeStr
    issuer_name: SafeStr
    empty_names: bool
    """Whether subject and issuer have no attribute at all."""


def is_tls(stream: bytes) -> bool:
    """Whether a stream begins with a handshake record."""
    return len(stream) >= 6 and stream[0] == _HANDSHAKE and stream[1] == 3 and stream[2] <= 4


def client_hello(stream: bytes) -> ClientHello | None:
    """Return the ClientHello at the start of a client's stream, None where it is not (wholly) there."""
    body = next((body for kind, body in _messages(stream) if kind == _CLIENT_HELLO), None)
    if body is None or len(body) < 38:
        return None
    at = 35 + body[34]
    size = int.from_bytes(body[at : at + 2])
    ciphers = _words(body[at + 2 : at + 2 + size])
    at += 2 + size
    at += 1 + (body[at] if at < len(body) else 0)
    extensions = _extensions(body[at:])
    by_type = dict(extensions)
    offered = [word for word in _words(by_type.get(_VERSIONS, b"\0")[1:]) if not _is_grease(word)]
    version = max(offered, default=int.from_bytes(body[:2]))
    alpn = _alpn(by_type.get(_ALPN, b""))
    hello = ClientHello(version, _sni(by_type.get(_SNI, b"")), tuple(map(safe, alpn)), ciphers, body[2:34], "")
    ja4 = _ja4(hello, alpn[0] if alpn else b"", [kind for kind, _ in extensions], by_type.get(_SIGNATURES, b"\0\0"))
    return ClientHello(hello.version, hello.sni, hello.alpn, hello.ciphers, hello.random, ja4)


def server_hello(stream: bytes) -> ServerHello | None:
    """Return the ServerHello at the start of a server's stream, None where it is not (wholly) there."""
    body = next((body for kind, body in _messages(stream) if kind == _SERVER_HELLO), None)
    if body is None or len(body) < 38:
        return None
    at = 35 + body[34]
    cipher = int.from_bytes(body[at : at + 2])
    chosen = dict(_extensions(body[at + 3 :])).get(_VERSIONS, b"")
    return ServerHello(int.from_bytes(chosen) if len(chosen) == 2 else int.from_bytes(body[:2]), cipher)


def certificate(stream: bytes) -> Certificate | None:
    """Return the first certificate of a server's stream (TLS 1.2 and below), None where it is not wholly there."""
    body = next((body for kind, body in _messages(stream) if kind == _CERTIFICATE), None)
    if body is None or len(body) < 6:
        return None
    size = int.from_bytes(body[3:6])
    names = der.certificate_names(body[6 : 6 + size])
    if names is None:
        return None
    issuer, subject = names
    return Certificate(
        organisation=safe(subject.get(der.ORGANISATION, b"")), common_name=safe(subject.get(der.COMMON_NAME, b"")),
        issuer_organisation=safe(issuer.get(der.ORGANISATION, b"")),
        issuer_name=safe(issuer.get(der.COMMON_NAME, b"")), empty_names=not issuer and not subject,
    )  # fmt: skip


def record_sizes(stream: bytes) -> list[tuple[int, int]]:
    """Return (content type, payload length) of the records of a stream, the last of them perhaps cut."""
    records, at = [], 0
    while len(stream) >= at + 5 and 20 <= stream[at] <= 23 and stream[at + 1] == 3:
        size = int.from_bytes(stream[at + 3 : at + 5])
        records.append((stream[at], size))
        at += 5 + size
    return records


def _messages(stream: bytes) -> list[tuple[int, bytes]]:
    """Return (type, body) of the whole handshake messages before anything else is said."""
    joined, at = b"", 0
    while len(stream) >= at + 5 and stream[at] == _HANDSHAKE and stream[at + 1] == 3:
        size = int.from_bytes(stream[at + 3 : at + 5])
        joined += stream[at + 5 : at + 5 + size]
        at += 5 + size
    found, at = [], 0
    while len(joined) >= at + 4:
        size = int.from_bytes(joined[at + 1 : at + 4])
        if size > _MESSAGE_MAX or len(joined) < at + 4 + size:
            break
        found.append((joined[at], joined[at + 4 : at + 4 + size]))
        at += 4 + size
    return found


def _extensions(block: bytes) -> list[tuple[int, bytes]]:
    found, at, end = [], 2, min(len(block), 2 + int.from_bytes(block[:2]))
    while end >= at + 4:
        kind, size = int.from_bytes(block[at : at + 2]), int.from_bytes(block[at + 2 : at + 4])
        found.append((kind, block[at + 4 : at + 4 + size]))
        at += 4 + size
    return found


def _words(block: bytes) -> tuple[int, ...]:
    return tuple(int.from_bytes(block[at : at + 2]) for at in range(0, len(block) - 1, 2))


def _sni(block: bytes) -> SafeStr:
    size = int.from_bytes(block[3:5])
    return safe(block[5 : 5 + size]) if len(block) > 5 and block[2] == 0 else SafeStr("")


def _alpn(block: bytes) -> list[bytes]:
    names, at = [], 2
    while at < len(block):
        names.append(block[at + 1 : at + 1 + block[at]])
        at += 1 + block[at]
    return names


def _is_grease(word: int) -> bool:
    """Whether a value is reserved by RFC 8701 to keep servers tolerant."""
    return word & 0x0F0F == 0x0A0A and word >> 8 == word & 0xFF


def _ja4(hello: ClientHello, alpn: bytes, kinds: list[int], signatures: bytes) -> str:
    """Return the JA4 fingerprint of a hello over TCP (FoxIO, technical_details/JA4.md)."""
    ciphers = sorted(f"{word:04x}" for word in hello.ciphers if not _is_grease(word))
    told = [kind for kind in kinds if not _is_grease(kind)]
    extensions = sorted(f"{kind:04x}" for kind in told if kind not in (_SNI, _ALPN))
    signed = ",".join(f"{word:04x}" for word in _words(signatures[2:]) if not _is_grease(word))
    readable = (
        f"t{_NAMES.get(hello.version, '00')}{'d' if _SNI in told else 'i'}"
        f"{min(len(ciphers), 99):02d}{min(len(told), 99):02d}{_alpn_ends(alpn)}"
    )
    body = ",".join(extensions) + (f"_{signed}" if signed else "")
    return f"{readable}_{_short_hash(','.join(ciphers))}_{_short_hash(body if extensions else '')}"


def _alpn_ends(alpn: bytes) -> str:
    if not alpn:
        return "00"
    ends = bytes((alpn[0], alpn[-1]))
    return ends.decode() if ends.isalnum() else f"{alpn[0]:02x}"[0] + f"{alpn[-1]:02x}"[1]


def _short_hash(text: str) -> str:
    return sha256(text.encode()).hexdigest()[:12] if text else "0" * 12
