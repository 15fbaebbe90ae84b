"""The pcap format: byte orders, units, link types, and lengths that cannot be."""

from __future__ import annotations

import struct

import numpy as np
import pytest

from nettriage.model.batch import HEAD_WIDTH, RawBatch
from sniff.pcap import FILE_HEADER, WIRE_LEN_MAX, PcapHeader, PcapParser
from tests.sniff.forged_captures import START_NS, packets, pcap, rows


def parse(data: bytes, batch_rows: int = 16_384) -> tuple[list[RawBatch], PcapParser]:
    """Parse a whole pcap."""
    header = PcapHeader.read(data[:FILE_HEADER])
    assert header is not None
    parser = PcapParser(header)
    padded = np.frombuffer(data + bytes(HEAD_WIDTH), np.uint8)
    return list(parser.parse(padded, FILE_HEADER, len(data), batch_rows)), parser


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("magic", [0xA1B2C3D4, 0xA1B23C4D, 0xA1B2CD34])
def test_every_byte_order_and_unit_gives_the_same_packets(order: str, magic: int) -> None:
    """µs, ns and the modified format, written by either kind of machine, read alike."""
    items = packets(50)
    batches, parser = parse(pcap(items, order=order, magic=magic))

    assert rows(batches) == items
    assert (parser.snaplen, parser.fault) == (262_144, "")


def test_nanoseconds_are_kept() -> None:
    """A capture in ns loses no digit."""
    items = [(START_NS + 123_456_789, b"x" * 60)]
    batches, _ = parse(pcap(items, magic=0xA1B23C4D))

    assert batches[0].ts_ns.tolist() == [START_NS + 123_456_789]


def test_batches_hold_at_most_the_rows_asked_for() -> None:
    """A capture is cut into batches without losing a packet."""
    items = packets(10)
    batches, _ = parse(pcap(items), 4)

    assert [len(batch) for batch in batches] == [4, 4, 2]
    assert rows(batches) == items


@pytest.mark.parametrize(("field", "link_type"), [(1, 1), (0x2400_0001, 1), (113, 113), (12, 101), (14, 101)])
def test_the_link_type_field_is_understood(field: int, link_type: int) -> None:
    """The bits about the frame check sequence are no part of the number, and raw IP has one number only."""
    batches, parser = parse(pcap(packets(1), link_type=field))

    assert parser.link_types == [link_type]
    assert batches[0].link_type == link_type


def test_a_packet_was_never_shorter_on_the_wire_than_captured() -> None:
    """A length on the wire below the captured length, or beyond what 31 bits hold, is brought into range."""
    data = bytearray(pcap(packets(2, 60)))
    struct.pack_into("<I", data, FILE_HEADER + 12, 5)
    batches, _ = parse(bytes(data))
    longer, _ = parse(pcap(packets(1), wire_extra=0xF000_0000))

    assert batches[0].wire_len.tolist() == batches[0].cap_len.tolist()
    assert longer[0].wire_len.tolist() == [WIRE_LEN_MAX]


def test_the_length_on_the_wire_survives_a_cut_by_the_snapshot_length() -> None:
    """A packet that was cut when captured says how long it was."""
    batches, _ = parse(pcap(packets(3), wire_extra=1000))

    assert (batches[0].wire_len - batches[0].cap_len).tolist() == [1000] * 3


def test_an_insane_length_is_a_fault_at_its_record() -> None:
    """A record that claims more than any packet holds stops the parser there; what came before is kept."""
    data = bytearray(pcap(packets(3, 60)))
    third = FILE_HEADER + 16 + 60 + 16 + 61
    struct.pack_into("<I", data, third + 8, 0x7FFF_FFFF)
    batches, parser = parse(bytes(data))

    assert rows(batches) == packets(3, 60)[:2]
    assert parser.at == third
    assert parser.fault == "a record claims 2147483647 captured bytes"


def test_what_is_no_pcap_has_no_header() -> None:
    """Other bytes are not taken for a file header."""
    assert PcapHeader.read(b"\x7fELF" + bytes(20)) is None
