"""Port reuse: where, among packets of one five-tuple, a new flow begins."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from nettriage.model.batch import TcpFlag
from nettriage.model.columns import I64, Rows, group
from nettriage.model.tables import U32
from sniff.flow_packets import Bools, FlowPackets

REUSE_NS = 5_000_000_000
"""A SYN of another sequence number begins a new flow after this much silence, even if the end was not seen."""


@dataclass(frozen=True, slots=True)
class Past:
    """What the flow of each packet was before this batch (columns of the flow table at its row)."""

    known: Bools
    syn_seen: Bools
    syn_seq: U32
    closing: Bools
    """Whether a FIN or RST came after the last SYN."""
    last_ns: I64


@dataclass(frozen=True, slots=True)
class Generations:
    """Packets that belong to a later flow of their five-tuple than the first of the batch."""

    position: Rows
    """Positions in the flow packets, ascending."""
    number: I64
    """`i8`, 1 for the first new flow of the five-tuple in this batch, and so on."""
    last: Bools
    """Whether that flow is the last of its five-tuple in this batch."""


def find_generations(packets: FlowPackets, rows: Rows, suspects: Rows, past: Past) -> Generations:
    """Return the packets after a reuse; `suspects` are the positions of SYNs that may begin a new flow.

    A SYN begins a new flow when its sequence number is not that of the SYN before, and either a FIN or RST
    came in between or the flow had fallen silent. `past` is read only at the rows of the suspects' flows.
    """
    among = np.flatnonzero(np.isin(rows, rows[suspects]))
    groups = group(rows[among])
    at = among[groups.order]
    index = np.arange(len(at))
    start = np.repeat(groups.starts, groups.counts)
    head = index == start
    syn = packets.pure_syn()[at]
    seq, time_ns = packets.seq[at], packets.time_ns[at]
    closed = packets.has(TcpFlag.FIN | TcpFlag.RST)[at]

    last_syn = np.maximum.accumulate(np.where(syn, index, -1))
    previous = np.where(head, -1, np.roll(last_syn, 1))
    inside = previous >= start
    previous_seq = np.where(inside, seq[previous], past.syn_seq[at])
    closings = np.concatenate(([0], np.cumsum(closed)))
    closings_since = closings[index] - closings[np.where(inside, previous + 1, start)]
    closings_since += ~inside & past.closing[at]
    before_ns = np.where(head, past.last_ns[at], np.roll(time_ns, 1))
    differs = (seq != previous_seq) | ~(inside | past.syn_seen[at])
    reuse = syn & differs & (~head | past.known[at]) & ((closings_since > 0) | (time_ns - before_ns >= REUSE_NS))

    total = np.cumsum(reuse)
    number = total - np.repeat((total - reuse)[groups.starts], groups.counts)
    newest = np.repeat(number[groups.starts + groups.counts - 1], groups.counts)
    later = number > 0
    order = np.argsort(at[later], kind="stable")
    return Generations(at[later][order], number[later][order], (number == newest)[later][order])
