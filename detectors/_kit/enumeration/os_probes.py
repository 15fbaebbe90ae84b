"""Packets that exist only to tell operating systems apart: the probes of nmap -O (osscan2.cc)."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from nettriage.model.batch import PacketBatch, TcpFlag
from nettriage.model.columns import Rows

READS = frozenset(
    {f"packets.{name}" for name in ("proto", "icmp_type", "icmp_code", "tcp_flags", "window", "payload_len", "ip_id",
                                    "duplicate", "flaw")}
)  # fmt: skip
_ICMP, _TCP, _UDP = 1, 6, 17
_ECHO = 8
_U1_BYTES, _U1_ID = 300, 0x1042
_IE_CODE = 9
_ECN = int(TcpFlag.SYN | TcpFlag.ECE | TcpFlag.CWR) | 0x800
_T3 = int(TcpFlag.SYN | TcpFlag.FIN | TcpFlag.PSH | TcpFlag.URG)
_T7 = int(TcpFlag.FIN | TcpFlag.PSH | TcpFlag.URG)
NAMES = ("", "IE: echo with code 9", "U1: 300 bytes with ip.id 0x1042", "ECN: SYN with reserved bit, window 3",
         "T3: SYN FIN PSH URG, window 256", "T7: FIN PSH URG, window 65535")  # fmt: skip
"""Names of the probes by number; 0 is none."""


def os_probes(packets: PacketBatch) -> tuple[Rows, npt.NDArray[np.uint8]]:
    """Return the rows of nmap's probes of the TCP/IP stack, and the number of each."""
    number = np.zeros(len(packets), np.uint8)
    number[(packets.icmp_code == _IE_CODE) & (packets.icmp_type == _ECHO) & (packets.proto == _ICMP)] = 1
    datagrams = np.flatnonzero(packets.payload_len == _U1_BYTES)
    number[datagrams[(packets.ip_id[datagrams] == _U1_ID) & (packets.proto[datagrams] == _UDP)]] = 2
    for at, (flags, window) in enumerate(((_ECN, 3), (_T3, 256), (_T7, 65_535)), 3):
        odd = np.flatnonzero(packets.tcp_flags == flags)
        number[odd[(packets.window[odd] == window) & (packets.proto[odd] == _TCP)]] = at
    rows = np.flatnonzero(number)
    if not len(rows):
        return rows, number[:0]
    rows = rows[~packets.duplicate[rows] & (packets.flaw[rows] == 0)]
    return rows, number[rows]
