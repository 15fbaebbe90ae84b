"""Tests of the feed: pace, laps and the number of packets."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import numpy as np
import pytest

from nettriage.engine import clock
from nettriage.engine.feed import LAP_GAP_NS, Feed
from nettriage.engine.pacing import WAIT_MAX_S, Pacer
from nettriage.model.batch import HEAD_WIDTH, RawBatch
from nettriage.model.snapshot import SourceInfo
from sniff.source import SourceCounters

S = 1_000_000_000
START = 1_700_000_000 * S


class Listed:
    """A source of given times, as a file has them."""

    def __init__(self, *batches: list[int]) -> None:
        self.info = SourceInfo(type="file", name="listed")
        self.is_live = False
        self.closed = False
        self._batches = batches

    async def batches(self) -> AsyncIterator[RawBatch]:
        """Yield the batches."""
        for times in self._batches:
            n = len(times)
            zeros = np.zeros(n, np.int64)
            sizes = np.full(n, 60, np.int32)
            yield RawBatch(1, np.array(times, np.int64), zeros, sizes, sizes, np.zeros(60 + HEAD_WIDTH, np.uint8))

    def counters(self) -> SourceCounters:
        """Return none."""
        return SourceCounters()

    def close(self) -> None:
        """Note it."""
        self.closed = True


async def times_of(feed: Feed, limit: int = 1_000) -> list[int]:
    """Return the packet times that a feed yields, at most about `limit`."""
    times: list[int] = []
    async for raw in feed.batches():
        times += raw.ts_ns.tolist()
        if len(times) >= limit:
            break
    return times


async def test_a_count_ends_the_feed_in_the_middle_of_a_batch() -> None:
    """Exactly the asked number of packets is yielded."""
    feed = Feed(Listed([1, 2, 3], [4, 5, 6]), Listed, count=4)

    assert await times_of(feed) == [1, 2, 3, 4]


async def test_each_lap_goes_on_in_time() -> None:
    """A looped file starts anew a second after its last packet, so packet time never goes back."""
    first = Listed([START, START + 5])
    feed = Feed(first, lambda: Listed([START, START + 5]), loop=True)
    times = await times_of(feed, 6)

    lap = 5 + LAP_GAP_NS
    assert times == [START, START + 5, START + lap, START + lap + 5, START + 2 * lap, START + 2 * lap + 5]
    assert first.closed


async def test_a_paced_file_is_held_back(monkeypatch: pytest.MonkeyPatch) -> None:
    """At ten times its speed, packets of two seconds come after 0.2 s, with heartbeats in between."""
    now = [100.0]
    monkeypatch.setattr(clock, "monotonic_s", lambda: now[0])

    async def sleep(seconds: float) -> None:
        now[0] += seconds

    monkeypatch.setattr(asyncio, "sleep", sleep)
    feed = Feed(Listed([START, START, START + S, START + 2 * S]), Listed, speed=10)
    feed._pacer = Pacer(10, lambda: now[0])
    seen = [(round(now[0] - 100, 3), len(raw)) async for raw in feed.batches()]

    assert seen == [(0.0, 2), (0.1, 0), (0.1, 1), (0.2, 0), (0.2, 1)]


def test_a_mad_timestamp_does_not_stop_the_replay() -> None:
    """A packet from next year is due at once, and the pace goes on from it."""
    pacer = Pacer(1.0, lambda: 5.0)

    assert pacer.due_in_s(START) == 0
    assert pacer.due_in_s(START + 400 * 24 * 3600 * S) == 0
    assert pacer.due_in_s(START + 400 * 24 * 3600 * S + S) == pytest.approx(1.0)
    assert pacer.due_in_s(START) < -WAIT_MAX_S
