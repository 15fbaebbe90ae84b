"""Who opened a flow, judged by its first packet seen."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from nettriage.model.batch import TcpFlag
from nettriage.model.tables import Opened
from sniff.flow_key import ICMP, ICMP6, IS_REQUEST, SCTP, TCP, UDP
from sniff.well_known import TCP_SERVICE, UDP_SERVICE

Bools = npt.NDArray[np.bool_]
SCTP_INIT, SCTP_INIT_ACK, SCTP_ABORT = 1, 2, 6
"""Chunk types (RFC 9260 3.2)."""
_SYN, _ACK, _RST = int(TcpFlag.SYN), int(TcpFlag.ACK), int(TcpFlag.RST)


@dataclass(frozen=True, slots=True)
class FirstPackets:
    """The first packet seen of each new flow, as columns."""

    proto: npt.NDArray[np.uint16]
    src_port: npt.NDArray[np.uint16]
    dst_port: npt.NDArray[np.uint16]
    tcp_flags: npt.NDArray[np.uint16]
    seq: npt.NDArray[np.uint32]
    payload_len: npt.NDArray[np.int32]
    icmp_type: npt.NDArray[np.uint8]
    src_serves: Bools
    """Whether the source was seen to serve its port before."""
    dst_serves: Bools


@dataclass(frozen=True, slots=True)
class Initiators:
    """Judgement on each new flow."""

    by_source: Bools
    """Whether the source of the first packet is the originator."""
    opened: npt.NDArray[np.uint8]
    """`u1`, an `Opened`: how that is known."""


def judge(first: FirstPackets) -> Initiators:
    """Return who opened each flow: by handshake, else by service port, else by the lower port, else who speaks."""
    flags = first.tcp_flags
    by_source, opened = _by_ports(first)
    tcp = first.proto == TCP
    syn, ack, rst = (tcp & ((flags & np.uint16(bit)) != 0) for bit in (_SYN, _ACK, _RST))
    # A reset with sequence number 0 and an acknowledgement answers a segment without one: a SYN (RFC 9293 3.10.7.1).
    answer = (syn & ack) | (rst & ack & (first.seq == 0))
    ask = syn & ~ack
    odd = tcp & ~syn & ~ack & ~rst
    icmp = (first.proto == ICMP) | (first.proto == ICMP6)
    if icmp.any():
        request = icmp & IS_REQUEST[(first.proto == ICMP6).astype(np.intp), first.icmp_type]
        ask |= request
        answer |= icmp & ~request
    sctp = first.proto == SCTP
    if sctp.any():
        ask |= sctp & (flags == SCTP_INIT)
        answer |= sctp & (flags == SCTP_INIT_ACK)
    by_source = np.where(answer, False, by_source | ask | odd)
    opened[ask] = Opened.SYN
    opened[answer] = Opened.SYN_ACK
    opened[odd] = Opened.UNKNOWN
    return Initiators(by_source, opened)


def _by_ports(first: FirstPackets) -> tuple[Bools, npt.NDArray[np.uint8]]:
    """Judge by who serves: seen before, then customary, then the privileged port."""
    udp = first.proto == UDP
    src_known = np.where(udp, UDP_SERVICE[first.src_port], TCP_SERVICE[first.src_port])
    dst_known = np.where(udp, UDP_SERVICE[first.dst_port], TCP_SERVICE[first.dst_port])
    src_low, dst_low = first.src_port < 1024, first.dst_port < 1024
    seen = first.src_serves != first.dst_serves
    known = src_known != dst_known
    lower = src_low != dst_low
    by_source = np.where(seen, first.dst_serves, np.where(known, dst_known, ~lower | dst_low))
    opened = np.where(seen | known, Opened.SERVICE, np.where(lower, Opened.LOWER_PORT, Opened.UNKNOWN))
    # An empty datagram is a probe, whatever its source port: no service answers with nothing.
    by_source |= udp & (first.payload_len == 0)
    opened = np.where(udp & by_source, Opened.SYN, opened)
    return by_source, opened.astype(np.uint8)
