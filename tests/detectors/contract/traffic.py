"""Traffic that the contract suite puts every detector through: floods, wreckage and extremes, as raw batches."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from detectors._kit import forge
from nettriage.model.batch import HEAD_WIDTH, RawBatch
from tests.detectors.driver import ETHERNET, raw_batch

BATCH_ROWS = 16_384
_SRC_AT, _SPORT_AT, _DST_LOW_AT, _DPORT_AT = 26, 34, 33, 36
"""Offsets into an untagged Ethernet frame with IPv4."""


def flood(packets: int, *, seed: int = 1, pps: int = 200_000) -> Iterator[RawBatch]:
    """Yield SYNs and datagrams from random addresses and ports to a /24, some of them answered with a reset."""
    kinds = (
        forge.tcp("198.51.100.1", 1, "10.0.1.9", 80, forge.SYN, options=forge.MSS_OPTION, payload=b"\0" * 12),
        forge.udp("198.51.100.1", 1, "10.0.1.9", 53, b"\0" * 28),
        forge.tcp("198.51.100.1", 1, "10.0.1.9", 80, forge.RST | forge.ACK, payload=b"\0" * 16),
    )
    assert len({len(frame) for frame in kinds}) == 1
    templates = np.frombuffer(b"".join(kinds), np.uint8).reshape(len(kinds), -1)
    random = np.random.default_rng(seed)
    for start in range(0, packets, BATCH_ROWS):
        rows = min(BATCH_ROWS, packets - start)
        frames = templates[random.choice(len(kinds), rows, p=(0.7, 0.2, 0.1))]
        for at, width in ((_SRC_AT, 4), (_SPORT_AT, 2), (_DST_LOW_AT, 1), (_DPORT_AT, 2)):
            frames[:, at : at + width] = random.integers(0, 256, (rows, width), np.uint8)
        ts_ns = forge.START_NS + (start + np.arange(rows)) * (1_000_000_000 // pps)
        yield _matrix(frames, ts_ns)


def flawed(packets: int = 500, *, seed: int = 2) -> RawBatch:
    """Return frames of random bytes, and frames cut short at every length."""
    random = np.random.default_rng(seed)
    whole = forge.tcp("10.0.0.1", 1, "10.0.0.2", 80, forge.SYN, options=forge.MSS_OPTION)
    cut = [whole[:length] for length in range(len(whole))]
    noise = [random.integers(0, 256, random.integers(1, 120), np.uint8).tobytes() for _ in range(packets)]
    return raw_batch([(forge.START_NS + at * 1000, frame) for at, frame in enumerate(cut + noise)])


def extremes() -> RawBatch:
    """Return frames whose every field stands at its largest or smallest value."""
    frames = []
    for addr in ("255.255.255.255", "0.0.0.0", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "::"):
        for port in (0, 65_535):
            frames.append(
                forge.tcp(addr, port, addr, port, 0xFF, seq=0xFFFFFFFF, ack=0xFFFFFFFF, window=65_535, ttl=255)
            )
            frames.append(forge.tcp(addr, port, addr, port, 0, window=0, ttl=0))
            frames.append(forge.udp(addr, port, addr, port, b"\xff" * 1400, ttl=255))
        frames.append(forge.icmp_echo(addr, addr, 0xFFFF, 0xFFFF, b"\xff" * 1400))
    frames.append(forge.arp("255.255.255.255", "0.0.0.0", reply=True))
    return raw_batch([(forge.START_NS + at, frame) for at, frame in enumerate(frames)])


def nothing() -> RawBatch:
    """Return a batch without rows."""
    return _matrix(np.zeros((0, 60), np.uint8), np.zeros(0, np.int64))


def _matrix(frames: np.ndarray, ts_ns: np.ndarray) -> RawBatch:
    rows, width = frames.shape
    lengths = np.full(rows, width, np.int32)
    data = np.concatenate((frames.reshape(-1), np.zeros(HEAD_WIDTH, np.uint8)))
    return RawBatch(ETHERNET, ts_ns, np.arange(rows, dtype=np.int64) * width, lengths, lengths.copy(), data)
