"""The names inside an X.509 certificate: as much of DER (X.690) as it takes to find issuer and subject."""

from __future__ import annotations

COMMON_NAME, ORGANISATION = b"\x55\x04\x03", b"\x55\x04\x0a"
"""Object identifiers 2.5.4.3 and 2.5.4.10 (X.520)."""
_SEQUENCE, _SET, _OID, _VERSION = 0x30, 0x31, 0x06, 0xA0
_ATTRIBUTES_MAX = 16

Names = dict[bytes, bytes]


def certificate_names(certificate: bytes) -> tuple[Names, Names] | None:
    """Return the attributes of issuer and subject by object identifier, None where the bytes are no certificate."""
    outer = _read(certificate, 0)
    if outer is None or outer[0] != _SEQUENCE:
        return None
    inner = _read(outer[1], 0)
    if inner is None or inner[0] != _SEQUENCE:
        return None
    parts, at = [], 0
    for _ in range(7):
        part = _read(inner[1], at)
        if part is None:
            break
        parts.append(part)
        at = part[2]
    if parts and parts[0][0] == _VERSION:
        parts = parts[1:]
    # serialNumber, signature, issuer, validity, subject (RFC 5280 4.1)
    if len(parts) < 5 or parts[2][0] != _SEQUENCE or parts[4][0] != _SEQUENCE:
        return None
    return _attributes(parts[2][1]), _attributes(parts[4][1])


def _attributes(name: bytes) -> Names:
    """Return the attributes of a Name: a sequence of sets of (type, value) sequences."""
    found: Names = {}
    at = 0
    for _ in range(_ATTRIBUTES_MAX):
        entry = _read(name, at)
        if entry is None or entry[0] != _SET:
            break
        pair = _read(entry[1], 0)
        kind = _read(pair[1], 0) if pair and pair[0] == _SEQUENCE else None
        value = _read(pair[1], kind[2]) if pair and kind and kind[0] == _OID else None
        if kind and value:
            found[kind[1]] = value[1]
        at = entry[2]
    return found


def _read(stream: bytes, at: int) -> tuple[int, bytes, int] | None:
    """Return tag, content and end of the element at `at`, None where it is not wholly there."""
    if len(stream) < at + 2:
        return None
    tag, size, start = stream[at], stream[at + 1], at + 2
    if size & 0x80:
        width = size & 0x7F
        if not 1 <= width <= 3:
            return None
        size = int.from_bytes(stream[start : start + width])
        start += width
    return (tag, stream[start : start + size], start + size) if len(stream) >= start + size else None
