"""Flows that carry the same unique token, or the same unusual content behind different prefixes."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from nettriage.model.columns import I64, U64, Mixer, Rows
from nettriage.model.health import Gauge
from nettriage.model.tables import Tables

from .byte_rows import U8
from .meeting import Candidate, candidates
from .tokens import HELLO_END, hello_mask, hello_tokens, hidden_hello, print_of, repeated, shingles, ssh_cookie
from .twin_check import Proof
from .twin_map import TwinMap

TTL_NS = 120_000_000_000
_SEARCHES_PER_TICK = 256
_SHINGLED_FIRST, _PACKETS_PER_SHINGLED = 64, 2_000
"""Flows whose content is shingled: a first allowance, and one more for so many packets."""
_SHINGLES_MIN = 2
"""Shingles that two flows must share: one piece of content may be quoted by chance."""
_SPEECH_BYTES = 4
"""Bytes that tell text, SSH and CONNECT apart."""
_CONTENT = np.uint64(1 << 63)
"""Keeps prints of content apart from prints of tokens."""
_CONTENT_MIN = 200
"""Payload bytes below which content is not worth shingling."""


class TokenFinder:
    """Remembers tokens of recent flows, and says which flows share one."""

    def __init__(self, mix: Mixer) -> None:
        """Remember nothing yet."""
        self._mix = mix
        self._tokens = TwinMap(65_536, TTL_NS)
        self._side: npt.NDArray[np.uint8] = np.zeros(0, np.uint8)
        self._done: I64 = np.zeros(0, np.int64)
        """By flow row: the serial that gave its token."""
        self._dull: I64 = np.zeros(0, np.int64)
        """By flow row: the serial that begins with text, in which no token stands."""
        self._allowance = float(_SHINGLED_FIRST)
        self._unsearched = 0

    @property
    def nbytes(self) -> int:
        """Memory, in bytes."""
        return self._tokens.nbytes + self._side.nbytes + self._done.nbytes + self._dull.nbytes

    def gauges(self) -> dict[str, Gauge]:
        """Return how full the map is, and how many flows were left unsearched."""
        searches = Gauge(cap=_SEARCHES_PER_TICK, used=0, refused=self._unsearched)
        return {"tokens": self._tokens.gauge, "token searches a tick": searches}

    def grow(self, rows: int) -> None:
        """Make room for the marks of a flow table of `rows`."""
        if rows > len(self._done):
            self._side, self._done = np.zeros(rows, np.uint8), np.zeros(rows, np.int64)
            self._dull = np.zeros(rows, np.int64)

    def fresh(self, tables: Tables, rows: Rows) -> npt.NDArray[np.bool_]:
        """Return `bool [n]`, whether a token may still be found in each flow."""
        serial = tables.flows.serial[rows]
        return np.asarray((self._done[rows] != serial) & (self._dull[rows] != serial))

    def earn(self, packets: int) -> None:
        """Earn allowance for shingling by packets seen."""
        self._allowance = min(self._allowance + packets / _PACKETS_PER_SHINGLED, float(_SHINGLED_FIRST))

    def by_token(
        self, tables: Tables, rows: Rows, slots: Rows, head: U8, now_ns: int
    ) -> list[Candidate]:  # fmt: skip
        """Meet fresh flows that carry the same ClientHello random or SSH cookie, whoever sends it, at any place.

        `head` is `u1 [n, 48]`, the first bytes of the originator.
        """
        if not len(rows):
            return []
        length = tables.prefixes.length[slots]
        plain = hello_mask(head) & (length[:, 0] >= HELLO_END)
        unreadable = _unreadable(head)
        dull = rows[~unreadable & (length[:, 0] >= _SPEECH_BYTES)]
        self._dull[dull] = tables.flows.serial[dull]
        self._side[rows[plain]] = 0
        tokens, owners = [hello_tokens(head[plain], self._mix)], [rows[plain]]
        searched, at = self._search(tables, rows[~plain & unreadable])
        tokens.append(np.array(searched, np.uint64))
        owners.append(np.array(at, np.intp))
        return self._meet_tokens(tables, np.concatenate(tokens), np.concatenate(owners), now_ns)

    def _search(self, tables: Tables, rows: Rows) -> tuple[list[int], list[int]]:
        """Look for tokens behind other bytes, flow by flow, within the budget of a tick."""
        self._unsearched += max(len(rows) - _SEARCHES_PER_TICK, 0)
        tokens, owners = [], []
        for row in rows[:_SEARCHES_PER_TICK].tolist():
            for side in (0, 1):
                payload = tables.prefixes.payload(row, side)
                token = ssh_cookie(payload) or (hidden_hello(payload) if side == 0 else b"")
                if token:
                    tokens.append(print_of(token, self._mix))
                    owners.append(row)
                    self._side[row] = side
                    break
        return tokens, owners

    def _meet_tokens(self, tables: Tables, tokens: U64, owners: Rows, now_ns: int) -> list[Candidate]:
        if not len(tokens):
            return []
        order = np.argsort(tables.flows.serial[owners], kind="stable")
        tokens, owners = tokens[order], owners[order]
        serial = tables.flows.serial[owners]
        self._done[owners] = serial
        met = self._tokens.meet(tokens, serial, now_ns)
        found = candidates(tables, owners[met.at], met, Proof.TOKEN, np.zeros(len(met.at), np.uint64))
        for same in repeated(tokens):
            pairs = zip(owners[same[:-1]].tolist(), owners[same[1:]].tolist(), strict=True)
            found += [Candidate(late, early, Proof.TOKEN, 0) for early, late in pairs]
        self._tokens.put(tokens, owners, serial, now_ns)
        return [
            Candidate(item.flow, item.partner, item.proof, 0, (self._sender(item.flow), self._sender(item.partner)))
            for item in found
        ]

    def _sender(self, row: int) -> int:
        return int(self._side[row])

    def by_content(self, tables: Tables, ended: Rows, now_ns: int) -> list[Candidate]:
        """Meet ended flows that carried the same unusual content; only at hosts that open and accept flows."""
        flows, hosts = tables.flows, tables.hosts
        ends = flows.host[ended]
        both = ((hosts.sent_flows[ends] > 0) & (hosts.received_flows[ends] > 0)).any(axis=1)
        fresh = both & (self._done[ended] != flows.serial[ended])
        rows = ended[fresh & (flows.payload_bytes[ended].max(axis=1, initial=0) >= _CONTENT_MIN)]
        found: list[Candidate] = []
        for row in rows[: int(self._allowance)].tolist():
            self._allowance -= 1
            found += self._meet_content(tables, row, now_ns)
        return found

    def _meet_content(self, tables: Tables, row: int, now_ns: int) -> list[Candidate]:
        payloads = (tables.prefixes.payload(row, side) for side in (0, 1))
        prints = np.concatenate([shingles(payload, self._mix) for payload in payloads]) ^ _CONTENT
        serial = np.full(len(prints), tables.flows.serial[row], np.int64)
        met = self._tokens.meet(prints, serial, now_ns)
        self._tokens.put(prints, np.full(len(prints), row, np.intp), serial, now_ns)
        alive = met.flow[tables.flows.serial[met.flow] == met.serial]
        partners, counts = np.unique(alive, return_counts=True)
        return [Candidate(row, int(partner), Proof.CONTENT, 0) for partner in partners[counts >= _SHINGLES_MIN]]


def _unreadable(head: U8) -> npt.NDArray[np.bool_]:
    """Whether a token may stand in a flow: its originator speaks SSH, asks a proxy, or begins with no text."""
    first, second = head[:, 0], head[:, 1]
    ssh = (head[:, :4] == np.frombuffer(b"SSH-", np.uint8)).all(axis=1)
    connect = (first == 0x43) & (second == 0x4F)
    return np.asarray(ssh | connect | (first < 0x20) | (first >= 0x7F))
