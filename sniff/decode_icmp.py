"""ICMP and ICMPv6: echo-like pairs as flows, quoted datagrams, and the targets of neighbour discovery."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from nettriage.model.batch import Flaw, IpFlag, Quoted
from nettriage.model.columns import I64, Rows
from sniff.decode_ip import IPV4, IPV6, as_mapped, fragment_flags, walk_extensions
from sniff.decode_l4 import SCTP, TCP, UDP, first_bytes, set_payload
from sniff.descent import Descent
from sniff.heads import U8, layout, read

ICMP, ICMPV6 = 1, 58

_ICMP = layout(8, type=("u1", 0), code=("u1", 1), ident=(">u2", 4), seq=(">u2", 6))
_PORTS = layout(4, sport=(">u2", 0), dport=(">u2", 2))
_TARGET = layout(24, high=(">u8", 8), low=(">u8", 16))

_V4, _V6 = 0, 1
_REQUEST = np.zeros((2, 256), np.uint16)
"""`u2 [2, 256]`, by family and type: the request type of an echo-like pair, 0 for every other type."""
_REQUEST[_V4, [8, 0, 13, 14, 17, 18]] = [8, 8, 13, 13, 17, 17]
_REQUEST[_V6, [128, 129]] = 128
_ASKS = np.zeros((2, 256), np.bool_)
"""`[2, 256]`, whether the type is the request of such a pair."""
_ASKS[_V4, [8, 13, 17]] = True
_ASKS[_V6, 128] = True
_QUOTES = np.zeros((2, 256), np.bool_)
"""`[2, 256]`, whether the type quotes the datagram that it is about (RFC 792, RFC 4443 3)."""
_QUOTES[_V4, [3, 4, 5, 11, 12]] = True
_QUOTES[_V6, [1, 2, 3, 4]] = True
_NEIGHBOUR_SOLICITATION, _NEIGHBOUR_ADVERTISEMENT = 135, 136


def read_icmp(state: Descent, rows: Rows) -> None:
    """ICMP (RFC 792)."""
    _read(state, rows, _V4)


def read_icmpv6(state: Descent, rows: Rows) -> None:
    """ICMPv6 (RFC 4443), neighbour discovery with it (RFC 4861)."""
    _read(state, rows, _V6)


def _read(state: Descent, rows: Rows, family: int) -> None:
    rows, heads = first_bytes(state, rows, 8, (1, 2))
    head = heads.view(_ICMP)[:, 0]
    if family == _V6:
        sound = _with_target(state, rows, head["type"])
        rows, head = rows[sound], head[sound]
    out = state.out
    kind = head["type"]
    out.icmp_type[rows] = kind
    out.icmp_code[rows] = head["code"]
    out.src_port[rows], out.dst_port[rows] = _echo_ports(family, kind, head["ident"].astype(np.uint16))
    out.seq[rows] = np.where(_REQUEST[family, kind] > 0, head["seq"], 0)
    set_payload(state, rows, state.at[rows] + 8, state.wire_end[rows])
    errors = rows[_QUOTES[family, kind]]
    if len(errors):
        (_quote_v6 if family else _quote_v4)(state, errors)


def _echo_ports(
    family: int, kind: U8, ident: npt.NDArray[np.uint16]
) -> tuple[npt.NDArray[np.uint16], npt.NDArray[np.uint16]]:
    """Return the ports that echo-like types are given (`PacketBatch.src_port`), 0 for every other type."""
    request = _REQUEST[family, kind]
    asks = _ASKS[family, kind]
    own = np.where(request > 0, ident, np.uint16(0))
    asked = request << np.uint16(8)
    return np.where(asks, own, asked), np.where(asks, asked, own)


def _with_target(state: Descent, rows: Rows, kind: U8) -> npt.NDArray[np.bool_]:
    """Quote the targets of neighbour messages; return `[k]`, False for rows whose target is not whole."""
    out = state.out
    sound = np.ones(len(rows), np.bool_)
    whole_head = out.ip_flags[rows] & IpFlag.TINY_FRAGMENT == 0
    nd = np.flatnonzero(whole_head & ((kind == _NEIGHBOUR_SOLICITATION) | (kind == _NEIGHBOUR_ADVERTISEMENT)))
    stop = state.at[rows[nd]] + 24
    beyond = stop > state.wire_end[rows[nd]]
    cut = ~beyond & (stop > state.end[rows[nd]])
    excused = out.ip_flags[rows[nd]] & IpFlag.FIRST_FRAGMENT != 0
    state.flaw(rows[nd[beyond & ~excused]], Flaw.BAD_L4_HEADER)
    state.flaw(rows[nd[cut]], Flaw.TRUNCATED_L4)
    sound[nd[cut | (beyond & ~excused)]] = False
    held = rows[nd[~(cut | beyond)]]
    head = read(state.data, state.at[held], _TARGET)
    none = np.zeros(len(held), np.uint16)
    proto = np.full(len(held), ICMPV6, np.uint16)
    target = (head["high"].astype(np.uint64), head["low"].astype(np.uint64))
    state.quotes.append(Quoted(held, out.src_hi[held], out.src_lo[held], *target, proto, none, none))
    return sound


def _quote_v4(state: Descent, rows: Rows) -> None:
    at, end, rows = _quotable(state, rows, 20)
    head = read(state.data, at, IPV4)
    size = (head["version_length"] & 15).astype(np.int64) * 4
    good = (head["version_length"] >> 4 == 4) & (size >= 20)
    rows, at, end, head, size = rows[good], at[good], end[good], head[good], size[good]
    later = fragment_flags(head["fragment"]) & IpFlag.LATER_FRAGMENT != 0
    proto = head["proto"].astype(np.uint16)
    none = np.zeros(len(rows), np.uint64)
    ports = _quoted_ports(state, proto, at + size, np.where(later, 0, end), _V4)
    state.quotes.append(Quoted(rows, none, as_mapped(head["src"]), none, as_mapped(head["dst"]), proto, *ports))


def _quote_v6(state: Descent, rows: Rows) -> None:
    at, end, rows = _quotable(state, rows, 40)
    head = read(state.data, at, IPV6)
    good = head["version"] >> 4 == 6
    rows, at, end, head = rows[good], at[good], end[good], head[good]
    chain = walk_extensions(state.data, head["next"], at + 40, end)
    portless = chain.cut | chain.deep | (chain.flags & IpFlag.LATER_FRAGMENT != 0)
    proto = chain.proto.astype(np.uint16)
    src = head["src_hi"].astype(np.uint64), head["src_lo"].astype(np.uint64)
    dst = head["dst_hi"].astype(np.uint64), head["dst_lo"].astype(np.uint64)
    ports = _quoted_ports(state, proto, chain.at, np.where(portless, 0, end), _V6)
    state.quotes.append(Quoted(rows, *src, *dst, proto, *ports))


def _quotable(state: Descent, rows: Rows, size: int) -> tuple[I64, I64, Rows]:
    """Return where the quotes of errors begin and end, and the rows whose quote holds `size` bytes."""
    start = state.out.payload_at[rows]
    end = start + state.out.payload_cap[rows]
    held = (start > 0) & (start + size <= end)
    return start[held], end[held], rows[held]


def _quoted_ports(
    state: Descent, proto: npt.NDArray[np.uint16], at: I64, end: I64, family: int
) -> tuple[npt.NDArray[np.uint16], npt.NDArray[np.uint16]]:
    sport, dport = np.zeros(len(at), np.uint16), np.zeros(len(at), np.uint16)
    ported = np.flatnonzero(np.isin(proto, (TCP, UDP, SCTP)) & (at + 4 <= end))
    head = read(state.data, at[ported], _PORTS)
    sport[ported], dport[ported] = head["sport"], head["dport"]
    echo = np.flatnonzero((proto == (ICMPV6 if family else ICMP)) & (at + 8 <= end))
    message = read(state.data, at[echo], _ICMP)
    sport[echo], dport[echo] = _echo_ports(family, message["type"], message["ident"].astype(np.uint16))
    return sport, dport
