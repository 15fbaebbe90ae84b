"""Runs detectors over forged frames and captures through the real pipeline, for the tests of detectors."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from detectors.registry import installed_detectors
from nettriage.engine.pipeline import Pipeline
from nettriage.model.alert import Alert
from nettriage.model.batch import HEAD_WIDTH, RawBatch
from nettriage.model.detector import Detector, Frames
from nettriage.model.finding import Finding
from nettriage.model.health import Gauge
from nettriage.model.panel import Panel
from nettriage.model.site import Site
from nettriage.model.slices import Slice
from nettriage.model.tables import Tables
from nettriage.model.tuning import Tuning
from sniff.capture_file import FileSource
from sniff.source import SourceOptions

ETHERNET = 1
"""LINKTYPE_ETHERNET."""
SITE = Site(mixer_secret=0x5EED)


def raw_batch(frames: Frames) -> RawBatch:
    """Return Ethernet frames as one undecoded batch."""
    lengths = np.array([len(frame) for _, frame in frames], np.int32)
    data = np.frombuffer(b"".join(frame for _, frame in frames) + bytes(HEAD_WIDTH), np.uint8)
    offsets = np.cumsum(lengths, dtype=np.int64) - lengths
    return RawBatch(ETHERNET, np.array([ts for ts, _ in frames], np.int64), offsets, lengths, lengths.copy(), data)


def detector(kind: str, site: Site = SITE, **knobs: Any) -> Detector:
    """Return a fresh detector of `kind` with some of its thresholds changed."""
    made = installed_detectors()[kind]
    return made(made.tuning_type().with_values(knobs, "test"), site)


class Recording(Detector):
    """Stands between the pipeline and a detector, and keeps every finding with its packet time."""

    def __init__(self, inner: Detector) -> None:
        self.inner = inner
        self.card = inner.card  # type: ignore[misc]  # the pipeline reads it from the instance
        self.said: list[tuple[int, Finding]] = []
        self.panels: list[Panel] = []

    def push(self, seen: Slice) -> None:
        """Hand the slice on."""
        self.inner.push(seen)

    def tick(self, now_ns: int, tables: Tables) -> list[Finding]:
        """Hand on, and note what was said."""
        findings = self.inner.tick(now_ns, tables)
        self.said += [(now_ns, finding) for finding in findings]
        return findings

    def gauges(self) -> dict[str, Gauge]:
        """Hand on."""
        return self.inner.gauges()

    def state_bytes(self) -> int:
        """Hand on."""
        return self.inner.state_bytes()

    def panel(self, now_ns: int, tables: Tables) -> Panel | None:
        """Hand on."""
        return self.inner.panel(now_ns, tables)


@dataclass
class Run:
    """What came out of one run."""

    said: list[tuple[int, Finding]]
    """Every finding of every judgement, with its packet time, over all detectors."""
    alerts: list[Alert]
    """The last record of every incident."""
    detectors: list[Detector]
    pipeline: Pipeline = field(repr=False)

    def of(self, kind: str) -> list[Alert]:
        """Return the incidents of one kind."""
        return [alert for alert in self.alerts if alert.kind == kind]

    @property
    def findings(self) -> list[Finding]:
        """The last finding of every incident."""
        return list({finding.key: finding for _, finding in self.said}.values())


def run_frames(
    frames: Frames, detectors: Detector | Sequence[Detector], *, cut: int | None = None, site: Site = SITE
) -> Run:
    """Push frames in batches of `cut` rows (all at once where None), then let everything settle."""
    whole = raw_batch(frames)
    size = cut or max(len(whole), 1)
    return run_batches((whole.rows(slice(at, at + size)) for at in range(0, len(whole), size)), detectors, site=site)


def run_batches(batches: Iterable[RawBatch], detectors: Detector | Sequence[Detector], *, site: Site = SITE) -> Run:
    """Push batches through a strict pipeline, then let everything settle."""
    inner = [detectors] if isinstance(detectors, Detector) else list(detectors)
    recorders = [Recording(each) for each in inner]
    pipeline = Pipeline(site, recorders, keep_packets=False, strict=True)
    for batch in batches:
        pipeline.push(batch)
    pipeline.finish()
    said = [item for recorder in recorders for item in recorder.said]
    return Run(said, pipeline.alerts(), inner, pipeline)


def run_capture(path: Path, kinds: Sequence[str] | None = None, *, site: Site = SITE) -> Run:
    """Run the detectors of `kinds` (all where None) over a capture file."""
    chosen = installed_detectors()
    detectors = [default(made, site) for kind, made in chosen.items() if kinds is None or kind in kinds]
    return run_batches(asyncio.run(_batches(path)), detectors, site=site)


async def _batches(path: Path) -> list[RawBatch]:
    return [batch async for batch in FileSource(str(path), SourceOptions()).batches()]


def default(kind: type[Detector], site: Site = SITE, tuning: Tuning | None = None) -> Detector:
    """Return a fresh detector of a class, with its default thresholds where `tuning` is None."""
    return kind(kind.tuning_type() if tuning is None else tuning, site)
