"""What the parsers of the capture formats have in common, and how to tell the formats apart."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

import numpy as np
import numpy.typing as npt

from nettriage.model.batch import RawBatch
from sniff.pcap import FILE_HEADER, PcapHeader, PcapParser
from sniff.pcapng import BLOCK_MAX, SECTION_HEADER, PcapngParser, byte_order

RECORD_MAX = BLOCK_MAX
"""Bytes of the largest record of any format."""

_COMPRESSED = {
    b"\x1f\x8b": ("gzip", "zcat"),
    b"\x28\xb5\x2f\xfd": ("zstd", "zstdcat"),
    b"\xfd7zXZ\0": ("xz", "xzcat"),
    b"BZh": ("bzip2", "bzcat"),
    b"\x04\x22\x4d\x18": ("lz4", "lz4cat"),
}


class Parser(Protocol):
    """Turns stretches of one capture's bytes into batches; each stretch begins at `at` of the one before."""

    name: str
    """Name of the format."""
    at: int
    """Where in the stretch the first record begins that was not read yet."""
    fault: str
    """What is wrong with the record at `at`; empty while nothing is, or it is only not whole."""

    @property
    def lost(self) -> str:
        """What had to be left out on the way; empty if nothing."""

    @property
    def snaplen(self) -> int | None:
        """Snapshot length of the capture; None if it is not known or not limited."""

    @property
    def link_types(self) -> list[int]:
        """Link types described so far."""

    @property
    def kernel_drops(self) -> int | None:
        """Packets that the capturing system dropped; None where the capture does not say."""

    @property
    def nic_drops(self) -> int | None:
        """Packets that the capturing interface dropped; None where the capture does not say."""

    def parse(self, data: npt.NDArray[np.uint8], start: int, end: int, rows: int) -> Iterator[RawBatch]:
        """Yield every whole packet of ``data[start:end]`` in batches of at most `rows`, then set `at` and `fault`.

        The bytes of a batch are those of `data`: readable beyond a packet only as far as `data` is.
        """


HEAD_MIN = FILE_HEADER
"""Bytes that `parser_for` must see."""


def parser_for(head: bytes) -> tuple[Parser, int] | None:
    """Return a parser for a capture that begins with `head`, and where it shall begin; None for anything else."""
    if len(head) < HEAD_MIN:
        return None
    header = PcapHeader.read(head)
    if header is not None:
        return PcapParser(header), FILE_HEADER
    return (PcapngParser(), 0) if byte_order(head) else None


def explain_head(head: bytes, name: str) -> str:
    """Say why something that begins with `head` is no capture, and what to do about it."""
    if not head:
        return f"{name}: not a capture: it is empty"
    for magic, (packer, unpack) in _COMPRESSED.items():
        if head.startswith(magic):
            what = "FILE" if name == "stdin" else name
            return f"{name}: {packer}-compressed: run `{unpack} {what} | nettriage -`"
    begun = head[:4].hex(" ")
    if len(head) < HEAD_MIN and (_looks_begun(head)):
        return f"{name}: cut at byte {len(head)}: the file header is not whole"
    return f"{name}: not a capture: it begins with the bytes {begun}, neither pcap nor pcapng"


def _looks_begun(head: bytes) -> bool:
    """Whether `head` is the beginning of a capture that was cut inside its file header."""
    if len(head) < 4:
        return False
    padded = head.ljust(HEAD_MIN, b"\0")
    return PcapHeader.read(padded) is not None or int.from_bytes(head[:4], "little") == SECTION_HEADER
