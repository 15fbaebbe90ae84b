"""What a scanner learned: open services with their first words, and the flows to look at."""

from __future__ import annotations

import numpy as np

from detectors._kit.incidents import Incident
from detectors._kit.manner import coverage, order_of, pace_per_s, retries
from detectors._kit.reasons import protocol_name
from detectors._kit.results import ANSWERED, Cells
from nettriage.model.addresses import to_text
from nettriage.model.alert import Findings, OpenService
from nettriage.model.finding import FlowRef
from nettriage.model.safetext import SafeStr, safe
from nettriage.model.slices import Outcome
from nettriage.model.tables import ORIGINATOR, RESPONDER, Tables

OPEN_LISTED = 32
FLOWS_LISTED = 20
BANNER_BYTES = 64


def found(incident: Incident, tables: Tables) -> Findings:
    """Return what the scan learned, with at most `OPEN_LISTED` services, those new to the capture first."""
    results = incident.results
    answered = results.with_outcome(*ANSWERED)
    order = np.argsort(~answered["fresh"], kind="stable")[:OPEN_LISTED].tolist()
    return Findings(
        open=[_service(answered, at, incident, tables) for at in order],
        open_count=results.count(*ANSWERED),
        closed=results.count(Outcome.CLOSED),
        blocked=results.count(Outcome.BLOCKED),
        silent=results.count(Outcome.SILENT),
        follow_up=list(incident.sessions),
        coverage=coverage(incident),
        order=order_of(incident),
        pace_per_s=pace_per_s(incident),
        retries=retries(incident),
    )


def flow_refs(incident: Incident, tables: Tables) -> list[FlowRef]:
    """Return the flows of the contacts, answered ones last so that they are kept, at most `FLOWS_LISTED`."""
    cells = incident.results.cells
    ranked = np.lexsort((cells["ts_ns"], np.isin(cells["outcome"], ANSWERED)))
    refs = (_flow_ref(incident, cells, at, tables) for at in ranked[-FLOWS_LISTED:].tolist())
    return [ref for ref in refs if ref is not None]


def flow_of(incident: Incident, cells: Cells, at: int, tables: Tables) -> int:
    """Return the flow row of a contact, -1 where the row now holds another flow."""
    row = int(cells["flow"][at])
    flows = tables.flows
    if row < 0 or not flows.serial[row] or int(flows.port[row, RESPONDER]) != int(cells["port"][at]):
        return -1
    same_start = int(flows.first_ns[row]) == int(cells["attempt_ns"][at])
    return row if same_start and int(flows.proto[row]) == incident.proto else -1


def _flow_ref(incident: Incident, cells: Cells, at: int, tables: Tables) -> FlowRef | None:
    row = flow_of(incident, cells, at, tables)
    if row < 0:
        return None
    dst = (int(cells["hi"][at]), int(cells["lo"][at]))
    sport, dport = (int(port) for port in tables.flows.port[row])
    return FlowRef(incident.src, sport, dst, dport, incident.proto, int(tables.flows.serial[row]))


def _service(cells: Cells, at: int, incident: Incident, tables: Tables) -> OpenService:
    return OpenService(
        ip=to_text(int(cells["hi"][at]), int(cells["lo"][at])),
        port=int(cells["port"][at]),
        protocol=protocol_name(incident.proto),
        banner=_banner(flow_of(incident, cells, at, tables), tables),
        new=bool(cells["fresh"][at]),
    )


def _banner(flow: int, tables: Tables) -> SafeStr | None:
    """Return what the service said first, unless it only answered a question."""
    if flow < 0 or int(tables.flows.payload_bytes[flow, ORIGINATOR]):
        return None
    said = tables.prefixes.payload(flow, RESPONDER)[:BANNER_BYTES]
    return safe(said) if said else None
