"""The descent of a batch through its layers: where each packet stands, and the columns filled so far."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import Any

import numpy as np
import numpy.typing as npt

from nettriage.model.batch import NO_PROTO, NO_VLAN, Flaw, Outer, PacketBatch, Quoted, RawBatch, Tunnel
from nettriage.model.columns import I32, I64, U64, Rows

DEPTH_MAX = 4
"""Tunnels that are opened, one inside the other."""

_KEPT_INSIDE = Flaw.TRUNCATED_LINK | Flaw.TRUNCATED_IP | Flaw.TRUNCATED_L4 | Flaw.TOO_DEEP
_OF_TRANSPORT = (
    "ip_id", "ip_flags", "src_port", "dst_port", "icmp_type", "icmp_code", "tcp_flags", "seq", "ack", "window",
    "l4_at", "payload_at", "payload_len", "payload_cap",
)  # fmt: skip


class Layer(IntEnum):
    """What begins where a packet stands. Those from `ETHERNET` on are link headers, which lead to another layer."""

    NONE = 0
    IPV4 = 1
    IPV6 = 2
    ARP = 3
    ETHERNET = 4
    VLAN = 5
    MPLS = 6
    PPPOE = 7
    PPP = 8
    HDLC = 9
    """PPP or Cisco framing, told apart by the first byte."""
    IP = 10
    """IPv4 or IPv6, told apart by the first nibble."""
    COOKED = 11
    COOKED_V2 = 12
    FAMILY = 13
    """BSD loopback: four bytes of address family."""


@dataclass(slots=True)
class Descent:
    """Where every packet of a batch stands on its way down, by row; all columns are `[n]`.

    `at` is the absolute offset of the next layer and `layer` says what it is. `end` is where the captured
    bytes of the current layer end, `wire_end` where it ends by its own length: the difference tells a cut
    capture from a packet that promises nothing more. `end <= wire_end` does not hold for layers that lie.

    Rows are always handed on in ascending order. All rows that still descend have `depth` tunnels above
    them. What lies in a tunnel is written to the packet columns only when its network header proves sound;
    until then `src_mac`, `dst_mac`, `vlan` and `tunnel` wait here.
    """

    out: PacketBatch
    at: I64
    end: I64
    wire_end: I64
    layer: npt.NDArray[np.uint8]
    src_mac: U64
    dst_mac: U64
    vlan: I32
    tunnel: npt.NDArray[np.uint16]
    quotes: list[Quoted]
    outers: list[Outer]
    """Carriers of the rows that went into a tunnel, one entry for each depth, outermost first."""
    depth: int = 0

    @classmethod
    def begin(cls, raw: RawBatch, layer: Layer) -> Descent:
        """Stand at the first byte of every packet, which begins with `layer`."""
        out = empty_columns(raw)
        n = len(raw)
        at = raw.offset.astype(np.int64)
        kinds = np.full(n, layer, np.uint8)
        ends = at + raw.cap_len, at + raw.wire_len
        return cls(out, at, *ends, kinds, out.src_mac, out.dst_mac, out.vlan, np.zeros(n, np.uint16), [], [])

    @property
    def data(self) -> npt.NDArray[np.uint8]:
        """The bytes of the batch."""
        return self.out.raw.data

    def flaw(self, rows: Rows, flaw: Flaw) -> None:
        """Say what is wrong with packets whose network header was accepted."""
        self.out.flaw[rows] |= np.uint32(flaw)

    def refuse(self, rows: Rows, flaw: Flaw) -> None:
        """Stop at a layer that cannot be read; inside a tunnel only a cut or too deep one is a flaw."""
        self.layer[rows] = Layer.NONE
        if self.depth == 0 or flaw & _KEPT_INSIDE:
            self.flaw(rows, flaw)

    def holds(self, rows: Rows, size: int | I64, flaw: Flaw) -> npt.NDArray[np.bool_]:
        """Return `[k]`, whether the next `size` bytes of each row were captured; refuse the rows of which not.

        Inside a tunnel a layer that was never promised is no flaw: its carrier just holds something else.
        """
        run = as_run(rows)
        stop = self.at[run] + size
        good = stop <= self.end[run]
        if not good.all():
            self.layer[rows[~good]] = Layer.NONE
            promised = (stop <= self.wire_end[rows]) if self.depth else np.True_
            self.refuse(rows[~good & promised], flaw)
        return good

    def whole(self, rows: Rows, size: int, flaw: Flaw) -> Rows:
        """Return the rows whose next `size` bytes were captured, and refuse the others."""
        good = self.holds(rows, size, flaw)
        return rows if good.all() else np.asarray(rows[good])

    def enter(self, rows: Rows, at: I64, layer: npt.NDArray[np.uint8]) -> None:
        """Move rows on to the layer that begins at `at`; `Layer.NONE` stands for one that is not decoded."""
        run = as_run(rows)
        self.at[run] = at
        self.layer[run] = layer
        unknown = layer == Layer.NONE
        if unknown.any():
            self.refuse(rows[unknown], Flaw.UNKNOWN_LINK)

    def carry(self, rows: Rows, at: I64, layer: npt.NDArray[np.uint8], tunnel: Tunnel) -> None:
        """Move rows on to the first layer inside a carrier; a frame inside is tagged by its own tags only."""
        self.tunnel[rows] |= np.uint16(tunnel)
        self.vlan[rows[layer == Layer.ETHERNET]] = NO_VLAN
        self.enter(rows, at, layer)

    def accept(self, rows: Rows) -> None:
        """Make the network header at `at` the innermost one: forget the transport of its carrier."""
        out = self.out
        out.tunnel[rows] = self.tunnel[rows]
        if not self.depth:
            return
        out.depth[rows] = self.depth
        out.src_mac[rows] = self.src_mac[rows]
        out.dst_mac[rows] = self.dst_mac[rows]
        out.vlan[rows] = self.vlan[rows]
        for name in _OF_TRANSPORT:
            getattr(out, name)[rows] = 0

    def narrow(self, rows: Rows, wire_end: I64) -> None:
        """End the current layer of rows at `wire_end`, so that padding behind it is never read."""
        run = as_run(rows)
        self.wire_end[run] = wire_end
        self.end[run] = np.minimum(self.end[run], wire_end)

    def go_deeper(self) -> None:
        """Count one more tunnel above all rows that still descend."""
        if not self.depth:
            self.src_mac, self.dst_mac, self.vlan = self.src_mac.copy(), self.dst_mac.copy(), self.vlan.copy()
        self.depth += 1


def as_run(rows: Rows) -> Rows | slice:
    """Return ascending rows as a slice where they are a run, which is read and written many times faster."""
    if len(rows) and int(rows[-1]) - int(rows[0]) == len(rows) - 1:
        return slice(int(rows[0]), int(rows[-1]) + 1)
    return rows


def empty_columns(raw: RawBatch) -> PacketBatch:
    """Return the columns of a batch of which nothing is known yet."""
    n = len(raw)

    def zeros(kind: type[Any]) -> npt.NDArray[Any]:
        return np.zeros(n, kind)

    stripped = np.full(n, NO_VLAN, np.int32)
    if raw.vlan is not None:
        np.copyto(stripped, raw.vlan, where=raw.vlan > 0)
    u1, u2, u4, u8, i4, i8 = np.uint8, np.uint16, np.uint32, np.uint64, np.int32, np.int64
    return PacketBatch(
        raw=raw, ts_ns=raw.ts_ns, wire_len=raw.wire_len, src_mac=zeros(u8), dst_mac=zeros(u8), vlan=stripped,
        ip_version=zeros(u1), src_hi=zeros(u8), src_lo=zeros(u8), dst_hi=zeros(u8), dst_lo=zeros(u8),
        proto=np.full(n, NO_PROTO, u2), ttl=zeros(u1), ip_id=zeros(u2), ip_flags=zeros(u1), src_port=zeros(u2),
        dst_port=zeros(u2), icmp_type=zeros(u1), icmp_code=zeros(u1), tcp_flags=zeros(u2), seq=zeros(u4),
        ack=zeros(u4), window=zeros(u2), l4_at=zeros(i8), payload_at=zeros(i8), payload_len=zeros(i4),
        payload_cap=zeros(i4), tunnel=zeros(u2), depth=zeros(u1), flaw=zeros(u4), duplicate=zeros(np.bool_),
        quoted=no_quotes(), outer=no_outer(),
    )  # fmt: skip


def no_quotes() -> Quoted:
    """Return the quotes of a batch that quotes nothing."""
    u8, u2 = np.zeros(0, np.uint64), np.zeros(0, np.uint16)
    return Quoted(np.zeros(0, np.int64), u8, u8, u8, u8, u2, u2, u2)


def no_outer() -> Outer:
    """Return the carriers of a batch in which no tunnel was opened."""
    u8 = np.zeros(0, np.uint64)
    return Outer(np.zeros(0, np.int64), u8, u8, u8, u8, np.zeros(0, np.uint16))
