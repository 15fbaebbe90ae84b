"""Sessions in which the service spoke and the client only listened: somebody collects banners."""

from __future__ import annotations

import numpy as np

from nettriage.model.columns import Rows
from nettriage.model.slices import FlowEnds
from nettriage.model.tables import ORIGINATOR, RESPONDER, Opened, Tables

_TCP = 6
_LONGEST_NS = 60 * 1_000_000_000
_BANNER_BYTES_MAX = 2_048
_GREETERS = np.array([2121, 2222, 2525, 3306, 5900, 5901, 5902, 6667, 8022, 22_222], np.uint16)
"""Services above the system ports that speak first; others there are data connections of FTP and its like."""


def banner_sessions(ends: FlowEnds, tables: Tables) -> tuple[Rows, Rows]:
    """Return indices into `ends` and flow rows of the sessions that ended after a greeting nobody answered."""
    flows, rows = tables.flows, ends.flow
    said = flows.payload_bytes[rows, RESPONDER]
    listened = (said > 0) & (said <= _BANNER_BYTES_MAX) & (flows.payload_bytes[rows, ORIGINATOR] == 0)
    listened &= (flows.proto[rows] == _TCP) & (flows.opened[rows] == Opened.SYN)
    listened &= ends.ts_ns - flows.first_ns[rows] <= _LONGEST_NS
    port = flows.port[rows, RESPONDER]
    at = np.flatnonzero(listened & ((port < 1024) | np.isin(port, _GREETERS)))
    return at, rows[at].astype(np.intp)
