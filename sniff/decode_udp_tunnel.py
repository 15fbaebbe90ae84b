"""Tunnels over UDP: VXLAN, GENEVE, GTP-U and Teredo, each recognised by its header and not by its port alone.

The rows that these functions get stand at the UDP payload. A payload that is not such a tunnel, or of which too
little was captured to tell, is left as it is.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from nettriage.model.batch import Flaw, Tunnel
from nettriage.model.columns import I64, Rows
from sniff.decode_link import BY_CARRIED_TYPE
from sniff.descent import Descent, Layer
from sniff.heads import gather, layout, read

GTP_EXTENSIONS_MAX = 8
"""Extension headers of one GTP-U packet that are walked."""

_GENEVE = layout(8, version_length=("u1", 0), protocol=(">u2", 2))
_GTPU = layout(12, flags=("u1", 0), message=("u1", 1), next=("u1", 11))
_G_PDU = 0xFF
_TEREDO = layout(4, indicator=(">u2", 0), id_len=("u1", 2), auth_len=("u1", 3))
_TEREDO_AUTHENTICATION, _TEREDO_ORIGIN = 1, 0
_IPV6_START = layout(6, version=("u1", 0), length=(">u2", 4))


def open_vxlan(state: Descent, rows: Rows) -> None:
    """VXLAN (RFC 7348 5): flag I, and at most G of the group policy extension beside it."""
    rows = rows[_room(state, rows) >= 8]
    at = state.at[rows]
    good = gather(state.data, at, 1)[:, 0] & 0x7F == 0x08
    state.carry(rows[good], at[good] + 8, _all(Layer.ETHERNET, good), Tunnel.VXLAN)


def open_geneve(state: Descent, rows: Rows) -> None:
    """GENEVE (RFC 8926 3.4): version 0, options of up to 252 bytes."""
    rows = rows[_room(state, rows) >= 8]
    head = read(state.data, state.at[rows], _GENEVE)
    current = head["version_length"] >> 6 == 0
    rows, head = rows[current], head[current]
    size = 8 + 4 * (head["version_length"] & 0x3F).astype(np.int64)
    good = state.holds(rows, size, Flaw.TRUNCATED_L4)
    layer = BY_CARRIED_TYPE[head["protocol"]]
    state.carry(rows[good], (state.at[rows] + size)[good], layer[good], Tunnel.GENEVE)


def open_gtpu(state: Descent, rows: Rows) -> None:
    """GTP-U (3GPP TS 29.281 5.1): version 1, a G-PDU, with its optional fields and extension headers."""
    rows = rows[_room(state, rows) >= 8]
    head = read(state.data, state.at[rows], _GTPU)
    data = (head["flags"] & 0xF0 == 0x30) & (head["message"] == _G_PDU)
    rows, head = rows[data], head[data]
    size = np.where(head["flags"] & 7, 12, 8)
    good = state.holds(rows, size, Flaw.TRUNCATED_L4)
    rows, head, size = rows[good], head[good], size[good]
    state.at[rows] += size
    extended = np.where(head["flags"] & 4, head["next"], 0) != 0
    rows = np.sort(np.concatenate((rows[~extended], _past_gtp_extensions(state, rows[extended]))))
    state.carry(rows, state.at[rows], np.full(len(rows), Layer.IP, np.uint8), Tunnel.GTPU)


def _past_gtp_extensions(state: Descent, rows: Rows) -> Rows:
    """Walk the extension headers of rows (5.2.1: length in units of 4 first, next type last) in lockstep."""
    done = [rows[:0]]
    for _ in range(GTP_EXTENSIONS_MAX):
        rows = state.whole(rows, 4, Flaw.TRUNCATED_L4)
        size = gather(state.data, state.at[rows], 1)[:, 0].astype(np.int64) * 4
        rows, size = rows[size > 0], size[size > 0]
        good = state.holds(rows, size, Flaw.TRUNCATED_L4)
        rows = rows[good]
        state.at[rows] += size[good]
        last = gather(state.data, state.at[rows] - 1, 1)[:, 0] == 0
        done.append(rows[last])
        rows = rows[~last]
    state.refuse(rows, Flaw.TOO_DEEP)
    return np.concatenate(done)


def open_teredo(state: Descent, rows: Rows) -> None:
    """Teredo (RFC 4380 5.1.1): authentication and origin may come first; the IPv6 length must fit the datagram."""
    for indicator in (_TEREDO_AUTHENTICATION, _TEREDO_ORIGIN):
        head = read(state.data, state.at[rows], _TEREDO)
        mine = (_room(state, rows) >= 4) & (head["indicator"] == indicator)
        own = 13 + head["id_len"].astype(np.int64) + head["auth_len"]
        state.at[rows] += np.where(mine, own if indicator else 8, 0)
    rows = rows[_room(state, rows) >= 6]
    at = state.at[rows]
    head = read(state.data, at, _IPV6_START)
    good = (head["version"] >> 4 == 6) & (at + 40 + head["length"] <= state.wire_end[rows])
    state.carry(rows[good], at[good], _all(Layer.IPV6, good), Tunnel.TEREDO)


def _room(state: Descent, rows: Rows) -> I64:
    """Return the bytes captured behind where rows stand."""
    return np.asarray(state.end[rows] - state.at[rows])


def _all(layer: Layer, chosen: npt.NDArray[np.bool_]) -> npt.NDArray[np.uint8]:
    return np.full(int(chosen.sum()), layer, np.uint8)
