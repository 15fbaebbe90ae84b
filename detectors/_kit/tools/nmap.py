"""nmap: raw probes built by tcpip.cc and scan_engine_raw.cc, its pings, and the order of its connect scan."""

from __future__ import annotations

import numpy as np

from detectors._kit.tools.fingerprint import Fingerprint, syn, words
from detectors._kit.tools.probes import ECHO, ICMP, NETBIOS_NAME, TCP, UDP, Bools, Probes
from nettriage.model.alert import Tool
from nettriage.model.batch import TcpFlag
from nettriage.model.columns import U64
from nettriage.model.safetext import safe

POPULAR_FIRST = frozenset(
    {80, 23, 443, 21, 22, 25, 3389, 110, 445, 139, 143, 53, 135, 3306, 8080, 1723, 111, 995, 993, 5900, 1025, 587,
     8888, 199, 1720, 113, 554, 256}
)  # fmt: skip
"""Ports that random_port_cheat() of portlist.cc moves to the front of the shuffled list."""
_FIRST, _BEHIND = 10, 8
_RETRY = np.uint32(0x0001_0001)


def _raw(probes: Probes) -> Bools:
    bare = np.where(syn(probes), (probes.size == 4) & probes.starts(b"\x02\x04\x05\xb4"), probes.size == 0)
    return np.asarray((probes.proto == TCP) & bare & ~probes.df)


def _sequence(probes: Probes) -> U64:
    """Return the number that every probe of a run carries: a retry differs in the lowest bit of both halves."""
    number = np.where(probes.flags == TcpFlag.ACK, probes.ack, probes.seq)
    return words(np.minimum(number, number ^ _RETRY))


def _empty_echo(probes: Probes) -> Bools:
    return np.asarray((probes.proto == ICMP) & (probes.port == ECHO) & (probes.size == 0) & (probes.ttl <= 64))


def _node_status(probes: Probes) -> Bools:
    return np.asarray((probes.proto == UDP) & (probes.port == NETBIOS_NAME) & probes.starts(b"\x80\xf0"))


RAW = Fingerprint(
    name="nmap (raw TCP)",
    evidence="window 1024, options 02 04 05 b4 only, no DF, sequence number {value:#010x} kept over all targets",
    confidence=0.95, least=4, windows=frozenset({1024, 2048, 3072, 4096}), matches=_raw, relation=_sequence,
)  # fmt: skip
PING = Fingerprint(
    name="nmap (ping)", evidence="echo requests without payload", confidence=0.6, least=4, matches=_empty_echo
)
NODE_STATUS = Fingerprint(
    name="nmap (UDP probe)", evidence="NetBIOS transaction 80 f0", confidence=0.9, least=1, matches=_node_status
)


def connect_order(ports: list[int]) -> Tool | None:
    """Return nmap where the distinct ports, in the order of their first probes, are its popular ones first."""
    behind = sum(1 for port in ports[_FIRST:] if port not in POPULAR_FIRST)
    if len(ports) < _FIRST + _BEHIND or behind < _BEHIND or not POPULAR_FIRST.issuperset(ports[:_FIRST]):
        return None
    first = ", ".join(map(str, ports[:_FIRST]))
    return Tool(name="nmap (port order)", confidence=0.8, evidence=safe(f"popular ports before all others: {first}"))
