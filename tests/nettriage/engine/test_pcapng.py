"""Tests of evidence as a pcapng file."""

from __future__ import annotations

import asyncio
import shutil
import subprocess
from pathlib import Path

import pytest

from detectors._kit.forge import START_NS, arp, udp
from nettriage.engine.packet_history import Kept
from nettriage.engine.pcapng import pcapng
from sniff.capture_file import FileSource
from sniff.source import SourceOptions

PACKETS = [
    (Kept(START_NS + 7, arp("10.0.0.1", "10.0.0.2"), 1, 60, 0), "a1 host-sweep 10.0.0.1"),
    (Kept(START_NS + 3, udp("10.0.0.1", 5, "10.0.0.2", 53, b"xyz")[14:], 101, 31, 4), "a2 ü"),
    (Kept(START_NS + 5, b"", 1, 1500, 0), ""),
]


def test_our_reader_gives_the_packets_back(tmp_path: Path) -> None:
    """Times to the nanosecond, bytes, lengths and link types survive, in order of time."""
    path = tmp_path / "e.pcapng"
    path.write_bytes(pcapng(PACKETS, "nettriage test"))

    async def read() -> list[tuple[int, bytes, int, int]]:
        source = FileSource(str(path), SourceOptions())
        return [
            (int(raw.ts_ns[row]), raw.packet(row), raw.link_type, int(raw.wire_len[row]))
            async for raw in source.batches()
            for row in range(len(raw))
        ]

    kept = sorted((item for item, _ in PACKETS), key=lambda item: item.ts_ns)
    assert asyncio.run(read()) == [(item.ts_ns, item.data, item.link_type, item.wire_len) for item in kept]


@pytest.mark.skipif(shutil.which("tshark") is None, reason="tshark is not installed")
def test_tshark_shows_times_and_comments(tmp_path: Path) -> None:
    """Another program reads nanoseconds, comments and the original length."""
    path = tmp_path / "e.pcapng"
    path.write_bytes(pcapng(PACKETS, "nettriage test"))
    fields = ["frame.time_epoch", "frame.len", "frame.comment"]
    command = ["tshark", "-r", str(path), "-T", "fields", *[word for field in fields for word in ("-e", field)]]
    done = subprocess.run(command, capture_output=True, text=True, check=True)

    assert [line.split("\t") for line in done.stdout.splitlines()] == [
        ["1700000000.000000003", "31", "a2 ü"],
        ["1700000000.000000005", "1500", ""],
        ["1700000000.000000007", "60", "a1 host-sweep 10.0.0.1"],
    ]
