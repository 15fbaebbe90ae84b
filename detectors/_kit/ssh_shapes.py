"""Payload sizes of SSH flows by side, and channel openings among them, as bounded columns."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from nettriage.model.columns import I64, Rows, group
from nettriage.model.health import Gauge
from nettriage.model.slices import Slice
from nettriage.model.tables import Tables

LANES = 1_024
"""SSH flows that are measured at once; the one that was measured longest ago gives way."""
STEP, EXACT = 4, 256
"""Sizes below 256 bytes are counted in steps of 4, the alignment of SSH packets (RFC 4253 6)."""
BINS = EXACT // STEP + 3
MEDIUM, LARGE, FULL = BINS - 3, BINS - 2, BINS - 1
"""Bins of sizes below 1,024 bytes, below 1,300, and of full segments."""
SKIPPED = 8
"""Payload packets of each side that belong to banner, key exchange and login."""
CONFIRM_OVER_UNIT = (8, 16)
"""A confirmation is 8 bytes longer than the shortest packet, 16 with a block of 16 bytes (RFC 4254 5.1)."""
_OPEN_OVER_CONFIRM = (24, 104)
"""A forwarding open carries two host names (RFC 4254 7.2): that much longer than its confirmation."""
UNITS = tuple(range(28, 72, 4))
_SSH = np.uint32(int.from_bytes(b"SSH-", "little"))
_TCP = 6


class SshShapes:
    """Histograms of payload sizes `[lane, side, bin]` and counts of open-and-confirm pairs of young SSH flows."""

    def __init__(self) -> None:
        """Measure nothing yet."""
        self.sizes: npt.NDArray[np.uint32] = np.zeros((LANES, 2, BINS), np.uint32)
        self.serial: I64 = np.zeros(LANES, np.int64)
        self.row: Rows = np.zeros(LANES, np.intp)
        self.pairs: npt.NDArray[np.uint32] = np.zeros((LANES, 2, EXACT // STEP, 2), np.uint32)
        """`u4 [lane, opening side, size step of the confirmation, whether anything of that size came]`."""
        self.total: I64 = np.zeros(LANES, np.int64)
        """`i8 [lane]`, payload packets of both sides."""
        self._seen: npt.NDArray[np.uint32] = np.zeros((LANES, 2), np.uint32)
        self._before: npt.NDArray[np.int32] = np.zeros((LANES, 2), np.int32)
        """Side and size of the last payload packet of each lane."""
        self._lane: npt.NDArray[np.int16] = np.zeros(0, np.int16)
        """Lane of each flow row, -1 where it is not measured."""
        self._next = 0
        self._evicted = 0

    @property
    def gauge(self) -> Gauge:
        """How many flows are measured."""
        return Gauge(cap=LANES, used=min(self._next, LANES), evicted=self._evicted)

    @property
    def nbytes(self) -> int:
        """Memory of the columns, in bytes."""
        return sum(
            array.nbytes
            for array in (
                self.sizes,
                self.serial,
                self.row,
                self.pairs,
                self._seen,
                self._before,
                self._lane,
                self.total,
            )
        )

    def take(self, seen: Slice) -> None:
        """Give lanes to SSH flows that began to speak, and count the payload packets of all lanes."""
        self._begin(seen.prefixes, seen.tables)
        if not self._next:
            return
        packets = seen.packets
        lane = np.where(seen.flow >= 0, self._lane[seen.flow], np.int16(-1))
        at = np.flatnonzero(lane >= 0)
        at = at[(packets.payload_len[at] > 0) & ~packets.duplicate[at]]
        at = at[self.serial[lane[at]] == seen.tables.flows.serial[seen.flow[at]]]
        if len(at):
            self._count(lane[at].astype(np.intp), seen.side[at].astype(np.intp), packets.payload_len[at])

    def _begin(self, grown: npt.NDArray[np.int32], tables: Tables) -> None:
        """Measure flows whose first payload is an SSH banner: from that packet on, however the traffic was cut."""
        flows = tables.flows
        if len(flows.serial) > len(self._lane):
            more = len(flows.serial) - len(self._lane)
            self._lane = np.concatenate((self._lane, np.full(more, -1, np.int16)))
        rows = grown[(flows.proto[grown] == _TCP) & (flows.first_speaker[grown] >= 0)].astype(np.intp)
        slots = np.asarray(tables.prefixes.slots(rows), np.intp)
        rows, slots = rows[slots >= 0], slots[slots >= 0]
        if not len(rows):
            return
        side = flows.first_speaker[rows].astype(np.intp)
        words = tables.prefixes.data.view("<u4")[slots, side, 0]
        begun = (words == _SSH) & (flows.first_payload_len[rows, side] >= 4)
        begun[begun] &= self._unknown(rows[begun], tables)
        chosen = rows[begun]
        for row in chosen[np.argsort(flows.serial[chosen], kind="stable")].tolist():
            self._give(row, int(flows.serial[row]))

    def _unknown(self, rows: Rows, tables: Tables) -> npt.NDArray[np.bool_]:
        lane = self._lane[rows]
        return np.asarray((lane < 0) | (self.serial[lane] != tables.flows.serial[rows]))

    def _give(self, row: int, serial: int) -> None:
        lane = self._next % LANES
        if self._next >= LANES:
            self._evicted += 1
            if int(self._lane[self.row[lane]]) == lane:
                self._lane[self.row[lane]] = -1
        self._next += 1
        for array in (self.sizes, self.pairs, self._seen, self._before, self.total):
            array[lane] = 0
        self.row[lane], self.serial[lane], self._lane[row] = row, serial, lane

    def _count(self, lane: Rows, side: Rows, size: npt.NDArray[np.int32]) -> None:
        groups = group(lane)
        order = groups.order
        lane, side, size = lane[order], side[order], np.minimum(size[order], 0xFFFF)
        heads = groups.starts
        self.total[groups.ids] += groups.counts
        ranks = self._ranks(lane, side)
        before_side, before_size = np.empty_like(side), np.empty_like(size)
        before_side[1:], before_size[1:] = side[:-1], size[:-1]
        before_side[heads], before_size[heads] = self._before[lane[heads], 0], self._before[lane[heads], 1]
        tails = heads + groups.counts - 1
        self._before[lane[tails], 0], self._before[lane[tails], 1] = side[tails], size[tails]
        kept = ranks >= SKIPPED
        np.add.at(self.sizes, (lane[kept], side[kept], _bins(size[kept])), np.uint32(1))
        self._count_pairs(lane, side, size, before_side, before_size)

    def _ranks(self, lane: Rows, side: Rows) -> Rows:
        """Return which payload packet of its side each one is."""
        groups = group(lane * 2 + side)
        ranks = np.empty(len(lane), np.intp)
        ranks[groups.order] = np.arange(len(lane)) - np.repeat(groups.starts, groups.counts)
        ranks += self._seen[lane, side]
        ids = groups.ids.astype(np.intp)
        self._seen[ids >> 1, ids & 1] += groups.counts.astype(np.uint32)
        return ranks

    def _count_pairs(
        self, lane: Rows, side: Rows, size: npt.NDArray[np.int32], before_side: Rows, before_size: npt.NDArray[np.int32]
    ) -> None:
        """Count small packets that answer a packet of the other side, by size, and those that answer an open."""
        small = np.flatnonzero((size < EXACT) & (before_side != side) & (before_size > 0))
        step, grown = size[small] // STEP, before_size[small] - size[small]
        opens = (grown >= _OPEN_OVER_CONFIRM[0]) & (grown <= _OPEN_OVER_CONFIRM[1])
        opener = before_side[small]
        np.add.at(self.pairs, (lane[small], opener, step, opens.astype(np.intp)), np.uint32(1))


def _bins(size: npt.NDArray[np.int32]) -> Rows:
    large = MEDIUM + (size >= 1_024).astype(np.intp) + (size >= 1_300)
    return np.where(size < EXACT, size // STEP, large).astype(np.intp)
