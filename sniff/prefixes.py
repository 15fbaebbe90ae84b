"""The first payload bytes of young flows, copied by columns."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from nettriage.model.columns import I32, I64, Rows, runs
from nettriage.model.health import Gauge
from nettriage.model.tables import PREFIX_BYTES, U8
from sniff.flows import FlowTable

_WIDTHS = (256, 64, 16, 4, 1)
"""Widths of one copy, widest first."""


def copy_spans(target: U8, target_at: I64, source: U8, source_at: I64, length: I64) -> None:
    """Copy many spans of bytes between two flat arrays.

    A span is cut into pieces of the widest width that fits into it, and the last piece is moved back to end
    with the span: it writes some bytes twice, the same ones. So no piece leaves its span, and each width costs
    one indexed assignment.
    """
    todo = length > 0
    for width in _WIDTHS:
        fits = (todo & (length >= width)).nonzero()[0]
        if not len(fits):
            continue
        todo[fits] = False
        pieces = -(-length[fits] // width)
        last = np.cumsum(pieces)
        step = np.arange(int(last[-1])) - np.repeat(last - pieces, pieces)
        offset = np.minimum(step * width, np.repeat(length[fits] - width, pieces))
        into, out_of = _windows(target, width), _windows(source, width)
        into[np.repeat(target_at[fits], pieces) + offset] = out_of[np.repeat(source_at[fits], pieces) + offset]


def _windows(flat: U8, width: int) -> npt.NDArray[Any]:
    """Return a view of every run of `width` bytes of `flat` as one element."""
    return np.ndarray((len(flat) - width + 1,), f"V{width}", buffer=flat, strides=(1,))


class PrefixTable:
    """The first `PREFIX_BYTES` of payload of each side of a flow; the flow that began longest ago gives way."""

    def __init__(self, capacity: int, flows: FlowTable) -> None:
        """Make an empty table of `capacity` slots."""
        self.data: U8 = np.zeros((capacity, 2, PREFIX_BYTES), np.uint8)
        self.length: I32 = np.zeros((capacity, 2), np.int32)
        self._words = self.data.reshape(capacity, -1).view(np.uint64)
        self._flow: Rows = np.full(capacity, -1, np.intp)
        self._serial: I64 = np.zeros(capacity, np.int64)
        self._flows = flows
        self._given = 0

    @property
    def gauge(self) -> Gauge:
        """How many slots are in use."""
        cap = len(self.length)
        return Gauge(cap=cap, used=min(self._given, cap), evicted=max(0, self._given - cap))

    def slots(self, flows: Rows) -> Rows:
        """Return the slot of each flow, -1 where its prefix is no longer (or never was) kept."""
        slot = self._flows.slot[flows].astype(np.intp)
        kept = (slot >= 0) & (self._serial[slot] == self._flows.serial[flows]) & (self._flow[slot] == flows)
        return np.where(kept, slot, -1)

    def payload(self, flow: int, side: int) -> bytes:
        """Return the kept payload of one side of one flow; empty when none is kept."""
        slot = int(self.slots(np.array([flow]))[0])
        return self.data[slot, side, : self.length[slot, side]].tobytes() if slot >= 0 else b""

    def give(self, flows: Rows) -> None:
        """Give slots to flows that have none, each once, in the order in which their payload began."""
        cap = len(self.length)
        late = flows[-cap:]
        slot = (self._given + len(flows) - len(late) + np.arange(len(late))) % cap
        used = slot[self.length[slot].any(axis=1)]
        self._words[used] = 0
        self.length[used] = 0
        self._given += len(flows)
        self._flow[slot] = late
        self._serial[slot] = self._flows.serial[late]
        self._flows.slot[late] = slot

    def keep(self, slot: Rows, side: Rows, begin: I64, source: U8, source_at: I64, length: I64) -> Rows:
        """Copy payload to its place in the kept prefix, if it has a slot; return which spans were kept.

        Spans are grouped by slot and side. `begin` is the stream offset of each; those of one side never overlap.
        """
        length = np.minimum(length, PREFIX_BYTES - begin)
        fits = ((slot >= 0) & (length > 0)).nonzero()[0]
        if not len(fits):
            return fits
        lane, begin, length = slot[fits] * 2 + side[fits], begin[fits], length[fits]
        copy_spans(self.data.reshape(-1), lane * PREFIX_BYTES + begin, source, source_at[fits], length)
        heads = runs(lane)
        reach, grown = self.length.reshape(-1), lane[heads]
        reach[grown] = np.maximum(reach[grown], np.maximum.reduceat(begin + length, heads))
        return fits

    def turn(self, flows: Rows) -> None:
        """Exchange the sides of flows whose originator turned out to be the other one."""
        slot = self.slots(flows)
        slot = slot[slot >= 0]
        self.data[slot] = self.data[slot][:, ::-1]
        self.length[slot] = self.length[slot][:, ::-1]
