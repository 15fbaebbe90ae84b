"""The pcapng format: sections, interfaces, clocks, every packet block, and blocks that cannot be."""

from __future__ import annotations

import random
import struct

import numpy as np
import pytest

from nettriage.model.batch import HEAD_WIDTH, RawBatch
from sniff.pcapng import PcapngParser
from tests.sniff.forged_captures import (
    START_NS,
    block,
    check,
    enhanced,
    interface,
    option,
    packets,
    pcapng,
    rows,
    section,
)

TICKS = START_NS // 1000
"""The start in µs."""


def parse(data: bytes, batch_rows: int = 16_384) -> tuple[list[RawBatch], PcapngParser]:
    """Parse a whole pcapng."""
    parser = PcapngParser()
    padded = np.frombuffer(data + bytes(HEAD_WIDTH), np.uint8)
    return list(parser.parse(padded, 0, len(data), batch_rows)), parser


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("batch_rows", [1, 7, 16_384])
def test_packets_are_read_in_either_byte_order(order: str, batch_rows: int) -> None:
    """Enhanced packet blocks give time and bytes, however the batches are cut."""
    items = packets(50)
    batches, parser = parse(pcapng(items, order), batch_rows)

    assert rows(batches) == items
    assert (parser.fault, parser.lost, parser.link_types) == ("", "", [1])


def test_sections_of_both_byte_orders_may_follow_one_another() -> None:
    """Concatenated files are one capture; the interfaces of each section are its own."""
    items = packets(9)
    data = pcapng(items[:3], "<") + pcapng(items[3:6], ">") + pcapng(items[6:], "<")
    batches, parser = parse(data)

    assert rows(batches) == items
    assert parser.at == len(data)


def test_a_new_section_forgets_the_interfaces() -> None:
    """The same interface number means another link type in the next section."""
    data = section() + interface(1) + enhanced(TICKS, b"a" * 60)
    data += section() + interface(101) + enhanced(TICKS, b"b" * 60)
    batches, _ = parse(data)

    assert [batch.link_type for batch in batches] == [1, 101]


def test_batches_are_cut_where_the_link_type_changes() -> None:
    """Two interfaces of different link types keep the order of their packets."""
    data = section() + interface(1) + interface(113)
    data += b"".join(enhanced(TICKS + n, bytes([n]) * 60, number) for n, number in enumerate((0, 0, 1, 0, 1, 1)))
    batches, parser = parse(data)

    assert [(batch.link_type, len(batch)) for batch in batches] == [(1, 2), (113, 1), (1, 1), (113, 2)]
    assert [packet[0] for _, packet in rows(batches)] == [0, 1, 2, 3, 4, 5]
    assert parser.link_types == [1, 113]


def test_an_interface_may_be_described_after_packets_of_another() -> None:
    """A description counts for the packets behind it, not for those before."""
    data = section() + interface(1) + enhanced(TICKS, b"a" * 60) + enhanced(TICKS, b"early" * 12, 1)
    data += interface(113) + enhanced(TICKS, b"late!" * 12, 1)
    batches, parser = parse(data)

    assert [(batch.link_type, batch.packet(0)[:1]) for batch in batches] == [(1, b"a"), (113, b"l")]
    assert parser.lost == "1 packets of an interface that is not described"


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize(
    ("resolution", "ticks", "ns"),
    [
        (0, 1_700_000_000, 1_700_000_000 * 10**9),
        (3, 1_700_000_000_123, 1_700_000_000_123 * 10**6),
        (6, 1_700_000_000_123_456, 1_700_000_000_123_456 * 1000),
        (9, 1_700_000_000_123_456_789, 1_700_000_000_123_456_789),
        (10, 17_000_000_001_234_567_899, 1_700_000_000_123_456_789),
        (0x80 | 1, 3, 1_500_000_000),
        (0x80 | 30, (5 << 30) + (1 << 29), 5_500_000_000),
        (0x80 | 32, (1_700_000_000 << 32) + (3 << 30), 1_700_000_000_750_000_000),
        (0x80 | 50, (7 << 50) + (1 << 49), 7_500_000_000),
    ],
)
def test_every_clock_becomes_ns(order: str, resolution: int, ticks: int, ns: int) -> None:
    """Resolutions are powers of ten or of two, finer than a ns as well."""
    described = interface(options=option(9, bytes([resolution]), order), order=order)
    batches, _ = parse(section(order) + described + enhanced(ticks, b"x" * 60, order=order))

    assert batches[0].ts_ns.tolist() == [ns]


def test_interfaces_with_different_clocks_share_a_batch() -> None:
    """Each packet is timed by its own interface: resolution and offset."""
    data = section() + interface(options=option(9, b"\x09")) + interface(options=option(14, struct.pack("<q", -60)))
    data += enhanced(START_NS, b"a" * 60, 0) + enhanced(TICKS, b"b" * 60, 1)
    batches, _ = parse(data)

    assert batches[0].ts_ns.tolist() == [START_NS, START_NS - 60 * 10**9]


@pytest.mark.parametrize("resolution", [0, 6, 19, 40, 127, 0x80, 0xFF])
def test_hostile_clocks_stay_in_range(resolution: int) -> None:
    """The largest ticks and offsets give some time of 64 bits, never an error."""
    options = option(9, bytes([resolution])) + option(14, struct.pack("<q", 2**63 - 1))
    batches, _ = parse(section() + interface(options=options) + enhanced(2**64 - 1, b"x" * 60))

    assert int(batches[0].ts_ns[0]) > 0


@pytest.mark.parametrize("order", ["<", ">"])
def test_simple_and_old_packet_blocks_are_read(order: str) -> None:
    """A simple packet has the time of the packet before and is cut to the snapshot length; an old one has all."""
    data = section(order) + interface(1, snaplen=80, order=order) + interface(1, order=order)
    data += enhanced(TICKS, b"e" * 60, order=order)
    data += block(3, struct.pack(order + "I", 500) + b"s" * 80, order)
    old = struct.pack(order + "HHIIII", 1, 9, (TICKS + 5) >> 32, (TICKS + 5) & 0xFFFFFFFF, 61, 70) + b"o" * 61
    data += block(2, old, order)
    batches, _ = parse(data)

    assert rows(batches) == [(START_NS, b"e" * 60), (START_NS, b"s" * 80), (START_NS + 5000, b"o" * 61)]
    assert np.concatenate([batch.wire_len for batch in batches]).tolist() == [60, 500, 70]


def test_other_blocks_are_skipped() -> None:
    """Names, secrets, custom and unknown blocks, and options of packets, are stepped over."""
    noted = struct.pack("<IIIII", 0, TICKS >> 32, TICKS & 0xFFFFFFFF, 60, 60) + b"n" * 60 + option(1, b"comment")
    data = section() + block(0x0A, b"key" * 9) + interface() + block(4, bytes(20)) + block(6, noted)
    data += block(0xBAD, bytes(8)) + block(0x40000BAD, b"") + enhanced(TICKS + 1, b"z" * 60)
    batches, parser = parse(data)

    assert rows(batches) == [(START_NS, b"n" * 60), (START_NS + 1000, b"z" * 60)]
    assert parser.fault == ""


def test_statistics_give_the_drops() -> None:
    """The newest statistics of each interface are summed; without any, drops are unknown."""
    body = struct.pack("<III", 0, 0, 0)
    first = block(5, body + option(5, struct.pack("<Q", 3)) + option(7, struct.pack("<Q", 1)))
    newer = block(5, body + option(5, struct.pack("<Q", 10)) + option(7, struct.pack("<Q", 2)))
    other = block(5, struct.pack("<III", 1, 0, 0) + option(5, struct.pack("<Q", 100)))
    _, parser = parse(section() + interface() + interface() + first + newer + other)
    _, silent = parse(section() + interface())

    assert (parser.nic_drops, parser.kernel_drops) == (110, 2)
    assert (silent.nic_drops, silent.kernel_drops) == (None, None)


def test_a_captured_length_beyond_the_block_is_cut_to_it() -> None:
    """A packet cannot reach into the next block; that it is short shows against its length on the wire."""
    body = struct.pack("<IIIII", 0, TICKS >> 32, TICKS & 0xFFFFFFFF, 60_000, 60_000) + b"x" * 64
    batches, _ = parse(section() + interface() + block(6, body))

    assert (batches[0].cap_len.tolist(), batches[0].wire_len.tolist()) == ([64], [60_000])


@pytest.mark.parametrize(
    ("damage", "fault"),
    [
        (struct.pack("<III", 6, 0, 0), "a block claims a length of 0 bytes"),
        (struct.pack("<III", 6, 13, 0), "a block claims a length of 13 bytes"),
        (struct.pack("<III", 6, 0xFFFFFFFC, 0), "a block claims a length of 4294967292 bytes"),
        (struct.pack("<IIII", 0xBAD, 16, 0, 17), "a block of 16 bytes does not end with its length"),
        (block(6, bytes(16)), "a packet block of 28 bytes"),
        (block(1, bytes(4)), "an interface description of 16 bytes"),
        (block(0x0A0D0D0A, bytes(16)), "a section header without a byte order"),
    ],
)
def test_damage_is_a_fault_where_it_stands(damage: bytes, fault: str) -> None:
    """What came before is kept, and the fault says what was wrong."""
    items = packets(3)
    good = pcapng(items)
    batches, parser = parse(good + damage + enhanced(TICKS, b"after" * 12))

    assert rows(batches) == items
    assert (parser.at, parser.fault) == (len(good), fault)


def test_too_many_interfaces_are_a_fault() -> None:
    """The table of interfaces has an end."""
    _, parser = parse(section() + interface() * 65_537)

    assert parser.fault == "more than 65536 interfaces"


@pytest.mark.parametrize("seed", range(40))
def test_changed_bytes_never_raise(seed: int) -> None:
    """Whatever bytes are changed, the parser ends and its batches keep their promises."""
    rng = random.Random(seed)
    data = bytearray(pcapng(packets(30), rng.choice("<>")) + pcapng(packets(30), rng.choice("<>")))
    data[28:28] = interface(options=option(9, b"\x09") + option(14, bytes(8)))
    for _ in range(rng.randrange(1, 30)):
        data[rng.randrange(12, len(data))] = rng.choice((0, 1, 2, 3, 4, 6, 127, 255, rng.randrange(256)))
    batches, parser = parse(bytes(data))

    for batch in batches:
        check(batch)
    assert parser.at <= len(data)
