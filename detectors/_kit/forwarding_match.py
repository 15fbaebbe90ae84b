"""Which flow of a host stands behind a connection that the host opened: one that it accepted just before."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

import numpy as np
import numpy.typing as npt

from nettriage.model.columns import I64, Rows
from nettriage.model.tables import ORIGINATOR, RESPONDER, Tables

from .legs import NotedFlow, note

_TCP = 6
_BEFORE_NS = 2_000_000_000
_BYTES_MIN = 200
_FRAME_BYTES = 80
"""What encryption or framing may add to a message."""


class Behind(Enum):
    """How a flow stands behind a connection, strongest first."""

    PASSED_ON = "its bytes were passed on"
    TUNNEL = "its data opened this and other connections"
    PRECEDED = "its data came just before"


@dataclass(frozen=True, slots=True)
class Parent:
    """The flow behind a connection."""

    flow: NotedFlow
    side: int
    """Side of the host that opened the connection."""
    how: Behind


def passed_on(tables: Tables, row: int) -> Parent | None:
    """Return the flow that the opener of `row` accepted last before it, with volumes alike both ways; None where none.

    One pass over the flow table. Alike is within 40 % and 80 bytes a message, at least 200 bytes each way.
    """
    flows = tables.flows
    began, host = int(flows.first_ns[row]), flows.host[row, ORIGINATOR]
    fits = (flows.host[:, RESPONDER] == host) & (flows.proto == _TCP) & (flows.serial > 0)
    fits &= (flows.first_ns <= began) & (flows.first_ns >= began - _BEFORE_NS)
    fits &= flows.host[:, ORIGINATOR] != flows.host[row, RESPONDER]
    accepted = np.flatnonzero(fits)
    alike = accepted[_alike(tables, accepted, row)]
    if not len(alike):
        return None
    latest = alike[np.lexsort((flows.serial[alike], flows.first_ns[alike]))[-1]]
    return Parent(note(tables, int(latest)), RESPONDER, Behind.PASSED_ON)


def _alike(tables: Tables, accepted: Rows, row: int) -> npt.NDArray[np.bool_]:
    sizes, messages = _volumes(tables, accepted)
    mine, my_messages = _volumes(tables, np.array([row]))
    small, large = np.minimum(sizes, mine), np.maximum(sizes, mine)
    room = 0.4 * small + _FRAME_BYTES * np.maximum(messages, my_messages)
    return np.asarray(((large <= small + room) & (small >= _BYTES_MIN)).all(axis=1))


def _volumes(tables: Tables, rows: Rows) -> tuple[I64, I64]:
    flows = tables.flows
    return flows.payload_bytes[rows].astype(np.int64), flows.payload_packets[rows].astype(np.int64)
