"""Sessions in which the service spoke and the client only listened: somebody collects banners."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from nettriage.model.columns import Rows
from nettriage.model.slices import FlowEnds
from nettriage.model.tables import ORIGINATOR, RESPONDER, Opened, Tables

_TCP = 6
_SEEN_OPENING = np.uint8(Opened.SYN)
_LONGEST_NS = 60 * 1_000_000_000
_BANNER_BYTES_MAX = 2_048
_GREETS: npt.NDArray[np.bool_] = np.arange(1 << 16) < 1024
_GREETS[[2121, 2222, 2525, 3306, 5900, 5901, 5902, 6667, 8022, 22_222]] = True
"""Ports whose services may speak first; above the system ports others are data connections of FTP and its like."""


def banner_sessions(ends: FlowEnds, tables: Tables) -> tuple[Rows, Rows]:
    """Return indices into `ends` and flow rows of the sessions that ended after a greeting nobody answered."""
    flows = tables.flows
    said = flows.payload_bytes[ends.flow, RESPONDER]
    at: Rows = np.flatnonzero((said > 0) & (said <= _BANNER_BYTES_MAX))
    rows: Rows = ends.flow[at].astype(np.intp)
    listened = (flows.payload_bytes[rows, ORIGINATOR] == 0) & _GREETS[flows.port[rows, RESPONDER]]
    listened &= (flows.proto[rows] == _TCP) & (flows.opened[rows] == _SEEN_OPENING)
    listened &= ends.ts_ns[at] - flows.first_ns[rows] <= _LONGEST_NS
    return at[listened], rows[listened]
