"""Lanes in lockstep against a plain walk."""

from __future__ import annotations

import random
import struct

import numpy as np
import pytest

from sniff.lanes import LANES_MIN, SEGMENT, find_records
from sniff.pcap import FILE_HEADER, PcapFraming, PcapHeader
from sniff.pcapng import BlockFraming
from tests.sniff.forged_captures import START_NS, Packet, enhanced, pcap, pcapng

BYTES = (LANES_MIN + 8) * SEGMENT
"""Enough for lanes."""


def plain_walk(data: bytes, order: str) -> tuple[list[int], int]:
    """Find the records of a pcap as its specification reads."""
    found, at = [], FILE_HEADER
    while at + 16 <= len(data):
        (length,) = struct.unpack_from(order + "I", data, at + 8)
        if length > 262_144 or at + 16 + length > len(data):
            break
        found.append(at)
        at += 16 + length
    return found, at


def found_by_lanes(data: bytes) -> tuple[list[int], int]:
    """Find the records of a pcap with the code under test."""
    header = PcapHeader.read(data[:FILE_HEADER])
    assert header is not None
    starts, end = find_records(PcapFraming(np.frombuffer(data, np.uint8), FILE_HEADER, len(data), header), FILE_HEADER)
    return starts.tolist(), end


def traffic(seed: int, size_max: int = 1514) -> list[Packet]:
    """Return packets of random sizes and bytes, enough for lanes."""
    rng = random.Random(seed)
    blob = rng.randbytes(1 << 20)
    items, total = [], 0
    while total < BYTES:
        size = rng.choice((60, 66, 200, size_max))
        at = rng.randrange(len(blob) - size)
        items.append((START_NS + len(items) * 1000, blob[at : at + size]))
        total += size + 16
    return items


@pytest.mark.parametrize("order", ["<", ">"])
def test_lanes_find_what_a_plain_walk_finds(order: str) -> None:
    """Ordinary traffic, in either byte order, gives every record and the end of the last."""
    data = pcap(traffic(1), order=order)

    assert found_by_lanes(data) == plain_walk(data, order)


def test_a_capture_inside_a_capture_misleads_no_lane() -> None:
    """Packets that carry a pcap, record headers and all, are still one packet each."""
    inner = pcap([(START_NS, bytes(44))] * 40)[FILE_HEADER:]
    items = [(START_NS + number, inner[: 600 + number % 1500]) for number in range(BYTES // 1000)]
    data = pcap(items)

    assert found_by_lanes(data) == plain_walk(data, "<")


def test_zeros_mislead_no_lane() -> None:
    """Payloads of zeros in packets of 1970 look like headers at every byte, and are not believed."""
    data = pcap([(number, bytes(900)) for number in range(BYTES // 900)])

    assert found_by_lanes(data) == plain_walk(data, "<")


def test_records_longer_than_the_probe_are_found() -> None:
    """Where no header lies near the beginning of a segment, its lane joins the one before."""
    data = pcap([(START_NS + number, bytes([number % 256]) * 200_000) for number in range(BYTES // 200_000)])

    assert found_by_lanes(data) == plain_walk(data, "<")


@pytest.mark.parametrize("seed", range(6))
def test_damage_ends_the_records_where_it_is(seed: int) -> None:
    """Bytes changed at random places, lengths among them, end both walks at the same place."""
    rng = random.Random(seed)
    data = bytearray(pcap(traffic(seed)))
    for _ in range(rng.choice((1, 50, 5000))):
        data[rng.randrange(FILE_HEADER, len(data))] = rng.randrange(256)
    damaged = bytes(data[: rng.randrange(len(data) // 2, len(data))])

    assert found_by_lanes(damaged) == plain_walk(damaged, "<")


def test_noise_ends_at_once() -> None:
    """Random bytes after a file header are walked no further than they make sense."""
    data = pcap([]) + random.Random(7).randbytes(BYTES)

    assert found_by_lanes(data) == plain_walk(data, "<")


def plain_block_walk(data: bytes, order: str) -> tuple[list[int], int]:
    """Find the blocks of a pcapng as its specification reads."""
    found, at = [], 0
    while at + 12 <= len(data):
        (length,) = struct.unpack_from(order + "I", data, at + 4)
        whole = 12 <= length <= 16 << 20 and length % 4 == 0 and at + length <= len(data)
        if not whole or struct.unpack_from(order + "I", data, at + length - 4)[0] != length:
            break
        found.append(at)
        at += length
    return found, at


def blocks_by_lanes(data: bytes, order: str) -> tuple[list[int], int]:
    """Find the blocks of a pcapng with the code under test."""
    starts, end = find_records(BlockFraming(np.frombuffer(data, np.uint8), len(data), order), 0)
    return starts.tolist(), end


@pytest.mark.parametrize("order", ["<", ">"])
def test_lanes_find_the_blocks_of_a_pcapng(order: str) -> None:
    """The same walk serves pcapng, also where packets carry blocks of a pcapng."""
    inner = enhanced(0, bytes(20), order=order)
    data = pcapng([(ts, inner * 3 + data if ts % 7 == 0 else data) for ts, data in traffic(3)], order)

    assert blocks_by_lanes(data, order) == plain_block_walk(data, order)
    assert blocks_by_lanes(data, order)[1] == len(data)


@pytest.mark.parametrize("field", [4, -4])
@pytest.mark.parametrize("length", [0, 14, 20, 0xFFFF_FFFC])
def test_a_wrong_length_at_either_end_of_a_block_ends_the_blocks(field: int, length: int) -> None:
    """Neither the length in front nor the one behind is believed without the other."""
    data = bytearray(pcapng(traffic(4)))
    blocks, _ = plain_block_walk(bytes(data), "<")
    wrong = len(blocks) * 2 // 3
    struct.pack_into("<I", data, blocks[wrong if field > 0 else wrong + 1] + field, length)

    assert blocks_by_lanes(bytes(data), "<") == (blocks[:wrong], blocks[wrong])
