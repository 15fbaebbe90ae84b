"""The last packets seen, so that an incident can keep those from before it was raised."""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from nettriage.model.batch import RawBatch
from nettriage.model.columns import I32, I64, U64, Rows
from nettriage.model.health import Gauge
from nettriage.model.slices import Slice

WINDOW = 65_536
"""Packets remembered: a fifth of a second at 300,000 packets/s, on a quiet link hours."""
HEAD_BYTES = 256
"""Bytes copied of each packet whose source will overwrite it: headers and the first payload; 16 MiB for the window."""
PACKET_BYTES_MAX = 2_048
"""Bytes kept of a packet whose source keeps it."""


@dataclass(frozen=True, slots=True)
class Kept:
    """A packet kept for an incident."""

    ts_ns: int
    data: bytes
    """Captured bytes, possibly cut."""
    link_type: int
    wire_len: int
    serial: int
    """`FlowTable.serial` of its flow, 0 where it has none."""


@dataclass(frozen=True, slots=True)
class _Chunk:
    first: int
    """Number of its first packet since the start."""
    raw: RawBatch
    copied: bool
    """Whether the bytes stand in the copy, because the source overwrites its own."""


class PacketHistory:
    """The last `WINDOW` packets: who sent them to whom in which flow, and where their bytes are.

    Packets are numbered from the start of the run, and the window is exact to the packet, so what it holds does
    not depend on how the source cut its batches. The columns are twice as long as the window and written front to
    back, so that the window is always one contiguous piece.
    """

    def __init__(self) -> None:
        self.total = 0
        """Packets seen since the start."""
        self._end = 0
        self._src: U64 = np.zeros(2 * WINDOW, np.uint64)
        self._dst: U64 = np.zeros(2 * WINDOW, np.uint64)
        self._serial: I64 = np.zeros(2 * WINDOW, np.int64)
        self._heads: npt.NDArray[Any] | None = None
        self._chunks: list[_Chunk] = []
        self._firsts: list[int] = []

    @property
    def gauge(self) -> Gauge:
        """How much of the window is in use."""
        used = min(self.total, WINDOW)
        return Gauge(cap=WINDOW, used=used, evicted=self.total - used)

    def add(self, seen: Slice) -> None:
        """Remember the packets of a slice, at most `WINDOW` of them at once."""
        raw, n = seen.packets.raw, len(seen.packets)
        if not n:
            return
        self._make_room(n)
        part = slice(self._end, self._end + n)
        keys = seen.tables.hosts.key
        self._src[part] = np.where(seen.src >= 0, keys[seen.src], 0)
        self._dst[part] = np.where(seen.dst >= 0, keys[seen.dst], 0)
        self._serial[part] = np.where(seen.flow >= 0, seen.tables.flows.serial[seen.flow], 0)
        if not raw.stable:
            self._copy_heads(raw)
        self._chunks.append(_Chunk(self.total, raw, copied=not raw.stable))
        self._firsts.append(self.total)
        self._end += n
        self.total += n
        self._forget()

    def columns(self, since: int) -> tuple[int, U64, U64, I64]:
        """Return the first number held from `since` on, and source key, destination key and flow serial from there."""
        first = max(since, self.total - WINDOW, 0)
        part = slice(self._end - (self.total - first), self._end)
        return first, self._src[part], self._dst[part], self._serial[part]

    def packet(self, number: int) -> Kept:
        """Return one packet of the window."""
        chunk = self._chunks[bisect_right(self._firsts, number) - 1]
        raw, row = chunk.raw, number - chunk.first
        length = int(raw.cap_len[row])
        if chunk.copied:
            assert self._heads is not None
            data = self._heads[number % WINDOW].tobytes()[: min(length, HEAD_BYTES)]
        else:
            start = int(raw.offset[row])
            data = raw.data[start : start + min(length, PACKET_BYTES_MAX)].tobytes()
        serial = int(self._serial[self._end - (self.total - number)])
        return Kept(int(raw.ts_ns[row]), data, raw.link_type, int(raw.wire_len[row]), serial)

    def _make_room(self, n: int) -> None:
        if self._end + n <= 2 * WINDOW:
            return
        keep = min(self.total, WINDOW)
        for column in (self._src, self._dst, self._serial):
            column[:keep] = column[self._end - keep : self._end].copy()
        self._end = keep

    def _copy_heads(self, raw: RawBatch) -> None:
        """Copy the first bytes of every packet into the ring of heads with one gather.

        Packets so close to the end of the buffer that a whole head would reach beyond it are shifted in one by one:
        at most `HEAD_BYTES` / 14 of them.
        """
        if self._heads is None:
            self._heads = np.zeros(WINDOW, f"V{HEAD_BYTES}")
        places = np.arange(self.total, self.total + len(raw)) % WINDOW
        room = len(raw.data) - HEAD_BYTES
        whole = raw.offset <= room
        if room >= 0:
            heads = np.ndarray((room + 1,), f"V{HEAD_BYTES}", raw.data, strides=(1,))
            self._heads[places[whole]] = heads[raw.offset[whole]]
        for row in np.flatnonzero(~whole).tolist():
            start = int(raw.offset[row])
            self._heads[places[row]] = raw.data[start : start + HEAD_BYTES].tobytes().ljust(HEAD_BYTES, b"\0")

    def _forget(self) -> None:
        """Let go of chunks that lie wholly before the window, in bulk."""
        oldest = bisect_right(self._firsts, self.total - WINDOW) - 1
        if oldest > max(8, len(self._chunks) // 2):
            del self._chunks[:oldest], self._firsts[:oldest]


def spread(rows: Rows | I32, count: int) -> Rows:
    """Return at most `count` of `rows`, evenly spread, the first and the last among them."""
    if len(rows) <= count:
        return np.asarray(rows, np.intp)
    return np.asarray(rows[np.linspace(0, len(rows) - 1, count).astype(np.intp)], np.intp)
