"""Network headers: IPv4, IPv6 with its extension headers, and ARP."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from nettriage.model.batch import ARP, V4_PREFIX, Flaw, IpFlag
from nettriage.model.columns import I64, U64, Rows
from sniff.descent import Descent, Layer, as_run
from sniff.heads import layout, read

EXTENSIONS_MAX = 8
"""Extension headers of one packet that are walked."""
FRAGMENT_HEADER, AUTHENTICATION = 44, 51

IPV4 = layout(
    20, version_length=("u1", 0), total=(">u2", 2), ident=(">u2", 4), fragment=(">u2", 6), ttl=("u1", 8),
    proto=("u1", 9), src=(">u4", 12), dst=(">u4", 16),
)  # fmt: skip
IPV6 = layout(
    40, version=("u1", 0), length=(">u2", 4), next=("u1", 6), hops=("u1", 7), src_hi=(">u8", 8), src_lo=(">u8", 16),
    dst_hi=(">u8", 24), dst_lo=(">u8", 32),
)  # fmt: skip
_EXTENSION = layout(8, next=("u1", 0), length=("u1", 1), fragment=(">u2", 2))
_ARP = layout(
    28, ptype=(">u2", 2), hlen=("u1", 4), plen=("u1", 5), op=(">u2", 6), sender=(">u4", 14), target=(">u4", 24)
)

_NO_NEXT = 59
_IS_EXTENSION = np.zeros(256, np.bool_)
_IS_EXTENSION[[0, 43, FRAGMENT_HEADER, AUTHENTICATION, 60]] = True
_IS_V4_EXTENSION = np.zeros(256, np.bool_)
_IS_V4_EXTENSION[AUTHENTICATION] = True


def as_mapped(address: npt.NDArray[np.uint32]) -> U64:
    """Return the low words of IPv4 addresses (`V4_PREFIX`)."""
    return address.astype(np.uint64) | np.uint64(V4_PREFIX)


def to_transport(state: Descent, rows: Rows) -> Rows:
    """Read the network header of rows; return those that stand at a transport header, ascending."""
    layers = state.layer[rows]
    arp = rows[layers == Layer.ARP]
    if len(arp):
        _arp(state, arp)
    is_v4 = layers == Layer.IPV4
    v4 = _ipv4(state, rows if is_v4.all() else rows[is_v4])
    v6 = rows[layers == Layer.IPV6]
    if not len(v6):
        return v4
    return np.sort(np.concatenate((v4, _ipv6(state, v6))))


def _arp(state: Descent, rows: Rows) -> None:
    """ARP for IPv4 over 48-bit addresses (RFC 826)."""
    if not state.depth:
        state.out.proto[rows] = ARP
    rows = state.whole(rows, 28, Flaw.TRUNCATED_L4)
    head = read(state.data, state.at[rows], _ARP)
    good = (head["ptype"] == 0x0800) & (head["hlen"] == 6) & (head["plen"] == 4)
    state.refuse(rows[~good], Flaw.BAD_L4_HEADER)
    rows, head = rows[good], head[good]
    state.accept(rows)
    out = state.out
    out.proto[rows] = ARP
    out.ip_version[rows] = 0
    out.ttl[rows] = 0
    out.src_hi[rows] = out.dst_hi[rows] = 0
    out.src_lo[rows] = as_mapped(head["sender"])
    out.dst_lo[rows] = as_mapped(head["target"])
    out.icmp_type[rows] = np.minimum(head["op"], 0xFF)


def _ipv4(state: Descent, rows: Rows) -> Rows:
    """IPv4 (RFC 791 3.1). A total length of 0 is a segment not yet cut by the sender's card: the carrier decides."""
    rows = state.whole(rows, 20, Flaw.TRUNCATED_IP)
    head = read(state.data, state.at[as_run(rows)], IPV4)
    size = (head["version_length"] & 15).astype(np.int64) * 4
    total = head["total"].astype(np.int64)
    good = (head["version_length"] >> 4 == 4) & (size >= 20) & ((total >= size) | (total == 0))
    if not good.all():
        state.refuse(rows[~good], Flaw.BAD_IP_HEADER)
        rows, head, size, total = rows[good], head[good], size[good], total[good]
    state.accept(rows)
    run = as_run(rows)
    at = state.at[run]
    state.narrow(rows, np.where(total == 0, state.wire_end[run], at + total))
    out = state.out
    out.ip_version[run] = 4
    out.src_hi[run] = out.dst_hi[run] = 0
    out.src_lo[run] = as_mapped(head["src"])
    out.dst_lo[run] = as_mapped(head["dst"])
    out.proto[run] = head["proto"]
    out.ttl[run] = head["ttl"]
    out.ip_id[run] = head["ident"]
    flags = fragment_flags(head["fragment"])
    flags |= np.where(head["fragment"] & 0x4000, np.uint8(IpFlag.DF), np.uint8(0))
    out.ip_flags[run] = flags
    return _past_options(state, rows, at + size)


def fragment_flags(word: npt.NDArray[np.uint16]) -> npt.NDArray[np.uint8]:
    """Return `u1 [k]`, the fragment bits of `IpFlag` from the fragment words of IPv4 headers."""
    later = (word & 0x1FFF) != 0
    first = ~later & ((word & 0x2000) != 0)
    return np.asarray(later * np.uint8(IpFlag.LATER_FRAGMENT) + first * np.uint8(IpFlag.FIRST_FRAGMENT))


def _past_options(state: Descent, rows: Rows, at: I64) -> Rows:
    run = as_run(rows)
    cut = at > state.end[run]
    if cut.any():
        state.flaw(rows[cut], Flaw.TRUNCATED_IP)
    state.at[run] = at
    goes_on = ~cut & (state.out.ip_flags[run] & IpFlag.LATER_FRAGMENT == 0)
    if not goes_on.all():
        rows = rows[goes_on]
    wrapped = _IS_V4_EXTENSION[state.out.proto[as_run(rows)]]
    if not wrapped.any():
        return rows
    return np.sort(np.concatenate((rows[~wrapped], _past_extensions(state, rows[wrapped], _IS_V4_EXTENSION))))


def _ipv6(state: Descent, rows: Rows) -> Rows:
    """IPv6 (RFC 8200 3). A payload length of 0 is a jumbogram or an uncut segment: the carrier decides."""
    rows = state.whole(rows, 40, Flaw.TRUNCATED_IP)
    head = read(state.data, state.at[rows], IPV6)
    good = head["version"] >> 4 == 6
    state.refuse(rows[~good], Flaw.BAD_IP_HEADER)
    rows, head = rows[good], head[good]
    state.accept(rows)
    at = state.at[rows] + 40
    length = head["length"].astype(np.int64)
    by_carrier = (length == 0) & (head["next"] != _NO_NEXT)
    state.narrow(rows, np.where(by_carrier, state.wire_end[rows], at + length))
    state.at[rows] = at
    out = state.out
    out.ip_version[rows] = 6
    for name in ("src_hi", "src_lo", "dst_hi", "dst_lo"):
        getattr(out, name)[rows] = head[name]
    out.proto[rows] = head["next"]
    out.ttl[rows] = head["hops"]
    return _past_extensions(state, rows, _IS_EXTENSION)


@dataclass(slots=True)
class Extensions:
    """Where the chain of extension headers of each packet ends."""

    proto: npt.NDArray[np.uint8]
    """`u1 [k]`, the protocol behind the chain, or the number of the header at which the walk stopped."""
    at: I64
    """`i8 [k]`, where that protocol or header begins."""
    flags: npt.NDArray[np.uint8]
    """`u1 [k]`, fragment bits of `IpFlag`."""
    cut: npt.NDArray[np.bool_]
    """`[k]`, whether the walk stopped because the next header is not whole."""
    deep: npt.NDArray[np.bool_]
    """`[k]`, whether the walk stopped after `EXTENSIONS_MAX` headers."""
    stop: I64
    """`i8 [k]`, where the last header that was looked at ends."""


def walk_extensions(
    data: npt.NDArray[np.uint8], proto: npt.NDArray[np.uint8], at: I64, end: I64,
    is_extension: npt.NDArray[np.bool_] = _IS_EXTENSION,
) -> Extensions:  # fmt: skip
    """Walk the extension headers of many packets in lockstep, one header of each in a turn (RFC 8200 4)."""
    k = len(proto)
    seen = Extensions(
        proto.copy(), at.copy(), np.zeros(k, np.uint8), np.zeros(k, np.bool_), np.zeros(k, np.bool_), at.copy()
    )
    active = np.flatnonzero(is_extension[seen.proto])
    for _ in range(EXTENSIONS_MAX):
        if not len(active):
            return seen
        active = _step(data, seen, active, end)
        active = active[is_extension[seen.proto[active]]]
    seen.deep[active] = True
    return seen


def _step(data: npt.NDArray[np.uint8], seen: Extensions, active: Rows, end: I64) -> Rows:
    """Move past one header of the `active` packets; return those that go on."""
    at, kind = seen.at[active], seen.proto[active]
    seen.stop[active] = at + 8
    known = at + 8 <= end[active]
    seen.cut[active[~known]] = True
    active, at, kind = active[known], at[known], kind[known]
    head = read(data, at, _EXTENSION)
    units = head["length"].astype(np.int64)
    size = np.where(kind == AUTHENTICATION, (units + 2) * 4, np.where(kind == FRAGMENT_HEADER, 8, (units + 1) * 8))
    seen.stop[active] = at + size
    whole = at + size <= end[active]
    seen.cut[active[~whole]] = True
    active, head, kind = active[whole], head[whole], kind[whole]
    seen.at[active] = (at + size)[whole]
    seen.proto[active] = head["next"]
    word = np.where(kind == FRAGMENT_HEADER, head["fragment"], 0)
    later = word >> 3 != 0
    seen.flags[active] |= later * np.uint8(IpFlag.LATER_FRAGMENT)
    seen.flags[active] |= (~later & (word & 1 != 0)) * np.uint8(IpFlag.FIRST_FRAGMENT)
    return np.asarray(active[~later])


def _past_extensions(state: Descent, rows: Rows, is_extension: npt.NDArray[np.bool_]) -> Rows:
    """Walk extension headers; a chain that its own first fragment does not hold makes that fragment a tiny one."""
    out = state.out
    proto = out.proto[rows].astype(np.uint8)
    seen = walk_extensions(state.data, proto, state.at[rows], state.end[rows], is_extension)
    out.proto[rows] = seen.proto
    out.ip_flags[rows] |= seen.flags
    state.at[rows] = seen.at
    first = out.ip_flags[rows] & IpFlag.FIRST_FRAGMENT != 0
    tiny = seen.cut & first & (seen.stop > state.wire_end[rows])
    out.ip_flags[rows[tiny]] |= np.uint8(IpFlag.TINY_FRAGMENT)
    state.flaw(rows[seen.cut & ~tiny], Flaw.TRUNCATED_IP)
    state.flaw(rows[seen.deep], Flaw.TOO_DEEP)
    goes_on = ~(seen.cut | seen.deep | (seen.flags & IpFlag.LATER_FRAGMENT != 0))
    return np.asarray(rows[goes_on])
