"""Packets as columns: what a source delivers and what the decoder makes of it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields
from enum import IntFlag
from typing import Any

import numpy as np
import numpy.typing as npt

HEAD_WIDTH = 128
"""Bytes gathered of every packet for decoding; `RawBatch.data` is readable this far beyond any offset."""
BATCH_ROWS_MAX = 16_384
"""Rows of the largest batch: measured best, larger ones leave the cache."""

ARP = 0x0806
"""Value of `PacketBatch.proto` for ARP, which has no IP protocol number."""
NO_PROTO = 0xFFFF
"""Value of `PacketBatch.proto` where there is neither IP nor ARP."""
NO_VLAN = -1
"""Value of `vlan` for an untagged frame."""
V4_PREFIX = 0xFFFF_0000_0000
"""Low word of an IPv4 address as columns: ``::ffff:a.b.c.d`` (RFC 4291 2.5.5.2); the high word is 0."""


class IpFlag(IntFlag):
    """Bits of the `ip_flags` column."""

    DF = 1
    """Don't fragment is set."""
    FIRST_FRAGMENT = 2
    """The first fragment of a longer datagram."""
    LATER_FRAGMENT = 4
    """A fragment without the transport header: ports are 0."""
    TINY_FRAGMENT = 8
    """A first fragment too short for a whole transport header."""


class TcpFlag(IntFlag):
    """Bits of the `tcp_flags` column (RFC 9293 3.1, RFC 9768 for AE)."""

    FIN = 0x01
    SYN = 0x02
    RST = 0x04
    PSH = 0x08
    ACK = 0x10
    URG = 0x20
    ECE = 0x40
    CWR = 0x80
    AE = 0x100
    RESERVED = 0xE00


class Flaw(IntFlag):
    """Bits of the `flaw` column: what is wrong with a packet. A flawed packet keeps the layers before the flaw."""

    TRUNCATED_LINK = 1
    """The link header is not whole."""
    TRUNCATED_IP = 2
    """The IP header, its options or its extension headers are not whole."""
    TRUNCATED_L4 = 4
    """The transport header is not whole although the datagram promises it."""
    BAD_IP_HEADER = 8
    """Wrong version, header length below 20, or total length below the header."""
    BAD_L4_HEADER = 16
    """TCP data offset below 5 or beyond the datagram, UDP length below 8, bad ARP sizes."""
    TOO_DEEP = 32
    """More than four tunnels, eight tags or eight extension headers: the rest was left alone."""
    UNKNOWN_LINK = 64
    """A link type or protocol that is not decoded."""
    BAD_CLOCK = 128
    """The timestamp lies outside of what the packet clock may do."""


class Tunnel(IntFlag):
    """Bits of the `tunnel` column: what had to be opened to reach the innermost packet."""

    GRE = 1
    ERSPAN = 2
    VXLAN = 4
    GENEVE = 8
    IPIP = 16
    SIXINFOUR = 32
    GTPU = 64
    TEREDO = 128
    MPLS = 256
    PPPOE = 512


@dataclass(slots=True)
class RawBatch:
    """Undecoded packets of one link type, in capture order."""

    link_type: int
    """LINKTYPE_ number (tcpdump.org/linktypes.html)."""
    ts_ns: npt.NDArray[np.int64]
    """`i8 [n]`, ns since the epoch."""
    offset: npt.NDArray[np.int64]
    """`i8 [n]`, where each packet starts in `data`."""
    cap_len: npt.NDArray[np.int32]
    """`i4 [n]`, bytes captured."""
    wire_len: npt.NDArray[np.int32]
    """`i4 [n]`, bytes on the wire, at least `cap_len`."""
    data: npt.NDArray[np.uint8]
    """`u1 [m]`, the bytes; readable at least `HEAD_WIDTH` beyond every offset."""
    vlan: npt.NDArray[np.int32] | None = None
    """`i4 [n]`, VLAN id that the kernel stripped, `NO_VLAN` where none; None if the source strips none."""
    stable: bool = True
    """Whether `data` stays valid after the batch was pushed (a mapped file does, a ring does not)."""

    def __len__(self) -> int:
        return len(self.ts_ns)

    def rows(self, part: slice) -> RawBatch:
        """Return a batch of some rows that shares the bytes."""
        return RawBatch(
            self.link_type,
            self.ts_ns[part],
            self.offset[part],
            self.cap_len[part],
            self.wire_len[part],
            self.data,
            None if self.vlan is None else self.vlan[part],
            self.stable,
        )

    def packet(self, row: int) -> bytes:
        """Return the captured bytes of one packet."""
        start = int(self.offset[row])
        return self.data[start : start + int(self.cap_len[row])].tobytes()


@dataclass(slots=True)
class Quoted:
    """Addresses that a packet carries inside: the datagram an ICMP error quotes, or the target of an ND message.

    Sparse: one row for each such packet, not for every packet.
    """

    row: npt.NDArray[np.int64]
    """`i8 [k]`, row of the batch, ascending."""
    src_hi: npt.NDArray[np.uint64]
    src_lo: npt.NDArray[np.uint64]
    dst_hi: npt.NDArray[np.uint64]
    """For a neighbour solicitation or advertisement: the target (RFC 4861 4.3); `src_*` is then the sender."""
    dst_lo: npt.NDArray[np.uint64]
    proto: npt.NDArray[np.uint16]
    src_port: npt.NDArray[np.uint16]
    """For a quoted echo request the identifier, as in `PacketBatch.src_port`."""
    dst_port: npt.NDArray[np.uint16]


@dataclass(slots=True)
class Outer:
    """Endpoints of the tunnels that were opened: who carried what `PacketBatch` describes.

    Sparse: one row for each tunnel around a packet, so a packet in two tunnels has two rows.
    """

    row: npt.NDArray[np.int64]
    """`i8 [k]`, row of the batch, ascending; of one packet the outermost tunnel first."""
    src_hi: npt.NDArray[np.uint64]
    src_lo: npt.NDArray[np.uint64]
    dst_hi: npt.NDArray[np.uint64]
    dst_lo: npt.NDArray[np.uint64]
    tunnel: npt.NDArray[np.uint16]
    """`u2 [k]`, bits of `Tunnel` of this one tunnel (MPLS inside GRE is one, and has both)."""


@dataclass(slots=True)
class PacketBatch:
    """Decoded packets, one row each, of the innermost IP (or ARP) layer.

    All columns have the length of the batch. What a packet does not have is 0 unless said otherwise.
    """

    raw: RawBatch
    ts_ns: npt.NDArray[np.int64]
    """`i8`, ns since the epoch."""
    wire_len: npt.NDArray[np.int32]
    """`i4`, bytes on the wire, outermost frame."""
    src_mac: npt.NDArray[np.uint64]
    """`u8`, 48 bits of the outermost Ethernet (or cooked) source address; where a whole Ethernet frame was
    carried (ERSPAN, VXLAN, GENEVE, bridged GRE, MPLS pseudowire), of that frame: so a mirror that arrives
    encapsulated reads like the mirrored link."""
    dst_mac: npt.NDArray[np.uint64]
    vlan: npt.NDArray[np.int32]
    """`i4`, innermost VLAN id of the same frame, `NO_VLAN` where untagged; id 0 is a priority, not a tag."""
    ip_version: npt.NDArray[np.uint8]
    """`u1`, 4, 6, or 0."""
    src_hi: npt.NDArray[np.uint64]
    """`u8`, high 64 bits of the source address; 0 for IPv4. For ARP the sender."""
    src_lo: npt.NDArray[np.uint64]
    """`u8`, low 64 bits; IPv4 is `V4_PREFIX` | address."""
    dst_hi: npt.NDArray[np.uint64]
    """`u8`, as `src_hi`. For ARP the target."""
    dst_lo: npt.NDArray[np.uint64]
    proto: npt.NDArray[np.uint16]
    """`u2`, IP protocol number after extension headers, `ARP`, or `NO_PROTO`."""
    ttl: npt.NDArray[np.uint8]
    """`u1`, TTL or hop limit."""
    ip_id: npt.NDArray[np.uint16]
    """`u2`, IPv4 identification."""
    ip_flags: npt.NDArray[np.uint8]
    """`u1`, bits of `IpFlag`."""
    src_port: npt.NDArray[np.uint16]
    """`u2`, TCP, UDP or SCTP port. Echo-like ICMP (echo, timestamp, mask) is given ports so that request and
    reply are one flow: the asker has the identifier, the asked has ``request type << 8``."""
    dst_port: npt.NDArray[np.uint16]
    icmp_type: npt.NDArray[np.uint8]
    """`u1`, ICMP or ICMPv6 type; for ARP the opcode."""
    icmp_code: npt.NDArray[np.uint8]
    tcp_flags: npt.NDArray[np.uint16]
    """`u2`, bits of `TcpFlag`; for SCTP the type of the first chunk."""
    seq: npt.NDArray[np.uint32]
    """`u4`, TCP sequence number; for echo-like ICMP its sequence number; for SCTP the verification tag."""
    ack: npt.NDArray[np.uint32]
    window: npt.NDArray[np.uint16]
    """`u2`, TCP window, unscaled."""
    l4_at: npt.NDArray[np.int64]
    """`i8`, absolute offset of the transport header in `raw.data`; 0 where none."""
    payload_at: npt.NDArray[np.int64]
    """`i8`, absolute offset of the transport payload in `raw.data`, also of an empty one; 0 where there is no
    whole transport header. A protocol that is not decoded (ESP, OSPF) is payload from its first byte."""
    payload_len: npt.NDArray[np.int32]
    """`i4`, transport payload bytes on the wire, from the IP length (so Ethernet padding never counts); for UDP
    its own length where that is less."""
    payload_cap: npt.NDArray[np.int32]
    """`i4`, those of them that were captured."""
    tunnel: npt.NDArray[np.uint16]
    """`u2`, bits of `Tunnel`."""
    depth: npt.NDArray[np.uint8]
    """`u1`, tunnels opened."""
    flaw: npt.NDArray[np.uint32]
    """`u4`, bits of `Flaw`; 0 for a sound packet."""
    duplicate: npt.NDArray[np.bool_]
    """Whether the mirror delivered this packet before; state and detectors skip such rows."""
    quoted: Quoted
    outer: Outer

    def __len__(self) -> int:
        return len(self.ts_ns)

    def columns(self) -> Iterator[tuple[str, npt.NDArray[Any]]]:
        """Yield name and array of every column."""
        for field in fields(self):
            value = getattr(self, field.name)
            if isinstance(value, np.ndarray):
                yield field.name, value
