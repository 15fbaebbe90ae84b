"""Protocols on ports that belong to others: SSH, SOCKS or OpenVPN where TLS is expected, TLS where a login is.

*What it measures*
    The first bytes of both sides of young TCP flows to well-known ports. Both sides must speak the same foreign
    protocol, so that probes of a scanner, which nobody answers in kind, do not count. In public captures port 443
    carried TLS 1,467 times of 1,519, SSH twice, OpenVPN three times: those are worth an alert. Plain text that
    is no HTTP on port 443 is a shell or a home-made protocol.

*Blind spots*
    A tunnel that speaks what its port expects. HTTP on port 443 and TLS on ports that nobody owns are common and
    left alone. Flows whose first bytes were not captured.

*Common benign causes*
    SSH of a code hosting service on 443 for people behind a strict firewall, an OpenVPN gateway on 443, a port
    multiplexer (sslh), a misconfigured proxy.

*What to do next*
    Ask who runs the server on that port and why. Look at the volume and at what the client does otherwise: a
    workstation that keeps SSH on 443 to one address outside evades the firewall.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from detectors._kit import forge, ssh
from detectors._kit.cases import CaseBook, Sighting
from detectors._kit.legs import NotedFlow, note
from detectors._kit.mismatches import Mismatch, mismatches
from detectors._kit.openings import OpeningWatch
from detectors._kit.placing import acting_side, placed_score
from nettriage.model.addresses import to_text
from nettriage.model.alert import Attack, BenignCheck, Observation
from nettriage.model.detector import Card, Detector, Example, Frames
from nettriage.model.finding import Finding
from nettriage.model.health import Gauge
from nettriage.model.safetext import SafeStr, safe
from nettriage.model.site import Site
from nettriage.model.slices import Slice
from nettriage.model.tables import RESPONDER, Tables
from nettriage.model.tuning import Tuning, knob

_S = 1_000_000_000
_FLOWS_PER_TICK = 128
_EVIDENCE_BYTES = 24
_NEXT_STEPS = (
    "Ask who runs this service on this port, and why",
    "Compare the volume and the hours with what {host} does otherwise",
    "Let the firewall admit on the port only what belongs there",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ProtocolMismatchTuning(Tuning):
    """Thresholds of the protocol mismatch detector."""

    payload_bytes: int = knob(
        32, "bytes", lo=1, hi=100_000, why="both sides said something; a banner and a goodbye are a scan"
    )
    idle_s: float = knob(1_800.0, "s", lo=60.0, hi=86_400.0, why="half an hour without a packet ends the incident")


def _hidden() -> Frames:
    banner = b"SSH-2.0-OpenSSH_9.2p1\r\n"
    turns = ((1, banner), (0, banner), (0, b"\0\0\4\0\6\x14" + b"k" * 600), (1, b"\0\0\4\0\6\x14" + b"k" * 600))
    return forge.Scene().session("10.0.1.12", "192.0.2.66", 443, turns, gap_ns=forge.MS).frames()


def _ordinary() -> Frames:
    hello = (0, b"\x16\x03\x01\x00\x7b\x01\x00\x00\x77\x03\x03" + bytes(range(117)))
    scene = forge.Scene()
    scene.session("10.0.1.12", "192.0.2.80", 443, (hello, (1, b"\x16\x03\x03\x00\x7a\x02" + bytes(range(121)))))
    scene.session("10.0.1.12", "10.0.2.22", 22, (hello, (1, b"SSH-2.0-OpenSSH_9.2p1\r\nInvalid SSH identification\n")))
    return scene.frames()


class ProtocolMismatch(Detector):
    """Flows that speak what their port does not expect."""

    card: ClassVar[Card] = Card(
        kind="protocol-mismatch",
        title="Foreign protocol on a known port",
        attack=(
            Attack(tactic="Command and Control", technique="T1571", name="Non-Standard Port"),
            Attack(tactic="Command and Control", technique="T1572", name="Protocol Tunneling"),
        ),
        rules=("PT-CR-428", "PT-CR-461"),
        references=("base rates by port over 6,299 TCP flows of public captures", "RFC 4253", "RFC 8446", "RFC 1928"),
        counts="connections",
    )
    tuning_type: ClassVar[type[Tuning]] = ProtocolMismatchTuning
    reads: ClassVar[frozenset[str]] = frozenset({"prefixes", "tables"})
    examples: ClassVar[tuple[Example, ...]] = (
        Example("a workstation keeps SSH on port 443 of a host outside", _hidden, fires=True, subject="10.0.1.12"),
        Example("TLS on 443, and a probe with TLS on 22 that is refused", _ordinary, fires=False),
    )
    state_limit_bytes: ClassVar[int] = 16 << 20

    def __init__(self, tuning: Tuning, site: Site) -> None:
        """Make an empty book."""
        super().__init__(tuning, site)
        assert isinstance(tuning, ProtocolMismatchTuning)
        self._limits = tuning
        self._watch = OpeningWatch()
        self._book = CaseBook(256, int(tuning.idle_s * _S))
        self._left_out = 0

    def push(self, seen: Slice) -> None:
        """Mark the flows whose prefixes grew."""
        self._watch.note(seen)

    def tick(self, now_ns: int, tables: Tables) -> list[Finding]:
        """Compare what flows speak with what their ports expect, and say what changed."""
        opened = self._watch.openings(now_ns, tables)
        if len(opened):
            found = mismatches(opened, tables.flows.port[opened.rows, RESPONDER])
            enough = opened.length.sum(axis=1) >= self._limits.payload_bytes
            found = [(at, what) for at, what in found if enough[at]]
            self._left_out += max(len(found) - _FLOWS_PER_TICK, 0)
            for at, what in found[:_FLOWS_PER_TICK]:
                self._book.add(self._sighting(int(opened.rows[at]), what, tables))
        return self._book.due(now_ns, tables, _NEXT_STEPS)

    def gauges(self) -> dict[str, Gauge]:
        """Return how many cases are open, and how many flows were left out."""
        marks = self._watch
        return {
            "young flows": Gauge(cap=marks.cap, used=marks.used, refused=self._left_out),
            "cases": self._book.gauge,
        }

    def state_bytes(self) -> int:
        """Return the memory of marks and cases."""
        return self._watch.nbytes + self._book.nbytes

    def _sighting(self, row: int, what: Mismatch, tables: Tables) -> Sighting:
        flow = note(tables, row)
        side = acting_side(flow, 0, self.site)
        host, port = to_text(*flow.ends[side].addr), flow.ends[RESPONDER].port
        said = [tables.prefixes.payload(row, one)[:_EVIDENCE_BYTES] for one in (0, 1)]
        verb = "speaks" if side == 0 else "serves"
        return Sighting(
            flow=flow, acting_side=side, name=f"{what.spoken} on {port}", title=f"{what.spoken} on port {port}",
            reason=f"{host} {verb} {what.spoken} on port {port}, which expects {what.expected}: {_words(said)}",
            confidence=0.9, score=placed_score(what.score, flow, self.site),
            via=(flow.host(side), flow.ends[1 - side]),
            observations=(
                Observation(
                    name="sides that speak it", value=2.0, unit="sides", threshold=2.0, window_s=0.0, weight=1.0
                ),
            ),
            checks=(_not_a_probe(flow, what),), counterfactual=f"would not alert if both sides spoke {what.expected}",
            tool=what.spoken if what.spoken == "SSH" else "", evidence=_software(said),
        )  # fmt: skip


def _words(said: list[bytes]) -> str:
    return f"'{safe(said[0], 48)}', answered '{safe(said[1], 48)}'"


def _software(said: list[bytes]) -> SafeStr:
    hello = ssh.parse(said[0]) or ssh.parse(said[1])
    return hello.software if hello else SafeStr("")


def _not_a_probe(flow: NotedFlow, what: Mismatch) -> BenignCheck:
    return BenignCheck(
        hypothesis="a scanner's probe",
        rejected_because=f"{to_text(*flow.ends[RESPONDER].addr)} answered in {what.spoken}",
    )
