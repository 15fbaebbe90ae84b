"""New payload of flows: which packets carry bytes that were not seen before, and where in the stream they lie."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from nettriage.model.batch import TcpFlag
from nettriage.model.columns import I64, Rows, lengths, runs
from nettriage.model.tables import U32
from sniff.flow_counters import Sides
from sniff.flow_packets import Bools, FlowPackets
from sniff.flows import FlowTable

_SYN, _ACK, _RST = (np.uint16(bit) for bit in (TcpFlag.SYN, TcpFlag.ACK, TcpFlag.RST))
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


def new_payload(flows: FlowTable, packets: FlowPackets, sides: Sides) -> NewPayload:
    """Return the packets with new payload, and count their bytes in `flows`."""
    order = sides.groups.order
    control = packets.control[order]
    sane = ((control & (_SYN | _ACK)) != 0) & ((control & _RST) == 0)
    carries = (packets.payload_len[order] > 0) & (sane | ~packets.tcp[order])
    kept = carries.nonzero()[0]
    _anchor(flows, packets, sides, sane, kept)
    if not len(kept):
        none = np.zeros(0, np.int64)
        return NewPayload(kept, kept, none, none, none)
    speech = _speech(flows, packets, sides, order[kept], sides.ordered[kept])
    end, lane = speech.end, speech.lane
    floor = lane << _LANE_BITS
    reach = np.maximum.accumulate(floor + np.maximum(end, 0)) - floor
    before = np.empty_like(reach)
    before[1:] = reach[:-1]
    before[speech.heads] = 0
    grown = reach - before
    start = end - speech.length
    gap = np.maximum(start - before, 0)
    counted = np.where(gap > RESYNC_BYTES, speech.length, grown)
    base = flows.payload_bytes[speech.at].astype(np.int64).repeat(speech.counts)
    _count(flows, speech, _Growth(reach, grown, gap, counted))
    new = grown.nonzero()[0]
    begin, start = np.maximum(start, before)[new], start[new]
    return NewPayload(speech.position[new], lane[new], begin + base[new], begin - start, grown[new])


@dataclass(frozen=True, slots=True)
class _Speech:
    """The packets that carry payload, grouped by flow and side."""

    position: Rows
    lane: Rows
    """Index into `Sides`."""
    length: I64
    end: I64
    """Where each payload ends, counted from the end of its side's stream before this batch."""
    heads: Rows
    """Where each group begins."""
    counts: Rows
    at: tuple[Rows, Rows]
    """Row and side of each group."""
    tcp: Bools
    """Whether each group is TCP."""


@dataclass(frozen=True, slots=True)
class _Growth:
    reach: I64
    grown: I64
    gap: I64
    counted: I64


def _anchor(flows: FlowTable, packets: FlowPackets, sides: Sides, sane: Bools, carriers: Rows) -> None:
    """Fix where the stream of each side starts: after its SYN, else at its first segment seen.

    Only `sane` segments count: a reset may carry any sequence number, a probe without ACK too. A SYN that comes
    after payload does not move the start. `sane` and `carriers` are in the order of the groups.
    """
    mute, unknown = sides.first_ever.copy(), sides.first_ever.copy()
    old = (~sides.first_ever).nonzero()[0]
    if len(old):
        at = (sides.row[old], sides.side[old])
        mute[old] = flows.payload_bytes[at] == 0
        unknown[old] = ~flows.seq_known[at]
    if not mute.any():
        return
    first = _first_of(sides, sane, mute & unknown)
    syn = packets.marks[(packets.control[packets.marks] & (_SYN | _RST)) == _SYN]
    begun = (first < len(packets)).nonzero()[0]
    if len(begun):
        row, side, position = sides.row[begun], sides.side[begun], first[begun]
        is_syn = (packets.control[position] & _SYN) != 0
        flows.next_seq[row, side] = packets.seq[position] + is_syn
        flows.seq_known[row, side] = True
    # The last SYN before any payload wins; the first segment was dealt with.
    lane = sides.lane[syn]
    again = (mute[lane] & (syn != first[lane])).nonzero()[0]
    if len(again):
        syn, lane = syn[again], lane[again]
        spoken = np.full(len(sides.row), len(packets))
        spoken[sides.ordered[carriers][::-1]] = sides.groups.order[carriers][::-1]
        early = syn <= spoken[lane]
        syn, lane = syn[early], lane[early]
        flows.next_seq[sides.row[lane], sides.side[lane]] = packets.seq[syn] + np.uint32(1)


def _first_of(sides: Sides, wanted: Bools, among: Bools) -> Rows:
    """Return `intp [g]`, the position of the first wanted packet of the groups `among`, else one beyond all."""
    order, starts = sides.groups.order, sides.groups.starts
    beyond = len(order)
    first = np.full(len(starts), beyond)
    if among.any():
        index = np.where(wanted, order, beyond)
        first[among] = np.minimum.reduceat(index, starts)[among]
    return first


def _speech(flows: FlowTable, packets: FlowPackets, sides: Sides, position: Rows, lane: Rows) -> _Speech:
    heads = runs(lane)
    counts, of_head = lengths(heads, len(lane)), lane[heads]
    at = (sides.row[of_head], sides.side[of_head])
    length = packets.payload_len[position].astype(np.int64)
    tcp = packets.tcp[position[heads]]
    after = packets.seq[position] + length.astype(np.uint32)
    after += (packets.control[position] & _SYN) != 0
    after -= flows.next_seq[at].repeat(counts)
    end = after.view(np.int32).astype(np.int64)
    if not tcp.all():
        total = np.cumsum(length)
        start = (total - length)[heads].repeat(counts)
        end = np.where(tcp.repeat(counts), end, total - start)
    return _Speech(position, lane, length, end, heads, counts, at, tcp)


def _count(flows: FlowTable, speech: _Speech, growth: _Growth) -> None:
    new = growth.grown > 0

    def add(column: U32, values: I64) -> None:
        column[speech.at] += np.add.reduceat(values, speech.heads).astype(column.dtype)

    add(flows.payload_bytes, growth.counted)  # type: ignore[arg-type]  # u8, as the values are
    add(flows.payload_packets, new.astype(np.int64))
    fresh_gap = new & (growth.gap > 0) & (growth.gap <= RESYNC_BYTES)
    if fresh_gap.any():
        add(flows.gap_bytes, growth.gap * fresh_gap)
    if not new.all():
        add(flows.fill_bytes, speech.length * ~new)
    row, which = speech.at
    known = (speech.tcp & flows.seq_known[row, which]).nonzero()[0]
    tails = speech.heads + speech.counts - 1
    flows.next_seq[row[known], which[known]] += growth.reach[tails[known]].astype(np.uint32)
