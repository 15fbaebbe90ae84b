"""Traffic that is encrypted from its first byte and says nothing of itself: Shadowsocks, VMess and the like.

*What it measures*
    The first payload of both sides of TCP flows whose start was seen and that no other protocol claims. Neither
    may be exempt: bits set in a byte between 3.4 and 4.6 on average, no printable start, share or run, no TLS,
    no HTTP (the tests of the Great Firewall, Wu et al. 2023), and neither may give its own length or repeat a
    byte as framed protocols do. Such a server inside the network weighs most: of 2,602 flows of enterprise
    captures none looked like this, of all public captures 2 %.

*Blind spots*
    Tunnels that imitate TLS or HTTP. First payloads below 40 bytes. Protocols that begin with a clear header.
    Flows that began before the capture.

*Common benign causes*
    Peer-to-peer file sharing with encryption, messengers on mobile devices, block chains, backup and monitoring
    agents that compress or encrypt with a key of their own (Zabbix is known).

*What to do next*
    Find the process that listens (or dials) and ask what it is. Look whether the server opens connections for
    its clients at the same moments: then it is a proxy.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from detectors._kit import forge
from detectors._kit.cases import CaseBook, Sighting
from detectors._kit.legs import note
from detectors._kit.opaque_flows import OpaqueServers, unclaimed
from detectors._kit.openings import OpeningWatch
from detectors._kit.placing import placed_score
from detectors._kit.randomness import WIDTH, looks_random
from nettriage.model.addresses import to_text
from nettriage.model.alert import Attack, BenignCheck, Observation
from nettriage.model.columns import Rows
from nettriage.model.detector import Card, Detector, Example, Frames
from nettriage.model.finding import Finding
from nettriage.model.health import Gauge
from nettriage.model.site import Site
from nettriage.model.slices import Slice
from nettriage.model.tables import RESPONDER, Tables
from nettriage.model.tuning import Tuning, knob

_S = 1_000_000_000
_FLOWS_PER_TICK = 128
_INSIDE_SCORE, _OUTSIDE_SCORE, _TLS_PORT_EXTRA, _OFTEN_EXTRA = 58.0, 20.0, 5.0, 10.0
"""To a server outside it stays low, on the port of TLS too: messengers of telephones speak like this (25 of 1,519
flows to port 443 in public captures)."""
_NEXT_STEPS = (
    "On {host}: find the process that holds the port or the connection, and ask what it speaks",
    "Look whether the server opens connections for its clients at the same moments",
    "Compare with the list of agents and peer-to-peer software that is allowed",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class OpaqueTrafficTuning(Tuning):
    """Thresholds of the opaque traffic detector."""

    often: int = knob(
        3, "connections", lo=2, hi=1_000, why="one random-looking flow may be chance or cut; a service repeats it"
    )
    idle_s: float = knob(1_800.0, "s", lo=60.0, hi=86_400.0, why="half an hour without a packet ends the incident")


def _noise(seed: int, size: int) -> bytes:
    return np.random.default_rng(seed).integers(0, 256, size, np.uint8).tobytes()


def _proxied() -> Frames:
    scene = forge.Scene()
    for turn in range(4):
        up, down = _noise(turn, 150 + 9 * turn), _noise(100 + turn, 900)
        scene.session("10.0.1.11", "10.0.1.12", 8388, ((0, up), (1, down)), gap_ns=forge.MS)
    return scene.frames()


def _structured() -> Frames:
    scene = forge.Scene()
    framed = bytes((0, 0, 1, 0)) + _noise(1, 256)
    for _ in range(4):
        scene.session("10.0.1.11", "10.0.2.20", 9_000, ((0, framed), (1, framed)))
        scene.session("10.0.1.11", "10.0.2.22", 8_080, ((0, b"GET / HTTP/1.1\r\n\r\n"), (1, _noise(2, 600))))
    return scene.frames()


class OpaqueTraffic(Detector):
    """Services that are encrypted from the first byte."""

    card: ClassVar[Card] = Card(
        kind="opaque-traffic",
        title="Encrypted from the first byte",
        attack=(
            Attack(tactic="Command and Control", technique="T1573.001", name="Symmetric Cryptography"),
            Attack(tactic="Command and Control", technique="T1090.001", name="Internal Proxy"),
        ),
        rules=("PT-CR-2598",),
        references=(
            "Wu et al., How the Great Firewall of China Detects and Blocks Fully Encrypted Traffic, USENIX Sec. 2023",
            "ntop/nDPI src/lib/ndpi_main.c fully_enc_heuristic",
        ),
        counts="connections",
    )
    tuning_type: ClassVar[type[Tuning]] = OpaqueTrafficTuning
    reads: ClassVar[frozenset[str]] = frozenset({"prefixes", "tables"})
    examples: ClassVar[tuple[Example, ...]] = (
        Example("a workstation serves Shadowsocks to another", _proxied, fires=True, subject="10.0.1.12"),
        Example("a framed protocol, and a compressed answer to HTTP", _structured, fires=False),
    )
    state_limit_bytes: ClassVar[int] = 16 << 20

    def __init__(self, tuning: Tuning, site: Site) -> None:
        """Make an empty book."""
        super().__init__(tuning, site)
        assert isinstance(tuning, OpaqueTrafficTuning)
        self._limits = tuning
        self._watch = OpeningWatch()
        self._servers = OpaqueServers()
        self._book = CaseBook(128, int(tuning.idle_s * _S))
        self._left_out = 0

    def push(self, seen: Slice) -> None:
        """Mark the flows whose prefixes grew."""
        self._watch.note(seen)

    def tick(self, now_ns: int, tables: Tables) -> list[Finding]:
        """Test the first payloads of unclaimed flows, and say what changed."""
        opened = self._watch.openings(now_ns, tables)
        if len(opened):
            at = np.flatnonzero(unclaimed(opened, tables))
            if len(at):
                self._test(opened.rows[at], opened.slots[at], tables)
        return self._book.due(now_ns, tables, _NEXT_STEPS)

    def gauges(self) -> dict[str, Gauge]:
        """Return how many cases are open, and how many flows were left out."""
        marks = self._watch
        return {
            "young flows": Gauge(cap=marks.cap, used=marks.used, refused=self._left_out),
            "services": self._servers.gauge,
            "cases": self._book.gauge,
        }

    def state_bytes(self) -> int:
        """Return the memory of marks, services and cases."""
        return self._watch.nbytes + self._servers.nbytes + self._book.nbytes

    def _test(self, rows: Rows, slots: Rows, tables: Tables) -> None:
        random = np.ones(len(rows), np.bool_)
        for side in (0, 1):
            payload = np.asarray(tables.prefixes.data[slots, side, :WIDTH])
            whole = tables.flows.first_payload_len[rows, side].astype(np.int64)
            kept = np.minimum(np.minimum(whole, tables.prefixes.length[slots, side]), WIDTH)
            random &= looks_random(payload, kept.astype(np.int64), whole)
        found = rows[random]
        self._left_out += max(len(found) - _FLOWS_PER_TICK, 0)
        for row in found[:_FLOWS_PER_TICK].tolist():
            self._book.add(self._sighting(row, tables))

    def _sighting(self, row: int, tables: Tables) -> Sighting:
        flow = note(tables, row)
        server = flow.ends[RESPONDER]
        times = self._servers.count(flow)
        inside = server.addr in self.site.home
        often = times >= self._limits.often
        score = (
            _INSIDE_SCORE if inside else _OUTSIDE_SCORE + _TLS_PORT_EXTRA * (server.port == 443)
        ) + _OFTEN_EXTRA * often
        if inside and not often:
            score -= 22.0
        host = to_text(*flow.ends[int(inside)].addr)
        lengths = tables.flows.first_payload_len[row].tolist()
        where = "serves" if inside else "uses"
        return Sighting(
            flow=flow, acting_side=int(inside), name=f"port {server.port}",
            title=f"opaque service on port {server.port}",
            reason=f"{host} {where} something on port {server.port} that is encrypted from the first byte of both"
            f" sides ({lengths[0]} and {lengths[1]} bytes), no known protocol",
            confidence=0.75 if often else 0.4, score=placed_score(score, flow, self.site),
            via=(flow.host(0), flow.ends[1]), observations=_observations(times, self._limits.often),
            checks=(
                BenignCheck(hypothesis="TLS or SSH", rejected_because="neither side begins with a handshake"),
                BenignCheck(hypothesis="a framed protocol", rejected_because="it starts with no length"),
            ),
            counterfactual="would not alert if either side began with text, a length or a known handshake",
        )  # fmt: skip


def _observations(times: int, often: int) -> tuple[Observation, ...]:
    rows = (
        ("connections with random first payloads", float(times), "connections", float(often), 0.6),
        ("sides that look random", 2.0, "sides", 2.0, 0.4),
    )
    return tuple(
        Observation(name=name, value=value, unit=unit, threshold=limit, window_s=0.0, weight=weight)
        for name, value, unit, limit, weight in rows
    )
