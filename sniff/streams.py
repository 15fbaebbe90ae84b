"""New payload of flows: which packets carry bytes that were not seen before, and where in the stream they lie."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from nettriage.model.batch import TcpFlag
from nettriage.model.columns import I64, Rows
from nettriage.model.tables import U32
from sniff.flow_counters import Sides
from sniff.flow_packets import Bools, FlowPackets
from sniff.flows import FlowTable

_SYN, _ACK, _RST = int(TcpFlag.SYN), int(TcpFlag.ACK), int(TcpFlag.RST)
_LANE_BITS = 32
"""Stream positions of one batch are below 2**31, so groups laid 2**32 apart never meet in a running maximum."""
RESYNC_BYTES = 1 << 24
"""A leap beyond 16 MiB is no lost segment but a sequence number out of nowhere: only the payload itself counts."""


@dataclass(frozen=True, slots=True)
class NewPayload:
    """Packets with new payload, grouped by flow and side and in time order inside a group."""

    position: Rows
    """`intp [k]`, position in the flow packets."""
    group: Rows
    """`intp [k]`, index into `Sides`."""
    begin: I64
    """`i8 [k]`, stream offset of the first new byte of the packet."""
    skip: I64
    """`i8 [k]`, bytes at the start of the payload that are not new."""
    new_bytes: I64
    """`i8 [k]`, by how much the stream grew, gaps included."""

    def __len__(self) -> int:
        return len(self.position)


def new_payload(flows: FlowTable, packets: FlowPackets, sides: Sides, rows: Rows, side: Rows) -> NewPayload:
    """Return the packets with new payload, and count their bytes in `flows`."""
    groups = sides.groups
    sane = packets.tcp & ((packets.tcp_flags & np.uint16(_SYN | _ACK)) != 0) & ~packets.has(_RST)
    carries = (packets.payload_len > 0) & (sane | ~packets.tcp)
    _anchor(flows, packets, rows, side, sane, carries)
    group_of = np.repeat(np.arange(len(groups.ids)), groups.counts)
    kept = carries[groups.order]
    position, lane = groups.order[kept], group_of[kept]
    if not len(position):
        none = np.zeros(0, np.int64)
        return NewPayload(position, lane, none, none, none)
    length = packets.payload_len[position].astype(np.int64)
    end = _ends(flows, packets, sides, position, lane, length)
    floor = lane << _LANE_BITS
    reach = np.maximum.accumulate(floor + np.maximum(end, 0)) - floor
    before = np.concatenate(([0], reach[:-1]))
    before[np.flatnonzero(np.diff(lane, prepend=-1))] = 0
    grown = reach - before
    gap = np.maximum(end - length - before, 0)
    _count(flows, packets, sides, _Growth(position, lane, length, reach, grown, gap))
    new = np.flatnonzero(grown)
    begin = np.maximum(end - length, before)[new]
    base = _stream_bases(flows, sides, lane, np.where(gap > RESYNC_BYTES, length, grown))
    return NewPayload(
        position[new], lane[new], begin + base[new], begin - (end - length)[new], grown[new]
    )  # fmt: skip


@dataclass(frozen=True, slots=True)
class _Growth:
    position: Rows
    lane: Rows
    length: I64
    reach: I64
    grown: I64
    gap: I64


def _anchor(flows: FlowTable, packets: FlowPackets, rows: Rows, side: Rows, sane: Bools, carries: Bools) -> None:
    """Fix where the stream of each side starts: after its SYN, else at its first segment seen.

    Only `sane` segments count: a reset may carry any sequence number, a probe without ACK too. A SYN that comes
    after payload does not move the start.
    """
    syn = packets.has(_SYN) & sane
    fresh = np.flatnonzero(sane & (syn | ~flows.seq_known[rows, side]))[::-1]
    fresh = fresh[flows.payload_bytes[rows[fresh], side[fresh]] == 0]
    first = fresh[~flows.seq_known[rows[fresh], side[fresh]]]
    # Backwards, so that the first segment wins over later ones; then the last SYN before any payload wins over all.
    flows.next_seq[rows[first], side[first]] = packets.seq[first] + syn[first].astype(np.uint32)
    flows.seq_known[rows[first], side[first]] = True
    asked = fresh[syn[fresh]][::-1]
    if len(asked):
        spoken = np.flatnonzero(carries)
        lane, at = np.unique(rows[spoken] * 2 + side[spoken], return_index=True)
        lane, begins = np.append(lane, -1), np.append(spoken[at], len(rows))
        mine = rows[asked] * 2 + side[asked]
        found = np.searchsorted(lane[:-1], mine)
        asked = asked[(lane[found] != mine) | (asked <= begins[found])]
        flows.next_seq[rows[asked], side[asked]] = packets.seq[asked] + np.uint32(1)


def _ends(
    flows: FlowTable, packets: FlowPackets, sides: Sides, position: Rows, lane: Rows, length: I64
) -> I64:  # fmt: skip
    """Return where each payload ends, counted from the end of its side's stream before this batch."""
    row, which = sides.row[lane], sides.side[lane]
    syn = packets.has(_SYN)[position]
    after = packets.seq[position] + syn.astype(np.uint32) + length.astype(np.uint32)
    by_seq = (after - flows.next_seq[row, which]).view(np.int32).astype(np.int64)
    total = np.cumsum(length)
    heads = np.flatnonzero(np.diff(lane, prepend=-1))
    start = np.repeat((total - length)[heads], np.diff(np.append(heads, len(lane))))
    return np.where(packets.tcp[position], by_seq, total - start)


def _stream_bases(flows: FlowTable, sides: Sides, lane: Rows, counted: I64) -> I64:
    """Return the stream offset of each lane before this batch (`payload_bytes` now holds what came after)."""
    per_lane = np.bincount(lane, counted, len(sides.row)).astype(np.int64)
    before = flows.payload_bytes[sides.row, sides.side].astype(np.int64) - per_lane
    return np.asarray(before[lane])


def _count(flows: FlowTable, packets: FlowPackets, sides: Sides, growth: _Growth) -> None:
    lane, heads = growth.lane, np.flatnonzero(np.diff(growth.lane, prepend=-1))
    tails = np.append(heads[1:], len(lane)) - 1
    at = (sides.row[lane[heads]], sides.side[lane[heads]])
    new = growth.grown > 0
    fresh_gap = np.where(new & (growth.gap <= RESYNC_BYTES), growth.gap, 0)
    counted = np.where(growth.gap > RESYNC_BYTES, growth.length, growth.grown)

    def add(column: U32, values: I64) -> None:
        column[at] += np.add.reduceat(values, heads).astype(column.dtype)

    add(flows.payload_bytes, counted)  # type: ignore[arg-type]  # u8, as the values are
    add(flows.payload_packets, new.astype(np.int64))
    add(flows.gap_bytes, fresh_gap)
    add(flows.fill_bytes, np.where(new, 0, growth.length))
    tcp = packets.tcp[growth.position[heads]]
    known = tcp & flows.seq_known[at]
    row, which = at[0][known], at[1][known]
    flows.next_seq[row, which] += growth.reach[tails][known].astype(np.uint32)
