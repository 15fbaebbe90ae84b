"""The packets of a batch that belong to flows, as the columns that flow state needs."""

from __future__ import annotations

from dataclasses import dataclass, field, fields

import numpy as np
import numpy.typing as npt

from nettriage.model.batch import PacketBatch, TcpFlag
from nettriage.model.columns import I32, I64, U64, Mixer, Rows
from nettriage.model.tables import U8, U16, U32
from sniff.flow_key import TCP, flow_keys

Bools = npt.NDArray[np.bool_]
_SYN, _ACK, _RST, _FIN = (np.uint16(bit) for bit in (TcpFlag.SYN, TcpFlag.ACK, TcpFlag.RST, TcpFlag.FIN))
_MARKS, _HANDSHAKE = _SYN | _RST | _FIN, _SYN | _ACK | _RST | _FIN


@dataclass(slots=True)
class FlowPackets:
    """Columns of the packets that belong to flows, in time order, one row each."""

    at: Rows
    """`intp [n]`, row of the batch."""
    time_ns: I64
    """`i8 [n]`, packet clock."""
    key: U64
    low: Bools
    src_hi: U64
    src_lo: U64
    dst_hi: U64
    dst_lo: U64
    src_port: U16
    dst_port: U16
    proto: U16
    tcp_flags: U16
    seq: U32
    ack: U32
    window: U16
    ttl: U8
    icmp_type: U8
    vlan: I32
    wire_len: I32
    payload_at: I64
    payload_len: I32
    payload_cap: I32
    tcp: Bools
    """Whether the packet is TCP."""
    control: U16 = field(init=False)
    """`u2 [n]`, the TCP flags; 0 where the packet is not TCP."""
    marks: Rows = field(init=False)
    """Positions of the packets with SYN, FIN or RST, ascending."""

    def __post_init__(self) -> None:
        self.control = self.tcp_flags * self.tcp
        self.marks = (self.control & _MARKS).nonzero()[0]

    def __len__(self) -> int:
        return len(self.at)

    def part(self, kept: Rows) -> FlowPackets:
        """Return some of the packets."""
        return FlowPackets(*(getattr(self, one.name)[kept] for one in fields(self) if one.init))

    def pure_syn(self) -> Bools:
        """Return `bool [n]`, whether a packet asks for a TCP connection: SYN without ACK, RST or FIN."""
        return np.asarray((self.control & _HANDSHAKE) == _SYN)

    def asks(self) -> Rows:
        """Return the positions of those packets."""
        return np.asarray(self.marks[(self.control[self.marks] & _HANDSHAKE) == _SYN])

    def has(self, bit: int | np.uint16) -> Bools:
        """Return `bool [n]`, whether a packet is TCP and carries any flag of `bit`."""
        return np.asarray((self.control & np.uint16(bit)) != 0)


def flow_packets(packets: PacketBatch, time_ns: I64, at: Rows, mixer: Mixer) -> FlowPackets:
    """Gather the rows `at` of a batch; without a copy where they are a run."""
    run = len(at) > 0 and int(at[-1]) - int(at[0]) == len(at) - 1
    rows = slice(int(at[0]), int(at[-1]) + 1) if run else at
    source = packets.src_hi[rows], packets.src_lo[rows], packets.src_port[rows]
    target = packets.dst_hi[rows], packets.dst_lo[rows], packets.dst_port[rows]
    proto = packets.proto[rows]
    keys = flow_keys(mixer, source, target, proto)
    return FlowPackets(
        at, time_ns[rows], keys.key, keys.low, source[0], source[1], target[0], target[1], source[2], target[2],
        proto, packets.tcp_flags[rows], packets.seq[rows], packets.ack[rows], packets.window[rows],
        packets.ttl[rows], packets.icmp_type[rows], packets.vlan[rows],
        packets.wire_len[rows], packets.payload_at[rows], packets.payload_len[rows], packets.payload_cap[rows],
        proto == TCP,
    )  # fmt: skip
