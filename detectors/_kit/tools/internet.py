"""masscan, ZMap, naabu and unicornscan: scanners that keep no state and so write it into their probes."""

from __future__ import annotations

import numpy as np

from detectors._kit.tools.fingerprint import Fingerprint, syn, words
from detectors._kit.tools.probes import ECHO, ICMP, TCP, Bools, Probes
from nettriage.model.columns import U64

_MSS = b"\x02\x04\x05\xb4"
_ZMAP_ID = 54321
_FAKE_SYSTEMS = frozenset({0x1000, 3072, 5840, 8192, 0x4000, 0x8000, 0xFFFF})
"""Windows of unicornscan: its default, and those of the systems that it can pretend to be (init_packet.c)."""
_WINDOWS_OPTIONS = b"\x02\x04\x05\xb4\x01\x03\x03\x08\x01\x01\x04\x02"


def _masscan(probes: Probes) -> Bools:
    cookie = probes.dst ^ probes.port ^ probes.seq
    return np.asarray((probes.proto == TCP) & ((cookie & np.uint32(0xFFFF)) == probes.ip_id))


def _masscan_echo(probes: Probes) -> Bools:
    return np.asarray((probes.proto == ICMP) & (probes.port == ECHO) & probes.starts(b"\x08\x09\x0a\x0b\x0c\x0d"))


def _zmap_old(probes: Probes) -> Bools:
    return np.asarray(syn(probes) & (probes.ip_id == _ZMAP_ID) & (probes.size <= 4))


def _zmap_new(probes: Probes) -> Bools:
    windows = (probes.size == 12) & probes.starts(_WINDOWS_OPTIONS)
    return np.asarray(syn(probes) & windows & ~probes.df & (probes.ttl <= 64))


def _naabu(probes: Probes) -> Bools:
    one_option = (probes.size == 4) & probes.starts(_MSS)
    return np.asarray(syn(probes) & one_option & (probes.ttl > 128))


def _unicornscan_key(probes: Probes) -> U64:
    port = probes.port.astype(np.uint32)
    return words(probes.seq ^ probes.dst ^ ((port << np.uint32(16)) + port))


def _sport(probes: Probes) -> U64:
    return words(probes.sport)


MASSCAN = Fingerprint(
    name="masscan", evidence="ip.id = (dst ^ dport ^ seq) & 0xffff (templ-pkt.c)", confidence=0.97, least=3,
    matches=_masscan,
)  # fmt: skip
MASSCAN_ECHO = Fingerprint(
    name="masscan (ping)", evidence="echo payload 08 09 0a 0b ...", confidence=0.8, least=2, matches=_masscan_echo
)
ZMAP_OLD = Fingerprint(
    name="ZMap (before 4.1)",
    evidence="ip.id 54321, window 65535",
    confidence=0.97,
    least=3,
    windows=frozenset({65_535}),
    matches=_zmap_old,
)
ZMAP_NEW = Fingerprint(
    name="ZMap (4.1 or later)", evidence="options of Windows (02 04 05 b4 01 03 03 08 01 01 04 02) without DF, TTL 64",
    confidence=0.85, least=4, windows=frozenset({65_535}), matches=_zmap_new,
)  # fmt: skip
NAABU = Fingerprint(
    name="naabu", evidence="TTL 255, window 1024, options 02 04 05 b4, one source port {value}", confidence=0.75,
    least=4, windows=frozenset({1024}), matches=_naabu, relation=_sport,
)  # fmt: skip
UNICORNSCAN = Fingerprint(
    name="unicornscan", evidence="seq ^ dst ^ (dport << 16 + dport) = {value:#010x} in every SYN", confidence=0.95,
    least=4, windows=_FAKE_SYSTEMS, matches=syn, relation=_unicornscan_key,
)  # fmt: skip
