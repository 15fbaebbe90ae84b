"""Kept packets as a pcapng file with ns timestamps and the incident of each packet as its comment.

Blocks and options: draft-ietf-opsawg-pcapng, sections 4.1 to 4.3 and 3.5.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable

from nettriage.engine.packet_history import Kept

_SECTION, _INTERFACE, _PACKET = 0x0A0D0D0A, 1, 6
_OPT_END, _OPT_COMMENT, _SHB_USERAPPL, _IF_TSRESOL = 0, 1, 4, 9
SNAPLEN = 262_144


def pcapng(packets: Iterable[tuple[Kept, str]], application: str) -> bytes:
    """Return a whole file of (packet, comment), in order of time; one interface for each link type."""
    ordered = sorted(packets, key=lambda item: item[0].ts_ns)
    links = list(dict.fromkeys(kept.link_type for kept, _ in ordered))
    section = struct.pack("<IHHq", 0x1A2B3C4D, 1, 0, -1) + _options((_SHB_USERAPPL, application.encode()))
    blocks = [_block(_SECTION, section)]
    for link in links:
        blocks.append(_block(_INTERFACE, struct.pack("<HHI", link, 0, SNAPLEN) + _options((_IF_TSRESOL, b"\x09"))))
    blocks += [_packet(kept, comment, links.index(kept.link_type)) for kept, comment in ordered]
    return b"".join(blocks)


def _packet(kept: Kept, comment: str, interface: int) -> bytes:
    time = kept.ts_ns & 0xFFFF_FFFF_FFFF_FFFF
    head = struct.pack("<IIIII", interface, time >> 32, time & 0xFFFF_FFFF, len(kept.data), kept.wire_len)
    return _block(_PACKET, head + _padded(kept.data) + _options((_OPT_COMMENT, comment.encode())))


def _block(kind: int, body: bytes) -> bytes:
    length = struct.pack("<I", len(body) + 12)
    return struct.pack("<I", kind) + length + body + length


def _options(*options: tuple[int, bytes]) -> bytes:
    body = b"".join(struct.pack("<HH", code, len(value)) + _padded(value) for code, value in options)
    return body + struct.pack("<HH", _OPT_END, 0)


def _padded(value: bytes) -> bytes:
    return value + bytes(-len(value) % 4)
