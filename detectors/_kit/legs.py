"""Flows as the legs of a relay: looked up by host, and written down for the record."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import numpy as np

from nettriage.model.addresses import to_text
from nettriage.model.alert import Leg
from nettriage.model.columns import Rows
from nettriage.model.finding import Address, Endpoint, FlowRef
from nettriage.model.tables import ORIGINATOR, RESPONDER, FlowTable, HostTable, Tables

from .reasons import protocol_name

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_LAST_US = int((datetime.max.replace(tzinfo=UTC) - _EPOCH).total_seconds()) * 1_000_000
BYTES_PER_NOTED_FLOW = 400
"""Memory of one `NotedFlow` in a Python container, rounded up."""


@dataclass(frozen=True, slots=True)
class NotedFlow:
    """A flow as it was when it was noted; it outlives the row of the table."""

    row: int
    serial: int
    ends: tuple[Endpoint, Endpoint]
    """Originator and responder."""
    host_keys: tuple[int, int]
    proto: int
    first_ns: int
    payload_bytes: tuple[int, int] = (0, 0)

    @property
    def ref(self) -> FlowRef:
        """The flow for community ids and drill-down."""
        origin, responder = self.ends
        return FlowRef(
            origin.addr, origin.port or 0, responder.addr, responder.port or 0, self.proto, self.serial
        )  # fmt: skip

    def host(self, side: int) -> Endpoint:
        """Return one end without its port."""
        return Endpoint(self.ends[side].addr)


def host_address(hosts: HostTable, row: int) -> Address:
    """Return the address words of a host row."""
    return int(hosts.addr_hi[row]), int(hosts.addr_lo[row])


def note(tables: Tables, row: int) -> NotedFlow:
    """Write down the flow in `row`."""
    flows, hosts = tables.flows, tables.hosts
    sides = [int(flows.host[row, side]) for side in (ORIGINATOR, RESPONDER)]
    ends = [Endpoint(host_address(hosts, host), int(flows.port[row, side])) for side, host in enumerate(sides)]
    return NotedFlow(
        row=row, serial=int(flows.serial[row]), ends=(ends[0], ends[1]),
        host_keys=(int(hosts.key[sides[0]]), int(hosts.key[sides[1]])), proto=int(flows.proto[row]),
        first_ns=int(flows.first_ns[row]), payload_bytes=_payload(flows, row),
    )  # fmt: skip


def _payload(flows: FlowTable, row: int) -> tuple[int, int]:
    return int(flows.payload_bytes[row, ORIGINATOR]), int(flows.payload_bytes[row, RESPONDER])


def volumes(tables: Tables, flow: NotedFlow) -> tuple[int, int]:
    """Return the payload bytes of each side by now, or as they were last noted where the row has a new tenant."""
    alive = int(tables.flows.serial[flow.row]) == flow.serial
    return _payload(tables.flows, flow.row) if alive else flow.payload_bytes


def kept_payload(tables: Tables, flow: NotedFlow, side: int) -> bytes:
    """Return the first payload bytes of one side; empty where the row of the flow has a new tenant."""
    alive = int(tables.flows.serial[flow.row]) == flow.serial
    return tables.prefixes.payload(flow.row, side) if alive else b""


def leg(tables: Tables, flow: NotedFlow, lag_ms: float | None = None) -> Leg:
    """Return the flow as a leg of the record, with its volumes by now."""
    origin, responder = flow.ends
    up, down = volumes(tables, flow)
    return Leg(
        src=to_text(*origin.addr), sport=origin.port or 0, dst=to_text(*responder.addr), dport=responder.port or 0,
        protocol=protocol_name(flow.proto), bytes_up=up, bytes_down=down, started=rfc3339(flow.first_ns),
        lag_ms=lag_ms,
    )  # fmt: skip


def opened_by(tables: Tables, host_rows: Rows, since_ns: int) -> Rows:
    """Return the TCP flows that any of `host_rows` originated from `since_ns` on, in order of serial.

    One pass over the flow table: call it only when something is pending.
    """
    flows = tables.flows
    found = np.flatnonzero((flows.first_ns >= since_ns) & (flows.proto == 6) & (flows.serial > 0))
    found = found[np.isin(flows.host[found, ORIGINATOR], host_rows)]
    return found[np.argsort(flows.serial[found], kind="stable")]


def rfc3339(ts_ns: int) -> str:
    """Return packet time as RFC 3339 in UTC with µs; what has no such text becomes the nearest time that has."""
    moment = _EPOCH + timedelta(microseconds=min(max(ts_ns // 1_000, 0), _LAST_US))
    return moment.strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def neighbours(one: Address, other: Address) -> bool:
    """Return whether two addresses share an IPv4 /24 or an IPv6 /64: most likely one segment of the network."""
    if one[0] != other[0]:
        return False
    is_v4 = one[0] == 0 and one[1] >> 32 == 0xFFFF
    return one[1] >> 8 == other[1] >> 8 if is_v4 else True
