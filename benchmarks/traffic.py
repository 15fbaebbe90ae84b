"""Generated captures to measure on: the same bytes on every machine, made once and kept in a cache folder."""

from __future__ import annotations

import random
import struct
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from detectors._kit.forge import MS, START_NS, Scene, dns_query, dns_reply, icmp_echo
from nettriage.model.detector import Frames

CACHE = Path(__file__).parent / ".cache"
_CLIENTS = [f"10.{net}.{host // 250}.{host % 250 + 1}" for net in (1, 2) for host in range(1000)]
_SERVERS = [f"10.9.{net}.{host + 1}" for net in range(2) for host in range(100)]
_FILE_HEADER = struct.pack("<IHHiIII", 0xA1B23C4D, 2, 4, 0, 0, 65_535, 1)
_RECORD = struct.Struct("<IIII")


def capture(name: str, packets: int) -> Path:
    """Return the file of the capture `name` with about `packets` packets, making it if it is not there."""
    path = CACHE / f"{name}-{packets}.pcap"
    if not path.exists():
        CACHE.mkdir(exist_ok=True)
        part = path.with_suffix(".part")
        MAKERS[name](part, packets)
        part.rename(path)
    return path


def make_mixed(path: Path, packets: int) -> None:
    """Write complete TCP sessions with payload, DNS and pings, overlapping in time, at 100,000 packets a second."""
    rng = random.Random(7)
    frames: Frames = []
    while len(frames) < packets:
        start_ns = START_NS + rng.randrange(max(packets // 100, 1)) * MS
        scene = Scene(now_ns=start_ns, step_ns=rng.randrange(20, 400) * 1000)
        _PARTS[rng.choices(range(len(_PARTS)), _WEIGHTS)[0]](scene, rng)
        frames += scene.items
    _write(path, sorted(frames))


def make_flood(path: Path, packets: int) -> None:
    """Write a flood of SYNs from random sources to one server, 200,000 a second."""
    rng = np.random.default_rng(7)
    frame = np.frombuffer(Scene().syn("1.2.3.4", "10.9.0.1", 80).items[0][1], np.uint8)
    table = np.zeros((packets, 16 + len(frame)), np.uint8)
    ts_ns = START_NS + np.arange(packets, dtype=np.int64) * 5_000
    lengths = np.full(packets, len(frame))
    stamps = np.stack([ts_ns // 10**9, ts_ns % 10**9, lengths, lengths], axis=1)
    table[:, :16] = stamps.astype("<u4").view(np.uint8)
    table[:, 16:] = frame
    table[:, 16 + 26 : 16 + 30] = rng.integers(1, 255, (packets, 4))
    table[:, 16 + 34 : 16 + 36] = rng.integers(1, 255, (packets, 2))
    table[:, 16 + 18 : 16 + 20] = rng.integers(0, 255, (packets, 2))
    path.write_bytes(_FILE_HEADER + table.tobytes())


def _web(scene: Scene, rng: random.Random) -> None:
    size = rng.choice((300, 900, 1_448, 2_896, 5_792))
    ask = b"GET /" + rng.randbytes(40).hex().encode() + b" HTTP/1.1\r\nHost: intra.example\r\n\r\n"
    answer = b"HTTP/1.1 200 OK\r\n\r\n" + rng.randbytes(size)
    scene.session(rng.choice(_CLIENTS), rng.choice(_SERVERS), rng.choice((80, 443, 8080)), [(0, ask), (1, answer)],
                  sport=rng.randrange(32_768, 61_000), isn=(rng.getrandbits(31), rng.getrandbits(31)))  # fmt: skip


def _query(scene: Scene, rng: random.Random) -> None:
    ask = dns_query(f"host{rng.randrange(5_000)}.example.test", txid=rng.getrandbits(16))
    scene.query(rng.choice(_CLIENTS), rng.choice(_SERVERS[:2]), 53, ask, dns_reply(ask))


def _ping(scene: Scene, rng: random.Random) -> None:
    src, dst, ident = rng.choice(_CLIENTS[:50]), rng.choice(_SERVERS), rng.getrandbits(16)
    scene.put(icmp_echo(src, dst, ident, 1), icmp_echo(dst, src, ident, 1, reply=True))


_PARTS: tuple[Callable[[Scene, random.Random], None], ...] = (_web, _query, _ping)
_WEIGHTS = (75, 22, 3)


def _records(frames: Frames) -> Iterator[bytes]:
    for ts_ns, frame in frames:
        yield _RECORD.pack(ts_ns // 10**9, ts_ns % 10**9, len(frame), len(frame))
        yield frame


def _write(path: Path, frames: Frames) -> None:
    with path.open("wb") as file:
        file.write(_FILE_HEADER)
        file.writelines(_records(frames))


def make_empty(path: Path, packets: int) -> None:  # noqa: ARG001 - it has none
    """Write a capture without packets: what remains of a peer's time on it is its start."""
    path.write_bytes(_FILE_HEADER)


MAKERS: dict[str, Callable[[Path, int], None]] = {"mixed": make_mixed, "flood": make_flood, "empty": make_empty}
