"""A capture file, mapped into memory and read by columns."""

from __future__ import annotations

import asyncio
import mmap
import os
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace

import numpy as np

from nettriage.model.batch import HEAD_WIDTH, RawBatch
from nettriage.model.errors import CaptureError
from nettriage.model.safetext import safe
from nettriage.model.snapshot import SourceInfo
from sniff.bpf import Sieve
from sniff.parser import HEAD_MIN, explain_head, parser_for
from sniff.source import SourceCounters, SourceOptions

WINDOW = 64 << 20
"""Bytes whose records are found together: hundreds of lanes, 20 ms until the first packet, more than any record."""


class FileSource:
    """Reads a pcap or pcapng file from its first to its last whole record.

    The batches are views of the mapped file, so they stay valid; pages that were read are let go, so that a
    large file does not fill memory, and come back when they are looked at. Raises `CaptureError` if the file is
    unreadable or no capture.
    """

    is_live = False

    def __init__(self, name: str, options: SourceOptions, fd: int | None = None) -> None:
        """Map the file `name`, or the one open as `fd`, which stays open and is then only called `name`."""
        self._name = safe(name)
        self._rows = options.batch_rows
        self._counters = SourceCounters(done_bytes=0)
        self._map = _map(name, self._name, fd)
        self._bytes = np.frombuffer(self._map, np.uint8)
        head = self._bytes[:HEAD_MIN].tobytes()
        known = parser_for(head)
        if known is None:
            raise CaptureError(explain_head(head, self._name))
        self._parser, self._at = known
        self._sieve = Sieve(options.bpf, self._parser.link_types)
        self.info = SourceInfo(
            type="file", name=self._name, link_types=self._parser.link_types, bpf=options.bpf,
            snaplen=self._parser.snaplen, size_bytes=len(self._bytes), done_bytes=0,
        )  # fmt: skip

    async def batches(self) -> AsyncIterator[RawBatch]:
        """Yield the packets; afterwards raise `CaptureError` if the file is cut or damaged."""
        for batch in self._read():
            kept = self._sieve(batch)
            if len(kept):
                self._counters.received += len(kept)
                yield kept
            await asyncio.sleep(0)
        self.info.finished = True
        self.info.error = self._damage()
        if self.info.error:
            raise CaptureError(self.info.error)

    def counters(self) -> SourceCounters:
        """Return what was read so far; drops are those that a pcapng tells of."""
        self._counters.kernel_drops = self._parser.kernel_drops
        self._counters.nic_drops = self._parser.nic_drops
        self._counters.done_bytes = self.info.done_bytes
        return replace(self._counters)

    def close(self) -> None:
        """Forget the file; it is unmapped when the last batch of it is gone."""
        self._bytes = self._bytes[:0]

    def _read(self) -> Iterator[RawBatch]:
        at, size = self._at, len(self._bytes)
        while at < size and not self._parser.fault:
            start, end = at, min(at + WINDOW, size)
            self._check_size()
            for batch in self._parser.parse(self._bytes, start, end, self._rows):
                yield from _readable(batch)
                self._tell(int(batch.offset[-1]) + int(batch.cap_len[-1]))
            at = self._parser.at
            self._tell(at)
            self._map.madvise(mmap.MADV_DONTNEED, 0, at - at % mmap.PAGESIZE)
            if at == start:
                break

    def _tell(self, done_bytes: int) -> None:
        self.info.done_bytes = done_bytes
        self.info.link_types = self._parser.link_types
        self.info.snaplen = self._parser.snaplen

    def _check_size(self) -> None:
        """Refuse to touch pages that are no longer there: reading them would kill the process."""
        size = self._map.size()
        if size < len(self._bytes):
            raise CaptureError(f"{self._name}: shrank from {len(self._bytes)} to {size} bytes while it was read")

    def _damage(self) -> str:
        at, size, packets = self._parser.at, len(self._bytes), self._counters.received
        if self._parser.fault:
            return f"{self._name}: damaged at byte {at} of {size} after {packets} packets: {self._parser.fault}"
        if at < size:
            return f"{self._name}: cut at byte {at} of {size} after {packets} packets: the last record is not whole"
        return f"{self._name}: left out {self._parser.lost}" if self._parser.lost else ""


def _map(name: str, shown: str, fd: int | None) -> mmap.mmap:
    try:
        opened = os.open(name, os.O_RDONLY | os.O_CLOEXEC) if fd is None else fd
        try:
            mapped = mmap.mmap(opened, 0, access=mmap.ACCESS_READ)
        finally:
            if fd is None:
                os.close(opened)
    except ValueError as empty:  # what mmap raises for a length of 0
        raise CaptureError(explain_head(b"", shown)) from empty
    except OSError as error:
        raise CaptureError(f"{shown}: cannot be read: {error.strerror}") from error
    mapped.madvise(mmap.MADV_SEQUENTIAL)
    return mapped


def _readable(batch: RawBatch) -> Iterator[RawBatch]:
    """Yield the rows that are readable `HEAD_WIDTH` beyond their beginning, then a padded copy of the others."""
    whole = int(np.searchsorted(batch.offset, len(batch.data) - HEAD_WIDTH, "right"))
    if whole:
        yield batch.rows(slice(0, whole))
    if whole < len(batch):
        rest = batch.rows(slice(whole, None))
        first = int(rest.offset[0])
        padded = np.concatenate((batch.data[first:], np.zeros(HEAD_WIDTH, np.uint8)))
        yield replace(rest, offset=rest.offset - first, data=padded)
