"""Capture files forged byte by byte, and the slow and obvious way to read a pcap."""

from __future__ import annotations

import asyncio
import struct
from collections.abc import Iterable

from nettriage.model.batch import HEAD_WIDTH, RawBatch
from nettriage.model.errors import CaptureError
from sniff.source import Source

Packet = tuple[int, bytes]
"""ns since the epoch, and the bytes."""
START_NS = 1_700_000_000_000_000_000


def packets(count: int, size: int = 60) -> list[Packet]:
    """Return packets a whole µs apart, each with its number in it and each a little longer than the last."""
    return [
        (START_NS + number * 1_000, struct.pack(">I", number) + bytes([number % 251]) * (size - 4 + number % 7))
        for number in range(count)
    ]  # fmt: skip


def pcap(
    items: Iterable[Packet], *, order: str = "<", magic: int = 0xA1B2C3D4, link_type: int = 1, snaplen: int = 262_144,
    wire_extra: int = 0,
) -> bytes:  # fmt: skip
    """Return a pcap; `magic` decides units and record headers, `wire_extra` is how much longer packets were."""
    unit = 1 if magic == 0xA1B23C4D else 1000
    more = bytes(8) if magic == 0xA1B2CD34 else b""
    head = struct.pack(order + "IHHiIII", magic, 2, 4, 0, 0, snaplen, link_type)
    return head + b"".join(
        struct.pack(order + "IIII", ts // 10**9, ts % 10**9 // unit, len(data), len(data) + wire_extra) + more + data
        for ts, data in items
    )


def block(kind: int, body: bytes, order: str = "<") -> bytes:
    """Return a pcapng block."""
    body += bytes(-len(body) % 4)
    return struct.pack(order + "II", kind, len(body) + 12) + body + struct.pack(order + "I", len(body) + 12)


def option(code: int, value: bytes, order: str = "<") -> bytes:
    """Return a pcapng option."""
    return struct.pack(order + "HH", code, len(value)) + value + bytes(-len(value) % 4)


def section(order: str = "<") -> bytes:
    """Return a section header block."""
    return block(0x0A0D0D0A, struct.pack(order + "IHHq", 0x1A2B3C4D, 1, 0, -1), order)


def interface(link_type: int = 1, snaplen: int = 0, options: bytes = b"", order: str = "<") -> bytes:
    """Return an interface description block."""
    end = option(0, b"", order) if options else b""
    return block(1, struct.pack(order + "HHI", link_type, 0, snaplen) + options + end, order)


def enhanced(ticks: int, data: bytes, number: int = 0, order: str = "<", wire_len: int | None = None) -> bytes:
    """Return an enhanced packet block."""
    wire_len = len(data) if wire_len is None else wire_len
    words = struct.pack(order + "IIIII", number, ticks >> 32, ticks & 0xFFFFFFFF, len(data), wire_len)
    return block(6, words + data + bytes(-len(data) % 4), order)


def pcapng(items: Iterable[Packet], order: str = "<") -> bytes:
    """Return a pcapng of one Ethernet interface in µs."""
    return section(order) + interface(order=order) + b"".join(enhanced(ts // 1000, d, order=order) for ts, d in items)


def drain(source: Source) -> tuple[list[RawBatch], str]:
    """Read a source that ends, and return its batches that hold packets, copied, and what it says was wrong."""

    async def read() -> tuple[list[RawBatch], str]:
        found: list[RawBatch] = []
        try:
            async for batch in source.batches():
                check(batch)
                if len(batch):
                    found.append(batch if batch.stable else kept(batch))
        except CaptureError as error:
            return found, str(error)
        return found, ""

    return asyncio.run(read())


def kept(batch: RawBatch) -> RawBatch:
    """Return a batch with its own copy of the bytes."""
    own = batch.rows(slice(None))
    own.data = batch.data.copy()
    return own


def check(batch: RawBatch) -> None:
    """Assert what every batch of every source promises."""
    types = [column.dtype.str for column in (batch.ts_ns, batch.offset, batch.cap_len, batch.wire_len, batch.data)]
    assert types == ["<i8", "<i8", "<i4", "<i4", "|u1"]
    assert (batch.wire_len >= batch.cap_len).all()
    assert (batch.cap_len >= 0).all()
    assert (batch.offset >= 0).all()
    assert (batch.offset + HEAD_WIDTH <= len(batch.data)).all()
    assert (batch.offset + batch.cap_len <= len(batch.data)).all()


def rows(batches: Iterable[RawBatch]) -> list[Packet]:
    """Return time and bytes of every packet."""
    return [(int(batch.ts_ns[row]), batch.packet(row)) for batch in batches for row in range(len(batch))]
