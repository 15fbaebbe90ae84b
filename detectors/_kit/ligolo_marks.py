"""The marks of Ligolo in one flow, and what they weigh together."""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np

from nettriage.model.addresses import to_text
from nettriage.model.alert import BenignCheck, Observation
from nettriage.model.safetext import safe
from nettriage.model.site import Site
from nettriage.model.tables import RESPONDER, Tables

from . import tls, websocket
from .cases import Sighting
from .legs import NotedFlow
from .placing import acting_side, placed_score
from .recognise import yamux

PORT = 11_601
"""Default port of the proxy (nicocha30/ligolo-ng cmd/proxy/main.go)."""
RECORD_RUNS = np.array([(29, 29, 18, 29), (36, 36, 25, 36)], np.int64)
"""Payload of the server's records: the window update that opens a stream, header and body of a question, next header;
12 or 1 bytes with 17 of TLS 1.3, or with 24 of AES-GCM in TLS 1.2."""
_ORGANISATION = "ligolo"
_BIND_NAME = re.compile(r"[\d.\[\]:a-f]{0,45}:\d{1,5}$")
"""Organisation in the certificate of an agent that listens: its own address and port."""
_AGENT = b"Chrome/103."
_CERTIFICATE_SCORE, _SHAPE_SCORE, _SOCKET_SCORE, _BEAT_SCORE, _PORT_SCORE, _MORE = 88.0, 78.0, 78.0, 50.0, 42.0, 6.0


@dataclass(slots=True)
class Marks:
    """What one flow showed."""

    organisation: str = ""
    """Organisation in the certificate, where it tells."""
    bind: bool = False
    """Whether the agent is the TLS server."""
    shape: bool = False
    socket: bool = False
    """Whether the server opened yamux inside WebSocket."""
    port: bool = False
    beats: tuple[int, int] = (0, 0)
    ja4: str = ""
    sni: str = ""
    browser: bool = False
    """Whether the WebSocket names the browser that the agent pretends to be by default."""

    @property
    def any(self) -> bool:
        """Whether there is any mark."""
        return bool(self.organisation or self.shape or self.socket or self.port or any(self.beats))

    @classmethod
    def read(cls, tables: Tables, row: int) -> Marks:
        """Return the marks in the kept payload of a flow."""
        client, server = (tables.prefixes.payload(row, side) for side in (0, 1))
        marks = cls()
        upgrade = websocket.parse(client, server)
        if upgrade is not None:
            marks.socket = yamux.opens(upgrade.server)
            marks.browser = _AGENT in upgrade.headers.get(b"user-agent", b"")
            return marks
        if not (tls.is_tls(client) and tls.is_tls(server)):
            return marks
        shown = tls.certificate(server)
        if shown is not None and not shown.common_name:
            marks.bind = bool(_BIND_NAME.match(shown.organisation))
            marks.organisation = shown.organisation if marks.bind or shown.organisation == _ORGANISATION else ""
        marks.shape = _has_shape([size for kind, size in tls.record_sizes(server) if kind == 23])
        marks.port = int(tables.flows.port[row, RESPONDER]) == PORT
        hello = tls.client_hello(client) if marks.any else None
        if hello is not None:
            marks.ja4, marks.sni = hello.ja4, hello.sni
        return marks

    def joined(self, other: Marks) -> Marks:
        """Take in what was read later, and return the whole."""
        self.organisation, self.bind = other.organisation or self.organisation, other.bind or self.bind
        self.shape, self.socket, self.port = (
            other.shape or self.shape,
            other.socket or self.socket,
            other.port or self.port,
        )
        self.ja4, self.sni, self.browser = other.ja4 or self.ja4, other.sni or self.sni, other.browser or self.browser
        return self

    @property
    def score(self) -> float:
        """The weight of the strongest mark, and a little for each further one."""
        held = [
            score
            for holds, score in (
                (bool(self.organisation), _CERTIFICATE_SCORE), (self.shape, _SHAPE_SCORE),
                (self.socket, _SOCKET_SCORE), (any(self.beats), _BEAT_SCORE), (self.port, _PORT_SCORE),
            )
            if holds
        ]  # fmt: skip
        return max(held, default=0.0) + _MORE * max(len(held) - 1, 0)

    @property
    def words(self) -> list[str]:
        """Each mark in words."""
        said = (
            (self.organisation, f"a certificate of organisation {safe(self.organisation, 32)}"),
            (
                self.shape,
                "records of 34, 34, 23 and 34 bytes (41, 41, 30, 41 in TLS 1.2) that the TLS server sent first",
            ),
            (self.socket, "yamux that the server opened inside WebSocket"),
            (any(self.beats), f"keepalives of a 12-byte header, {self.beats[0]} up and {self.beats[1]} down"),
            (self.port, f"TLS on port {PORT}"),
        )
        return [words for holds, words in said if holds]


def _has_shape(sizes: list[int]) -> bool:
    runs = [run.tolist() for run in RECORD_RUNS]
    return any(sizes[at : at + len(run)] == run for run in runs for at in range(len(sizes)))


def sighting(flow: NotedFlow, marks: Marks, site: Site) -> Sighting:
    """Return what is to be said of a flow with marks."""
    side = acting_side(flow, int(marks.bind), site)
    host, peer = to_text(*flow.ends[side].addr), flow.ends[1 - side]
    named = bool(marks.organisation or marks.shape or marks.socket)
    tool = "Ligolo-ng" if named or marks.port else "yamux inside TLS (Ligolo-ng, frp)"
    evidence = "; ".join([*marks.words, *([f"JA4 {marks.ja4}"] if marks.ja4 else [])])
    limit = (
        BenignCheck(hypothesis="HashiCorp software", rejected_because="its TLS clients open the first stream")
        if marks.shape
        else BenignCheck(hypothesis="an ordinary TLS service", rejected_because=marks.words[0])
    )
    return Sighting(
        flow=flow, acting_side=side, name="ligolo", tool=tool, evidence=safe(evidence), title=f"{tool} at {host}",
        reason=f"{host} keeps a tunnel with {to_text(*peer.addr)} that shows {', and '.join(marks.words)}"
        + (f" (JA4 {marks.ja4})" if marks.ja4 else ""),
        score=placed_score(marks.score, flow, site), confidence=0.95 if named else 0.6,
        via=(flow.host(side), peer), observations=_observations(marks), checks=(limit,),
        counterfactual="would not alert without " + " and ".join(marks.words),
    )  # fmt: skip


def _observations(marks: Marks) -> tuple[Observation, ...]:
    rows = (
        ("marks of the tool", float(len(marks.words)), "marks", 1.0, 0.0, 0.7),
        ("heartbeats of the quieter side", float(min(marks.beats)), "records", 3.0, 80.0, 0.3),
    )
    return tuple(
        Observation(name=name, value=value, unit=unit, threshold=limit, window_s=window_s, weight=weight)
        for name, value, unit, limit, window_s, weight in rows
    )
