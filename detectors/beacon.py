"""Beacon: calls in a steady rhythm, and those above all that a host inside passes on to the outside.

*What it measures*
    The latest 64 calls of each (caller, called, port), and the latest 64 times that a side spoke again inside of one
    long flow: RITA's scores of time (symmetry and narrowness of the intervals) and of size, and the number of
    periods observed. By itself a rhythm is low at most. It is raised when a host inside that is called in it
    calls onward in step: each call is followed by one to the same target outside, with a lag that varies
    much less than the intervals do, so that two clocks that merely agree are told apart.

*Blind spots*
    Rhythms that stay inside, whoever passes them on (`relay` sees those). Rhythms slower than the capture is long,
    jitter of more than about half of the period, fewer than six calls. Periods that are exact to the millisecond
    cannot be told from two clocks in phase. Relays that collect calls and pass them on later, and those with more
    callers than fit into 64 calls onward. DNS, NTP and discovery.

*Common benign causes*
    Monitoring, update checks, telemetry, push services, health checks of balancers (declare `network.load_balancers`),
    the office proxy (declare `network.proxies`).

*What to do next*
    For a relayed rhythm: find the process on the relay, then those on the callers. Capture one whole call on both
    legs and compare the bytes. For a lone one: look up the target, and who else calls it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from detectors._kit import forge
from detectors._kit.beat_echo import echo
from detectors._kit.beat_events import Outward, calls, pulses
from detectors._kit.beat_finding import lone_finding, relayed_finding
from detectors._kit.beat_relay import Relayed, Series, judge
from detectors._kit.beat_rings import BeatRings
from detectors._kit.beat_score import Rhythm, rhythm
from detectors._kit.fold import Fold
from detectors._kit.restate import Restatement
from nettriage.model.alert import Attack
from nettriage.model.columns import Mixer
from nettriage.model.detector import Card, Detector, Example, Frames
from nettriage.model.finding import Address, Finding
from nettriage.model.health import Gauge
from nettriage.model.site import Site
from nettriage.model.slices import Slice
from nettriage.model.tables import ORIGINATOR, Tables
from nettriage.model.tuning import Tuning, knob

_S = 1_000_000_000
_FINDINGS_PER_TICK = 64
_INCIDENTS_MAX = 1_024
_RELAYED_MAX = 256
_JUDGED_PER_TICK = 256
_ONWARD_MAX = 32
"""Series of the called host that are compared with one rhythm, the latest first."""
_RARE_SCORE, _REGULAR_SCORE = 28.0, 14.0
_LONE_KEY, _RELAY_KEY = 0x5EED_0001, 0x5EED_0002


@dataclass(frozen=True, slots=True, kw_only=True)
class BeaconTuning(Tuning):
    """Thresholds of the beacon detector."""

    beats: int = knob(
        12, "calls", lo=4, hi=64, why="RITA asks for 4 in a day; within minutes people browse so regularly eight times"
    )
    relayed_beats: int = knob(6, "calls", lo=6, hi=64, why="a second leg in step is evidence that a lone rhythm lacks")
    score: float = knob(
        0.85, "score", lo=0.5, hi=1.0, why="a jitter of 25 % scores 0.95; calls at random score 0.75 and less"
    )
    period_s: float = knob(
        2.0,
        "s",
        lo=1.0,
        hi=3_600.0,
        why="faster ones are polling by people's own pages and games; beacons sleep longer",
    )
    rare_clients: int = knob(
        2,
        "hosts",
        lo=1,
        hi=1_000,
        why="update and push services are called by many hosts, a command post by its victims",
    )
    idle_s: float = knob(3_600.0, "s", lo=60.0, hi=86_400.0, why="an hour without a call ends the incident")


def relayed_calls(relay: str, target: str, *, callers: int = 1, lag_ms: int = 3, jitter: bool = True) -> Frames:
    """Return calls to `relay` about every 8 s, each passed on to `target` after `lag_ms` and some."""
    scene = forge.Scene()
    for caller in range(callers):
        for beat in range(14):
            scene.now_ns = (
                forge.START_NS + beat * 8 * forge.S + (caller * 1_700 + (beat * 977 % 1_900) * jitter) * forge.MS
            )
            talk = ((0, b"POST /t" + bytes(120)), (1, b"HTTP/1.1 204\r\n" + bytes(60)))
            scene.session(f"10.0.1.{11 + caller}", relay, 8531, talk)
            scene.now_ns += (lag_ms - 1) * forge.MS + (beat % 3) * 200_000
            scene.session(relay, target, 443, talk, isn=(90 + beat, 70 + beat))
    return scene.frames()


def _relayed() -> Frames:
    return relayed_calls("10.0.2.23", "198.51.100.10")


def _polled() -> Frames:
    scene = forge.Scene()
    for beat in range(20):
        scene.now_ns = forge.START_NS + beat * 10 * forge.S
        for host in range(20, 24):
            scene.session("10.0.2.30", f"10.0.2.{host}", 161, ((0, b"poll"), (1, b"ok")))
    return scene.frames()


class Beacon(Detector):
    """Calls in a steady rhythm."""

    card: ClassVar[Card] = Card(
        kind="beacon",
        title="Beacon",
        attack=(
            Attack(tactic="Command and Control", technique="T1071", name="Application Layer Protocol"),
            Attack(tactic="Command and Control", technique="T1090.001", name="Internal Proxy"),
        ),
        rules=("PT-CR-2600", "PT-CR-2638"),
        references=("RITA v5 analysis/beacons.go", "hashicorp/yamux const.go", "gsocket gsocket.h", "chisel client.go"),
        counts="calls",
    )
    tuning_type: ClassVar[type[Tuning]] = BeaconTuning
    reads: ClassVar[frozenset[str]] = frozenset({"resumes", "ends", "tables"})
    examples: ClassVar[tuple[Example, ...]] = (
        Example("calls that a server passes on to the outside", _relayed, fires=True, subject="10.0.2.23"),
        Example("a monitor that polls servers", _polled, fires=False),
    )
    state_limit_bytes: ClassVar[int] = 48 << 20

    def __init__(self, tuning: Tuning, site: Site) -> None:
        """Make empty tables."""
        super().__init__(tuning, site)
        assert isinstance(tuning, BeaconTuning)
        self._limits = tuning
        self._fold = Fold.keyed(Mixer(site.mixer_secret))
        self._idle_ns = int(tuning.period_s * _S)
        self._outward = Outward()
        self._calls = BeatRings("series of calls", 8_192)
        self._pulses = BeatRings("series in flows", 8_192)
        self._relayed: dict[int, Relayed] = {}
        self._said = Restatement(_INCIDENTS_MAX, int(tuning.idle_s * _S))
        self._unjudged = 0

    def push(self, seen: Slice) -> None:
        """Note the beats of a slice, and the sizes of calls that ended."""
        flows = seen.tables.flows
        beats = calls(seen, self._fold, self._outward) if len(seen.resumes) else None
        if beats:
            self._calls.add(beats, len(flows.serial))
        again = pulses(seen, self._fold, self._idle_ns, self._outward) if len(seen.resumes) else None
        if again:
            self._pulses.add(again, len(flows.serial))
        if len(seen.ends) and self._calls.used:
            rows = seen.ends.flow.astype(np.intp)
            size = flows.payload_bytes[rows, ORIGINATOR].astype(np.int64)
            self._calls.add_sizes(rows, flows.serial[rows], size)

    def tick(self, now_ns: int, tables: Tables) -> list[Finding]:
        """Score the series that beat again, and look for calls onward in step."""
        for rings, in_flow in ((self._calls, False), (self._pulses, True)):
            rows = rings.drain(self._limits.relayed_beats)
            if len(rows):
                self._judge(
                    rings, rhythm(rings, rows, self._limits.relayed_beats, self._limits.period_s), tables, in_flow
                )
        return self._said.due(now_ns, _FINDINGS_PER_TICK)

    def gauges(self) -> dict[str, Gauge]:
        """Return how full the tables are, and how many rhythms were left unjudged."""
        return {
            **self._calls.gauges(),
            **self._pulses.gauges(),
            "relayed rhythms": Gauge(cap=_RELAYED_MAX, used=len(self._relayed), refused=self._unjudged),
            "incidents": self._said.gauge,
        }

    def state_bytes(self) -> int:
        """Return the memory of tables and incidents."""
        children = sum(len(item.children) for item in self._relayed.values())
        relayed = 1_000 * len(self._relayed) + 800 * children
        return self._calls.nbytes + self._pulses.nbytes + self._said.nbytes + self._outward.nbytes + relayed

    def _judge(self, rings: BeatRings, found: Rhythm, tables: Tables, in_flow: bool) -> None:
        regular = np.flatnonzero((found.score >= self._limits.score) & (found.time >= self._limits.score))
        self._unjudged += max(len(regular) - _JUDGED_PER_TICK, 0)
        for at in regular[:_JUDGED_PER_TICK].tolist():
            series = _series(rings, found, at)
            if series.called in self.site.home:
                self._follow(rings, int(found.rows[at]), series, tables, in_flow)
            elif series.beats >= self._limits.beats and series.caller in self.site.home:
                self._lone(rings, int(found.rows[at]), series, tables, in_flow)

    def _follow(self, rings: BeatRings, row: int, series: Series, tables: Tables, in_flow: bool) -> None:
        """Look among the calls of the called host for those that echo the series."""
        onward = np.flatnonzero(rings.caller_key == rings.called_key[row])
        onward = onward[(rings.keys[onward] != 0) & ~self.site.home.contains(*rings.called(onward))]
        if not len(onward):
            return
        onward = onward[np.argsort(-rings.last_ns[onward], kind="stable")][:_ONWARD_MAX]
        times, counts = rings.times(np.concatenate(([row], onward)))
        for at, there in enumerate(onward.tolist(), start=1):
            met = echo(times[0, : counts[0]], times[at, : counts[at]])
            if met and met.holds(len(onward)):
                self._relay(rings, there, in_flow).enter(series, met)
                self._offer_relayed(rings, there, tables)

    def _relay(self, rings: BeatRings, row: int, in_flow: bool) -> Relayed:
        """Return the account of calls onward, opened where there is none."""
        key = int(rings.keys[row]) ^ _RELAY_KEY
        known = self._relayed.pop(key, None)
        if known is None:
            relay, target = rings.ends(row)
            known = Relayed(key, relay, target, int(rings.port[row]), int(rings.proto[row]), 0, -1.0, in_flow)
            if len(self._relayed) >= _RELAYED_MAX:
                del self._relayed[next(iter(self._relayed))]
        self._relayed[key] = known
        known.serial, known.median_bytes = int(rings.serial[row]), _median_bytes(rings, row)
        return known

    def _offer_relayed(self, rings: BeatRings, row: int, tables: Tables) -> None:
        relayed = self._relayed[int(rings.keys[row]) ^ _RELAY_KEY]
        self._said.offer(relayed_finding(relayed, judge(relayed, self.site), tables, self._limits.score))

    def _lone(self, rings: BeatRings, row: int, series: Series, tables: Tables, in_flow: bool) -> None:
        """Say a rhythm towards the outside that few hosts share."""
        passed_on = (int(rings.keys[row]) ^ _RELAY_KEY) in self._relayed
        clients = _clients(tables, rings, row)
        if passed_on or clients > self._limits.rare_clients or _is_group(series.called):
            return
        allowed = self.site.allow.between(series.caller, series.called)
        role = f"{allowed} is declared under network.allow" if allowed else "few hosts call it, nobody passes it on"
        score = _REGULAR_SCORE if allowed or in_flow else _RARE_SCORE
        key = int(rings.keys[row]) ^ _LONE_KEY
        self._said.offer(lone_finding(series, key, score, role, in_flow=in_flow, limit=self._limits.score))


def _series(rings: BeatRings, found: Rhythm, at: int) -> Series:
    row = int(found.rows[at])
    caller, called = rings.ends(row)
    return Series(
        caller=caller, called=called, port=int(rings.port[row]), proto=int(rings.proto[row]),
        serial=int(rings.serial[row]), period_s=float(found.period_s[at]), jitter_s=float(found.jitter_s[at]),
        score=float(found.score[at]), time=float(found.time[at]), size=float(found.size[at]),
        beats=int(rings.total[row]), first_ns=int(rings.first_ns[row]), last_ns=int(rings.last_ns[row]),
        median_bytes=_median_bytes(rings, row),
    )  # fmt: skip


def _median_bytes(rings: BeatRings, row: int) -> float:
    sizes, count = rings.sizes(np.array([row]))
    return float(np.median(sizes[0, : count[0]])) if count[0] else -1.0


def _clients(tables: Tables, rings: BeatRings, row: int) -> int:
    """Return how many hosts the called service answered."""
    one = slice(row, row + 1)
    return int(tables.services.clients(rings.called_key[one], rings.proto[one], rings.port[one])[0])


def _is_group(addr: Address) -> bool:
    high, low = addr
    if high == 0 and low >> 32 == 0xFFFF:
        return low >> 28 & 0xF == 0xE or low & 0xFFFF_FFFF == 0xFFFF_FFFF
    return high >> 56 == 0xFF
