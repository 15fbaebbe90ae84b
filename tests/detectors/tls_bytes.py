"""TLS handshakes and certificates forged byte by byte, for the tests of what reads them."""

from __future__ import annotations

CHROME_CIPHERS = (
    0x1301, 0x1302, 0x1303, 0xC02B, 0xC02F, 0xC02C, 0xC030, 0xCCA9, 0xCCA8, 0xC013, 0xC014, 0x009C, 0x009D, 0x002F,
    0x0035,
)  # fmt: skip
CHROME_EXTENSIONS = (0x1B, 0, 0x33, 0x10, 0x4469, 0x17, 0x2D, 0x0D, 5, 0x23, 0x12, 0x2B, 0xFF01, 0x0B, 0x0A, 0x15)
CHROME_SIGNATURES = (0x0403, 0x0804, 0x0401, 0x0503, 0x0805, 0x0501, 0x0806, 0x0601)
CHROME_JA4 = "t13d1516h2_8daaf6152771_e5627efa2ab1"
"""The example of FoxIO's description of JA4."""
GREASE = 0x2A2A


def words(values) -> bytes:
    """Return 16-bit numbers in network order."""
    return b"".join(value.to_bytes(2) for value in values)


def record(kind: int, body: bytes) -> bytes:
    """Return one record of TLS 1.2 or 1.3."""
    return bytes((kind, 3, 3)) + len(body).to_bytes(2) + body


def message(kind: int, body: bytes) -> bytes:
    """Return one handshake message."""
    return bytes((kind,)) + len(body).to_bytes(3) + body


def client_hello(sni: bytes = b"www.example.com", random: bytes = bytes(range(32))) -> bytes:
    """Return the ClientHello of a Chrome, with GREASE, in one record."""
    name = len(sni).to_bytes(2) + sni
    bodies = {
        0: (len(name) + 1).to_bytes(2) + b"\0" + name,
        0x10: b"\0\x0c\x02h2\x08http/1.1",
        0x0D: (2 * len(CHROME_SIGNATURES)).to_bytes(2) + words(CHROME_SIGNATURES),
        0x2B: bytes((6,)) + words((GREASE, 0x0304, 0x0303)),
    }
    parts = [words((kind,)) + len(bodies.get(kind, b"")).to_bytes(2) + bodies.get(kind, b"")
             for kind in (GREASE, *CHROME_EXTENSIONS)]  # fmt: skip
    block = b"".join(parts)
    ciphers = words((GREASE, *CHROME_CIPHERS))
    body = (
        b"\x03\x03" + random + b"\0" + len(ciphers).to_bytes(2) + ciphers + b"\x01\0" + len(block).to_bytes(2) + block
    )
    return record(22, message(1, body))


def der(tag: int, *parts: bytes) -> bytes:
    """Return one element of DER."""
    content = b"".join(parts)
    size = bytes((len(content),)) if len(content) < 0x80 else b"\x82" + len(content).to_bytes(2)
    return bytes((tag,)) + size + content


def name(**attributes: bytes) -> bytes:
    """Return a Name with attributes `o` and `cn`."""
    kinds = {"o": b"\x55\x04\x0a", "cn": b"\x55\x04\x03"}
    pairs = [der(0x31, der(0x30, der(6, kinds[kind]), der(0x0C, value))) for kind, value in attributes.items()]
    return der(0x30, *pairs)


def certificate(subject: bytes, issuer: bytes | None = None) -> bytes:
    """Return as much of a certificate as readers of names look at, with a key of plausible size."""
    version, serial, algorithm = der(0xA0, der(2, b"\x02")), der(2, b"\x01\x02"), der(0x30, der(6, b"\x2a\x03"))
    validity = der(0x30, der(0x17, b"250101000000Z"), der(0x17, b"260101000000Z"))
    body = der(
        0x30, version, serial, algorithm, subject if issuer is None else issuer, validity, subject, der(0x30, bytes(90))
    )
    return der(0x30, body, algorithm, der(3, bytes(70)))


def server_flight(shown: bytes | None, *, tls13: bool = False) -> bytes:
    """Return ServerHello, and for TLS 1.2 the certificate `shown`, each in a record of its own."""
    extra = b"\0\x06" + words((0x2B, 2, 0x0304)) if tls13 else b""
    hello = record(22, message(2, b"\x03\x03" + bytes(range(32)) + b"\0" + b"\xc0\x2f" + b"\0" + extra))
    if shown is None:
        return hello
    chain = len(shown).to_bytes(3) + shown
    return hello + record(22, message(11, len(chain).to_bytes(3) + chain)) + record(22, message(14, b""))
