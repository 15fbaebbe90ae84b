"""Batches of given packets, and the comparison of their columns with the reference decoder."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields

import numpy as np

from nettriage.model.batch import HEAD_WIDTH, NO_VLAN, PacketBatch, RawBatch
from sniff.decode import decode
from tests.sniff.reference_decoder import Reference, Row

JUNK = b"\xa5"
"""What lies between packets: a decoder that reads beyond a packet finds it."""


def raw_batch(
    packets: Sequence[bytes], link_type: int = 1, *, ts_ns: Sequence[int] | None = None,
    wire_len: Sequence[int] | None = None, vlan: Sequence[int] | None = None, gap: int = 3,
) -> RawBatch:  # fmt: skip
    """Return a batch of `packets`, with `gap` bytes of junk between them and the required room at the end."""
    cap_len = np.array([len(packet) for packet in packets], np.int32)
    offset = gap + np.concatenate(([0], np.cumsum(cap_len[:-1] + gap))).astype(np.int64) if len(packets) else cap_len
    blob = JUNK * gap + b"".join(packet + JUNK * gap for packet in packets) + JUNK * HEAD_WIDTH
    return RawBatch(
        link_type=link_type,
        ts_ns=np.arange(len(packets), dtype=np.int64) if ts_ns is None else np.array(ts_ns, np.int64),
        offset=np.asarray(offset, np.int64),
        cap_len=cap_len,
        wire_len=cap_len.copy() if wire_len is None else np.array(wire_len, np.int32),
        data=np.frombuffer(blob, np.uint8),
        vlan=None if vlan is None else np.array(vlan, np.int32),
    )


def truncations(packet: bytes) -> RawBatch:
    """Return a batch of the packet captured up to every one of its bytes."""
    cuts = [packet[:size] for size in range(len(packet) + 1)]
    return raw_batch(cuts, wire_len=[len(packet)] * len(cuts))


def rows_of(batch: PacketBatch) -> list[Row]:
    """Return the columns of each packet as the reference decoder says them."""
    names = [item.name for item in fields(Row) if item.name != "quoted"]
    columns = [getattr(batch, name).tolist() for name in names]
    rows = [Row(**dict(zip(names, values, strict=True))) for values in zip(*columns, strict=True)]
    quotes = [getattr(batch.quoted, item.name).tolist() for item in fields(batch.quoted)]
    for row, *words in zip(*quotes, strict=True):
        assert rows[row].quoted is None, "a packet is quoted once"
        rows[row].quoted = tuple(words)
    return rows


def assert_as_reference(raw: RawBatch) -> list[Row]:
    """Check every column of every packet against the reference decoder; return the rows."""
    rows = rows_of(decode(raw))
    for number, row in enumerate(rows):
        vlan = NO_VLAN if raw.vlan is None else int(raw.vlan[number])
        packet = raw.packet(number)
        reference = Reference(packet, int(raw.wire_len[number]), base=int(raw.offset[number]))
        expected = reference.decode(raw.link_type, vlan)
        wrong = {item.name for item in fields(Row) if getattr(row, item.name) != getattr(expected, item.name)}
        assert row == expected, f"{wrong} of packet {number} of link type {raw.link_type}: {packet.hex()}"
    return rows
