"""The tool behind an incident: by its bytes, by the order or pace of its targets, or by its two TTLs."""

from __future__ import annotations

import numpy as np

from detectors._kit.found import flow_of
from detectors._kit.incidents import Incident
from detectors._kit.results import ANSWERED
from detectors._kit.tools.book import ToolBook
from detectors._kit.tools.nmap import connect_order
from nettriage.model.alert import Tool
from nettriage.model.batch import ARP, TcpFlag
from nettriage.model.safetext import safe
from nettriage.model.tables import ORIGINATOR, Tables

TOOL_POINTS = 10.0
"""What a recognised tool adds to the score."""
_TCP = 6
_ANSWERS_LOOKED_AT = 64
_PACED_MIN = 16
_ARP_SCAN_GAP_NS = (1_800_000, 2_300_000)
"""arp-scan sends a request every 2 ms (256 kbit/s of minimal frames), exact in the mean, each with its jitter."""
_GROUPED_GAP_NS = 300_000
"""nmap sends ARP requests in groups, back to back."""


def tool_of(incident: Incident, book: ToolBook, tables: Tables) -> Tool | None:
    """Return the tool behind an incident, None where nothing tells."""
    return book.tool_of(incident.src) or _by_order(incident) or _by_ttl(incident, book, tables) or _by_pace(incident)


def _by_order(incident: Incident) -> Tool | None:
    if incident.proto != _TCP:
        return None
    cells = incident.results.cells
    return connect_order(incident.results.ports(cells[np.argsort(cells["attempt_ns"], kind="stable")]))


def _by_ttl(incident: Incident, book: ToolBook, tables: Tables) -> Tool | None:
    """Return a raw-socket scanner where the kernel resets, with its own TTL, what another TTL asked for."""
    ttls = book.ttls(incident.src)
    if ttls is None:
        return None
    answered = incident.results.with_outcome(*ANSWERED)[:_ANSWERS_LOOKED_AT]
    rows = [row for at in range(len(answered)) if (row := flow_of(incident, answered, at, tables)) >= 0]
    reset = [row for row in rows if int(tables.flows.tcp_flags[row, ORIGINATOR]) & TcpFlag.RST]
    kernel = [ttl for row in reset if not ttls[0] <= (ttl := int(tables.flows.ttl[row, ORIGINATOR])) <= ttls[1]]
    if len(kernel) < 2 or 2 * len(kernel) < len(reset):
        return None
    evidence = f"SYN with TTL {ttls[0]} to {ttls[1]}, resets with TTL {kernel[0]} in {len(kernel)} of {len(reset)}"
    return Tool(name="raw-socket scanner", confidence=0.7, evidence=safe(evidence))


def _by_pace(incident: Incident) -> Tool | None:
    cells = incident.results.cells
    if incident.proto != ARP or len(cells) < _PACED_MIN:
        return None
    gaps = np.diff(np.sort(cells["attempt_ns"]))
    median = int(np.median(gaps))
    low, high = _ARP_SCAN_GAP_NS
    if low <= median <= high and low <= gaps.mean() <= high:
        evidence = f"ARP requests {gaps.mean() / 1e6:.2f} ms apart"
        return Tool(name="arp-scan", confidence=0.6, evidence=safe(evidence))
    if median <= _GROUPED_GAP_NS:
        evidence = f"ARP requests in groups, {median / 1e3:.0f} µs apart"
        return Tool(name="nmap (ARP ping)", confidence=0.5, evidence=safe(evidence))
    return None
