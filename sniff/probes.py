"""Which packets are probes: they ask for a service, a host or a neighbour, and so make a contact."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from nettriage.model.batch import ARP, PacketBatch, TcpFlag
from nettriage.model.columns import I64, Rows, lengths
from nettriage.model.tables import ORIGINATOR, RESPONDER, U16, Opened
from sniff.contacts import ND_SOLICITATION, Attempts
from sniff.flow_key import ICMP, ICMP6, SCTP, TCP, UDP
from sniff.flow_packets import Bools
from sniff.flow_stage import FlowStage
from sniff.flows import FlowTable
from sniff.hosts import HostTable
from sniff.initiator import SCTP_INIT, SCTP_INIT_ACK

ARP_REQUEST, ARP_REPLY = 1, 2
ND_SOLICIT, ND_ADVERTISE = 135, 136
_SYN, _ACK, _RST, _FIN = (np.uint16(bit) for bit in (TcpFlag.SYN, TcpFlag.ACK, TcpFlag.RST, TcpFlag.FIN))
_NO_ADDRESS = np.uint64(0xFFFF_0000_0000)


def flow_probes(flows: FlowTable, stage: FlowStage) -> Rows:
    """Return positions of the packets that make a contact, ascending, at most one for each flow."""
    opening, asked = _opening(stage), stage.packets.asks()
    asked = asked[(stage.side_then[asked] == ORIGINATOR) & (flows.contact[stage.rows[asked]] < 0)]
    if not len(asked):
        return opening
    sides = stage.sides
    flow = np.arange(len(sides.flow)).repeat(lengths(sides.flow, len(sides.row)))[sides.lane]
    first = np.empty(len(sides.flow), np.intp)
    first[flow[asked][::-1]] = asked[::-1]
    first[flow[opening]] = -1
    asked = asked[first[flow[asked]] == asked]
    return np.sort(np.concatenate((opening, asked))) if len(opening) else asked


def _opening(stage: FlowStage) -> Rows:
    """Return the positions of the packets that begin a flow and make a contact; a plain SYN is told apart elsewhere.

    So do probes with odd flags, the first datagram, and an answer whose question was not seen. A bare ACK and
    data from the middle of a session do not.
    """
    packets, at = stage.packets, stage.found.new_first
    other = (~packets.pure_syn()[at]).nonzero()[0]
    if not len(other):
        return other
    at, by_source, opened = at[other], stage.opening.by_source[other], stage.opening.opened[other]
    proto, flags = packets.proto[at], packets.tcp_flags[at]
    odd = (flags & (_ACK | _RST)) == 0
    maimon = (flags == (_FIN | _ACK)) & by_source & (packets.payload_len[at] == 0)
    tcp = (proto == TCP) & (odd | maimon | (opened == Opened.SYN_ACK))
    udp = (proto == UDP) & by_source
    sctp = (proto == SCTP) & ((flags == SCTP_INIT) | (flags == SCTP_INIT_ACK))
    icmp = ((proto == ICMP) | (proto == ICMP6)) & (opened == Opened.SYN)
    return np.asarray(at[tcp | udp | sctp | icmp])


def from_flows(hosts: HostTable, stage: FlowStage, at: Rows) -> Attempts:
    """Return the attempts that the packets at positions `at` make.

    An answer without its question stands for the probe that its receiver must have sent.
    """
    packets = stage.packets
    answers = stage.side_then[at] == RESPONDER
    tcp, flags = packets.tcp[at], packets.tcp_flags[at]
    some = bool(answers.any())

    def asker(source: npt.NDArray[Any], target: npt.NDArray[Any]) -> npt.NDArray[Any]:
        return np.where(answers, target[at], source[at]) if some else source[at]

    def asked(source: npt.NDArray[Any], target: npt.NDArray[Any]) -> npt.NDArray[Any]:
        return np.where(answers, source[at], target[at]) if some else target[at]

    src, dst = asker(stage.src, stage.dst), asked(stage.src, stage.dst)
    return Attempts(
        row=packets.at[at],
        time_ns=packets.time_ns[at],
        src=src.astype(np.int32),
        dst=dst.astype(np.int32),
        src_key=hosts.key[src],
        dst_key=hosts.key[dst],
        src_hi=asker(packets.src_hi, packets.dst_hi),
        src_lo=asker(packets.src_lo, packets.dst_lo),
        dst_hi=asked(packets.src_hi, packets.dst_hi),
        dst_lo=asked(packets.src_lo, packets.dst_lo),
        proto=packets.proto[at],
        port=asked(packets.src_port, packets.dst_port),
        sport=asker(packets.src_port, packets.dst_port),
        flow=stage.rows[at].astype(np.int32),
        probe_flags=np.where(answers & tcp, _SYN, flags),
        probe_len=np.where(answers, 0, np.minimum(packets.payload_len[at], 0xFFFF)).astype(np.uint16),
        seq=np.where(answers, packets.ack[at] - np.uint32(1), packets.seq[at]),
        sure=~answers & ~(tcp & ((flags & _ACK) != 0)),
        asks=answers | ~tcp | ((flags & (_ACK | _RST)) == 0),
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
        asks=np.ones(len(row), np.bool_),
    )
