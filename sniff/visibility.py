"""How much of the traffic the feed shows: one-way share and loss, from the flows in the table."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from nettriage.model.batch import TcpFlag
from nettriage.model.tables import ORIGINATOR, RESPONDER
from sniff.flow_key import TCP
from sniff.flows import FlowTable
from sniff.streams import RESYNC_BYTES

FLOWS_MIN = 20
"""Fewer flows say nothing about the feed."""


@dataclass(frozen=True, slots=True)
class Visibility:
    """What the flows say about the feed."""

    one_way_share: float | None = None
    """Share of live TCP flows of which only one side was seen, 0 to 1; None before `FLOWS_MIN` flows."""
    loss_estimate: float | None = None
    """Share of acknowledged bytes that was never seen, 0 to 1; None before any."""


def measure(flows: FlowTable) -> Visibility:
    """Return the visibility of the flows held now."""
    used = flows.table.rows_in_use()
    used = used[flows.proto[used] == TCP]
    return Visibility(_one_way_share(flows, used), _loss_estimate(flows, used))


def _one_way_share(flows: FlowTable, used: np.ndarray[tuple[int], np.dtype[np.intp]]) -> float | None:
    """Count flows of two packets or more; a SYN sent again to nobody is no flow with a missing side."""
    packets, flags = flows.packets[used], flows.tcp_flags[used]
    both = (packets > 0).all(axis=1)
    acked = ((flags[:, ORIGINATOR] | flags[:, RESPONDER]) & np.uint16(TcpFlag.ACK)) != 0
    counted = (packets.sum(axis=1) >= 2) & (both | acked)
    total = int(counted.sum())
    return None if total < FLOWS_MIN else float((counted & ~both).sum() / total)


def _loss_estimate(flows: FlowTable, used: np.ndarray[tuple[int], np.dtype[np.intp]]) -> float | None:
    """Compare what the other side acknowledged with what was seen, as Zeek's capture-loss does with gaps."""
    if not len(used):
        return None
    acked = flows.max_ack[used][:, ::-1]
    comparable = flows.seq_known[used] & (acked != 0)
    beyond = (acked - flows.next_seq[used]).view(np.int32).astype(np.int64)
    # A FIN takes one sequence number, which is no byte.
    fin = (flows.tcp_flags[used] & np.uint16(TcpFlag.FIN)) != 0
    missing = np.where((beyond > 0) & (beyond < RESYNC_BYTES), beyond - fin, 0)
    holes = flows.gap_bytes[used].astype(np.int64) - flows.fill_bytes[used]
    lost = np.where(comparable, np.maximum(missing, 0) + np.maximum(holes, 0), 0).sum()
    total = np.where(comparable, flows.payload_bytes[used].astype(np.int64) + np.maximum(missing, 0), 0).sum()
    return float(lost / total) if total else None
