"""Which of many young flows may be a tunnelling tool, told by columns, so that few are parsed."""

from __future__ import annotations

import numpy as np

from detectors._kit.openings import Bools, Openings, Speech
from detectors._kit.tls_flows import shows_certificate
from nettriage.model.columns import Rows
from nettriage.model.tables import Tables

_POST_WIDTH = 128
_LONG_POST = 240
"""Client bytes below which no third request to a web shell can be there."""


def suspects(opened: Openings, tables: Tables) -> Rows:
    """Return the flow rows worth parsing, in order of serial."""
    found = opened.speaks(1, Speech.SWITCHED) & opened.speaks(0, Speech.HTTP_REQUEST)
    found |= _posts(opened, tables)
    found |= shows_certificate(opened, tables)
    if len(opened.odd):
        found[opened.odd] |= _framed(opened.part(opened.odd))
    return np.asarray(opened.rows[found])


def _framed(opened: Openings) -> Bools:
    """Whether a flow may speak a protocol of a tool's own."""
    first, second = opened.head[:, 0], opened.head[:, 1]
    found = opened.starts(0, b"FRP\0\x02\r\n") | opened.starts(0, b"\x17\x16\x03") | opened.starts(0, b"TST")
    found |= opened.starts(0, b"o\0\0\0\0\0\0") | opened.starts(0, b"w\0\0\0\0\0\0")
    found |= (first[:, 0] == 0) & (first[:, 1:5] == (0, 0, 0, 1)).all(axis=1) & (opened.length[:, 1] >= 37)
    found |= opened.starts(0, b"[SERVER]conn") | opened.starts(1, b"[SERVER]conn")
    found |= (first[:, 0] == 5) & (second[:, 0] == 5) & (second[:, 1] - np.uint8(1) < 9)
    for side in (0, 1):
        found |= _yamux_like(opened, side)
    return np.asarray(found)


def _yamux_like(opened: Openings, side: int) -> Bools:
    head = opened.head[:, side]
    like = (head[:, 0] == 0) & (head[:, 1] <= 2) & (head[:, 2] == 0) & (head[:, 3] & 1 != 0)
    return np.asarray(like & (head[:, 4:6] == 0).all(axis=1) & (opened.length.min(axis=1) >= 12))


def _posts(opened: Openings, tables: Tables) -> Bools:
    """Whether the first request posts a command in its query, or often to a script."""
    found = opened.speaks(0, Speech.POST)
    at = np.flatnonzero(found)
    if not len(at):
        return found
    line = np.asarray(tables.prefixes.data[opened.slots[at], 0, :_POST_WIDTH])
    asks = (line[:, :-4] == ord("?")) & (line[:, 1:-3] == ord("c")) & (line[:, 2:-2] == ord("m"))
    dot = (line[:, :-4] == ord(".")) & np.isin(line[:, 1:-3], np.frombuffer(b"pajc", np.uint8))
    often = dot.any(axis=1) & (opened.length[at, 0] >= _LONG_POST)
    found[at] = asks.any(axis=1) | often
    return found
