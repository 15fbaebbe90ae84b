"""Echo packets of one slice: who asked, what was sent, and whether each reply gave back what its request held."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from nettriage.model.columns import I64, U64, Rows
from nettriage.model.health import Gauge
from nettriage.model.slices import Slice

from .byte_rows import U8, byte_rows
from .fold import Fold

Bools = npt.NDArray[np.bool_]
WIDTH = 64
"""Payload bytes that are looked at."""
_HEAD_WORDS = 4
"""A reply cut short by its sender still begins with these 32 bytes of the request."""
_STAMP_WORDS = 2
"""ping puts a time stamp into the first 16 bytes; the words behind stay the same in every request."""
_REQUEST_TTL_NS = 60_000_000_000
PTUNNEL_NG, PTUNNEL = 0xDEADC0DE, 0xD5200880
_ICMP, _ICMPV6 = 1, 58


@dataclass(slots=True)
class Echoes:
    """Echo requests and replies, one row each, in order of capture."""

    ts_ns: I64
    is_request: Bools
    asker: Rows
    """`intp [n]`, host row of who asks; of a reply, its receiver."""
    asked: Rows
    asker_key: U64
    asked_key: U64
    exchange: U64
    """`u8 [n]`, the same for a request and its reply."""
    length: I64
    """`i8 [n]`, payload bytes on the wire."""
    head: U8
    """`u1 [n, WIDTH]`, payload bytes, zero beyond what was captured."""
    whole_print: U64
    head_print: U64
    tail_print: U64
    """`u8 [n]`, keyed print of the bytes behind a time stamp; of short payloads, of nothing."""
    is_v6: Bools

    def __len__(self) -> int:
        return len(self.ts_ns)

    def carries_ipv4(self) -> Bools:
        """Return whether each payload is a whole IPv4 packet: header length 5, total length equal, checksum right."""
        half = self.head[:, :20].astype(np.int64)
        total = (half[:, 0::2] * 256 + half[:, 1::2]).sum(axis=1)
        total = (total & 0xFFFF) + (total >> 16)
        stated = half[:, 2] * 256 + half[:, 3]
        return np.asarray((half[:, 0] == 0x45) & (stated == self.length) & (self.length >= 20) & (total == 0xFFFF))

    def magic(self) -> npt.NDArray[np.uint32]:
        """Return `u4 [n]`, the first four bytes where they are the mark of a known tool, else 0."""
        first = np.ascontiguousarray(self.head[:, :4]).view(">u4")[:, 0]
        return np.where((first == PTUNNEL_NG) | (first == PTUNNEL), first, 0).astype(np.uint32)


def echoes(seen: Slice, fold: Fold, most: int) -> tuple[Echoes | None, int]:
    """Return the first `most` sound echo packets of a slice (None where none), and how many there were beyond."""
    packets = seen.packets
    rows = np.flatnonzero((packets.proto == _ICMP) | (packets.proto == _ICMPV6))
    if len(rows):
        kind = packets.icmp_type[rows]
        wanted = np.where(packets.proto[rows] == _ICMP, kind & 0xF7 == 0, kind & 0xFE == 128)
        wanted &= (packets.flaw[rows] == 0) & ~packets.duplicate[rows] & (seen.flow[rows] >= 0)
        rows = rows[wanted]
    if not len(rows):
        return None, 0
    return _echoes(seen, rows[:most], fold), max(len(rows) - most, 0)


def _echoes(seen: Slice, rows: Rows, fold: Fold) -> Echoes:
    packets, hosts = seen.packets, seen.tables.hosts
    is_request = (packets.icmp_type[rows] == 8) | (packets.icmp_type[rows] == 128)
    src, dst = seen.src[rows].astype(np.intp), seen.dst[rows].astype(np.intp)
    asker, asked = np.where(is_request, src, dst), np.where(is_request, dst, src)
    ident = np.where(is_request, packets.src_port[rows], packets.dst_port[rows])
    asker_key, asked_key = hosts.key[asker], hosts.key[asked]
    head = byte_rows(packets.raw.data, packets.payload_at[rows], packets.payload_cap[rows], WIDTH)
    products, length = fold.products(head), packets.payload_len[rows].astype(np.int64)
    return Echoes(
        ts_ns=packets.ts_ns[rows], is_request=is_request, asker=asker, asked=asked, asker_key=asker_key,
        asked_key=asked_key, exchange=fold.columns(asker_key, asked_key, ident, packets.seq[rows]), length=length,
        head=head,
        whole_print=products.sum(axis=1) + length.astype(np.uint64) * fold.factors[-1],
        head_print=products[:, :_HEAD_WORDS].sum(axis=1), tail_print=products[:, _STAMP_WORDS:].sum(axis=1),
        is_v6=packets.proto[rows] == _ICMPV6,
    )  # fmt: skip


@dataclass(slots=True)
class Matches:
    """What became of each echo packet; one row for each row of `Echoes`."""

    matched: Bools
    """A reply that gave its request back, perhaps cut short."""
    differs: Bools
    """A reply to a known request with other bytes."""
    orphan: Bools
    """A reply without a request."""


class RequestTable:
    """The last request of each exchange, to compare its reply with; a fixed number of places, the newest wins."""

    def __init__(self, capacity: int) -> None:
        """Make an empty table of `capacity` places (a power of two)."""
        self._mask = np.uint64(capacity - 1)
        self._key: U64 = np.zeros(capacity, np.uint64)
        self._whole: U64 = np.zeros(capacity, np.uint64)
        self._head: U64 = np.zeros(capacity, np.uint64)
        self._length: I64 = np.zeros(capacity, np.int64)
        self._ts_ns: I64 = np.zeros(capacity, np.int64)

    @property
    def gauge(self) -> Gauge:
        """How full the table is."""
        return Gauge(cap=len(self._key), used=int(np.count_nonzero(self._key)))

    @property
    def nbytes(self) -> int:
        """Memory of the table, in bytes."""
        return sum(a.nbytes for a in (self._key, self._whole, self._head, self._length, self._ts_ns))

    def match(self, echo: Echoes) -> Matches:
        """Compare every reply with the request before it, in this slice or an earlier one; remember the requests."""
        before = latest_before(echo.exchange, echo.is_request)
        place = (echo.exchange & self._mask).astype(np.intp)
        inside = before >= 0
        noted = (self._key[place] == echo.exchange) & (echo.ts_ns - self._ts_ns[place] <= _REQUEST_TTL_NS)
        known = inside | noted
        whole = np.where(inside, echo.whole_print[before], self._whole[place])
        head = np.where(inside, echo.head_print[before], self._head[place])
        length = np.where(inside, echo.length[before], self._length[place])
        cut = (echo.length < length) & (echo.length >= 8 * _HEAD_WORDS) & (echo.head_print == head)
        same = (echo.whole_print == whole) | cut
        reply = ~echo.is_request
        self._remember(echo, place)
        return Matches(reply & known & same, reply & known & ~same, reply & ~known)

    def _remember(self, echo: Echoes, place: Rows) -> None:
        asked = np.flatnonzero(echo.is_request)
        place = place[asked]
        self._key[place], self._whole[place] = echo.exchange[asked], echo.whole_print[asked]
        self._head[place], self._length[place] = echo.head_print[asked], echo.length[asked]
        self._ts_ns[place] = echo.ts_ns[asked]


def latest_before(ids: npt.NDArray[np.integer], wanted: Bools) -> Rows:
    """Return for each row the latest earlier row of the same id that is `wanted`, -1 where none."""
    order = np.argsort(ids, kind="stable")
    place = np.arange(len(ids))
    ordered = ids[order]
    begins = np.ones(len(ids), np.bool_)
    begins[1:] = ordered[1:] != ordered[:-1]
    starts = np.maximum.accumulate(np.where(begins, place, 0))
    latest = np.empty(len(ids), np.intp)
    latest[:1] = -1
    latest[1:] = np.maximum.accumulate(np.where(wanted[order], place, -1))[:-1]
    out = np.full(len(ids), -1, np.intp)
    inside = latest >= starts
    out[order[inside]] = order[latest[inside]]
    return out
