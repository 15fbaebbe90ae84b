"""Counters of flows by side, from one grouping of a batch."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from nettriage.model.batch import TcpFlag
from nettriage.model.columns import Groups, Rows, group, runs
from sniff.flow_packets import FlowPackets
from sniff.flows import FlowTable

_SYN, _ACK, _RST = (np.uint16(bit) for bit in (TcpFlag.SYN, TcpFlag.ACK, TcpFlag.RST))


@dataclass(frozen=True, slots=True)
class Sides:
    """The packets of a batch, grouped by flow and side."""

    groups: Groups
    row: Rows
    """`intp [g]`, flow row of each group."""
    side: Rows
    """`intp [g]`, side of each group."""
    flow: Rows
    """Groups at which another flow begins: a flow has one group or two."""
    ordered: Rows
    """`intp [n]`, the group of each packet in the order of `groups`."""
    lane: Rows
    """`intp [n]`, the group of each packet."""
    first_ever: npt.NDArray[np.bool_]
    """`bool [g]`, whether that side was never seen before."""


def group_sides(flows: FlowTable, rows: Rows, side: npt.NDArray[np.uint8]) -> Sides:
    """Group packets by flow and side; call it before `count`."""
    groups = group((rows << 1) | side)
    row, which = groups.ids >> 1, groups.ids & 1
    ordered = np.arange(len(row)).repeat(groups.counts)
    lane = np.empty_like(ordered)
    lane[groups.order] = ordered
    return Sides(groups, row, which, runs(row), ordered, lane, flows.packets[row, which] == 0)


def count(flows: FlowTable, packets: FlowPackets, sides: Sides, rows: Rows, side: npt.NDArray[np.uint8]) -> None:
    """Add packets to the counters of their flows."""
    groups, row, which = sides.groups, sides.row, sides.side
    at = (row, which)
    control, last = packets.control[groups.order], groups.last
    packet_counts, wire_bytes = groups.counts.astype(np.uint32), groups.sum(packets.wire_len).astype(np.uint64)
    flags = np.bitwise_or.reduceat(control, groups.starts)
    old = (~sides.first_ever).nonzero()[0]
    if len(old):
        before = (row[old], which[old])
        packet_counts[old] += flows.packets[before]
        wire_bytes[old] += flows.wire_bytes[before]
        flags[old] |= flows.tcp_flags[before]
    flows.packets[at], flows.wire_bytes[at], flows.tcp_flags[at] = packet_counts, wire_bytes, flags
    flows.ttl[at] = packets.ttl[last]
    flows.last_ns[row[sides.flow]] = np.maximum.reduceat(packets.time_ns[last], sides.flow)
    new = sides.first_ever.nonzero()[0]
    flows.window[row[new], which[new]] = packets.window[groups.first[new]]
    _note_acks(flows, packets, sides, (control & (_ACK | _RST)) == _ACK)
    syn = packets.marks[(packets.control[packets.marks] & _SYN) != 0]
    flows.isn[rows[syn], side[syn]] = packets.seq[syn]


def _note_acks(flows: FlowTable, packets: FlowPackets, sides: Sides, acks: npt.NDArray[np.bool_]) -> None:
    """Remember the last acknowledgement of each side; `acks` is in the order of the groups."""
    index = np.arange(len(acks))
    index[~acks] = -1
    newest = np.maximum.reduceat(index, sides.groups.starts)
    told = (newest >= 0).nonzero()[0]
    flows.max_ack[sides.row[told], sides.side[told]] = packets.ack[sides.groups.order[newest[told]]]
