"""The sweep: at fixed moments of packet time, idle flows end and roles are learned."""

from __future__ import annotations

import numpy as np

from nettriage.model.columns import I64, Rows
from nettriage.model.slices import Ending, FlowEnds
from nettriage.model.tables import TcpState
from sniff.flow_key import ICMP, ICMP6, TCP
from sniff.flows import FlowTable

SWEEP_NS = 10_000_000_000
"""Sweeps happen at multiples of this, so that no cut of a batch moves them."""
_SECOND_NS = 1_000_000_000
ESTABLISHED_IDLE_NS = 300 * _SECOND_NS
ATTEMPT_IDLE_NS = 30 * _SECOND_NS
CLOSED_IDLE_NS = 10 * _SECOND_NS
DATAGRAM_IDLE_NS = 60 * _SECOND_NS
ICMP_IDLE_NS = 30 * _SECOND_NS
"""How long a flow may be silent: 300 s as Zeek and Suricata for TCP, 60 s for datagrams as conntrack's streams."""


def idle_limit_ns(flows: FlowTable, rows: Rows) -> I64:
    """Return `i8 [n]`, how long each flow may be silent before it ends."""
    proto, state = flows.proto[rows], flows.state[rows]
    limit = np.full(len(rows), DATAGRAM_IDLE_NS, np.int64)
    limit[(proto == ICMP) | (proto == ICMP6)] = ICMP_IDLE_NS
    tcp = proto == TCP
    limit[tcp] = ESTABLISHED_IDLE_NS
    limit[tcp & ((state == TcpState.ATTEMPT) | (state == TcpState.REFUSED))] = ATTEMPT_IDLE_NS
    limit[flows.ended[rows]] = CLOSED_IDLE_NS
    return limit


def end_idle_flows(flows: FlowTable, moment_ns: int) -> tuple[FlowEnds, Rows]:
    """End the flows that are idle at `moment_ns`; return those that had not ended before, and all to give back.

    The rows stay readable until they are given back.
    """
    used = flows.table.rows_in_use()
    used = used[flows.last_ns[used] + idle_limit_ns(flows, used) <= moment_ns]
    flows.retire(used[~flows.retired[used]])
    idle = used[~flows.ended[used]]
    idle = idle[np.argsort(flows.serial[idle])]
    flows.ended[idle] = True
    flows.state[idle] = TcpState.CLOSED
    ends = FlowEnds(
        np.full(len(idle), moment_ns, np.int64), idle.astype(np.int32), np.full(len(idle), Ending.IDLE, np.uint8)
    )
    return ends, used
