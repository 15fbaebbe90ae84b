"""Tunnels: what a transport payload carries when it is a packet again."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from nettriage.model.batch import Flaw, Outer, Tunnel
from nettriage.model.columns import Rows
from sniff.decode_l4 import UDP
from sniff.decode_link import BY_CARRIED_TYPE
from sniff.decode_udp_tunnel import open_geneve, open_gtpu, open_teredo, open_vxlan
from sniff.descent import DEPTH_MAX, Descent, Layer
from sniff.heads import layout, read

_GRE = layout(4, flags=(">u2", 0), protocol=(">u2", 2))
_CHECKSUM, _ROUTING, _KEY, _SEQUENCE, _ACK, _VERSION = 0x8000, 0x4000, 0x2000, 0x1000, 0x0080, 0x0007
_PPP = 0x880B
_ERSPAN, _ERSPAN_III = 0x88BE, 0x22EB
_ERSPAN_HEAD = layout(12, version=("u1", 0), frame_type=("u1", 10), optional=("u1", 11))

_TEREDO_PORT = 3544


def open_tunnels(state: Descent, rows: Rows) -> Rows:
    """Return the rows that now stand at the first layer inside a tunnel."""
    out = state.out
    rows = np.asarray(rows[out.payload_len[rows] > 0])
    opener = np.where(out.proto[rows] == UDP, _BY_PORT[out.dst_port[rows]], _BY_PROTO[out.proto[rows]])
    teredo = (out.proto[rows] == UDP) & (out.src_port[rows] == _TEREDO_PORT)
    opener[teredo & (opener == 0)] = _OPENERS.index(open_teredo)
    rows, opener = rows[opener > 0], opener[opener > 0]
    if not len(rows):
        return rows
    state.go_deeper()
    state.at[rows] = out.payload_at[rows]
    state.layer[rows] = Layer.NONE
    state.end[rows] = out.payload_at[rows] + out.payload_cap[rows]
    state.wire_end[rows] = out.payload_at[rows] + out.payload_len[rows]
    above = state.tunnel[rows]
    state.tunnel[rows] = 0
    for number in np.flatnonzero(np.bincount(opener)):
        _OPENERS[number](state, rows[opener == number])
    opened = np.asarray(rows[state.layer[rows] != Layer.NONE])
    if state.depth <= DEPTH_MAX:
        _note_carriers(state, opened)
    state.tunnel[rows] |= above
    if state.depth > DEPTH_MAX:
        state.refuse(opened, Flaw.TOO_DEEP)
        return opened[:0]
    return opened


def _note_carriers(state: Descent, rows: Rows) -> None:
    """Note the endpoints of the tunnels just opened, before their inside takes the place of their addresses."""
    out = state.out
    state.outers.append(
        Outer(
            rows.astype(np.int64), out.src_hi[rows], out.src_lo[rows], out.dst_hi[rows], out.dst_lo[rows],
            state.tunnel[rows],
        )
    )  # fmt: skip


def _open_nothing(state: Descent, rows: Rows) -> None:
    """Leave rows where they are."""


def _open_v4(state: Descent, rows: Rows) -> None:
    """IPv4 in IP (RFC 2003, RFC 2473)."""
    state.carry(rows, state.at[rows], np.full(len(rows), Layer.IPV4, np.uint8), Tunnel.IPIP)


def _open_v6(state: Descent, rows: Rows) -> None:
    """IPv6 in IPv4 (RFC 4213) or in IPv6 (RFC 2473)."""
    for version, tunnel in ((4, Tunnel.SIXINFOUR), (6, Tunnel.IPIP)):
        inside = rows[state.out.ip_version[rows] == version]
        state.carry(inside, state.at[inside], np.full(len(inside), Layer.IPV6, np.uint8), tunnel)


def _open_mpls(state: Descent, rows: Rows) -> None:
    """MPLS in IP (RFC 4023) or in UDP (RFC 7510)."""
    state.carry(rows, state.at[rows], np.full(len(rows), Layer.MPLS, np.uint8), Tunnel.MPLS)


def _open_gre(state: Descent, rows: Rows) -> None:
    """GRE (RFC 2784, 2890), and version 1 with PPP inside (RFC 2637); routing (RFC 1701) is not followed."""
    rows = state.whole(rows, 4, Flaw.TRUNCATED_L4)
    head = read(state.data, state.at[rows], _GRE)
    flags, protocol = head["flags"].astype(np.int64), head["protocol"]
    plain = (flags & (_VERSION | _ROUTING)) == 0
    pptp = (flags & _VERSION == 1) & (protocol == _PPP) & (flags & _KEY != 0) & (flags & _SEQUENCE != 0)
    size = 4 + 4 * ((flags & _CHECKSUM != 0).astype(np.int64) + (flags & _KEY != 0) + (flags & _SEQUENCE != 0))
    size += np.where(pptp & (flags & _ACK != 0), 4, 0)
    known = plain | pptp
    rows, flags, protocol, size = rows[known], flags[known], protocol[known], size[known]
    good = state.holds(rows, size, Flaw.TRUNCATED_L4)
    rows, flags, protocol, size = rows[good], flags[good], protocol[good], size[good]
    state.at[rows] += size
    mirror = (protocol == _ERSPAN) | (protocol == _ERSPAN_III)
    bare = (protocol == _ERSPAN) & (flags & _SEQUENCE == 0)
    _carry_mirror(state, rows[bare], np.full(int(bare.sum()), Layer.ETHERNET, np.uint8), 0)
    _open_erspan(state, rows[mirror & ~bare])
    other = rows[~mirror]
    state.carry(other, state.at[other], BY_CARRIED_TYPE[protocol[~mirror]], Tunnel.GRE)


def _open_erspan(state: Descent, rows: Rows) -> None:
    """ERSPAN II and III by the version of their header (draft-foschiano-erspan 4.2, 4.3)."""
    rows = state.whole(rows, 8, Flaw.TRUNCATED_L4)
    version = read(state.data, state.at[rows], _ERSPAN_HEAD)["version"] >> 4
    second = rows[version == 1]
    _carry_mirror(state, second, np.full(len(second), Layer.ETHERNET, np.uint8), 8)
    third = state.whole(rows[version == 2], 12, Flaw.TRUNCATED_L4)
    head = read(state.data, state.at[third], _ERSPAN_HEAD)
    size = np.where(head["optional"] & 1, 20, 12)
    good = state.holds(third, size, Flaw.TRUNCATED_L4)
    layer = _BY_ERSPAN_FRAME[head["frame_type"] >> 2 & 0x1F]
    _carry_mirror(state, third[good], layer[good], size[good])


def _carry_mirror(state: Descent, rows: Rows, layer: npt.NDArray[np.uint8], size: int | npt.NDArray[np.int64]) -> None:
    state.carry(rows, state.at[rows] + size, layer, Tunnel.ERSPAN)


_BY_ERSPAN_FRAME = np.zeros(32, np.uint8)
_BY_ERSPAN_FRAME[[0, 2]] = [Layer.ETHERNET, Layer.IP]
_OPENERS: tuple[Callable[[Descent, Rows], None], ...] = (
    _open_nothing, _open_v4, _open_v6, _open_gre, _open_mpls, open_vxlan, open_geneve, open_gtpu, open_teredo,
)  # fmt: skip


def _numbers(openers: dict[int, Callable[[Descent, Rows], None]]) -> npt.NDArray[np.uint8]:
    table = np.zeros(0x10000, np.uint8)
    for key, opener in openers.items():
        table[key] = _OPENERS.index(opener)
    return table


_BY_PROTO = _numbers({4: _open_v4, 41: _open_v6, 47: _open_gre, 137: _open_mpls})
"""`u1 [65536]`, index into `_OPENERS` by IP protocol."""
_BY_PORT = _numbers(
    {4789: open_vxlan, 8472: open_vxlan, 6081: open_geneve, 2152: open_gtpu, _TEREDO_PORT: open_teredo,
     6635: _open_mpls}
)  # fmt: skip
"""`u1 [65536]`, index into `_OPENERS` by UDP destination port."""
