"""The feed of a run: a source, at its pace, as often as asked, with a heartbeat while nothing comes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from dataclasses import replace

import numpy as np

from nettriage.engine import clock
from nettriage.engine.pacing import Pacer
from nettriage.model.batch import HEAD_WIDTH, RawBatch
from nettriage.model.snapshot import SourceInfo
from sniff.source import Source, SourceCounters

HEARTBEAT_S = 0.1
DUE_S = 0.001
"""A packet due so soon is due: a shorter sleep costs more than it is worth."""
SETTLE_NS = 500_000_000
"""While nothing arrives packet time stays this much behind: packets may still stand in a ring or a pipe."""
STREAM_LAG_NS = 10_000_000_000
"""A stream whose newest packet is no older than this is captured right now; an older one is a file on a pipe."""
LAP_GAP_NS = 1_000_000_000
"""Packet time between the last packet of one lap and the first of the next."""


class Feed:
    """Batches of one run, an empty one about every `HEARTBEAT_S` while packets are awaited."""

    def __init__(
        self,
        source: Source,
        reopen: Callable[[], Source],
        *,
        speed: float = 0.0,
        loop: bool = False,
        count: int | None = None,
    ) -> None:
        """Read `source`; `reopen` opens it again for another lap. The rest is as in `RunConfig`."""
        self.source = source
        self._reopen = reopen
        self._pacer = Pacer(speed) if speed and not source.is_live else None
        self._loop = loop and not source.is_live
        self._left = count
        self._shift_ns = 0
        self._last: tuple[int, float] | None = None

    @property
    def info(self) -> SourceInfo:
        """What the source says of itself."""
        return self.source.info

    @property
    def is_live(self) -> bool:
        """Whether packets arrive in real time."""
        return self.source.is_live

    def counters(self) -> SourceCounters:
        """Return the counters of the source."""
        return self.source.counters()

    def close(self) -> None:
        """Close the source."""
        self.source.close()

    def packet_now_ns(self) -> int | None:
        """Return which packet time it is while nothing arrives, None where packet time stands still."""
        if self._pacer is not None:
            return self._pacer.packet_now_ns()
        if self._last is None or not (self.is_live or self._is_present(self._last[0])):
            return None
        ts_ns, at_s = self._last
        return ts_ns + int((clock.monotonic_s() - at_s) * 1e9) - SETTLE_NS

    def _is_present(self, ts_ns: int) -> bool:
        """Whether a stream carries the traffic of this moment, so that its silence is silence of the network."""
        return self.source.info.type == "stream" and abs(clock.wall_ns() - ts_ns) < STREAM_LAG_NS

    def lag_s(self) -> float:
        """Return how far the newest packet taken is behind the wall, in seconds; 0 for a file or an idle interface."""
        if not self.is_live or self._last is None or clock.monotonic_s() - self._last[1] > HEARTBEAT_S:
            return 0.0
        return max((clock.wall_ns() - self._last[0]) / 1e9, 0.0)

    async def batches(self) -> AsyncGenerator[RawBatch, None]:
        """Yield the batches; raises what the source raises."""
        while True:
            first_ns, last_ns = None, None
            async for raw in self._paced():
                if len(raw):
                    first_ns = int(raw.ts_ns[0]) if first_ns is None else first_ns
                    last_ns = int(raw.ts_ns[-1])
                    self._last = (last_ns, clock.monotonic_s())
                yield raw
                if self._left == 0:
                    return
            if not self._loop or first_ns is None or last_ns is None:
                return
            self._next_lap(first_ns, last_ns)

    def _next_lap(self, first_ns: int, last_ns: int) -> None:
        self._shift_ns += last_ns - first_ns + LAP_GAP_NS
        self.source.close()
        self.source = self._reopen()

    async def _paced(self) -> AsyncGenerator[RawBatch, None]:
        async for raw in self.source.batches():
            batch = self._counted(self._shifted(raw))
            if self._pacer is None or not len(batch):
                yield batch
                continue
            async for part in self._held_back(batch, self._pacer):
                yield part

    async def _held_back(self, batch: RawBatch, pacer: Pacer) -> AsyncGenerator[RawBatch, None]:
        row = 0
        while row < len(batch):
            while (wait_s := pacer.due_in_s(int(batch.ts_ns[row]))) > DUE_S:
                await asyncio.sleep(min(wait_s, HEARTBEAT_S))
                yield batch.rows(slice(0, 0))
            later = batch.ts_ns[row:] > pacer.packet_now_ns()
            end = row + int(np.argmax(later)) if later.any() else len(batch)
            yield batch.rows(slice(row, max(end, row + 1)))
            row = max(end, row + 1)

    def _shifted(self, raw: RawBatch) -> RawBatch:
        return replace(raw, ts_ns=raw.ts_ns + self._shift_ns) if self._shift_ns else raw

    def _counted(self, raw: RawBatch) -> RawBatch:
        """Cut the batch where the asked number of packets is reached."""
        if self._left is None:
            return raw
        batch = raw.rows(slice(0, self._left)) if len(raw) > self._left else raw
        self._left -= len(batch)
        return batch


EMPTY = RawBatch(
    1, np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0, np.int32), np.zeros(0, np.int32),
    np.zeros(HEAD_WIDTH, np.uint8),
)  # fmt: skip
"""No packets."""
