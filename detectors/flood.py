"""Flood: more new flows toward one host than it can serve, hardly any of which goes on.

*What it measures*
    New flows by victim and protocol in a sliding window, how many distinct sources and ports they have, and,
    from a sample, how many got anywhere: a TCP client that acknowledged, a datagram that was answered, an
    echo that was repeated. Half-open flows are counted, not SYNs, so a busy service is no flood; and they
    must crowd on few ports or come from many sources, so a scan is none.

*Blind spots*
    Floods inside few long flows (one UDP stream, HTTP requests over open connections), reflection whose
    requests are not seen, and floods below the threshold that exhaust a slow application.

*Common benign causes*
    A service that just died while thousands of clients retry; a stress test; a mirror that shows one
    direction only (see capture-degraded), where answers cannot be seen.

*What to do next*
    Check whether the victim still answers others. With spoofed sources filter at the edge by what the packets
    have in common; with few sources block these. Look for a scan or an intrusion under the noise.
"""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass, replace
from typing import ClassVar

from detectors._kit import forge
from detectors._kit.reasons import counted, duration, port_ranges, protocol_name, title
from detectors._kit.victims import Load, VictimTable
from nettriage.model.addresses import to_text
from nettriage.model.alert import Attack, BenignCheck, Observation
from nettriage.model.batch import TcpFlag
from nettriage.model.columns import Mixer, Rows
from nettriage.model.detector import Card, Detector, Example, Frames
from nettriage.model.finding import Address, Endpoint, Finding
from nettriage.model.health import Gauge
from nettriage.model.site import Site
from nettriage.model.slices import Slice
from nettriage.model.tables import ORIGINATOR, RESPONDER, Tables
from nettriage.model.tuning import Tuning, knob

VICTIMS = 4_096
INCIDENTS = 64
"""Victims with an open incident; more at once are one event of the whole network."""
_SETTLED_NS = 1_000_000_000
"""A flow that did not go on after a second will not."""
_IDLE_NS = 60_000_000_000
_FEW_SOURCES = 4
_TCP, _UDP = 6, 17


@dataclass(frozen=True, slots=True, kw_only=True)
class FloodTuning(Tuning):
    """Thresholds of the flood."""

    half_open: int = knob(
        1_000, "flows", lo=50, hi=10_000_000, why="100 dead flows a second: retries of an outage stay far below"
    )
    window_s: float = knob(10.0, "s", lo=1.0, hi=300.0, why="long enough to tell a flood from a burst of a page load")
    dead_share: float = knob(0.8, "share", lo=0.3, hi=1.0, why="a busy service completes most of its connections")
    flows_a_port: float = knob(50.0, "flows", lo=5.0, hi=100_000.0, why="a scan tries a port a few times, not fifty")
    sources: int = knob(64, "sources", lo=8, hi=100_000, why="among one flow in eight; no coordinated scan is so wide")


def _syn_flood() -> Frames:
    scene = forge.Scene(step_ns=forge.MS)
    for at in range(1_200):
        source = f"198.51.{at % 100 + 1}.{at // 100 + 1}"
        scene.put(forge.tcp(source, 1024 + at, "10.0.1.9", 80, forge.SYN, seq=at, ident=at))
    return scene.frames()


def _busy_service() -> Frames:
    scene = forge.Scene(step_ns=forge.MS)
    for at in range(1_050):
        scene.query(f"198.51.100.{at % 200 + 1}", "10.0.1.9", 53)
    return scene.frames()


def _scan() -> Frames:
    scene = forge.Scene(step_ns=forge.MS)
    for port in range(1, 1_051):
        scene.refused("10.0.0.5", "10.0.1.9", port)
    return scene.frames()


class Flood(Detector):
    """Victims of more dead new flows than any ordinary cause makes."""

    card: ClassVar[Card] = Card(
        kind="flood",
        title="Flood",
        attack=(
            Attack(tactic="Impact", technique="T1498.001", name="Direct Network Flood"),
            Attack(tactic="Impact", technique="T1499.001", name="OS Exhaustion Flood"),
        ),
        rules=(),
        references=("RFC 4987: TCP SYN flooding attacks and common mitigations",),
        counts="flows",
    )
    tuning_type: ClassVar[type[Tuning]] = FloodTuning
    tuning: FloodTuning
    reads: ClassVar[frozenset[str]] = frozenset({"new_flows", "tables"})
    examples: ClassVar[tuple[Example, ...]] = (
        Example("SYNs from 1200 sources, none answered", _syn_flood, fires=True, subject="10.0.1.9"),
        Example("a busy service with 1050 queries", _busy_service, fires=False),
        Example("a scan of 1050 ports", _scan, fires=False),
    )
    state_limit_bytes: ClassVar[int] = 32 << 20

    def __init__(self, tuning: Tuning, site: Site) -> None:
        """Make an empty table."""
        super().__init__(tuning, site)
        self._victims = VictimTable(Mixer(site.mixer_secret), victims=VICTIMS, window_s=self.tuning.window_s)
        self._open: dict[int, Finding] = {}
        """Last finding of each open incident, at most `INCIDENTS`."""
        self._refused = 0

    def push(self, seen: Slice) -> None:
        """Count the flows that began."""
        self._victims.add(seen)

    def tick(self, now_ns: int, tables: Tables) -> list[Finding]:
        """Return floods that began, go on, or are over."""
        over = [key for key, told in self._open.items() if now_ns - told.last_ns > _IDLE_NS]
        findings = [replace(self._open.pop(key), closed=True) for key in over]
        for load in self._victims.loads(now_ns, self.tuning.half_open, tables)[: INCIDENTS - len(findings)]:
            told = self._open.get(load.key)
            if told is not None and told.last_ns == load.last_ns:
                continue
            finding = self._judged(load, now_ns, tables, told)
            if finding is not None:
                findings.append(finding)
        return findings

    def gauges(self) -> dict[str, Gauge]:
        """Return the gauges of victims and incidents."""
        return {
            "victims": self._victims.gauge,
            "incidents": Gauge(cap=INCIDENTS, used=len(self._open), refused=self._refused),
        }

    def state_bytes(self) -> int:
        """Return the memory of the table and of what was told."""
        return self._victims.nbytes + len(self._open) * 8_192

    def _judged(self, load: Load, now_ns: int, tables: Tables, told: Finding | None) -> Finding | None:
        """Return the finding for a victim whose flows are too many, too dead and too crowded, else None."""
        dead = _dead_share(load, now_ns, tables)
        if dead is None or dead < self.tuning.dead_share or load.flows * dead < self.tuning.half_open:
            return None
        load = self._victims.estimated(load)
        if load.sampled < self.tuning.flows_a_port * load.ports and load.sources < self.tuning.sources:
            return None
        if told is None and len(self._open) == INCIDENTS:
            self._refused += 1
            return None
        self._open[load.key] = self._finding(load, dead, tables, told)
        return self._open[load.key]

    def _finding(self, load: Load, dead: float, tables: Tables, told: Finding | None) -> Finding:
        window_s, name, victim = self.tuning.window_s, protocol_name(load.proto), to_text(*load.victim)
        known = load.sample[load.sample >= 0]
        ports = sorted(set(tables.flows.port[known, RESPONDER].tolist()))
        attackers = _attackers(known, tables) if load.sources <= _FEW_SOURCES else []
        rate = load.flows / window_s
        first_ns = told.first_ns if told else int(load.last_ns - window_s * 1e9)
        who = f"{counted(len(attackers), 'source')}" if attackers else f"at least {counted(load.sources, 'source')}"
        where = f"port {port_ranges(ports)}" if ports and load.ports <= len(ports) else "many ports"
        return Finding(
            key=load.key,
            subject=Endpoint(attackers[0] if attackers else load.victim),
            objects=[Endpoint(load.victim)],
            object_count=1,
            score=min(95.0, 45 + 12 * math.log10(max(load.flows * dead / self.tuning.half_open, 1))),
            confidence=0.9 if (tables.one_way_share or 0.0) < 0.5 else 0.5,
            first_ns=min(first_ns, load.last_ns),
            last_ns=load.last_ns,
            count=load.total,
            title=title(f"Flood at {victim}: {rate:,.0f} {name} flows/s, {dead:.0%} dead"),
            reason=(
                f"{victim} got {counted(load.flows, f'new {name} flow')} in {duration(int(window_s * 1e9))} from {who} "
                f"to {where}, and {dead:.0%} of them never went on."
            ),
            proto=load.proto,
            ports=ports if load.proto != 1 else [],
            port_count=load.ports,
            counterfactual=f"would not alert if {1 - self.tuning.dead_share:.0%} of the flows had gone on",
            observations=self._observations(load, dead),
            benign_checked=_benign(load, dead),
            visibility_note="answers may be missing: the feed shows one direction only" if _blind(tables) else "",
            next_steps=_next_steps(victim, attackers),
        )

    def _observations(self, load: Load, dead: float) -> list[Observation]:
        tuning = self.tuning
        rows = (
            ("dead new flows", round(load.flows * dead), "flows", tuning.half_open, 0.5),
            ("share that never went on", round(dead, 3), "share", tuning.dead_share, 0.3),
            ("distinct sources in the sample", load.sources, "sources", tuning.sources, 0.1),
            ("flows for each port in the sample", load.sampled / max(load.ports, 1), "flows", tuning.flows_a_port, 0.1),
        )
        return [
            Observation(
                name=name, value=float(value), unit=unit, threshold=float(threshold), window_s=tuning.window_s,
                weight=weight,
            )
            for name, value, unit, threshold, weight in rows
        ]  # fmt: skip


def _dead_share(load: Load, now_ns: int, tables: Tables) -> float | None:
    """Return the share of sampled flows that never went on; None before any is old enough.

    A flow that left its table so soon was never answered: answered flows live longer there.
    """
    flows = tables.flows
    gone = int((load.sample < 0).sum())
    rows = load.sample[load.sample >= 0]
    rows = rows[flows.first_ns[rows] <= now_ns - _SETTLED_NS]
    if not len(rows) + gone:
        return None
    if load.proto == _TCP:
        alive = (flows.tcp_flags[rows, ORIGINATOR] & TcpFlag.ACK) != 0
    elif load.proto == _UDP:
        alive = flows.packets[rows, RESPONDER] > 0
    else:
        alive = flows.packets[rows, ORIGINATOR] > 1
    return float(len(rows) - alive.sum() + gone) / (len(rows) + gone)


def _attackers(rows: Rows, tables: Tables) -> list[Address]:
    """Return the sources of sampled flows, the busiest first."""
    hosts = Counter(tables.flows.host[rows, ORIGINATOR].tolist())
    return [(int(tables.hosts.addr_hi[row]), int(tables.hosts.addr_lo[row])) for row, _ in hosts.most_common()]


def _blind(tables: Tables) -> bool:
    return (tables.one_way_share or 0.0) >= 0.5


def _benign(load: Load, dead: float) -> list[BenignCheck]:
    rows = (
        ("a busy service", f"{dead:.0%} of the sampled flows never went on"),
        (
            "a port scan",
            f"{load.sampled:,} sampled flows went to {counted(load.ports, 'port')} from {load.sources:,} sources",
        ),
        ("clients that retry a dead service", "retries of clients are far slower than this"),
    )
    return [BenignCheck(hypothesis=hypothesis, rejected_because=because) for hypothesis, because in rows]


def _next_steps(victim: str, attackers: list[Address]) -> list[str]:
    source = (
        f"Block or isolate {', '.join(to_text(*addr) for addr in attackers)}."
        if attackers
        else "Filter at the edge by what the packets have in common; their sources are most likely spoofed."
    )
    return [f"Check whether {victim} still answers others.", source, "Look for scans and sessions under the noise."]
