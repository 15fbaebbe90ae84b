"""Transport headers: TCP, UDP, SCTP, and what is payload from its first byte."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from nettriage.model.batch import Flaw, IpFlag
from nettriage.model.columns import I64, Rows
from sniff.descent import Descent
from sniff.heads import U8, Heads, gather, layout

TCP, UDP, NO_NEXT, SCTP = 6, 17, 59, 132

_TINY = np.uint8(IpFlag.TINY_FRAGMENT)
_TCP = layout(
    20, sport=(">u2", 0), dport=(">u2", 2), seq=(">u4", 4), ack=(">u4", 8), offset_flags=(">u2", 12),
    window=(">u2", 14),
)  # fmt: skip
_UDP = layout(8, sport=(">u2", 0), dport=(">u2", 2), length=(">u2", 4))
_SCTP = layout(12, sport=(">u2", 0), dport=(">u2", 2), vtag=(">u4", 4))


def first_bytes(state: Descent, rows: Rows, size: int, field_ends: tuple[int, ...]) -> tuple[Rows, U8]:
    """Return the rows that hold a header of `size` bytes or are a first fragment, and `u1 [k, size]`, its bytes.

    What a tiny first fragment (RFC 1858) does not hold reads as 0, field by field: `field_ends` says where the
    fields end. A header that was cut in the capture, or that no fragmentation excuses, is a flaw and is left out.
    """
    at, end = state.at[rows], state.end[rows]
    room = state.wire_end[rows] - at
    short = room < size
    if not short.any() and (at + size <= end).all():
        return rows, gather(state.data, at, size)
    first = state.out.ip_flags[rows] & IpFlag.FIRST_FRAGMENT != 0
    bad = short & ~first
    cut = ~bad & (at + np.minimum(room, size) > end)
    state.flaw(rows[bad], Flaw.BAD_L4_HEADER)
    state.flaw(rows[cut], Flaw.TRUNCATED_L4)
    good = ~(bad | cut)
    rows, at, room, tiny = rows[good], at[good], room[good], (short & first)[good]
    state.out.ip_flags[rows[tiny]] |= np.uint8(IpFlag.TINY_FRAGMENT)
    head = gather(state.data, at, size)
    ends = np.array((0, *field_ends))
    held = ends[np.searchsorted(ends, room[tiny], side="right") - 1]
    head[tiny] *= np.arange(size) < held[:, None]
    return rows, head


def set_payload(state: Descent, rows: Rows, start: I64, stop: I64) -> None:
    """Say that rows have a transport header at `state.at` and payload from `start` to `stop`.

    A fragment too short for its header has none.
    """
    out = state.out
    length = np.maximum(stop - start, 0)
    tiny = (out.ip_flags[rows] & _TINY) != 0
    out.l4_at[rows] = state.at[rows]
    out.payload_at[rows] = np.where(tiny, 0, start)
    out.payload_len[rows] = np.where(tiny, 0, length)
    captured = np.minimum(np.maximum(np.minimum(state.end[rows], stop) - start, 0), length)
    out.payload_cap[rows] = np.where(tiny, 0, captured)


def read_tcp(state: Descent, rows: Rows) -> None:
    """TCP (RFC 9293 3.1)."""
    rows, heads = first_bytes(state, rows, 20, (2, 4, 8, 12, 14, 16))
    head = heads.view(_TCP)[:, 0]
    size = (head["offset_flags"] >> 12).astype(np.int64) * 4
    rows, head, size = _with_options(state, rows, head, size)
    out = state.out
    out.src_port[rows] = head["sport"]
    out.dst_port[rows] = head["dport"]
    out.seq[rows] = head["seq"]
    out.ack[rows] = head["ack"]
    out.tcp_flags[rows] = head["offset_flags"] & 0xFFF
    out.window[rows] = head["window"]
    set_payload(state, rows, state.at[rows] + size, state.wire_end[rows])


def _with_options(state: Descent, rows: Rows, head: Heads, size: I64) -> tuple[Rows, Heads, I64]:
    """Leave out rows whose data offset is wrong or whose options were cut; options may make a fragment a tiny one."""
    stop = state.at[rows] + size
    if (size >= 20).all() and (stop <= state.end[rows]).all():
        return rows, head, size
    flags = state.out.ip_flags[rows]
    tiny = flags & IpFlag.TINY_FRAGMENT != 0
    beyond = stop > state.wire_end[rows]
    bad = ~tiny & ((size < 20) | (beyond & (flags & IpFlag.FIRST_FRAGMENT == 0)))
    cut = ~(tiny | bad | beyond) & (stop > state.end[rows])
    state.flaw(rows[bad], Flaw.BAD_L4_HEADER)
    state.flaw(rows[cut], Flaw.TRUNCATED_L4)
    state.out.ip_flags[rows[beyond & ~bad]] |= np.uint8(IpFlag.TINY_FRAGMENT)
    good = ~(bad | cut)
    return rows[good], head[good], size[good]


def read_udp(state: Descent, rows: Rows) -> None:
    """UDP (RFC 768): its own length ends the payload where the IP length leaves room behind it."""
    rows, heads = first_bytes(state, rows, 8, (2, 4))
    head = heads.view(_UDP)[:, 0]
    tiny = (state.out.ip_flags[rows] & _TINY) != 0
    bad = (head["length"] < 8) & ~tiny
    if bad.any():
        state.flaw(rows[bad], Flaw.BAD_L4_HEADER)
        rows, head = rows[~bad], head[~bad]
    at = state.at[rows]
    state.out.src_port[rows] = head["sport"]
    state.out.dst_port[rows] = head["dport"]
    set_payload(state, rows, at + 8, np.minimum(state.wire_end[rows], at + head["length"]))


def read_sctp(state: Descent, rows: Rows) -> None:
    """SCTP (RFC 9260 3): the verification tag stands for the sequence, the type of the first chunk for the flags."""
    rows, heads = first_bytes(state, rows, 12, (2, 4, 8))
    head = heads.view(_SCTP)[:, 0]
    at = state.at[rows]
    out = state.out
    out.src_port[rows] = head["sport"]
    out.dst_port[rows] = head["dport"]
    out.seq[rows] = head["vtag"]
    set_payload(state, rows, at + 12, state.wire_end[rows])
    chunk = rows[out.payload_cap[rows] > 0]
    out.tcp_flags[chunk] = gather(state.data, out.payload_at[chunk], 1)[:, 0]


def read_other(state: Descent, rows: Rows) -> None:
    """Any other protocol: all of it is payload."""
    rows = rows[state.out.proto[rows] != NO_NEXT]
    set_payload(state, rows, state.at[rows], state.wire_end[rows])


READERS: dict[int, Callable[[Descent, Rows], None]] = {TCP: read_tcp, UDP: read_udp, SCTP: read_sctp}
"""Reader by IP protocol number, for those that IPv4 and IPv6 share."""
