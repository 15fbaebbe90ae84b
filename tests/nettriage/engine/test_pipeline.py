"""Tests of the pipeline with the real decoder and state, and a small detector."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import replace
from importlib.resources import files

import msgspec
import numpy as np
import pytest

from detectors._kit.forge import START_NS, Scene
from detectors.registry import installed_detectors
from nettriage.engine.evidence import PACKETS_BEFORE, PACKETS_MAX
from nettriage.engine.pipeline import Pipeline
from nettriage.model.alert import Alert
from nettriage.model.batch import RawBatch
from sniff.capture_file import FileSource
from sniff.source import SourceOptions
from tests.nettriage.engine.knocks import SITE, Knocks, raw_of, town

S = 1_000_000_000


def run(raw: RawBatch, size: int | None = None, detector: Knocks | None = None) -> tuple[Pipeline, list[Alert]]:
    """Push a batch in pieces of `size`, finish, and return the pipeline and every record that it returned."""
    pipeline = Pipeline(SITE, [detector or Knocks()], strict=True)
    seen: list[Alert] = []
    step = size or len(raw)
    for at in range(0, len(raw), step):
        seen += pipeline.push(raw.rows(slice(at, at + step)))
    seen += pipeline.finish()
    return pipeline, seen


def final(pipeline: Pipeline) -> list[bytes]:
    """Return the last records with all that they say, and the bytes of their evidence."""
    return [
        msgspec.json.encode((alert, [(kept.ts_ns, kept.data) for kept in pipeline.packets(alert.id)]))
        for alert in pipeline.alerts()
    ]


@pytest.mark.parametrize("stable", [True, False])
@pytest.mark.parametrize("size", [1, 7, 512])
def test_the_cut_of_batches_changes_nothing(size: int, stable: bool) -> None:
    """Records, evidence and the moments of judgement are the same for every batch size and kind of buffer."""
    raw = raw_of(town(), stable=stable)
    whole, cut = Knocks(), Knocks()
    expected, _ = run(raw, None, whole)
    pipeline, _ = run(raw, size, cut)

    assert len(expected.alerts()) == 4
    assert final(pipeline) == final(expected)
    assert cut.ticks == whole.ticks


def test_an_incident_tells_its_whole_story() -> None:
    """Subject, objects, counts, times, filters, ids, timeline and class stand in the record."""
    pipeline, seen = run(raw_of(town()))
    first = next(alert for alert in pipeline.alerts() if alert.subject.ip == "10.0.9.1")
    before = next(alert for alert in seen if alert.id == first.id)

    assert (first.kind, first.severity, first.count, first.object_count) == ("knocks", "critical", 100, 1)
    assert (before.activity, first.activity, first.status) == ("create", "close", "resolved")
    assert (first.subject.zone, first.subject.mac) == ("home", "02:00:0a:00:09:01")
    assert first.objects[0].ip == "10.0.0.2"
    assert first.first_seen < first.detected_at < first.last_seen
    assert sum(first.timeline.counts) == 100
    assert len(first.community_ids) == 20
    assert first.pivots.bpf.startswith("host 10.0.9.1 and host 10.0.0.2 and tcp")
    assert (first.attack[0].technique, first.rules) == ("T1046", ["PT-CR-1"])


def test_ids_are_the_same_in_every_run() -> None:
    """Another secret of the hashes changes no id: it follows from kind, subject and time."""
    ids = []
    for secret in (1, 2):
        pipeline = Pipeline(replace(SITE, mixer_secret=secret), [Knocks()], strict=True)
        pipeline.push(raw_of(town()))
        pipeline.finish()
        ids.append([alert.id for alert in pipeline.alerts()])

    assert ids[0] == ids[1]
    assert len(set(ids[0])) == 4


def test_evidence_reaches_back_and_follows() -> None:
    """Packets from before the incident was raised and from its whole later life are kept, of its own hosts only."""
    pipeline, _ = run(raw_of(town()))
    alert = next(alert for alert in pipeline.alerts() if alert.subject.ip == "10.0.9.1")
    kept = pipeline.packets(alert.id)
    raised = np.datetime64(alert.detected_at.rstrip("Z"), "ns").astype(np.int64)
    times = np.array([packet.ts_ns for packet in kept])

    assert alert.evidence.packets == len(kept) == PACKETS_MAX
    assert 0 < (times <= raised).sum() <= PACKETS_BEFORE
    assert (times > raised + 5 * S).any()
    assert all(bytes([10, 0, 9, 1]) in packet.data for packet in kept)
    assert all(packet.serial for packet in kept)


def test_a_buffer_that_is_overwritten_spoils_no_evidence() -> None:
    """Bytes of a ring are copied before the next batch: what is kept later is what was seen then."""
    raw = raw_of(town(), stable=False)
    expected, _ = run(raw_of(town(), stable=True))
    pipeline = Pipeline(SITE, [Knocks()], strict=True)
    for at in range(0, len(raw), 50):
        part = raw.rows(slice(at, at + 50))
        part.data = raw.data.copy()
        pipeline.push(part)
        part.data[:] = 0xEE
    pipeline.finish()

    assert final(pipeline) == final(expected)


def test_silence_is_judged_without_packets() -> None:
    """On an idle link time passes by `advance`: contacts settle, and an incident that is over is closed."""
    scene = Scene()
    for port in range(5):
        scene.syn("10.0.0.1", "10.0.0.2", port)
    detector = Knocks()
    pipeline = Pipeline(SITE, [detector], strict=True)
    pipeline.push(raw_of(scene.frames()))
    raised = pipeline.advance(START_NS + 3 * S)
    assert detector.silent == 0
    pipeline.advance(START_NS + 5 * S)
    assert detector.silent == 5
    closed = pipeline.advance(START_NS + 20 * S)

    assert [alert.activity for alert in raised] == ["create"]
    assert [alert.activity for alert in closed] == ["close"]


def test_a_detector_that_fails_is_parked_and_shown(caplog: pytest.LogCaptureFixture) -> None:
    """The others go on, the log has the error, and the health says which one is missing."""
    broken, sound = Knocks(), Knocks()
    broken.crash_at = 3  # type: ignore[misc]  # of this instance alone
    pipeline = Pipeline(SITE, [broken, sound])
    with caplog.at_level(logging.ERROR):
        pipeline.push(raw_of(town()))
        pipeline.finish()

    assert len(broken.ticks) == 3 < len(sound.ticks)
    assert len(pipeline.alerts()) == 4
    assert "knocks failed" in pipeline.health.note
    assert "ZeroDivisionError" in caplog.text


def test_a_detector_that_fails_crashes_strict_runs() -> None:
    """In tests a bug is loud."""
    broken = Knocks()
    broken.crash_at = 0  # type: ignore[misc]  # of this instance alone
    with pytest.raises(ZeroDivisionError):
        run(raw_of(town()), None, broken)


def test_every_table_shows_its_gauge() -> None:
    """State, detectors, book and evidence all say how full they are."""
    pipeline, _ = run(raw_of(town()))
    limits = pipeline.limits()

    assert {"knocks.sources", "alerts.open", "alerts.closed", "evidence.bytes", "evidence.history_packets"} <= set(
        limits
    )
    assert limits["evidence.history_packets"].used == len(town())
    assert limits["evidence.bytes"].used > 0
    assert all(0 <= gauge.used <= gauge.cap for gauge in limits.values())


def test_nothing_seen_is_no_incident() -> None:
    """A run without a packet ends without records, window or error."""
    pipeline = Pipeline(SITE, [Knocks()], strict=True)

    assert pipeline.finish() == []
    assert pipeline.window.first_packet is None
    assert pipeline.panel() is None


@pytest.mark.parametrize("size", [61, 512])
def test_the_demo_gives_the_same_records_however_it_is_cut(size: int) -> None:
    """With every installed detector, each record of the bundled capture, its evidence too, is the same to the byte."""
    batches = _demo()

    def records(step: int) -> tuple[list[bytes], list[bytes]]:
        detectors = [kind(kind.tuning_type(), SITE) for kind in installed_detectors().values()]
        pipeline = Pipeline(SITE, detectors, strict=True)
        parts = [raw.rows(slice(at, at + step)) for raw in batches for at in range(0, len(raw), step)]
        said = [record for part in parts for record in pipeline.push(part)] + pipeline.finish()
        return [msgspec.json.encode(record) for record in said], final(pipeline)

    whole = records(16_384)
    assert len(whole[1]) > 3
    assert records(size) == whole


def _demo() -> list[RawBatch]:
    async def read() -> list[RawBatch]:
        path = files("nettriage.data") / "demo.pcap"
        return [raw async for raw in FileSource(str(path), SourceOptions()).batches()]

    return asyncio.run(read())
