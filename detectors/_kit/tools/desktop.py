"""Angry IP Scanner, fscan, nbtscan and netdiscover: discovery tools of the desk and of intruders."""

from __future__ import annotations

import numpy as np

from detectors._kit.tools.fingerprint import Fingerprint, syn
from detectors._kit.tools.probes import ECHO, ICMP, NETBIOS_NAME, UDP, Bools, Probes
from nettriage.model.batch import ARP

_ZEROS = bytes(32)
_WILDCARD = b"CKAAAA"
"""First-level encoding of the name ``*`` (RFC 1002 4.2.18)."""
_NAME_AT = 13
_TARGET_MAC_AT = 18


def _zero_echo(probes: Probes) -> Bools:
    echo = (probes.proto == ICMP) & (probes.port == ECHO)
    return np.asarray(echo & (probes.size == len(_ZEROS)) & probes.starts(_ZEROS))


def _angry_echo(probes: Probes) -> Bools:
    return np.asarray(_zero_echo(probes) & (probes.ttl > 64))


def _fscan(probes: Probes) -> Bools:
    octet = probes.dst >> np.uint32(24)
    tens = octet // np.where(octet >= 100, 100, np.where(octet >= 10, 10, 1)) % 10
    ones = np.where(octet >= 100, octet // 10 % 10, octet % 10)
    second = np.where(octet >= 10, ones + ord("0"), ord("."))
    return np.asarray(_zero_echo(probes) & (probes.sport == ((tens + ord("0")) << 8 | second)) & (probes.seq == 1))


def _status_query(probes: Probes, flags: bytes) -> Bools:
    asks = (probes.proto == UDP) & (probes.port == NETBIOS_NAME) & probes.starts(_WILDCARD, _NAME_AT)
    return np.asarray(asks & probes.starts(flags, 2))


def _nbtscan(probes: Probes) -> Bools:
    return _status_query(probes, b"\x00\x10")


def _angry_names(probes: Probes) -> Bools:
    return np.asarray(_status_query(probes, b"\x00\x00") & (probes.sport == NETBIOS_NAME))


def _netdiscover(probes: Probes) -> Bools:
    return np.asarray((probes.proto == ARP) & probes.starts(b"\xff" * 6, _TARGET_MAC_AT))


ANGRY_CONNECT = Fingerprint(
    name="Angry IP Scanner", evidence="SYN with receive window 32 (ScannerConfig.java)", confidence=0.9, least=3,
    windows=frozenset({32}), matches=syn,
)  # fmt: skip
ANGRY_ECHO = Fingerprint(
    name="Angry IP Scanner", evidence="echo requests of 32 zero bytes, TTL 255 or 128", confidence=0.7, least=3,
    matches=_angry_echo,
)  # fmt: skip
ANGRY_NAMES = Fingerprint(
    name="Angry IP Scanner", evidence="NetBIOS status queries without flags from port 137", confidence=0.7, least=3,
    matches=_angry_names,
)  # fmt: skip
FSCAN = Fingerprint(
    name="fscan", evidence="echo of 32 zero bytes, identifier = first two characters of the target (icmp.go)",
    confidence=0.95, least=2, matches=_fscan,
)  # fmt: skip
NBTSCAN = Fingerprint(
    name="nbtscan", evidence="NetBIOS status queries with flags 00 10 to single hosts (statusq.c)", confidence=0.85,
    least=3, matches=_nbtscan,
)  # fmt: skip
NETDISCOVER = Fingerprint(
    name="netdiscover", evidence="ARP requests with target MAC ff:ff:ff:ff:ff:ff", confidence=0.9, least=3,
    matches=_netdiscover,
)  # fmt: skip
