"""Ways to change a capture of which the answer is known: what stays true of the changed one is stated in the tests."""

from __future__ import annotations

import asyncio
import random
import struct
from pathlib import Path

import numpy as np

from detectors._kit import forge
from nettriage.model.detector import Frames
from sniff.capture_file import FileSource
from sniff.decode import decode
from sniff.source import SourceOptions
from tests.detectors.driver import raw_batch

MS = 1_000_000
_ERRORS = ((1, 3), (1, 11), (58, 1), (58, 3))
"""ICMP types (protocol, type) that hosts and routers send back about a packet of somebody else."""
_VTEPS, _VXLAN_PORT, _VNI = ("192.0.2.1", "192.0.2.2"), 4789, 77


def frames_of(path: Path) -> Frames:
    """Return the frames of an Ethernet capture."""

    async def read() -> Frames:
        return [
            (int(batch.ts_ns[row]), batch.packet(row))
            async for batch in FileSource(str(path), SourceOptions()).batches()
            for row in range(len(batch))
        ]

    return asyncio.run(read())


def doubled(frames: Frames) -> Frames:
    """Every packet comes twice, 20 µs apart, as from a mirror of both directions of a port."""
    return ordered([item for ts, frame in frames for item in ((ts, frame), (ts + 20_000, frame))])


def thinned(frames: Frames, share: float = 0.2) -> Frames:
    """A share of the packets is lost, always the same ones."""
    chance = random.Random(20)
    return [item for item in frames if chance.random() >= share]


def beheaded(frames: Frames) -> Frames:
    """The first third of the packets is missing, as when the capture begins too late."""
    return frames[len(frames) // 3 :]


def one_side(frames: Frames, *, client: bool) -> Frames:
    """Only what clients sent is seen, or only what servers sent: the mirror shows one direction."""
    return [item for item, by_client in zip(frames, _by_client(frames), strict=True) if by_client == client]


def tagged(frames: Frames) -> Frames:
    """Every frame carries a VLAN tag."""
    return [(ts, frame[:12] + struct.pack(">HH", 0x8100, 42) + frame[12:]) for ts, frame in frames]


def tunnelled(frames: Frames) -> Frames:
    """Every frame comes inside VXLAN (RFC 7348), as from a mirror session of a cloud."""
    header = struct.pack(">II", 0x0800_0000, _VNI << 8)
    return [(ts, forge.udp(_VTEPS[0], 50_000, _VTEPS[1], _VXLAN_PORT, header + frame)) for ts, frame in frames]


def scaled(frames: Frames, factor: float) -> Frames:
    """Time runs slower (`factor` above 1) or faster."""
    start = frames[0][0]
    return [(start + round((ts - start) * factor), frame) for ts, frame in frames]


def shuffled(frames: Frames, within_ns: int = 10 * MS) -> Frames:
    """Every packet comes up to `within_ns` late, with the time at which it came: packets overtake one another."""
    chance = random.Random(8)
    return ordered([(ts + chance.randrange(within_ns), frame) for ts, frame in frames])


def interleaved(one: Frames, other: Frames) -> Frames:
    """Two captures run at the same time, from the start of the first on."""
    shift = one[0][0] - other[0][0]
    return ordered([*one, *((ts + shift, frame) for ts, frame in other)])


def ordered(frames: Frames) -> Frames:
    """Return frames by time; those of one moment in the order in which they were given."""
    return sorted(frames, key=lambda item: item[0])


def _by_client(frames: Frames) -> list[bool]:
    """Return of each frame whether the side that spoke first sent it; errors come from the other side."""
    packets = decode(raw_batch(frames))
    first: dict[object, tuple[int, int]] = {}
    told = []
    for row in range(len(packets)):
        proto, source = int(packets.proto[row]), (int(packets.src_hi[row]), int(packets.src_lo[row]))
        if (proto, int(packets.icmp_type[row])) in _ERRORS:
            told.append(False)
            continue
        ports = (int(packets.src_port[row]), int(packets.dst_port[row])) if proto in (6, 17, 132) else (0, 0)
        ends = ((*source, ports[0]), (int(packets.dst_hi[row]), int(packets.dst_lo[row]), ports[1]))
        told.append(first.setdefault((proto, frozenset(ends)), source) == source)
    return told


def span_s(frames: Frames) -> float:
    """Return how long the frames last."""
    times = np.array([ts for ts, _ in frames])
    return float(times.max() - times.min()) / 1e9
