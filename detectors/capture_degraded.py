"""Degraded capture: the sensor sees less than there is, so that silence and absence prove less.

*What it measures*
    Packets that the kernel or the interface dropped, acknowledged data that was never seen, flows of which
    only one direction is shown, copies that the mirror delivers twice, frames that the interface merged,
    leaps of the packet clock, and an interface that is down or gone. Each lasts some time before it counts.

*Blind spots*
    Segments that the mirror never showed; drops inside the switch that hit whole flows; loss of traffic
    without acknowledgements.

*Common benign causes*
    A mirror port that is slower than what it mirrors; a mirror of both sides of a router, which doubles every
    packet; asymmetric routing; offloads left on (see `nettriage doctor`); a capture that started late.

*What to do next*
    Mend the feed before you trust a quiet screen: enlarge the ring, filter bulk traffic, mirror both directions,
    switch offloads off. Until then read verdicts that rest on silence with care.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np

from detectors._kit import forge
from detectors._kit.reasons import counted, duration, title
from nettriage.model.alert import BenignCheck, Observation
from nettriage.model.batch import V4_PREFIX
from nettriage.model.detector import Card, Detector, Example, Frames
from nettriage.model.finding import Endpoint, Finding
from nettriage.model.health import Gauge
from nettriage.model.site import Site
from nettriage.model.slices import Slice
from nettriage.model.tables import Tables
from nettriage.model.tuning import Tuning, knob

SENSOR = Endpoint((0, V4_PREFIX))
"""The subject: the sensor itself, which has no address of its own on the watched network."""
_INFORM, _WARN, _ALARM = 25.0, 50.0, 75.0
_EVERY_NS = 1_000_000_000
"""Measuring loss looks at every flow, so it is done once a second."""
_MERGED_WIRE_LEN = 9_300
"""No Ethernet frame is longer, jumbo frames with tags and tunnels included: the interface put segments together."""
_LEAP_SHOWN_NS = 600 * 1_000_000_000
"""How long a leap of the clock is a symptom: windows and timeouts of detectors around it are off."""
_SYMPTOMS = 8
_RETOLD = 1.5
"""A degradation is told again when it grew by this factor."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CaptureDegradedTuning(Tuning):
    """Thresholds of the degraded capture."""

    lasting_s: float = knob(10.0, "s", lo=0.0, hi=3_600.0, why="a burst or a late start is no broken feed")
    loss: float = knob(0.01, "share", lo=0.0001, hi=0.5, why="at 1 % lost, one silence in fifty is the sensor's fault")
    heavy_loss: float = knob(0.10, "share", lo=0.001, hi=0.9, why="at 10 % silence says nothing about a host any more")
    one_way: float = knob(
        0.5, "share", lo=0.05, hi=1.0, why="below half, asymmetric routing of a few peers explains it"
    )
    merged: float = knob(0.01, "share", lo=0.0001, hi=1.0, why="a mirror hands on frames as they were on the wire")
    duplicates: float = knob(0.05, "share", lo=0.001, hi=1.0, why="retransmissions stay far below 5 %")


@dataclass(frozen=True, slots=True)
class _Symptom:
    """One way in which the capture is degraded now."""

    key: int
    name: str
    text: str
    value: float
    unit: str
    threshold: float
    score: float
    remedy: str


def _lossy() -> Frames:
    scene = forge.Scene()
    turns = tuple((side, bytes([at]) * 900) for at in range(60) for side in (0, 1))
    scene.session("10.0.0.5", "10.0.1.9", 445, turns, gap_ns=150 * forge.MS)
    return [frame for at, frame in enumerate(scene.frames()) if at % 8 != 3 or at < 8]


def _one_way() -> Frames:
    scene = forge.Scene()
    for client in range(1, 61):
        scene.session(f"10.0.0.{client}", "10.0.1.9", 80, ((0, b"GET /"), (1, b"x" * 300)), gap_ns=200 * forge.MS)
    source = forge.mac_of("10.0.1.9")
    return [(ts, frame) for ts, frame in scene.frames() if frame[6:12] != source]


def _whole() -> Frames:
    scene = forge.Scene()
    for client in range(1, 31):
        scene.session(f"10.0.0.{client}", "10.0.1.9", 80, ((0, b"GET /"), (1, b"x" * 300)), gap_ns=300 * forge.MS)
    return scene.frames()


class CaptureDegraded(Detector):
    """Ways in which the sensor sees less than there is."""

    card: ClassVar[Card] = Card(
        kind="capture-degraded",
        title="Degraded capture",
        attack=(),
        rules=(),
        references=("Zeek: policy/misc/capture-loss.zeek", "Linux: packet(7), PACKET_STATISTICS"),
        counts="symptoms",
    )
    tuning_type: ClassVar[type[Tuning]] = CaptureDegradedTuning
    tuning: CaptureDegradedTuning
    reads: ClassVar[frozenset[str]] = frozenset({"packets.wire_len"})
    examples: ClassVar[tuple[Example, ...]] = (
        Example("one segment in eight was never seen", _lossy, fires=True, subject="0.0.0.0"),
        Example("only the clients' side is shown", _one_way, fires=True, subject="0.0.0.0"),
        Example("whole sessions", _whole, fires=False),
    )
    state_limit_bytes: ClassVar[int] = 64 << 10

    def __init__(self, tuning: Tuning, site: Site) -> None:
        """Start without symptoms."""
        super().__init__(tuning, site)
        self._since_ns: dict[int, int] = {}
        """Since when each symptom holds, by key: there are `_SYMPTOMS` keys."""
        self._told: dict[int, Finding] = {}
        self._next_ns = 0
        self._packets = self._merged = 0
        self._leaps, self._leapt_ns = 0, -_LEAP_SHOWN_NS

    def push(self, seen: Slice) -> None:
        """Count the packets that the interface merged; what else degrades a capture stands in the tables."""
        self._packets += len(seen.packets)
        self._merged += int(np.count_nonzero(seen.packets.wire_len > _MERGED_WIRE_LEN))

    def tick(self, now_ns: int, tables: Tables) -> list[Finding]:
        """Return symptoms that last, grew, or went away."""
        if self._next_ns - _EVERY_NS <= now_ns < self._next_ns:
            return []
        self._next_ns = now_ns + _EVERY_NS
        if tables.health.clock_jumps > self._leaps:
            self._leaps, self._leapt_ns = tables.health.clock_jumps, now_ns
        symptoms = {symptom.key: symptom for symptom in self._symptoms(now_ns, tables)}
        self._since_ns = {key: min(self._since_ns.get(key, now_ns), now_ns) for key in symptoms}
        gone = [key for key in self._told if key not in symptoms]
        findings = [replace(self._told.pop(key), last_ns=now_ns, closed=True) for key in gone]
        for key, symptom in symptoms.items():
            if now_ns - self._since_ns[key] >= self.tuning.lasting_s * 1e9 and self._grew(key, symptom):
                self._told[key] = self._finding(symptom, self._since_ns[key], now_ns)
                findings.append(self._told[key])
        return findings

    def gauges(self) -> dict[str, Gauge]:
        """Return how many symptoms there are."""
        return {"symptoms": Gauge(cap=_SYMPTOMS, used=len(self._since_ns))}

    def state_bytes(self) -> int:
        """Return the memory of what was told."""
        return 1_024 + 4_096 * len(self._told)

    def _grew(self, key: int, symptom: _Symptom) -> bool:
        told = self._told.get(key)
        return told is None or symptom.score > told.score or symptom.value > _RETOLD * told.observations[0].value

    def _symptoms(self, now_ns: int, tables: Tables) -> Iterator[_Symptom]:
        tuning, health = self.tuning, tables.health
        for key, name, drops in ((1, "kernel", health.kernel_drops), (2, "interface", health.nic_drops)):
            share = (drops or 0) / max((drops or 0) + health.received, 1)
            if share > tuning.loss:
                text = f"the {name} dropped {counted(drops or 0, 'packet')}, {share:.1%} of all"
                yield self._loss(key, f"packets dropped by the {name}", text, share)
        loss = tables.loss_estimate or 0.0
        if loss > tuning.loss:
            text = f"{loss:.1%} of the acknowledged data was never seen"
            yield self._loss(3, "acknowledged data never seen", text, loss)
        yield from self._feed_symptoms(tables)
        yield from self._sensor_symptoms(now_ns)

    def _feed_symptoms(self, tables: Tables) -> Iterator[_Symptom]:
        tuning, one_way, state = self.tuning, tables.one_way_share or 0.0, tables.health.interface_state
        if one_way > tuning.one_way:
            yield _Symptom(
                4, "one-way flows", f"{one_way:.0%} of the flows show one direction only", one_way, "share",
                tuning.one_way, _INFORM, "Mirror both directions (rx and tx) of the ports.",
            )  # fmt: skip
        if tables.duplicate_share > tuning.duplicates:
            yield _Symptom(
                5, "duplicates", f"{tables.duplicate_share:.0%} of the packets came more than once",
                tables.duplicate_share, "share", tuning.duplicates, _INFORM, "Mirror each link only once.",
            )  # fmt: skip
        if state in ("down", "gone"):
            yield _Symptom(
                6, "interface", f"the interface is {state}", 1.0, "state", 1.0, _ALARM, "Bring the interface back."
            )

    def _sensor_symptoms(self, now_ns: int) -> Iterator[_Symptom]:
        share = self._merged / max(self._packets, 1)
        if share > self.tuning.merged:
            yield _Symptom(
                7, "merged frames", f"the interface merged packets: {share:.1%} are longer than any frame", share,
                "share", self.tuning.merged, _INFORM, "Switch offloads off: ethtool -K IFACE gro off lro off.",
            )  # fmt: skip
        if abs(now_ns - self._leapt_ns) < _LEAP_SHOWN_NS:
            yield _Symptom(
                8, "clock leaps", f"the packet clock has leapt {counted(self._leaps, 'time')}", float(self._leaps),
                "leaps", 0.0, _INFORM, "Keep the clock that stamps the packets in step (chrony, PTP).",
            )  # fmt: skip

    def _loss(self, key: int, name: str, text: str, share: float) -> _Symptom:
        tuning = self.tuning
        score = _ALARM if share > tuning.heavy_loss else _WARN
        return _Symptom(
            key, name, text, share, "share", tuning.loss, score, "Enlarge the ring, or filter bulk traffic."
        )

    def _finding(self, symptom: _Symptom, since_ns: int, now_ns: int) -> Finding:
        lasts = duration(now_ns - since_ns)
        return Finding(
            key=symptom.key,
            subject=SENSOR,
            score=symptom.score,
            confidence=0.95,
            first_ns=since_ns,
            last_ns=now_ns,
            count=1,
            title=title(f"Degraded capture: {symptom.name}"),
            reason=f"For {lasts} {symptom.text}: silence proves less.",
            counterfactual=f"would not alert at or below {symptom.threshold:g} {symptom.unit}",
            observations=[
                Observation(
                    name=symptom.name, value=round(symptom.value, 4), unit=symptom.unit, threshold=symptom.threshold,
                    window_s=self.tuning.lasting_s, weight=1.0,
                )
            ],
            benign_checked=[
                BenignCheck(hypothesis="a short burst or a late start", rejected_because=f"it has lasted {lasts}")
            ],
            visibility_note=symptom.text,
            next_steps=[symptom.remedy, "Read verdicts that rest on silence with care until then."],
        )  # fmt: skip
