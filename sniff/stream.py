"""A capture that arrives on a pipe or a socket, parsed as it comes."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os
import select
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace

import numpy as np

from nettriage.model.batch import HEAD_WIDTH, RawBatch
from nettriage.model.errors import CaptureError
from nettriage.model.safetext import safe
from nettriage.model.snapshot import SourceInfo
from sniff.bpf import Sieve
from sniff.idle import Waiter, empty_batch
from sniff.linktype import ETHERNET
from sniff.parser import HEAD_MIN, RECORD_MAX, Parser, explain_head, parser_for
from sniff.source import SourceCounters, SourceOptions

READ_BYTES = 1 << 20
"""Bytes gathered before they are parsed, while the writer has more ready."""
GATHER_S = 0.005
"""Rest after a small read, so that a writer that flushes every packet does not cost a batch each."""
SMALL_BYTES = 65_536

_F_SETPIPE_SZ = 1031


class StreamSource:
    """Reads a pcap or pcapng stream that cannot seek, such as the output of ``tcpdump -U -w -``.

    What has arrived is yielded at once, and an empty batch about every 100 ms while nothing does. One buffer
    holds what was read and not parsed yet, so a batch is valid until the next is asked for. What the bytes are
    shows only when they come: it is `batches` that raises `CaptureError` for a stream that is no capture, and
    `UsageError` for a filter that is good for Ethernet but not for the link type that came.
    """

    is_live = False

    def __init__(self, fd: int, name: str, options: SourceOptions) -> None:
        """Read from `fd`, which is closed with the source."""
        self._fd = fd
        self._options = options
        self._name = safe(name)
        self._waiter = Waiter(fd)
        self._parser: Parser | None = None
        self._sieve = Sieve(options.bpf, ())
        self._buffer = np.zeros(RECORD_MAX + 2 * READ_BYTES + HEAD_WIDTH, np.uint8)
        self._start = self._fill = 0
        self._done = 0
        self._closed = False
        self._counters = SourceCounters(done_bytes=0)
        self.info = SourceInfo(type="stream", name=self._name, bpf=options.bpf, done_bytes=0)
        with contextlib.suppress(OSError):  # no pipe, or no larger one allowed
            fcntl.fcntl(fd, _F_SETPIPE_SZ, READ_BYTES)

    async def batches(self) -> AsyncIterator[RawBatch]:
        """Yield the packets as they arrive; at the end raise `CaptureError` if the stream is cut or damaged."""
        while not self._closed:
            if not await self._waiter.readable():
                yield empty_batch(self.info.link_types[-1] if self.info.link_types else ETHERNET)
                continue
            count = 0 if self._closed else self._read()
            for batch in self._parse():
                self._counters.received += len(batch)
                yield batch
            if not count or (self._parser is not None and self._parser.fault):
                self._finish()
                return
            await asyncio.sleep(GATHER_S if count < SMALL_BYTES else 0)

    def counters(self) -> SourceCounters:
        """Return what was read so far; drops are those that a pcapng tells of."""
        if self._parser is not None:
            self._counters.kernel_drops = self._parser.kernel_drops
            self._counters.nic_drops = self._parser.nic_drops
        self._counters.done_bytes = self.info.done_bytes
        return replace(self._counters)

    def close(self) -> None:
        """Stop reading and close the descriptor."""
        if not self._closed:
            self._closed = True
            self._waiter.stop()
            os.close(self._fd)

    def _read(self) -> int:
        """Read what is there, and return the bytes read; 0 at the end of the stream."""
        self._make_room()
        goal = self._fill + READ_BYTES
        before = self._fill
        room = self._buffer[: len(self._buffer) - HEAD_WIDTH].data
        while self._fill < goal:
            count = os.readv(self._fd, [room[self._fill : goal]])
            self._fill += count
            if not count or not select.select([self._fd], [], [], 0)[0]:
                break
        return self._fill - before

    def _make_room(self) -> None:
        """Move what is not parsed yet to the front before the buffer ends."""
        if self._start == self._fill:
            self._start = self._fill = 0
        elif self._start > READ_BYTES or self._fill + READ_BYTES + HEAD_WIDTH > len(self._buffer):
            rest = self._buffer[self._start : self._fill].copy()
            self._buffer[: len(rest)] = rest
            self._start, self._fill = 0, len(rest)

    def _parse(self) -> Iterator[RawBatch]:
        """Yield the packets that are whole."""
        if self._parser is None:
            if self._fill < HEAD_MIN:
                return
            self._parser, skip = self._recognise()
            self._advance(skip)
        start = self._start
        for batch in self._parser.parse(self._buffer, start, self._fill, self._options.batch_rows):
            self.info.link_types = self._parser.link_types
            kept = self._sieve(batch)
            kept.stable = False
            if len(kept):
                yield kept
        self._advance(self._parser.at - start)
        self.info.link_types, self.info.snaplen = self._parser.link_types, self._parser.snaplen

    def _recognise(self) -> tuple[Parser, int]:
        head = self._buffer[:HEAD_MIN].tobytes()
        known = parser_for(head)
        if known is None:
            raise CaptureError(explain_head(head, self._name))
        return known

    def _advance(self, count: int) -> None:
        self._start += count
        self.info.done_bytes = self._done = self._done + count

    def _finish(self) -> None:
        """Note the end of the stream, and raise if it is not a good one."""
        self.info.finished = True
        self.info.error = "" if self._closed else self._damage()
        if self.info.error:
            raise CaptureError(self.info.error)

    def _damage(self) -> str:
        if self._parser is None:
            return explain_head(self._buffer[: self._fill].tobytes(), self._name)
        after = f"byte {self._done} after {self._counters.received} packets"
        if self._parser.fault:
            return f"{self._name}: damaged at {after}: {self._parser.fault}"
        if self._start < self._fill:
            return f"{self._name}: cut at {after}: the last record is not whole"
        return f"{self._name}: left out {self._parser.lost}" if self._parser.lost else ""
