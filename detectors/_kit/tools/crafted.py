"""hping3, scapy and the Mirai family: packets crafted by hand or by a small raw-socket program."""

from __future__ import annotations

import numpy as np

from detectors._kit.tools.fingerprint import Fingerprint, syn
from detectors._kit.tools.probes import Bools, Probes


def _hping3(probes: Probes) -> Bools:
    return np.asarray(syn(probes) & (probes.size == 0) & (probes.ack != 0))


def _scapy(probes: Probes) -> Bools:
    return np.asarray(syn(probes) & (probes.size == 0) & (probes.seq == 0))


def _mirai(probes: Probes) -> Bools:
    return np.asarray(syn(probes) & (probes.size == 0) & (probes.seq == probes.dst))


HPING3 = Fingerprint(
    name="hping3", evidence="window 512, no options, acknowledgment number in a plain SYN (hping2.h, sendtcp.c)",
    confidence=0.9, least=3, windows=frozenset({512}), matches=_hping3,
)  # fmt: skip
SCAPY = Fingerprint(
    name="scapy",
    evidence="window 8192, sequence number 0, no options",
    confidence=0.8,
    least=3,
    windows=frozenset({8192}),
    matches=_scapy,
)
MIRAI = Fingerprint(
    name="Mirai-like", evidence="sequence number = destination address (scanner.c)", confidence=0.95, least=3,
    matches=_mirai,
)  # fmt: skip
