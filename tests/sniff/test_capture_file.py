"""Capture files from end to end: padding, damage, filters, counters."""

from __future__ import annotations

import random
import re
import struct
from pathlib import Path

import pytest

import sniff.capture_file
from nettriage.model.errors import CaptureError, UsageError
from sniff.capture_file import FileSource
from sniff.source import SourceOptions
from tests.sniff.forged_captures import (
    START_NS,
    block,
    drain,
    enhanced,
    interface,
    option,
    packets,
    pcap,
    pcapng,
    rows,
    section,
)


def opened(folder: Path, data: bytes, **options: object) -> FileSource:
    """Write a capture and open it."""
    path = folder / "some.pcap"
    path.write_bytes(data)
    return FileSource(str(path), SourceOptions(**options))


@pytest.mark.parametrize("forge", [pcap, pcapng])
@pytest.mark.parametrize("batch_rows", [1, 3, 16_384])
def test_every_packet_is_delivered_and_readable_beyond_its_end(tmp_path: Path, forge, batch_rows: int) -> None:
    """The last packets of a file have room behind them as well; batches stay valid to the end."""
    items = packets(40)
    source = opened(tmp_path, forge(items), batch_rows=batch_rows)
    batches, error = drain(source)

    assert (rows(batches), error) == (items, "")
    assert all(batch.stable and len(batch) <= batch_rows for batch in batches)
    assert source.info.finished
    assert source.info.done_bytes == source.info.size_bytes == source.counters().done_bytes
    assert source.counters().received == 40


def test_windows_are_invisible(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A capture larger than the stretch that is searched at once loses nothing at the seams."""
    monkeypatch.setattr(sniff.capture_file, "WINDOW", 4096)
    items = packets(500)

    for forge in (pcap, pcapng):
        assert rows(drain(opened(tmp_path, forge(items)))[0]) == items


@pytest.mark.parametrize("forge", [pcap, pcapng])
def test_a_capture_without_packets_is_fine(tmp_path: Path, forge) -> None:
    """A header alone is a capture of nothing."""
    assert drain(opened(tmp_path, forge([]))) == ([], "")


@pytest.mark.parametrize("forge", [pcap, pcapng])
def test_a_cut_anywhere_yields_what_is_whole_and_says_where(tmp_path: Path, forge) -> None:
    """A file that ends inside a record gives every whole packet, then the byte and the number of packets."""
    items = packets(4)
    data = forge(items)
    ends = {len(forge(items[:count])): count for count in range(5)}
    for size in range(len(forge([])), len(data)):
        source = opened(tmp_path, data[:size])
        batches, error = drain(source)
        whole = max(count for end, count in ends.items() if end <= size)

        assert rows(batches) == items[:whole]
        if size in ends:
            assert error == ""
        else:
            assert re.search(rf": cut at byte \d+ of {size} after {whole} packets: ", error)
            assert source.info.error == error


def test_damage_in_the_middle_is_told_with_its_place(tmp_path: Path) -> None:
    """An insane length ends the reading there, with what it was."""
    data = bytearray(pcap(packets(3, 60)))
    struct.pack_into("<I", data, 24 + 16 + 60 + 8, 0xFFFF_FFFF)
    batches, error = drain(opened(tmp_path, bytes(data)))

    assert len(rows(batches)) == 1
    assert error.endswith(
        f"damaged at byte 100 of {len(data)} after 1 packets: a record claims 4294967295 captured bytes"
    )


def test_packets_without_an_interface_are_told(tmp_path: Path) -> None:
    """What cannot be read for want of a link type is left out, and said at the end."""
    data = section() + interface() + enhanced(0, b"a" * 60) + enhanced(0, b"b" * 60, 9)
    batches, error = drain(opened(tmp_path, data))

    assert len(rows(batches)) == 1
    assert error.endswith("left out 1 packets of an interface that is not described")


def test_drops_told_by_a_pcapng_are_counted(tmp_path: Path) -> None:
    """Interface statistics end up in the counters."""
    statistics = block(5, struct.pack("<III", 0, 0, 0) + option(5, struct.pack("<Q", 7)))
    source = opened(tmp_path, section() + interface() + enhanced(0, b"a" * 60) + statistics)
    drain(source)

    assert source.counters().nic_drops == 7


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "it is empty"),
        (b"\x7fELF" + bytes(40), "not a capture: it begins with the bytes 7f 45 4c 46"),
        (b"ab", "not a capture: it begins with the bytes 61 62"),
        (pcap([])[:20], "cut at byte 20: the file header is not whole"),
        (section()[:9], "cut at byte 9: the file header is not whole"),
        (b"\x1f\x8b\x08" + bytes(40), "gzip-compressed: run `zcat "),
        (b"\x28\xb5\x2f\xfd" + bytes(40), "zstd-compressed: run `zstdcat "),
    ],
)
def test_what_is_no_capture_is_refused_by_name(tmp_path: Path, data: bytes, message: str) -> None:
    """The error names the file and what it is instead."""
    with pytest.raises(CaptureError, match=re.escape(message)) as caught:
        opened(tmp_path, data)
    assert str(tmp_path / "some.pcap") in str(caught.value)


def test_a_file_that_shrinks_while_read_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Pages that a truncation took away are not touched: that would be the end of the process."""
    monkeypatch.setattr(sniff.capture_file, "WINDOW", 8192)
    source = opened(tmp_path, pcap(packets(1000)))
    with (tmp_path / "some.pcap").open("r+b") as file:
        file.truncate(4096)

    assert "shrank from" in drain(source)[1]


def test_a_filter_keeps_what_libpcap_accepts(tmp_path: Path) -> None:
    """Rows that the filter refuses are left out, the lengths on the wire of the others kept."""
    items = [(START_NS + n * 1000, b"\2" * 12 + (b"\x08\x06" if n % 3 else b"\x08\x00") + bytes(46)) for n in range(9)]
    source = opened(tmp_path, pcap(items, wire_extra=4), bpf="arp")
    batches, _ = drain(source)

    assert rows(batches) == [item for n, item in enumerate(items) if n % 3]
    assert {length for batch in batches for length in batch.wire_len.tolist()} == {64}
    assert source.counters().received == 6


def test_a_bad_filter_is_refused_with_libpcaps_words(tmp_path: Path) -> None:
    """A typing error in a filter is a usage error, at once."""
    with pytest.raises(UsageError, match=r"filter `tcp prt 80`: .*syntax error"):
        opened(tmp_path, pcap(packets(1)), bpf="tcp prt 80")


@pytest.mark.parametrize("seed", range(30))
def test_changed_bytes_end_in_packets_or_a_capture_error(tmp_path: Path, seed: int) -> None:
    """Whatever bytes are changed, reading ends, and nothing but CaptureError is raised."""
    rng = random.Random(seed)
    data = bytearray(rng.choice((pcap, pcapng))(packets(60)))
    for _ in range(rng.randrange(1, 40)):
        data[rng.randrange(24, len(data))] = rng.randrange(256)

    drain(opened(tmp_path, bytes(data)))
