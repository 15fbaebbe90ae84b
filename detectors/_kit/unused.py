"""Connections that were made for the handshake: nobody used them."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from detectors._kit.found import flow_of
from detectors._kit.incidents import Incident
from detectors._kit.results import Cells
from nettriage.model.batch import TcpFlag
from nettriage.model.tables import ORIGINATOR, Tables

Bools = npt.NDArray[np.bool_]


def unused(incident: Incident, cells: Cells, tables: Tables) -> tuple[Bools, Bools]:
    """Return `bool [n]` twice: connections without any payload, and those of them that never left half-open.

    A connection whose flow is forgotten is neither. Half-open means that the asker never acknowledged the
    handshake, which the sockets of no operating system do: it sent SYN, and at most a reset.
    """
    rows = np.array([flow_of(incident, cells, at, tables) for at in range(len(cells))], np.intp)
    empty = (rows >= 0) & ~tables.flows.payload_bytes[rows].any(axis=1)
    asked = tables.flows.tcp_flags[rows, ORIGINATOR]
    half_open = empty & ((asked & np.uint16(TcpFlag.ACK)) == 0)
    return empty, half_open
