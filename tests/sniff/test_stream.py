"""Streams: whatever way the bytes arrive, the packets are the same."""

from __future__ import annotations

import asyncio
import os
import random
import struct
from collections.abc import Iterator

import pytest

import sniff.stream
from nettriage.model.errors import CaptureError, UsageError
from sniff.source import SourceOptions
from sniff.stream import StreamSource
from tests.sniff.forged_captures import (
    START_NS,
    Packet,
    check,
    enhanced,
    interface,
    packets,
    pcap,
    pcapng,
    rows,
    section,
)


async def feed(chunks: list[bytes], **options: object) -> tuple[list[Packet], str, StreamSource]:
    """Write the chunks into a pipe, each when the source has heard all before it, and read the source to its end."""
    out, into = os.pipe()
    source = StreamSource(out, "stdin", SourceOptions(**options))
    found: list[Packet] = []

    async def write() -> None:
        for chunk in chunks:
            os.write(into, chunk)
            await asyncio.sleep(0)
        os.close(into)

    error = ""
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(write())
        try:
            async for batch in source.batches():
                check(batch)
                found += rows([batch])
        except (CaptureError, UsageError) as caught:
            error = str(caught)
    source.close()
    return found, error, source


def pieces(data: bytes, sizes: Iterator[int]) -> list[bytes]:
    """Cut the bytes."""
    cut, at = [], 0
    while at < len(data):
        size = next(sizes)
        cut.append(data[at : at + size])
        at += size
    return cut


@pytest.fixture(autouse=True)
def _no_rest(monkeypatch: pytest.MonkeyPatch) -> None:
    """Small reads follow one another at once."""
    monkeypatch.setattr(sniff.stream, "GATHER_S", 0)


@pytest.mark.parametrize("forge", [pcap, pcapng])
@pytest.mark.parametrize("seed", [None, 1, 2])
async def test_any_cut_gives_the_same_packets(forge, seed: int | None) -> None:
    """Single bytes or random pieces: the packets come out whole and in order."""
    items = packets(12)
    rng = random.Random(seed)
    data = forge(items)
    sizes = iter(lambda: 1 if seed is None else rng.randrange(1, 200), 0)
    found, error, source = await feed(pieces(data, sizes))

    assert (found, error) == (items, "")
    assert source.info.finished
    assert source.counters().done_bytes == len(data)


async def test_a_packet_is_delivered_before_the_next_arrives() -> None:
    """Nothing is held back until more comes."""
    items = packets(3)
    out, into = os.pipe()
    source = StreamSource(out, "stdin", SourceOptions())
    os.write(into, pcap([]))
    batches = source.batches()
    for item in items:
        os.write(into, pcap([item])[24:])
        batch = await anext(batches)
        assert rows([batch]) == [item]
        assert not batch.stable
    os.close(into)

    assert [batch async for batch in batches] == []
    source.close()


async def test_silence_gives_empty_batches() -> None:
    """While nothing arrives the source shows that it listens, and `close` ends it."""
    out, into = os.pipe()
    source = StreamSource(out, "stdin", SourceOptions())
    batches = source.batches()

    assert len(await anext(batches)) == 0
    source.close()
    source.close()
    assert [batch async for batch in batches] == []
    os.close(into)


@pytest.mark.parametrize("forge", [pcap, pcapng])
async def test_a_cut_stream_is_told_after_its_packets(forge) -> None:
    """A writer that is killed leaves a record unfinished: the others count."""
    items = packets(5)
    found, error, _ = await feed([forge(items)[:-5]])

    assert found == items[:4]
    assert error == f"stdin: cut at byte {len(forge(items[:4]))} after 4 packets: the last record is not whole"


async def test_damage_is_told_where_it_is() -> None:
    """An insane record ends the stream."""
    data = pcap(packets(2)) + struct.pack("<IIII", 0, 0, 2**31, 0) + bytes(100)
    found, error, _ = await feed([data])

    assert found == packets(2)
    assert "damaged at byte" in error
    assert "after 2 packets" in error


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "stdin: not a capture: it is empty"),
        (b"hello, this is only a text", "begins with the bytes 68 65 6c 6c"),
        (b"\x1f\x8b" + bytes(60), "gzip-compressed: run `zcat FILE | nettriage -`"),
        (pcap([])[:10], "the file header is not whole"),
    ],
)
async def test_what_is_no_capture_is_refused(data: bytes, message: str) -> None:
    """The error says what came instead of a capture."""
    found, error, _ = await feed([data] if data else [])

    assert found == []
    assert message in error


async def test_the_buffer_is_used_again() -> None:
    """A stream longer than the buffer, with a record larger than one read, comes out whole."""
    items = [(START_NS + n, bytes([n]) * 260_000) for n in range(90)]
    data = pcap(items, magic=0xA1B23C4D)
    out, into = os.pipe()
    source = StreamSource(out, "stdin", SourceOptions())
    writer = asyncio.get_running_loop().run_in_executor(None, _write_all, into, data)
    found = [packet async for batch in source.batches() for packet in rows([batch])]
    await writer
    source.close()

    assert found == items
    assert len(data) > len(source._buffer)


def _write_all(into: int, data: bytes) -> None:
    with open(into, "wb") as pipe:
        pipe.write(data)


async def test_a_filter_is_applied_and_its_errors_are_told() -> None:
    """A typing error shows before anything has come; what the link type does not know, when it comes."""
    arp = [(START_NS, b"\2" * 12 + b"\x08\x06" + bytes(46)), (START_NS, b"\2" * 12 + b"\x08\x00" + bytes(46))]

    assert (await feed([pcap(arp)], bpf="arp"))[0] == arp[:1]
    with pytest.raises(UsageError, match="syntax error"):
        StreamSource(0, "stdin", SourceOptions(bpf="arp or"))
    assert (
        "filter `ether host 02:00:00:00:00:01`"
        in (await feed([pcap(arp, link_type=101)], bpf="ether host 02:00:00:00:00:01"))[1]
    )


async def test_link_types_show_as_they_are_described() -> None:
    """What the source says of itself follows the stream."""
    data = section() + interface(1) + enhanced(0, b"a" * 60) + interface(101, snaplen=99) + enhanced(0, b"b" * 60, 1)
    _, _, source = await feed([data])

    assert source.info.link_types == [1, 101]


async def test_a_null_device_is_an_empty_stream() -> None:
    """What cannot be waited for can be read."""
    source = StreamSource(os.open(os.devnull, os.O_RDONLY), "null", SourceOptions())

    with pytest.raises(CaptureError, match="empty"):
        await anext(source.batches())
    source.close()
