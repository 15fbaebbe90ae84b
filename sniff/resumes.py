"""Flows that speak again: first new payload of a side after silence of that side."""

from __future__ import annotations

import numpy as np

from nettriage.model.columns import Rows, lengths, runs
from nettriage.model.slices import Resumes
from sniff.flow_counters import Sides
from sniff.flow_packets import FlowPackets
from sniff.flows import FlowTable
from sniff.streams import NewPayload

IDLE_NS = 200_000_000
"""Silence of a side after which its next payload is a resume: shorter than any pause of a person at a keyboard."""


def find_resumes(flows: FlowTable, packets: FlowPackets, sides: Sides, fresh: NewPayload) -> tuple[Resumes, Rows]:
    """Return the resumes of this batch in time order, and their positions; note who spoke first and last."""
    if not len(fresh):
        return no_resumes(), fresh.position
    time_ns = packets.time_ns[fresh.position]
    heads = runs(fresh.group)
    row, side = sides.row[fresh.group[heads]], sides.side[fresh.group[heads]]
    before = np.empty_like(time_ns)
    before[1:] = time_ns[:-1]
    said = flows.last_data_ns[row, side]
    first = said == 0
    before[heads] = np.where(first, flows.first_ns[row], said)
    idle = time_ns - before
    resumed = idle >= IDLE_NS
    resumed[heads] |= first
    _note(flows, packets, fresh, heads, row, side, first)
    at = resumed.nonzero()[0]
    if not len(at):
        return no_resumes(), at
    at = at[fresh.position[at].argsort()]
    lane = fresh.group[at]
    np.add.at(flows.resumes, (sides.row[lane], sides.side[lane]), np.uint32(1))
    events = Resumes(
        time_ns[at], sides.row[lane].astype(np.int32), sides.side[lane].astype(np.uint8), idle[at]
    )  # fmt: skip
    return events, fresh.position[at]


def no_resumes() -> Resumes:
    """Return no resumes."""
    none = np.zeros(0, np.int64)
    return Resumes(none, none.astype(np.int32), none.astype(np.uint8), none)


def _note(
    flows: FlowTable, packets: FlowPackets, fresh: NewPayload, heads: Rows, row: Rows, side: Rows, first: Rows
) -> None:  # fmt: skip
    tails = heads + lengths(heads, len(fresh)) - 1
    flows.last_data_ns[row, side] = packets.time_ns[fresh.position[tails]]
    begun = heads[first]
    if not len(begun):
        return
    row, side, position = row[first], side[first], fresh.position[begun]
    flows.first_payload_len[row, side] = np.minimum(packets.payload_len[position], 0xFFFF).astype(np.uint16)
    # Written backwards in time: where both sides began in this batch, the earlier one stays.
    latest_first = position.argsort()[::-1]
    row, side = row[latest_first], side[latest_first]
    silent = flows.first_speaker[row] < 0
    flows.first_speaker[row[silent]] = side[silent].astype(np.int8)
