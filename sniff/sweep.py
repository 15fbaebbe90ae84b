"""The sweep: at fixed moments of packet time idle flows end, roles are learned, and the feed is judged."""

from __future__ import annotations

import numpy as np

from nettriage.model.columns import I64, Rows
from nettriage.model.slices import Ending, FlowEnds
from nettriage.model.tables import TcpState
from sniff.flow_key import ICMP, ICMP6, TCP
from sniff.flows import FlowTable
from sniff.hosts import HostTable
from sniff.roles import learn_routers, learn_services
from sniff.services import ServiceTable
from sniff.visibility import Visibility, measure

_SECOND_NS = 1_000_000_000
SWEEP_NS = 10 * _SECOND_NS
"""Sweeps happen at multiples of this, so that no cut of a batch moves them."""
ROUTERS_NS = 60 * _SECOND_NS
"""Routers are looked for less often, for that touches every host."""
ESTABLISHED_IDLE_NS, ATTEMPT_IDLE_NS, CLOSED_IDLE_NS = 300 * _SECOND_NS, 30 * _SECOND_NS, 10 * _SECOND_NS
DATAGRAM_IDLE_NS, ICMP_IDLE_NS = 60 * _SECOND_NS, 30 * _SECOND_NS
"""How long a flow may be silent: 300 s as Zeek has it for TCP, 60 s for datagrams; no less than a sweep."""


class Sweeper:
    """Does what is due at each sweep; what it learns is the same wherever batches were cut."""

    def __init__(self, flows: FlowTable, hosts: HostTable, services: ServiceTable) -> None:
        self._flows = flows
        self._hosts = hosts
        self._services = services
        self._answered: list[Rows] = []
        self._leaving: list[Rows] = []
        self._routers_at = 0
        self._next_ns: int | None = None
        self.visibility = Visibility()
        """What the feed showed at the last sweep."""

    def due(self, now_ns: int) -> int | None:
        """Return the next moment to sweep at, None where that lies after `now_ns`."""
        if self._next_ns is None:
            self._next_ns = (now_ns // SWEEP_NS + 1) * SWEEP_NS
        return self._next_ns if self._next_ns <= now_ns else None

    def sweep(self, moment_ns: int, now_ns: int) -> FlowEnds:
        """Sweep at `moment_ns`; return the flows that ended. The way to `now_ns` is cut short when none is left."""
        flows = self._flows
        self.visibility = measure(flows)
        ends, leaving = end_idle_flows(flows, moment_ns)
        self._leaving.append(leaving)
        if self._answered:
            learn_services(self._hosts, self._services, np.concatenate(self._answered))
            self._answered.clear()
        empty = bool(flows.retired[flows.table.rows_in_use()].all())
        self._next_ns = (now_ns // SWEEP_NS if empty else moment_ns // SWEEP_NS) * SWEEP_NS + SWEEP_NS
        # Between here and the next sweep nothing can be learned: no packet comes before it.
        if (self._next_ns - SWEEP_NS) // ROUTERS_NS > self._routers_at:
            self._routers_at = (self._next_ns - SWEEP_NS) // ROUTERS_NS
            learn_routers(self._hosts)
        return ends

    def note_services(self, rows: Rows) -> None:
        """Remember services that answered, for the next sweep."""
        self._answered.append(rows)

    def give_back(self) -> None:
        """Free the flows that ended in the slice before: whoever reads that slice is done with it."""
        flows = self._flows
        for rows in self._leaving:
            flows.free(rows[flows.retired[rows] & (flows.serial[rows] != 0)])
        self._leaving.clear()

    def forget_schedule(self) -> None:
        """Choose the next moment anew: the clock was stepped."""
        self._next_ns = None
        self._routers_at = 0


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
