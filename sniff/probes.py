"""Which packets are probes: they ask for a service, a host or a neighbour, and so make a contact."""

from __future__ import annotations

import numpy as np

from nettriage.model.batch import ARP, PacketBatch, TcpFlag
from nettriage.model.columns import I64, Rows
from nettriage.model.tables import ORIGINATOR, RESPONDER, U8, U16, Opened
from sniff.contacts import ND_SOLICITATION, Attempts
from sniff.flow_key import ICMP, ICMP6, SCTP, TCP, UDP
from sniff.flow_packets import Bools, FlowPackets
from sniff.flows import FlowTable, Found
from sniff.hosts import HostTable
from sniff.initiator import SCTP_INIT, SCTP_INIT_ACK

ARP_REQUEST, ARP_REPLY = 1, 2
ND_SOLICIT, ND_ADVERTISE = 135, 136
_SYN, _ACK, _RST, _FIN = (np.uint16(bit) for bit in (TcpFlag.SYN, TcpFlag.ACK, TcpFlag.RST, TcpFlag.FIN))
_NO_ADDRESS = np.uint64(0xFFFF_0000_0000)


def flow_probes(flows: FlowTable, packets: FlowPackets, found: Found, side: U8) -> Rows:
    """Return positions of the packets that make a contact, ascending, at most one for each flow."""
    first = found.new_first
    opening = first[_opens(flows, packets, found)]
    asked = packets.pure_syn() & (side == ORIGINATOR)
    asked[opening] = False
    asked = np.flatnonzero(asked)
    asked = asked[flows.contact[found.rows[asked]] < 0]
    if len(asked):
        _, earliest = np.unique(found.rows[asked], return_index=True)
        asked = asked[earliest]
        asked = asked[~np.isin(found.rows[asked], found.rows[opening])]
    return np.sort(np.concatenate((opening, asked)))


def _opens(flows: FlowTable, packets: FlowPackets, found: Found) -> Bools:
    """Return, for each new flow, whether its first packet makes a contact (a plain SYN is told apart elsewhere).

    So do probes with odd flags, the first datagram, and an answer whose question was not seen. A bare ACK and
    data from the middle of a session do not.
    """
    at = found.new_first
    proto, flags = packets.proto[at], packets.tcp_flags[at]
    opened = flows.opened[found.new_rows]
    by_source = flows.low_opened[found.new_rows] == packets.low[at]
    odd = ((flags & (_ACK | _RST)) == 0) & ~packets.pure_syn()[at]
    maimon = (flags == (_FIN | _ACK)) & by_source & (packets.payload_len[at] == 0)
    tcp = (proto == TCP) & (odd | maimon | (opened == Opened.SYN_ACK))
    udp = (proto == UDP) & by_source
    sctp = (proto == SCTP) & ((flags == SCTP_INIT) | (flags == SCTP_INIT_ACK))
    icmp = ((proto == ICMP) | (proto == ICMP6)) & (opened == Opened.SYN)
    return np.asarray(tcp | udp | sctp | icmp)


def from_flows(flows: FlowTable, packets: FlowPackets, rows: Rows, side: U8, at: Rows) -> Attempts:
    """Return the attempts that the packets at positions `at` make, by the originators of their flows."""
    row = rows[at]
    swap = side[at] == RESPONDER
    flags = np.where(packets.tcp[at], np.where(swap, _SYN, packets.tcp_flags[at]), packets.tcp_flags[at])
    return Attempts(
        row=packets.at[at],
        time_ns=packets.time_ns[at],
        src=flows.host[row, ORIGINATOR],
        dst=flows.host[row, RESPONDER],
        src_key=flows.host_key[row, ORIGINATOR],
        dst_key=flows.host_key[row, RESPONDER],
        src_hi=np.where(swap, packets.dst_hi[at], packets.src_hi[at]),
        src_lo=np.where(swap, packets.dst_lo[at], packets.src_lo[at]),
        dst_hi=np.where(swap, packets.src_hi[at], packets.dst_hi[at]),
        dst_lo=np.where(swap, packets.src_lo[at], packets.dst_lo[at]),
        proto=packets.proto[at],
        port=flows.port[row, RESPONDER],
        sport=flows.port[row, ORIGINATOR],
        flow=row.astype(np.int32),
        probe_flags=flags.astype(np.uint16),
        probe_len=np.where(swap, 0, np.minimum(packets.payload_len[at], 0xFFFF)).astype(np.uint16),
        seq=np.where(swap, packets.ack[at] - np.uint32(1), packets.seq[at]),
        sure=(flows.opened[row] == Opened.SYN) | ((packets.tcp_flags[at] & _ACK) == 0) & packets.tcp[at],
    )


def neighbour_rows(packets: PacketBatch, sound: Bools, kind: tuple[int, int]) -> tuple[Rows, Rows]:
    """Return rows of ARP packets of opcode `kind[0]`, and indices into `packets.quoted` of ND type `kind[1]`."""
    arp = np.flatnonzero(sound & (packets.proto == ARP) & (packets.icmp_type == kind[0]))
    quoted = packets.quoted.row
    nd = np.flatnonzero(
        sound[quoted] & (packets.proto[quoted] == ICMP6) & (packets.icmp_type[quoted] == kind[1])
    )  # fmt: skip
    return arp, nd


def from_neighbours(packets: PacketBatch, time_ns: I64, hosts: HostTable, sound: Bools) -> Attempts:
    """Return the attempts that ARP requests and neighbour solicitations make.

    Not gratuitous ones (RFC 5227 3), and not address probes, whose sender is unspecified (RFC 5227 2.1.1,
    RFC 4862 5.4.2).
    """
    arp, nd = neighbour_rows(packets, sound, (ARP_REQUEST, ND_SOLICIT))
    quoted = packets.quoted
    row = np.concatenate((arp, quoted.row[nd]))
    src_hi, src_lo = packets.src_hi[row], packets.src_lo[row]
    dst_hi = np.concatenate((packets.dst_hi[arp], quoted.dst_hi[nd]))
    dst_lo = np.concatenate((packets.dst_lo[arp], quoted.dst_lo[nd]))
    nobody = (src_hi == 0) & ((src_lo == _NO_ADDRESS) | (src_lo == 0))
    asks = ~nobody & ~((src_hi == dst_hi) & (src_lo == dst_lo))
    kept = np.flatnonzero(asks)[np.argsort(row[asks], kind="stable")]
    row, proto = row[kept], packets.proto[row[kept]]
    ends = src_hi[kept], src_lo[kept], dst_hi[kept], dst_lo[kept]
    src_key, dst_key = hosts.keys(*ends[:2]), hosts.keys(*ends[2:])
    none: U16 = np.zeros(len(row), np.uint16)
    return Attempts(
        row=row,
        time_ns=time_ns[row],
        src=hosts.locate(src_key, *ends[:2], time_ns[row]).astype(np.int32),
        dst=hosts.locate(dst_key, *ends[2:], time_ns[row]).astype(np.int32),
        src_key=src_key,
        dst_key=dst_key,
        src_hi=ends[0],
        src_lo=ends[1],
        dst_hi=ends[2],
        dst_lo=ends[3],
        proto=proto,
        port=np.where(proto == ARP, 0, ND_SOLICITATION).astype(np.uint16),
        sport=none,
        flow=np.full(len(row), -1, np.int32),
        probe_flags=none,
        probe_len=none,
        seq=none.astype(np.uint32),
        sure=np.ones(len(row), np.bool_),
    )
