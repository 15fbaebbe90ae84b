"""SSH used as a tunnel: reverse logins, forwarded ports, SSH inside SSH, SSH on ports of its own choice.

*What it measures*
    Who acts as the SSH client: the side that sends the first message of the key exchange (RFC 4253 8). Where that
    is the host that was called, the caller serves a login outwards. Sizes of the encrypted packets of every young
    SSH flow, by side: a channel that is opened for forwarding is a packet with two host names, confirmed at once
    by one that is 8 or 16 bytes longer than a keystroke. Opened by the client it is -L or -D, by the server -R.
    SSH inside SSH has keystrokes about 40 bytes longer. Keystrokes and bulk are told apart and said.

*Blind spots*
    Padding and other packet layers hide sizes. Fewer than three forwarded connections are not enough. A tunnel
    device (-w) or a program that forwards inside a session looks like bulk. Flows that began before the capture
    are not measured.

*Common benign causes*
    Administrators who forward a port or jump through a bastion (declare it under `network.bastions`), database
    clients and IDEs with an SSH tunnel of their own, a git server on another port.

*What to do next*
    Compare with the connections that the SSH server (for -R the client) opened at the same times: they are what
    the tunnel reached. Ask the owner of the session. sshd can forbid forwarding (AllowTcpForwarding).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from detectors._kit import forge, ssh
from detectors._kit.cases import CaseBook
from detectors._kit.legs import note
from detectors._kit.openings import OpeningWatch, Speech
from detectors._kit.ssh_finding import Talk, sightings
from detectors._kit.ssh_shapes import LANES, SshShapes
from detectors._kit.ssh_use import PACKETS_MIN, SshUse, use_of
from nettriage.model.alert import Attack
from nettriage.model.columns import I64
from nettriage.model.detector import Card, Detector, Example, Frames
from nettriage.model.finding import Finding
from nettriage.model.health import Gauge
from nettriage.model.site import Site
from nettriage.model.slices import Slice
from nettriage.model.tables import Tables
from nettriage.model.tuning import Tuning, knob

_S = 1_000_000_000
_PARSES_PER_TICK, _JUDGED_PER_TICK, _TALKS_MAX = 128, 64, 2_048
_GROWTH = 1.25
"""A flow is judged again when it has so many times the packets of its last judgement."""
_NEXT_STEPS = (
    "Look at the connections that opened at the far end of the session at the same times: they went through it",
    "Ask the owner of the session on {host}; declare the host under network.bastions if it forwards by design",
    "Forbid what is not wanted in sshd: AllowTcpForwarding, GatewayPorts, PermitTunnel",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class SshTunnelTuning(Tuning):
    """Thresholds of the SSH tunnel detector."""

    opened: int = knob(
        3, "channels", lo=2, hi=1_000, why="one pasted line may look like an opening; real file copies reach two"
    )
    idle_s: float = knob(
        1_800.0, "s", lo=60.0, hi=86_400.0, why="half an hour without a packet of the session ends the incident"
    )


def _session(turns: list[tuple[int, int]], client: str, server: str) -> Frames:
    """Return an SSH session whose encrypted packets have the sizes of `turns`, after eight of each side."""
    banner = b"SSH-2.0-OpenSSH_9.2p1\r\n"
    opening = [(1, banner), (0, banner)] + [(side, bytes([0, 0, 2, 0]) + b"\xa5" * 60) for side in (0, 1)] * 8
    body = [(side, b"\x5a" * size) for side, size in turns]
    return forge.Scene().session(client, server, 22, [*opening, *body], gap_ns=2 * forge.MS).frames()


def _remote() -> Frames:
    cycle = [(1, 92), (0, 44), (1, 124), (0, 1448), (0, 1448), (1, 36), (0, 72), (1, 36)]
    return _session(cycle * 6, "10.0.1.11", "192.0.2.66")


def _typing() -> Frames:
    return _session([(0, 36), (1, 36)] * 30 + [(0, 36), (1, 612)] * 5, "10.0.1.11", "10.0.2.22")


class SshTunnel(Detector):
    """SSH sessions that carry more than a login."""

    card: ClassVar[Card] = Card(
        kind="ssh-tunnel",
        title="SSH used as a tunnel",
        attack=(
            Attack(tactic="Command and Control", technique="T1572", name="Protocol Tunneling"),
            Attack(tactic="Command and Control", technique="T1090.001", name="Internal Proxy"),
            Attack(tactic="Lateral Movement", technique="T1021.004", name="SSH"),
        ),
        rules=("PT-CR-461", "PT-CR-428"),
        references=("RFC 4253 section 8", "RFC 4254 section 7", "benjeems/packetStrider", "FoxIO-LLC/ja4: JA4SSH"),
        counts="connections",
    )
    tuning_type: ClassVar[type[Tuning]] = SshTunnelTuning
    reads: ClassVar[frozenset[str]] = frozenset(
        {"prefixes", "tables", "flow", "side", "packets", "packets.payload_len", "packets.duplicate"}
    )
    examples: ClassVar[tuple[Example, ...]] = (
        Example("a workstation lets an outside host in with ssh -R", _remote, fires=True, subject="10.0.1.11"),
        Example("an administrator types in a shell", _typing, fires=False),
    )
    state_limit_bytes: ClassVar[int] = 32 << 20

    def __init__(self, tuning: Tuning, site: Site) -> None:
        """Measure nothing yet."""
        super().__init__(tuning, site)
        assert isinstance(tuning, SshTunnelTuning)
        self._limits = tuning
        self._watch = OpeningWatch()
        self._shapes = SshShapes()
        self._judged: I64 = np.zeros(LANES, np.int64)
        """`i8 [lane]`, packets at the last judgement."""
        self._judged_serial: I64 = np.zeros(LANES, np.int64)
        self._talks: dict[int, Talk] = {}
        """What was said in the clear, by flow serial; the oldest gives way."""
        self._book = CaseBook(256, int(tuning.idle_s * _S))
        self._unparsed = 0

    def push(self, seen: Slice) -> None:
        """Mark the flows whose prefixes grew, and count packet sizes of SSH flows."""
        self._watch.note(seen)
        self._shapes.take(seen)

    def tick(self, now_ns: int, tables: Tables) -> list[Finding]:
        """Read new handshakes, judge sizes where they grew, and say what changed."""
        self._read(now_ns, tables)
        self._measure(tables)
        return self._book.due(now_ns, tables, _NEXT_STEPS)

    def gauges(self) -> dict[str, Gauge]:
        """Return how many flows are measured, and how many handshakes were left unread."""
        marks = self._watch
        return {
            "young flows": Gauge(cap=marks.cap, used=marks.used, refused=self._unparsed),
            "ssh flows": self._shapes.gauge,
            "handshakes": Gauge(cap=_TALKS_MAX, used=len(self._talks)),
            "cases": self._book.gauge,
        }

    def state_bytes(self) -> int:
        """Return the memory of marks, columns, handshakes and cases."""
        own = self._judged.nbytes * 2 + len(self._talks) * 600
        return self._watch.nbytes + self._shapes.nbytes + own + self._book.nbytes

    def _read(self, now_ns: int, tables: Tables) -> None:
        opened = self._watch.openings(now_ns, tables)
        if not len(opened):
            return
        chosen = opened.rows[opened.speaks(0, Speech.SSH) & opened.speaks(1, Speech.SSH)]
        self._unparsed += max(len(chosen) - _PARSES_PER_TICK, 0)
        for row in chosen[:_PARSES_PER_TICK].tolist():
            hellos = [ssh.parse(tables.prefixes.payload(row, side)) for side in (0, 1)]
            if hellos[0] and hellos[1]:
                talk = Talk(hellos[0], hellos[1])
                self._keep(int(tables.flows.serial[row]), talk)
                self._say(row, talk, None, tables)

    def _keep(self, serial: int, talk: Talk) -> None:
        self._talks[serial] = talk
        if len(self._talks) > _TALKS_MAX:
            del self._talks[next(iter(self._talks))]

    def _measure(self, tables: Tables) -> None:
        shapes = self._shapes
        fresh = self._judged_serial != shapes.serial
        self._judged[fresh] = 0
        self._judged_serial[fresh] = shapes.serial[fresh]
        due = (shapes.total >= PACKETS_MIN) & (shapes.total >= self._judged * _GROWTH)
        due &= tables.flows.serial[shapes.row] == shapes.serial
        lanes = np.flatnonzero(due & (shapes.total > self._judged))
        for lane in lanes[np.argsort(shapes.serial[lanes], kind="stable")][:_JUDGED_PER_TICK].tolist():
            self._judged[lane] = shapes.total[lane]
            use = use_of(shapes.sizes[lane], shapes.pairs[lane])
            if use is not None:
                talk = self._talks.get(int(shapes.serial[lane]), Talk(None, None))
                self._say(int(shapes.row[lane]), talk, use, tables)

    def _say(self, row: int, talk: Talk, use: SshUse | None, tables: Tables) -> None:
        for seen in sightings(note(tables, row), talk, use, self._limits.opened, self.site):
            self._book.add(seen)
