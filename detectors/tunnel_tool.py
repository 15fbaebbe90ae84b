"""Tunnelling tools named by their bytes: chisel, frp, rathole, nps, revsocks, RTUN, wstunnel, reGeorg, HTran, yamux.

*What it measures*
    The first payload of both sides of every young TCP flow, on any port. Each tool has a handshake of its own:
    the WebSocket subprotocol and inner banner of chisel, the token of wstunnel (decoded: it names the target),
    the login of frp, the hellos of rathole and nps, the password of revsocks, the paths of RTUN, the requests of
    reGeorg and the shape of Neo-reGeorg, the error text of HTran (it names the hidden next hop), yamux headers,
    and SOCKS5 that a host serves over a connection which it dialled itself, as EarthWorm does.

*Blind spots*
    The same tools inside TLS or behind a TLS proxy: there only rhythm, sizes and what they trigger remain. Tools
    whose bytes were changed. Flows whose first 2 KiB were not captured. Neo-reGeorg is told by shape alone.

*Common benign causes*
    Administrators who publish a service with frp, a development tunnel that somebody was allowed to run, HashiCorp
    software that speaks yamux without TLS, VS Code-like remote development over WebSocket.

*What to do next*
    Find the process that holds the connection, and ask its owner. Look at what the host opened inside while the
    tunnel lived: the targets are the finding. Block the far end.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from detectors._kit import forge
from detectors._kit.cases import CaseBook, Sighting
from detectors._kit.legs import note
from detectors._kit.openings import OpeningWatch
from detectors._kit.placing import acting_side, placed_score, web_socket_accept
from detectors._kit.recognise import (
    certificates,
    control_channels,
    over_websocket,
    port_forward,
    web_shell,
    yamux,
)
from detectors._kit.recognise.screen import suspects
from detectors._kit.recognise.tool_talk import ToolTalk
from nettriage.model.addresses import to_text
from nettriage.model.alert import Attack, BenignCheck
from nettriage.model.detector import Card, Detector, Example, Frames
from nettriage.model.finding import Finding
from nettriage.model.health import Gauge
from nettriage.model.site import Site
from nettriage.model.slices import Slice
from nettriage.model.tables import RESPONDER, Tables
from nettriage.model.tuning import Tuning, knob

_S = 1_000_000_000
_PARSES_PER_TICK = 512
_NEXT_STEPS = (
    "On {host}: find the process that holds the connection, and who started it",
    "Look at the connections that {host} opened inside while the tunnel lived",
    "Block the far end, and search other hosts for the same",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class TunnelToolTuning(Tuning):
    """Thresholds of the tunnel tool detector."""

    confidence: float = knob(
        0.5, "share", lo=0.1, hi=0.99, why="the weakest mark that counts is the shape of Neo-reGeorg, at 0.6"
    )
    idle_s: float = knob(
        1_800.0, "s", lo=60.0, hi=86_400.0, why="keepalives of these tools are 25 to 60 s apart; half an hour is an end"
    )


def _chiselled() -> Frames:
    ask = (
        b"GET / HTTP/1.1\r\nHost: 192.0.2.66:8080\r\nUser-Agent: Go-http-client/1.1\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Key: c2FtcGxlIG5vbmNlIDEyMw==\r\nSec-WebSocket-Protocol: chisel-v3\r\n"
        b"Sec-WebSocket-Version: 13\r\nUpgrade: websocket\r\n\r\n"
    )
    inner = b"SSH-chisel-v3-%s\r\n"
    server, client = inner % b"server", inner % b"client"
    turns = (
        (0, ask), (1, web_socket_accept(b"chisel-v3")), (1, bytes((0x82, len(server))) + server),
        (0, bytes((0x82, 0x80 | len(client), 0, 0, 0, 0)) + client),
    )  # fmt: skip
    return forge.Scene().session("10.0.1.12", "192.0.2.66", 8080, turns, gap_ns=forge.MS).frames()


def _chatting() -> Frames:
    ask = (
        b"GET /chat HTTP/1.1\r\nHost: chat.example.com\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Key: c2FtcGxlIG5vbmNlIDEyMw==\r\nSec-WebSocket-Protocol: chat\r\n\r\n"
    )
    turns = ((0, ask), (1, web_socket_accept(b"chat")), (1, b"\x81\x05hello"))
    return forge.Scene().session("10.0.1.12", "192.0.2.80", 80, turns, gap_ns=forge.MS).frames()


class TunnelTool(Detector):
    """Tunnelling tools by name."""

    card: ClassVar[Card] = Card(
        kind="tunnel-tool",
        title="Tunnelling tool",
        attack=(
            Attack(tactic="Command and Control", technique="T1572", name="Protocol Tunneling"),
            Attack(tactic="Command and Control", technique="T1090.001", name="Internal Proxy"),
        ),
        rules=("PT-CR-428", "PT-CR-610", "PT-CR-2598"),
        references=(
            "jpillora/chisel share/version.go", "fatedier/frp pkg/msg/msg.go", "rapiz1/rathole src/protocol.rs",
            "ehang-io/nps client/control.go", "kost/revsocks rclient.go", "snsinfu/reverse-tunnel agent/agent.go",
            "erebe/wstunnel", "sensepost/reGeorg", "L-codes/Neo-reGeorg", "HiwinCN/HTran", "hashicorp/yamux spec.md",
        ),
        counts="connections",
    )  # fmt: skip
    tuning_type: ClassVar[type[Tuning]] = TunnelToolTuning
    reads: ClassVar[frozenset[str]] = frozenset({"prefixes", "tables"})
    examples: ClassVar[tuple[Example, ...]] = (
        Example("a workstation opens a chisel tunnel to the internet", _chiselled, fires=True, subject="10.0.1.12"),
        Example("a workstation chats over WebSocket", _chatting, fires=False),
    )
    state_limit_bytes: ClassVar[int] = 32 << 20

    def __init__(self, tuning: Tuning, site: Site) -> None:
        """Make an empty book."""
        super().__init__(tuning, site)
        assert isinstance(tuning, TunnelToolTuning)
        self._limits = tuning
        self._watch = OpeningWatch()
        self._book = CaseBook(256, int(tuning.idle_s * _S))
        self._unparsed = 0

    def push(self, seen: Slice) -> None:
        """Mark the flows whose prefixes grew."""
        self._watch.note(seen)

    def tick(self, now_ns: int, tables: Tables) -> list[Finding]:
        """Parse the few flows that may be a tool, and say what changed."""
        opened = self._watch.openings(now_ns, tables)
        if len(opened):
            chosen = suspects(opened, tables)
            self._unparsed += max(len(chosen) - _PARSES_PER_TICK, 0)
            for row in chosen[:_PARSES_PER_TICK].tolist():
                self._parse(row, tables)
        return self._book.due(now_ns, tables, _NEXT_STEPS)

    def gauges(self) -> dict[str, Gauge]:
        """Return how many cases are open, and how many suspects were left unparsed."""
        marks = self._watch
        young = Gauge(cap=marks.cap, used=marks.used, refused=self._unparsed)
        return {"young flows": young, "cases": self._book.gauge}

    def state_bytes(self) -> int:
        """Return the memory of marks and cases."""
        return self._watch.nbytes + self._book.nbytes

    def _parse(self, row: int, tables: Tables) -> None:
        client, server = (tables.prefixes.payload(row, side) for side in (0, 1))
        talk = recognised(client, server, int(tables.flows.port[row, RESPONDER]))
        if talk is not None and talk.confidence >= self._limits.confidence:
            self._book.add(self._sighting(row, talk, tables))

    def _sighting(self, row: int, talk: ToolTalk, tables: Tables) -> Sighting:
        flow = note(tables, row)
        side = acting_side(flow, talk.acting_side, self.site)
        host = to_text(*flow.ends[side].addr)
        who = "runs the client of" if side == 0 else "serves"
        check = BenignCheck(
            hypothesis="a service that happens to begin alike", rejected_because=f"the bytes are those of {talk.tool}"
        )
        return Sighting(
            flow=flow, acting_side=side, name=talk.tool, tool=talk.tool, evidence=talk.evidence, target=talk.target,
            title=f"{talk.tool} tunnel at {host}", confidence=talk.confidence,
            reason=f"{host} {who} {talk.tool}: {talk.evidence}",
            score=placed_score(talk.score, flow, self.site), via=(flow.host(side), flow.ends[1 - side]),
            checks=(check,), counterfactual=f"would not alert without the bytes of {talk.tool}",
        )  # fmt: skip


def recognised(client: bytes, server: bytes, port: int) -> ToolTalk | None:
    """Return the tool that two sides of a flow to `port` speak, None where they speak none."""
    return (
        over_websocket.recognise(client, server, port)
        or control_channels.recognise(client, server)
        or port_forward.recognise(client, server)
        or yamux.recognise(client, server)
        or web_shell.recognise(client, server)
        or certificates.recognise(client, server)
    )
