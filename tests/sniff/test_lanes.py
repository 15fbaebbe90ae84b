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


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("damage", [False, True])
def test_lanes_find_the_blocks_of_a_pcapng(order: str, damage: bool) -> None:
    """The same walk serves pcapng, whose packets may carry blocks of pcapng, and which may be damaged."""
    inner = enhanced(0, bytes(20), order=order)
    items = [(ts, inner * 3 + data if ts % 7 == 0 else data) for ts, data in traffic(3)]
    forged = bytearray(pcapng(items, order))
    if damage:
        forged[len(forged) // 2 :: 101] = bytes(len(forged[len(forged) // 2 :: 101]))
    data = np.frombuffer(bytes(forged), np.uint8)
    framing = BlockFraming(data, len(data), order)
    starts, end = find_records(framing, 0)

    found, at = [], 0
    while at <= framing.last and (after := framing.step_one(at)) != at:
        found.append(at)
        at = after
    assert (starts.tolist(), end) == (found, at)
    assert bool(end < len(data)) == damage
