"""CPU time of each stage of our own pipeline on one capture, stage by stage."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from time import process_time_ns
from typing import TypeVar

from detectors.registry import installed_detectors
from nettriage.engine.pipeline import Pipeline
from nettriage.model.batch import RawBatch
from nettriage.model.columns import Mixer
from nettriage.model.site import Site
from sniff.decode import decode
from sniff.dns import dns_columns
from sniff.duplicates import DuplicateFilter
from sniff.opening import open_source
from sniff.source import SourceOptions
from sniff.state import State

T = TypeVar("T")


@dataclass
class Clock:
    """CPU nanoseconds by stage."""

    spent_ns: dict[str, int] = field(default_factory=dict)

    def run(self, stage: str, call: Callable[[], T]) -> T:
        """Call and book the CPU time under `stage`."""
        start = process_time_ns()
        result = call()
        self.spent_ns[stage] = self.spent_ns.get(stage, 0) + process_time_ns() - start
        return result


def read(path: Path) -> list[RawBatch]:
    """Return the batches of a capture file."""

    async def collect() -> list[RawBatch]:
        source = open_source(str(path), SourceOptions())
        return [batch async for batch in source.batches()]

    return asyncio.run(collect())


def by_stage(path: Path) -> dict[str, float]:
    """Return ns a packet of reading, decoding, state, and each detector, each measured alone."""
    clock = Clock()
    batches = clock.run("read", lambda: read(path))
    total = sum(map(len, batches))
    site = Site(mixer_secret=random.Random(1).getrandbits(64))
    mixer = Mixer(site.mixer_secret)
    copies, state = DuplicateFilter(mixer), State(site)
    detectors = [kind(kind.tuning_type(), site) for kind in installed_detectors().values()]
    for raw in batches:
        packets = clock.run("decode", lambda raw=raw: decode(raw))  # type: ignore[misc]
        seen = clock.run("state", lambda packets=packets: state.push(packets))  # type: ignore[misc]
        for detector in detectors:
            clock.run(detector.card.kind, lambda one=detector, seen=seen: one.push(seen))  # type: ignore[misc]
            clock.run(detector.card.kind, lambda one=detector, seen=seen: one.tick(seen.now_ns, seen.tables))  # type: ignore[misc]
        clock.run("  of state: duplicates", lambda packets=packets: copies.mark(packets))  # type: ignore[misc]
        clock.run("  of state: dns", lambda packets=packets: dns_columns(packets, mixer))  # type: ignore[misc]
    return {stage: spent / max(total, 1) for stage, spent in clock.spent_ns.items()}


def whole(path: Path) -> tuple[int, float]:
    """Return packets and CPU seconds of the whole pipeline, without imports, as the peers are without their start."""
    kinds, site = installed_detectors().values(), Site(mixer_secret=1)
    start = process_time_ns()
    pipeline = Pipeline(site, [kind(kind.tuning_type(), site) for kind in kinds])

    async def run() -> int:
        packets = 0
        async for raw in open_source(str(path), SourceOptions()).batches():
            pipeline.push(raw)
            packets += len(raw)
        return packets

    packets = asyncio.run(run())
    pipeline.finish()
    return packets, (process_time_ns() - start) / 1e9
