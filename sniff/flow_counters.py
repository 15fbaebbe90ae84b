"""Counters of flows by side, from one grouping of a batch."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from nettriage.model.batch import TcpFlag
from nettriage.model.columns import Groups, Rows, group
from sniff.flow_packets import FlowPackets
from sniff.flows import FlowTable

_SYN, _ACK, _RST = int(TcpFlag.SYN), int(TcpFlag.ACK), int(TcpFlag.RST)


@dataclass(frozen=True, slots=True)
class Sides:
    """The packets of a batch, grouped by flow and side."""

    groups: Groups
    row: Rows
    """`intp [g]`, flow row of each group."""
    side: Rows
    """`intp [g]`, side of each group."""
    first_ever: npt.NDArray[np.bool_]
    """`bool [g]`, whether that side was never seen before."""


def group_sides(flows: FlowTable, rows: Rows, side: npt.NDArray[np.uint8]) -> Sides:
    """Group packets by flow and side; call it before `count`."""
    groups = group(rows * 2 + side)
    row, which = (groups.ids >> 1).astype(np.intp), (groups.ids & 1).astype(np.intp)
    return Sides(groups, row, which, flows.packets[row, which] == 0)


def count(flows: FlowTable, packets: FlowPackets, sides: Sides, rows: Rows, side: npt.NDArray[np.uint8]) -> None:
    """Add packets to the counters of their flows."""
    groups, row, which = sides.groups, sides.row, sides.side
    at = (row, which)
    flows.packets[at] += groups.counts.astype(np.uint32)
    flows.wire_bytes[at] += groups.sum(packets.wire_len).astype(np.uint64)
    flows.tcp_flags[at] |= np.bitwise_or.reduceat(
        np.where(packets.tcp, packets.tcp_flags, 0)[groups.order], groups.starts
    )
    flows.ttl[at] = packets.ttl[groups.last]
    flows.last_ns[rows] = packets.time_ns
    new = np.flatnonzero(sides.first_ever)
    flows.window[row[new], which[new]] = packets.window[groups.first[new]]
    acking = np.flatnonzero(packets.tcp & ((packets.tcp_flags & np.uint16(_ACK | _RST)) == _ACK))
    flows.max_ack[rows[acking], side[acking]] = packets.ack[acking]
    syn = np.flatnonzero(packets.has(_SYN))
    flows.isn[rows[syn], side[syn]] = packets.seq[syn]
