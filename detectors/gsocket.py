"""Global Socket: gs-netcat and its kin, which meet through a relay on the internet.

*What it measures*
    The first message of a client to the relay: 128 bytes of which nearly all are zero, on any port, and its
    32-byte keepalives and answers; told by shape, so that other version numbers are found, too. DNS questions
    for ``[a-z].gs.thc.org``: the letter follows from the address in the message, so both are checked against
    each other. Questions for the site that the installer comes from.

*Blind spots*
    After the peers are joined everything is inside TLS: the sub-tool (shell, file system, forward, sftp) is a
    guess. A private relay has another name. Over Tor or another proxy neither is seen. Local connections to a
    listener of the toolkit stay on the host.

*Common benign causes*
    Hobbyists and administrators who reach their own hosts with it.

*What to do next*
    A host that listens carries a backdoor until its owner says otherwise: look for the persistence that the
    installer makes (shell profile, cron, systemd), and isolate the host. Block the relays' names.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from detectors._kit import forge, gsrn
from detectors._kit.cases import CaseBook, Sighting
from detectors._kit.gsocket_names import Question, questions
from detectors._kit.legs import NotedFlow, note
from detectors._kit.openings import Bools, Openings, OpeningWatch
from detectors._kit.placing import acting_side, placed_score
from nettriage.model.addresses import to_text
from nettriage.model.alert import Attack, BenignCheck, Observation
from nettriage.model.detector import Card, Detector, Example, Frames
from nettriage.model.finding import Finding
from nettriage.model.health import Gauge
from nettriage.model.safetext import safe
from nettriage.model.site import Site
from nettriage.model.slices import Slice
from nettriage.model.tables import Role, Tables
from nettriage.model.tuning import Tuning, knob

_S = 1_000_000_000
_PARSES_PER_TICK, _QUESTIONS_PER_TICK, _ASKERS_MAX = 256, 64, 1_024
_NEXT_STEPS = (
    "On {host}: find the process that holds the connection, and what starts it (shell profile, cron, systemd)",
    "Isolate {host} if nobody owns the tool, and look at what it reached inside",
    "Block *.gs.thc.org and gsocket.io at the resolver, and search for other hosts that asked for them",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class GsocketTuning(Tuning):
    """Thresholds of the gsocket detector."""

    name_score: float = knob(
        58.0,
        "points",
        lo=20.0,
        hi=90.0,
        why="nothing but the toolkit asks for a relay's name, yet a question is no session",
    )
    idle_s: float = knob(
        1_800.0, "s", lo=120.0, hi=86_400.0, why="keepalives come every 45 s; half an hour without any is an end"
    )


def _listening() -> Frames:
    address = bytes(range(7, 23))
    name = f"{gsrn.letter(address)}.gs.thc.org"
    scene = forge.Scene()
    for asked in ("www.example.org", name):
        query = forge.dns_query(asked)
        scene.query("10.0.1.12", "10.0.2.11", 53, query, forge.dns_reply(query))
    hello = b"\x01\x01\x03\x01" + bytes(12) + bytes(range(40, 56)) + address + bytes(80)
    ping, pong = b"\x03" + bytes(31), b"\x04" + bytes(31)
    turns = ((0, hello), (0, ping), (1, pong), (0, ping), (1, pong))
    return scene.session("10.0.1.12", "192.0.2.66", 443, turns, gap_ns=forge.S).frames()


def _browsing() -> Frames:
    scene = forge.Scene().query("10.0.1.12", "10.0.2.11", 53, forge.dns_query("a.gs.example.org"), b"?" * 40)
    hello = b"\x16\x03\x01\x00\x7b\x01\x00\x00\x77\x03\x03" + bytes(range(117))
    return scene.session("10.0.1.12", "192.0.2.80", 443, ((0, hello), (1, b"\x16\x03\x03" + bytes(90)))).frames()


class Gsocket(Detector):
    """Hosts that meet through a Global Socket relay."""

    card: ClassVar[Card] = Card(
        kind="gsocket",
        title="Global Socket relay",
        attack=(
            Attack(tactic="Command and Control", technique="T1572", name="Protocol Tunneling"),
            Attack(tactic="Command and Control", technique="T1090.001", name="Internal Proxy"),
        ),
        rules=("PT-CR-2638", "PT-CR-2639", "PT-CR-2648"),
        references=(
            "hackerschoice/gsocket include/gsocket/gsocket.h",
            "hackerschoice/gsocket lib/gsocket-engine.c, lib/gsocket-util.c, deploy/deploy.sh",
        ),
        counts="connections",
    )
    tuning_type: ClassVar[type[Tuning]] = GsocketTuning
    reads: ClassVar[frozenset[str]] = frozenset({"prefixes", "tables", "dns", "packets", "packets.raw", "flow"})
    examples: ClassVar[tuple[Example, ...]] = (
        Example("a workstation waits at a relay for its operator", _listening, fires=True, subject="10.0.1.12"),
        Example("a workstation opens a web site", _browsing, fires=False),
    )
    state_limit_bytes: ClassVar[int] = 16 << 20

    def __init__(self, tuning: Tuning, site: Site) -> None:
        """Make an empty book."""
        super().__init__(tuning, site)
        assert isinstance(tuning, GsocketTuning)
        self._limits = tuning
        self._watch = OpeningWatch()
        self._book = CaseBook(128, int(tuning.idle_s * _S))
        self._asked: list[Question] = []
        self._letters: dict[int, str] = {}
        """Letters of the relays that hosts asked for, by host key; the oldest gives way."""
        self._unparsed = 0

    def push(self, seen: Slice) -> None:
        """Mark the flows whose prefixes grew, and note questions for the toolkit's names."""
        self._watch.note(seen)
        self._asked += questions(seen, _QUESTIONS_PER_TICK - len(self._asked))

    def tick(self, now_ns: int, tables: Tables) -> list[Finding]:
        """Judge questions and first messages, and say what changed."""
        for question in self._asked:
            if question.serial and int(tables.flows.serial[question.flow]) == question.serial:
                self._book.add(self._by_name(question, note(tables, question.flow), tables))
        self._asked.clear()
        opened = self._watch.openings(now_ns, tables)
        if len(opened):
            chosen = opened.odd[_hello_like(opened)]
            self._unparsed += max(len(chosen) - _PARSES_PER_TICK, 0)
            for row in opened.rows[chosen[:_PARSES_PER_TICK]].tolist():
                talk = gsrn.parse(tables.prefixes.payload(row, 0), tables.prefixes.payload(row, 1))
                if talk is not None:
                    self._book.add(self._by_bytes(talk, note(tables, row)))
        return self._book.due(now_ns, tables, _NEXT_STEPS)

    def gauges(self) -> dict[str, Gauge]:
        """Return how many cases are open, and how many suspects were left unparsed."""
        marks = self._watch
        young = Gauge(cap=marks.cap, used=marks.used, refused=self._unparsed)
        return {
            "young flows": young,
            "cases": self._book.gauge,
            "askers": Gauge(cap=_ASKERS_MAX, used=len(self._letters)),
            "questions": Gauge(cap=_QUESTIONS_PER_TICK, used=len(self._asked)),
        }

    def state_bytes(self) -> int:
        """Return the memory of marks, cases and askers."""
        return self._watch.nbytes + self._book.nbytes + len(self._letters) * 200 + len(self._asked) * 1_000

    def _by_name(self, question: Question, flow: NotedFlow, tables: Tables) -> Sighting:
        asker = flow.host_keys[0]
        if question.letter:
            self._letters.pop(asker, None)
            self._letters[asker] = question.letter
            if len(self._letters) > _ASKERS_MAX:
                del self._letters[next(iter(self._letters))]
        host = to_text(*flow.ends[0].addr)
        what = "a relay of the Global Socket toolkit" if question.letter else "where Global Socket is installed from"
        resolver = bool(int(tables.hosts.roles[int(tables.flows.host[flow.row, 0])]) & Role.RESOLVER)
        score = self._limits.name_score if question.letter else self._limits.name_score - 12
        return Sighting(
            flow=flow, acting_side=0, name="gsocket", tool="gsocket", evidence=safe(question.name), confidence=0.85,
            title=f"Global Socket name asked by {host}", score=max(score - 20 * resolver, 0.0),
            reason=f"{host} asked for {question.name}, {what}",
            note="the asker is a resolver: the host behind it is not seen" if resolver else "",
            counterfactual="would not alert without this name",
        )  # fmt: skip

    def _by_bytes(self, talk: gsrn.Gsrn, flow: NotedFlow) -> Sighting:
        side = acting_side(flow, 0, self.site)
        host = to_text(*flow.ends[side].addr)
        asked = self._letters.get(flow.host_keys[0])
        matches = asked == talk.letter
        role = "waits for its peer" if talk.listens else "calls its peer"
        score = 84.0 if talk.answered else 72.0
        seen = (
            ("bytes of the first message that are zero", 92.0, "bytes", 92.0, 0.6),
            ("keepalives kept", float(talk.pings), "messages", 1.0, 0.2),
            ("letter of the relay's name fits the address", float(matches), "matches", 1.0, 0.2),
        )
        return Sighting(
            flow=flow, acting_side=side, name="gsocket", tool="gs-netcat", title=f"Global Socket at {host}",
            evidence=safe(
                f"GSRN {'listen' if talk.listens else 'connect'} message of 128 bytes"
                + (f", relay {talk.letter}.gs.thc.org asked for before" if matches else "")
            ),
            reason=f"{host} {role} at a Global Socket relay{_details(talk)}",
            via=(flow.host(side), flow.ends[1 - side]),
            score=placed_score(score + 6 * matches, flow, self.site), confidence=0.98 if talk.answered else 0.85,
            observations=tuple(
                Observation(name=name, value=value, unit=unit, threshold=limit, window_s=0.0, weight=weight)
                for name, value, unit, limit, weight in seen
            ),
            checks=(
                BenignCheck(hypothesis="TLS on its port", rejected_because="the first bytes are no handshake record"),
            ),
            counterfactual="would not alert if one of the zero bytes of the first message were set",
        )  # fmt: skip


def _details(talk: gsrn.Gsrn) -> str:
    parts = [
        "as for a shell" if talk.interactive else "",
        "joined with it" if talk.started else "",
        f"the relay said: {talk.status}" if talk.status else "",
        "" if talk.answered else "no answer of the relay seen",
    ]
    return "".join(f", {part}" for part in parts if part)


def _hello_like(opened: Openings) -> Bools:
    """Return `bool [k]`, whether each odd flow may have begun with the message of a relay's client."""
    head, length = opened.head[opened.odd, 0], opened.length[opened.odd, 0]
    like = (head[:, 0] - np.uint8(1) < 2) & (length >= gsrn.HELLO_BYTES)
    return np.asarray(like & ~head[:, 4:].any(axis=1))
