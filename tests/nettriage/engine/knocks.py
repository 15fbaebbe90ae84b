"""A small detector for the tests of the engine: a source that sends SYNs, one incident each, from the third SYN on."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np

from detectors._kit.forge import Scene
from nettriage.model.alert import Attack
from nettriage.model.batch import HEAD_WIDTH, RawBatch
from nettriage.model.detector import Card, Detector, Frames
from nettriage.model.finding import Endpoint, Finding, FlowRef
from nettriage.model.health import Gauge
from nettriage.model.site import Site
from nettriage.model.slices import Outcome, Slice
from nettriage.model.tables import Tables
from nettriage.model.tuning import Tuning

SITE = Site(mixer_secret=0x5EED)
FLOOR = 3


@dataclass
class Source:
    """What one source did."""

    key: int
    first_ns: int
    last_ns: int = 0
    count: int = 0
    objects: dict[tuple[int, int], None] = field(default_factory=dict)
    flows: list[FlowRef] = field(default_factory=list)
    said: int = 0


class Knocks(Detector):
    """Counts SYNs by source and closes the incident after ten seconds of silence."""

    card = Card(
        kind="knocks", title="Knocks", attack=(Attack(tactic="TA0007", technique="T1046", name="Discovery"),),
        rules=("PT-CR-1",), references=(), counts="knocks",
    )  # fmt: skip
    tuning_type = Tuning
    reads = frozenset({"packets.tcp_flags"})
    examples = ()
    state_limit_bytes = 1_000_000
    crash_at: ClassVar[int | None] = None

    def __init__(self, site: Site = SITE) -> None:
        super().__init__(Tuning(), site)
        self.sources: dict[tuple[int, int], Source] = {}
        self.ticks: list[int] = []
        self.silent = 0
        """Contacts that nobody answered."""

    def push(self, seen: Slice) -> None:
        """Count the SYNs."""
        packets = seen.packets
        self.silent += int((seen.contacts.outcome == Outcome.SILENT).sum())
        for row in np.flatnonzero(packets.tcp_flags == 2).tolist():
            address = (int(packets.src_hi[row]), int(packets.src_lo[row]))
            target = (int(packets.dst_hi[row]), int(packets.dst_lo[row]))
            at_ns = int(packets.ts_ns[row])
            key = int(seen.tables.hosts.key[seen.src[row]])
            source = self.sources.setdefault(address, Source(key, at_ns))
            source.count += 1
            source.last_ns = at_ns
            source.objects[target] = None
            serial = int(seen.tables.flows.serial[seen.flow[row]])
            ports = int(packets.src_port[row]), int(packets.dst_port[row])
            source.flows.append(FlowRef(address, ports[0], target, ports[1], 6, serial))

    def tick(self, now_ns: int, tables: Tables) -> list[Finding]:  # noqa: ARG002 - as the contract has it
        """Say what changed."""
        if self.crash_at == len(self.ticks):
            raise ZeroDivisionError("planted")
        self.ticks.append(now_ns)
        found = []
        for address, source in list(self.sources.items()):
            over = now_ns - source.last_ns > 10_000_000_000
            if source.count >= FLOOR and (source.count > source.said or over):
                source.said = source.count
                found.append(self._finding(address, source, over))
            if over:
                del self.sources[address]
        return found

    def gauges(self) -> dict[str, Gauge]:
        """Return the number of sources."""
        return {"sources": Gauge(cap=1000, used=len(self.sources))}

    def state_bytes(self) -> int:
        """Return a guess."""
        return 1000 * len(self.sources)

    def _finding(self, address: tuple[int, int], source: Source, over: bool) -> Finding:
        return Finding(
            key=source.key, subject=Endpoint(address), score=10 + 10 * source.count, confidence=0.9,
            first_ns=source.first_ns, last_ns=source.last_ns, count=source.count, title="knocks",
            reason=f"{source.count} knocks", objects=[Endpoint(target) for target in source.objects],
            flows=source.flows[-20:], proto=6, ports=sorted({flow.dport for flow in source.flows})[:64], closed=over,
        )  # fmt: skip


def raw_of(frames: Frames, *, stable: bool = True) -> RawBatch:
    """Return Ethernet frames as one batch."""
    lengths = np.array([len(frame) for _, frame in frames], np.int32)
    data = np.frombuffer(b"".join(frame for _, frame in frames) + bytes(HEAD_WIDTH), np.uint8).copy()
    offsets = np.cumsum(lengths, dtype=np.int64) - lengths
    times = np.array([ts for ts, _ in frames], np.int64)
    return RawBatch(1, times, offsets, lengths, lengths.copy(), data, stable=stable)


def town() -> Frames:
    """Return half a minute of four hosts that knock, each in its own way, among questions of others."""
    scene = Scene()
    for turn in range(20):
        scene.session("10.0.0.1", "10.0.0.2", 80)
        scene.query("10.0.0.1", "10.0.0.53", 53)
        if turn < 10:
            for port in range(20, 30):
                scene.refused("10.0.9.1", "10.0.0.2", 1000 + 10 * turn + port)
        if turn % 4 == 0:
            scene.syn("10.0.9.2", f"10.0.1.{turn}", 22)
        if turn == 15:
            for host in range(5):
                scene.half_open("2001:db8::9", f"2001:db8::1:{host}", 443)
        scene.wait(1_500_000_000)
    return scene.frames()
