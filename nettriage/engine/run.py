"""One run: a feed driven through a pipeline, with its counters and its end."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator
from contextlib import aclosing

from nettriage.engine import clock
from nettriage.engine.config import RunConfig, build_detectors, fresh_secret
from nettriage.engine.feed import Feed
from nettriage.engine.pipeline import Pipeline
from nettriage.model.alert import Alert
from nettriage.model.batch import RawBatch
from nettriage.model.errors import ExitCode, NettriageError
from nettriage.model.health import CaptureHealth
from nettriage.model.snapshot import SourceInfo
from sniff.opening import open_source
from sniff.source import Source

_log = logging.getLogger(__name__)


def open_run(config: RunConfig) -> Run:
    """Open the source of `config` and return its run, ready to start: everything that it needs is imported.

    Raises NettriageError where the source cannot be opened.
    """

    def opened() -> Source:
        return open_source(config.source, config.options)

    site = config.site.site(fresh_secret())
    feed = Feed(
        opened(),
        opened,
        speed=config.speed,
        loop=config.loop,
        count=config.count,
    )
    return Run(feed, Pipeline(site, build_detectors(config, site)), source_type=config.source_type)


class Run:
    """Drives packets until the source ends, fails, or the run is stopped; then settles what is pending."""

    def __init__(self, feed: Feed, pipeline: Pipeline, *, source_type: str = "") -> None:
        self.feed = feed
        self.pipeline = pipeline
        self.packets = 0
        self.bytes = 0
        """Wire bytes."""
        self.error: NettriageError | None = None
        """What ended the run before its time, None where nothing did."""
        self.finished = False
        self.started_s = clock.monotonic_s()
        self._source_type = source_type
        self._stop = asyncio.Event()

    @property
    def exit_code(self) -> int:
        """Exit code of the error, 0 where there was none."""
        return int(self.error.exit_code) if self.error else int(ExitCode.DONE)

    @property
    def seconds(self) -> float:
        """Wall seconds since the start."""
        return clock.monotonic_s() - self.started_s

    @property
    def source(self) -> SourceInfo:
        """The source, as the run knows it."""
        info = self.feed.info
        if self._source_type:
            info.type = self._source_type
        info.finished = self.finished
        info.error = str(self.error) if self.error else info.error
        info.done_bytes = self.feed.counters().done_bytes
        return info

    def health(self) -> CaptureHealth:
        """Return what was seen and lost, by the source and by the packets."""
        health, counters = self.pipeline.health, self.feed.counters()
        health.kernel_drops, health.nic_drops = counters.kernel_drops, counters.nic_drops
        health.interface_state = counters.interface_state
        health.note = "; ".join(note for note in (counters.note, health.note) if note)
        return health

    def stop(self) -> None:
        """End the run in order: what is pending is still settled."""
        self._stop.set()

    async def changes(self) -> AsyncGenerator[list[Alert], None]:
        """Yield the new records after each batch, at last those of the settling; `error` has what went wrong."""
        try:
            async with aclosing(self._batches()) as batches:
                async for raw in batches:
                    yield self._taken(raw)
                    await asyncio.sleep(0)  # lets signals, timers and the link in between two batches of a file
        except NettriageError as error:
            _log.info("run ended error=%s exit_code=%d", type(error).__name__, error.exit_code)
            self.error = error
        self.finished = True
        yield self.pipeline.finish()

    async def _batches(self) -> AsyncGenerator[RawBatch, None]:
        """Yield the batches of the feed until it ends or the run is stopped, also while it waits for packets."""
        stop = asyncio.ensure_future(self._stop.wait())
        try:
            async with aclosing(self.feed.batches()) as batches:
                while not self._stop.is_set():
                    coming = asyncio.ensure_future(anext(batches, None))
                    await asyncio.wait({coming, stop}, return_when=asyncio.FIRST_COMPLETED)
                    raw = await _result(coming)
                    if raw is None:
                        return
                    yield raw
        finally:
            stop.cancel()

    def close(self) -> None:
        """Give the source back."""
        self.feed.close()

    def _taken(self, raw: RawBatch) -> list[Alert]:
        self._tell_detectors()
        if len(raw):
            self.packets += len(raw)
            self.bytes += int(raw.wire_len.sum())
            return self.pipeline.push(raw)
        now_ns = self.feed.packet_now_ns()
        return [] if now_ns is None else self.pipeline.advance(now_ns)

    def _tell_detectors(self) -> None:
        """Let detectors know what the source lost so far: only the source can."""
        told, counters = self.pipeline.tables.health, self.feed.counters()
        told.received = self.packets
        told.kernel_drops, told.nic_drops = counters.kernel_drops, counters.nic_drops
        told.interface_state = counters.interface_state


async def _result(coming: asyncio.Future[RawBatch | None]) -> RawBatch | None:
    """Return the batch that came, None where none did; waits until its source has let go."""
    if coming.done():
        return coming.result()
    coming.cancel()
    await asyncio.wait({coming})
    return None
