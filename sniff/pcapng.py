"""The pcapng file format (draft-ietf-opsawg-pcapng) as columns."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass, fields
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from nettriage.model.batch import RawBatch
from nettriage.model.columns import I32, I64, U64
from sniff.lanes import PROBE, SEGMENT, find_records, heads_at, words_at
from sniff.pcap import U8, WIRE_LEN_MAX
from sniff.pcapng_interfaces import Interfaces

SECTION_HEADER = 0x0A0D0D0A
"""Block type of a section header: the same in both byte orders."""
INTERFACE, OLD_PACKET, SIMPLE_PACKET, STATISTICS, PACKET = 1, 2, 3, 5, 6
"""Block types that are read; all others are skipped."""
BYTE_ORDER_MAGIC = 0x1A2B3C4D
SECTION_MIN = 28
"""Bytes of the shortest section header block."""
BLOCK_MIN, BLOCK_MAX = 12, 16 << 20
"""Bytes of a block; the upper end is libpcap's."""
SECTIONS_MAX = 16_384
"""Sections of one file: each costs a step of Python."""

_PACKET_FIXED, _PACKET_MIN = 28, 32
"""Bytes before the packet in a packet block, old or enhanced, and with the length after it."""
_SIMPLE_FIXED, _SIMPLE_MIN = 12, 16
"""The same for a simple packet block."""
_DESCRIPTIONS = (SECTION_HEADER, INTERFACE, STATISTICS)


U32 = npt.NDArray[np.uint32]


def byte_order(head: bytes) -> str | None:
    """Return the byte order of the section header that `head` (12 bytes) begins, or None if it is none."""
    if struct.unpack_from("<I", head)[0] == SECTION_HEADER:
        for order in "<>":
            if struct.unpack_from(order + "I", head, 8)[0] == BYTE_ORDER_MAGIC:
                return order
    return None


class BlockFraming:
    """Blocks of a pcapng section: the length stands after the type and again at the end."""

    def __init__(self, data: U8, end: int, order: str) -> None:
        self.last = end - BLOCK_MIN
        self._end = end
        self._data = data
        self._order = order
        self._words = words_at(data, order, end)
        self._read = struct.Struct(order + "I").unpack_from
        self._bytes = data.data

    def step(self, at: I64) -> I64:
        """Return where each block ends, or its beginning if it is insane or not whole."""
        length = self._words[at + 4].astype(np.int64)
        after = at + length
        whole = (length >= BLOCK_MIN) & (length <= BLOCK_MAX) & (after <= self._end)
        whole &= self._words[np.where(whole, after - 4, at)] == length
        whole &= length & 3 == 0
        return np.where(whole, after, at)

    def step_one(self, at: int) -> int:
        """Return what `step` would for one position."""
        (length,) = self._read(self._bytes, at + 4)
        after: int = at + length
        if length % 4 or not BLOCK_MIN <= length <= BLOCK_MAX or after > self._end:
            return at
        return after if self._read(self._bytes, after - 4)[0] == length else at

    def candidates(self, edges: I64) -> I64:
        """Return positions of enhanced packet blocks: the type is right and the length below 64 KiB."""
        shape = (len(edges), PROBE // 4)
        pairs = np.ndarray(
            shape, f"{self._order}u4", buffer=self._data, offset=int(edges[0]), strides=(SEGMENT, 4)
        )  # fmt: skip
        row, column = np.nonzero(pairs == PACKET)
        return np.asarray(edges[row] + 4 * column)


@dataclass(slots=True)
class _Columns:
    """Packet blocks of any kind, one row each."""

    interface: I64
    """Number over all sections, -1 where it is not described."""
    ticks: U64
    """Timestamp in units of the interface."""
    offset: I64
    cap_len: I32
    wire_len: I32
    timeless: npt.NDArray[np.bool_]
    """Whether the block carries no timestamp."""

    @staticmethod
    def empty(n: int) -> _Columns:
        return _Columns(
            np.empty(n, np.int64), np.empty(n, np.uint64), np.empty(n, np.int64),
            np.empty(n, np.int32), np.empty(n, np.int32), np.empty(n, np.bool_),
        )  # fmt: skip

    def put(self, mask: npt.NDArray[np.bool_], rows: _Columns) -> None:
        for field in fields(self):
            getattr(self, field.name)[mask] = getattr(rows, field.name)

    def where(self, mask: npt.NDArray[np.bool_]) -> _Columns:
        return _Columns(*(getattr(self, field.name)[mask] for field in fields(self)))


class PcapngParser:
    """Turns stretches of a pcapng into batches; one stretch begins where the one before ended."""

    name = "pcapng"

    def __init__(self) -> None:
        self.at = 0
        """Where the first block begins that was not read yet."""
        self.fault = ""
        """What is wrong with the block at `at`; empty while it is only not whole."""
        self._order = "<"
        self._sections = 0
        self._interfaces = Interfaces()
        self._homeless = 0
        self._last_ns = 0

    @property
    def snaplen(self) -> int | None:
        """The largest snapshot length of the interfaces; None if one has no limit."""
        return self._interfaces.snaplen

    @property
    def link_types(self) -> list[int]:
        """The link types of the interfaces, in order of first description."""
        return self._interfaces.link_types

    @property
    def kernel_drops(self) -> int | None:
        """Packets the capturing system dropped, by the interface statistics; None where there are none."""
        return self._interfaces.dropped("osdrop")

    @property
    def nic_drops(self) -> int | None:
        """Packets the interface dropped, by the interface statistics; None where there are none."""
        return self._interfaces.dropped("ifdrop")

    @property
    def lost(self) -> str:
        """What had to be left out on the way; empty if nothing."""
        return f"{self._homeless} packets of an interface that is not described" if self._homeless else ""

    def parse(self, data: U8, start: int, end: int, rows: int) -> Iterator[RawBatch]:
        """Yield the packets of every whole block of ``data[start:end]`` in batches of at most `rows`, then set `at`."""
        self.at = start
        while self.at + BLOCK_MIN <= end and not self.fault:
            self._order = byte_order(data[self.at : self.at + BLOCK_MIN].tobytes()) or self._order
            starts, stop = find_records(BlockFraming(data, end, self._order), self.at)
            if not len(starts):
                self.fault = self._what_is_wrong(data, end)
                break
            self.at = stop
            for first in range(0, len(starts), rows):
                yield from self._batches(data, *self._sort_out(data, starts[first : first + rows]))
                if self.fault:
                    return

    def _what_is_wrong(self, data: U8, end: int) -> str:
        """Say what is wrong with the block at `at`; empty if it is merely not whole yet."""
        (length,) = struct.unpack_from(self._order + "4xI", data.data, self.at)
        if length % 4 or not BLOCK_MIN <= length <= BLOCK_MAX:
            return f"a block claims a length of {length} bytes"
        return "" if self.at + length > end else f"a block of {length} bytes does not end with its length"

    def _sort_out(self, data: U8, at: I64) -> tuple[I64, U32]:
        """Read the blocks that are no packets; return place and type of the packets up to the first damage."""
        head = heads_at(data, at, self._order, 2)
        kinds, lengths = head[:, 0], head[:, 1]
        self._interfaces.forget_places()
        plain = kinds == PACKET
        if plain.all() and lengths.min() >= _PACKET_MIN:
            return at, kinds
        simple = kinds == SIMPLE_PACKET
        packet = plain | simple | (kinds == OLD_PACKET)
        short = packet & (lengths < np.where(simple, _SIMPLE_MIN, _PACKET_MIN))
        for row in np.flatnonzero(short | np.isin(kinds, _DESCRIPTIONS)).tolist():
            place, length = int(at[row]), int(lengths[row])
            if short[row]:
                self.fault = f"a packet block of {length} bytes"
            else:
                self.fault = self._read_description(place, int(kinds[row]), data[place : place + length].tobytes())
            if self.fault:
                self.at, packet = place, packet[:row]
                break
        rows = np.flatnonzero(packet)
        return at[rows], kinds[rows]

    def _read_description(self, at: int, kind: int, block: bytes) -> str:
        if kind == INTERFACE:
            return self._interfaces.describe(at, block, self._order)
        if kind == STATISTICS:
            self._interfaces.count_drops(block, self._order)
            return ""
        if len(block) < SECTION_MIN or byte_order(block) != self._order:
            return "a section header without a byte order"
        self._sections += 1
        self._interfaces.open_section(at)
        return f"more than {SECTIONS_MAX} sections" if self._sections > SECTIONS_MAX else ""

    def _batches(self, data: U8, at: I64, kinds: U32) -> Iterator[RawBatch]:
        """Yield the packets at `at` in order, a new batch wherever the link type changes."""
        rows = self._columns(data, at, kinds)
        known = rows.interface >= 0
        if not known.all():
            self._homeless += int((~known).sum())
            rows = rows.where(known)
        if not len(rows.interface):
            return
        ts_ns = self._times(rows)
        links = self._interfaces.link_type(rows.interface)
        cuts = np.flatnonzero(links[1:] != links[:-1]) + 1
        for first, stop in pairwise([0, *cuts.tolist(), len(links)]):
            part = slice(first, stop)
            yield RawBatch(
                int(links[first]), ts_ns[part], rows.offset[part], rows.cap_len[part], rows.wire_len[part], data
            )

    def _times(self, rows: _Columns) -> I64:
        """Return `i8 [n]`, ns; a simple packet, which carries no time, has that of the packet before it."""
        ts_ns = self._interfaces.to_ns(rows.interface, rows.ticks)
        if rows.timeless.any():
            source = np.maximum.accumulate(np.where(rows.timeless, -1, np.arange(len(ts_ns))))
            ts_ns = np.where(source >= 0, ts_ns[source], self._last_ns)
        self._last_ns = int(ts_ns[-1])
        return ts_ns

    def _columns(self, data: U8, at: I64, kinds: U32) -> _Columns:
        simple = kinds == SIMPLE_PACKET
        if not simple.any():
            return self._full(data, at, kinds)
        rows = _Columns.empty(len(at))
        rows.put(~simple, self._full(data, at[~simple], kinds[~simple]))
        rows.put(simple, self._simple(data, at[simple]))
        return rows

    def _full(self, data: U8, at: I64, kinds: U32) -> _Columns:
        """Read enhanced packet blocks, and old ones, which have 16 bits of interface and 16 of drop count."""
        head = heads_at(data, at, self._order, 7)
        old = head[:, 2] & 0xFFFF if self._order == "<" else head[:, 2] >> 16
        local = np.where(kinds == OLD_PACKET, old, head[:, 2]).astype(np.int64)
        cap_len = np.minimum(head[:, 5], head[:, 1] - np.uint32(_PACKET_MIN)).astype(np.int32)
        return _Columns(
            self._interfaces.locate(at, local),
            head[:, 3].astype(np.uint64) << np.uint64(32) | head[:, 4],
            at + _PACKET_FIXED,
            cap_len,
            np.maximum(np.minimum(head[:, 6], WIRE_LEN_MAX).astype(np.int32), cap_len),
            np.zeros(len(at), np.bool_),
        )

    def _simple(self, data: U8, at: I64) -> _Columns:
        """Read simple packet blocks: always the first interface, cut to its snapshot length."""
        head = heads_at(data, at, self._order, 3).astype(np.int64)
        interface = self._interfaces.locate(at, np.zeros(len(at), np.int64))
        cap_len = np.minimum(head[:, 2], head[:, 1] - _SIMPLE_MIN)
        if (interface >= 0).all():
            snap = self._interfaces.snap(interface)
            cap_len = np.where(snap > 0, np.minimum(cap_len, snap), cap_len)
        return _Columns(
            interface,
            np.zeros(len(at), np.uint64),
            at + _SIMPLE_FIXED,
            cap_len.astype(np.int32),
            np.maximum(np.minimum(head[:, 2], WIRE_LEN_MAX), cap_len).astype(np.int32),
            np.ones(len(at), np.bool_),
        )
