"""Ligolo and Ligolo-ng: a network tunnel from an agent inside to its operator's proxy.

*What it measures*
    The certificate that the proxy makes for itself (organisation ``ligolo``), visible up to TLS 1.2. The shape of
    the first records behind the handshake: the TLS *server* opens a stream of the multiplexer yamux and asks for
    the agent's interfaces, which gives records of 34, 34, 23 and 34 bytes. Its keepalives: records of 34 bytes
    (41 in TLS 1.2) both ways every 30 s in a flow that is quiet otherwise. The default port 11601. In WebSocket
    without TLS the yamux headers themselves.

*Blind spots*
    TLS 1.3 with a long certificate chain hides the first records beyond what is kept of a flow; then only the
    keepalives remain, which other software with yamux sends, too. A changed keepalive or padding. What the
    operator does through the tunnel stands in `tunnel-trigger`.

*Common benign causes*
    HashiCorp software (Consul, Nomad, Boundary) and other programs that speak yamux inside TLS have the same
    keepalives. frp has them with its default settings, and is a tunnel as well.

*What to do next*
    Find the process on the agent's host, isolate the host, and list what it opened inside since the tunnel began.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from detectors._kit import forge
from detectors._kit.cases import CaseBook
from detectors._kit.legs import note
from detectors._kit.ligolo_marks import PORT, RECORD_RUNS, Marks, sighting
from detectors._kit.openings import Openings, OpeningWatch, Speech
from detectors._kit.tls_flows import has_record_run, shows_certificate
from detectors._kit.tls_heartbeats import TlsHeartbeats
from nettriage.model.alert import Attack
from nettriage.model.detector import Card, Detector, Example, Frames
from nettriage.model.finding import Finding
from nettriage.model.health import Gauge
from nettriage.model.site import Site
from nettriage.model.slices import Slice
from nettriage.model.tables import RESPONDER, Tables
from nettriage.model.tuning import Tuning, knob

_S = 1_000_000_000
_PARSES_PER_TICK, _MARKS_MAX = 256, 1_024
_NEXT_STEPS = (
    "On {host}: find the process that holds the connection, and what started it",
    "Isolate {host}, and list the connections that it opened inside since the tunnel began",
    "Search other hosts for the same port, certificate and JA4",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class LigoloTuning(Tuning):
    """Thresholds of the Ligolo detector."""

    heartbeats: int = knob(
        3,
        "records",
        lo=2,
        hi=100,
        why="three of each side take a minute and a half; other software pings in other sizes",
    )
    idle_s: float = knob(
        1_800.0, "s", lo=120.0, hi=86_400.0, why="the agent tries again for 300 s; half an hour is an end"
    )


def _record(kind: int, size: int) -> bytes:
    return bytes((kind, 3, 3)) + size.to_bytes(2) + b"\xa7" * size


def _agent() -> Frames:
    hello = b"\x16\x03\x01\x00\xf4\x01\x00\x00\xf0\x03\x03" + bytes(range(1, 239))
    answer = _record(22, 122) + _record(20, 1) + _record(23, 900) + _record(23, 53)
    turns = [(0, hello), (1, answer), (0, _record(20, 1) + _record(23, 53))]
    turns += [(1, _record(23, 29)), (1, _record(23, 29)), (1, _record(23, 18)), (1, _record(23, 29))]
    return forge.Scene().session("10.0.1.12", "192.0.2.66", PORT, turns, gap_ns=forge.MS).frames()


def _browser() -> Frames:
    hello = b"\x16\x03\x01\x00\xf4\x01\x00\x00\xf0\x03\x03" + bytes(range(1, 239))
    answer = _record(22, 122) + _record(20, 1) + _record(23, 900) + _record(23, 53)
    turns = [(0, hello), (1, answer), (0, _record(20, 1) + _record(23, 53)), (0, _record(23, 29))]
    turns += [(1, _record(23, 29)), (1, _record(23, 700))]
    return forge.Scene().session("10.0.1.12", "192.0.2.80", 443, turns, gap_ns=forge.MS).frames()


class Ligolo(Detector):
    """Agents of Ligolo and Ligolo-ng."""

    card: ClassVar[Card] = Card(
        kind="ligolo",
        title="Ligolo tunnel",
        attack=(
            Attack(tactic="Command and Control", technique="T1572", name="Protocol Tunneling"),
            Attack(tactic="Command and Control", technique="T1090.001", name="Internal Proxy"),
        ),
        rules=("PT-CR-969",),
        references=(
            "nicocha30/ligolo-ng pkg/tlsutils/selfcert.go, cmd/proxy/main.go, pkg/controller/agent.go",
            "hashicorp/yamux session.go, spec.md", "sysdream/ligolo", "RFC 8446 section 5.2",
        ),
        counts="connections",
    )  # fmt: skip
    tuning_type: ClassVar[type[Tuning]] = LigoloTuning
    reads: ClassVar[frozenset[str]] = frozenset(
        {
            "prefixes", "tables", "flow", "side", "packets", "packets.payload_len", "packets.duplicate",
            "packets.ts_ns", "resumes",
        }
    )  # fmt: skip
    examples: ClassVar[tuple[Example, ...]] = (
        Example("an agent connects to its proxy with TLS 1.3", _agent, fires=True, subject="10.0.1.12"),
        Example("a browser connects to a web site with TLS 1.3", _browser, fires=False),
    )
    state_limit_bytes: ClassVar[int] = 32 << 20

    def __init__(self, tuning: Tuning, site: Site) -> None:
        """Watch nothing yet."""
        super().__init__(tuning, site)
        assert isinstance(tuning, LigoloTuning)
        self._limits = tuning
        self._watch = OpeningWatch()
        self._beats = TlsHeartbeats()
        self._marks: OrderedDict[int, Marks] = OrderedDict()
        """What each suspicious flow showed, by serial; the oldest gives way."""
        self._book = CaseBook(128, int(tuning.idle_s * _S))
        self._unparsed = 0

    def push(self, seen: Slice) -> None:
        """Mark the flows whose prefixes grew, and count heartbeats."""
        self._watch.note(seen)
        self._beats.take(seen)

    def tick(self, now_ns: int, tables: Tables) -> list[Finding]:
        """Look at handshakes and first records, then at heartbeats, and say what changed."""
        opened = self._watch.openings(now_ns, tables)
        if len(opened):
            self._read(opened, tables)
        for row in self._beats.beating(self._limits.heartbeats, tables).tolist():
            marks = self._marks_of(row, tables)
            marks.beats = self._beats.beats(row)
            self._say(row, marks, tables)
        return self._book.due(now_ns, tables, _NEXT_STEPS)

    def gauges(self) -> dict[str, Gauge]:
        """Return how many flows are watched and suspected, and how many were left unparsed."""
        young = self._watch
        return {
            "young flows": Gauge(cap=young.cap, used=young.used, refused=self._unparsed),
            "quiet flows": self._beats.gauge,
            "suspects": Gauge(cap=_MARKS_MAX, used=len(self._marks)),
            "cases": self._book.gauge,
        }

    def state_bytes(self) -> int:
        """Return the memory of marks, columns and cases."""
        return self._watch.nbytes + self._beats.nbytes + len(self._marks) * 800 + self._book.nbytes

    def _read(self, opened: Openings, tables: Tables) -> None:
        tls = opened.speaks(0, Speech.TLS) & opened.speaks(1, Speech.TLS)
        at = np.flatnonzero(tls)
        suspect = opened.speaks(1, Speech.SWITCHED)
        if len(at):
            self._beats.note_tls(opened.rows[at], tables)
            suspect |= shows_certificate(opened, tables)
            suspect[at] |= has_record_run(opened, at, tables, RECORD_RUNS)
            suspect[at] |= tables.flows.port[opened.rows[at], RESPONDER] == PORT
        chosen = opened.rows[suspect]
        self._unparsed += max(len(chosen) - _PARSES_PER_TICK, 0)
        for row in chosen[:_PARSES_PER_TICK].tolist():
            found = Marks.read(tables, row)
            if found.any:
                self._say(row, self._marks_of(row, tables).joined(found), tables)

    def _marks_of(self, row: int, tables: Tables) -> Marks:
        serial = int(tables.flows.serial[row])
        marks = self._marks.setdefault(serial, Marks())
        if len(self._marks) > _MARKS_MAX:
            self._marks.popitem(last=False)
        return marks

    def _say(self, row: int, marks: Marks, tables: Tables) -> None:
        self._book.add(sighting(note(tables, row), marks, self.site))
