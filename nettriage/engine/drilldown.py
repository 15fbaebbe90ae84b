"""Answers to the screens: the flows of an incident and its kept packets, as rows."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np

from nettriage.engine.alert_book import Incident
from nettriage.engine.community_id import community_id
from nettriage.engine.flow_names import flow_name
from nettriage.engine.packet_info import packet_rows
from nettriage.engine.pipeline import Pipeline
from nettriage.engine.protocols import TCP, protocol_name
from nettriage.engine.times import rfc3339
from nettriage.model.addresses import to_text
from nettriage.model.columns import Rows
from nettriage.model.finding import Endpoint, FlowRef
from nettriage.model.frames import AskFlows, AskPackets, FlowRow, Flows, Packets
from nettriage.model.tables import FlowTable, Tables, TcpState

FLOWS_MAX = 500
"""Rows of an answer; `Flows.total` says how many there are."""


def flows_of(pipeline: Pipeline, ask: AskFlows) -> Flows:
    """Return the flows of an incident, newest first: those in the table, then those only its detector remembers."""
    incident = pipeline.incident(ask.alert_id)
    if incident is None:
        return Flows(request=ask.request, rows=[], total=0)
    tables = pipeline.tables
    kept = Counter(packet.serial for packet in pipeline.packets(ask.alert_id) if packet.serial)
    table_rows = _table_rows(incident, tables, np.array(sorted(kept), np.int64))
    serials = set(tables.flows.serial[table_rows].tolist())
    gone = [flow for flow in incident.flows if not flow.serial or flow.serial not in serials]
    rows = [_row(tables, row) for row in table_rows[:FLOWS_MAX].tolist()]
    rows += [_gone_row(flow, incident) for flow in gone[: FLOWS_MAX - len(rows)]]
    for row in rows:
        row.packets_kept = kept.get(row.serial, 0)
    return Flows(request=ask.request, rows=rows, total=len(table_rows) + len(gone))


def packets_of(pipeline: Pipeline, ask: AskPackets) -> Packets:
    """Return the kept packets of an incident, or of one flow of it, in order of time."""
    rows = packet_rows(pipeline.packets(ask.alert_id))
    if ask.flow is not None:
        rows = [row for row in rows if row.flow == ask.flow]
    return Packets(request=ask.request, rows=rows, total=len(rows))


def _table_rows(incident: Incident, tables: Tables, kept_serials: np.ndarray[tuple[int], np.dtype[np.int64]]) -> Rows:
    """Return the flow rows of an incident: named by its detector, of its packets, or between subject and objects."""
    flows, finding = tables.flows, incident.finding
    named = np.array([flow.serial for flow in incident.flows if flow.serial], np.int64)
    wanted = np.isin(flows.serial, np.concatenate((named, kept_serials)))
    if not len(finding.via):
        subject, objects = _host_rows([finding.subject], tables), _host_rows(finding.objects, tables)
        near, far = flows.host[:, 0], flows.host[:, 1]
        if finding.objects:
            wanted |= np.isin(near, subject) & np.isin(far, objects)
            wanted |= np.isin(far, subject) & np.isin(near, objects)
        else:
            wanted |= np.isin(near, subject)
    rows = np.flatnonzero(wanted & (flows.serial != 0))
    return rows[np.argsort(-flows.last_ns[rows], kind="stable")]


def _host_rows(ends: Sequence[Endpoint], tables: Tables) -> Rows:
    high = np.array([end.addr[0] for end in ends], np.uint64)
    low = np.array([end.addr[1] for end in ends], np.uint64)
    rows = tables.hosts.find(high, low)
    return rows[rows >= 0]


def _row(tables: Tables, row: int) -> FlowRow:
    flows = tables.flows
    src, sport, dst, dport = flows.endpoints(row)
    proto = int(flows.proto[row])
    client, server = (tables.prefixes.payload(row, side) for side in (0, 1))
    return FlowRow(
        serial=int(flows.serial[row]),
        started=rfc3339(int(flows.first_ns[row])),
        last=rfc3339(int(flows.last_ns[row])),
        src=src,
        sport=sport,
        dst=dst,
        dport=dport,
        protocol=protocol_name(proto),
        state=connection_state(flows, row),
        bytes_up=int(flows.payload_bytes[row, 0]),
        bytes_down=int(flows.payload_bytes[row, 1]),
        packets_up=int(flows.packets[row, 0]),
        packets_down=int(flows.packets[row, 1]),
        community_id=community_id(_reference(tables, row)),
        name=flow_name(client, server, dport),
    )


def _reference(tables: Tables, row: int) -> FlowRef:
    flows, hosts = tables.flows, tables.hosts
    near, far = (int(host) for host in flows.host[row])
    return FlowRef(
        (int(hosts.addr_hi[near]), int(hosts.addr_lo[near])),
        int(flows.port[row, 0]),
        (int(hosts.addr_hi[far]), int(hosts.addr_lo[far])),
        int(flows.port[row, 1]),
        int(flows.proto[row]),
    )


def _gone_row(flow: FlowRef, incident: Incident) -> FlowRow:
    """Return what is still known of a flow that left the table: its tuple, and the time of its incident."""
    return FlowRow(
        serial=flow.serial,
        started=incident.alert.first_seen,
        last=incident.alert.last_seen,
        src=to_text(*flow.src),
        sport=flow.sport,
        dst=to_text(*flow.dst),
        dport=flow.dport,
        protocol=protocol_name(flow.proto),
        state="gone",
        bytes_up=0,
        bytes_down=0,
        packets_up=0,
        packets_down=0,
        community_id=incident.flows[flow],
    )


_STATES = {
    TcpState.ATTEMPT: "S0", TcpState.ESTABLISHED: "S1", TcpState.REFUSED: "REJ", TcpState.CLOSED: "SF",
    TcpState.RESET: "RST", TcpState.MIDSTREAM: "OTH",
}  # fmt: skip


def connection_state(flows: FlowTable, row: int) -> str:
    """Return the state of a flow in the words of Zeek's conn.log; RSTO and RSTR name who sent the reset."""
    state = TcpState(int(flows.state[row]))
    if state is TcpState.RESET and int(flows.proto[row]) == TCP:
        return "RSTO" if int(flows.tcp_flags[row, 0]) & 4 else "RSTR"
    return _STATES[state]
