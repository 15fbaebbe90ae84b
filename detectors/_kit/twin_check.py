"""Whether two flows are the two legs of one relay: same bytes crosswise at a shared host, two TCP connections."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import NamedTuple

from nettriage.model.columns import Mixer
from nettriage.model.tables import ORIGINATOR, RESPONDER, FlowTable, Tables

from .legs import NotedFlow, note
from .tokens import shingles

_SYN = 0x02
_START_NS = 2_000_000_000
_OVERLAP_MIN = 0.8
_SURE_BYTES = 200
"""Equal bytes, both directions together, that no two sessions of one protocol begin with by habit."""
_SURE_TURNS, _SURE_TURN_BYTES = 8, 48
"""Fewer bytes do where each side spoke this often: a handshake has two or three turns, typing has many."""
_FIRST_BYTES = 16
TOKEN_BYTES = 32
"""Bytes of a token that are known to be equal."""


class Proof(Enum):
    """What shows that two flows are legs of one relay, strongest first."""

    TOKEN = "token"
    """A random value of a handshake that occurs once in the world stands in both."""
    BYTES = "bytes"
    """The kept bytes of both directions are equal crosswise."""
    CONTENT = "content"
    """Pieces of the same unusual content stand in both, behind different prefixes."""
    VOLUME = "volume"
    """The payload bytes of both directions are equal to the byte crosswise, from start to end."""
    ECHO = "echo"
    """After silence the legs speak again together, both ways, more often than chance explains."""
    SESSIONS = "sessions"
    """Again and again a session that is accepted and one that is opened begin and end together, alike in volume."""


@dataclass(frozen=True, slots=True)
class Pair:
    """Two legs at one host, the client's leg first."""

    inner: NotedFlow
    """The leg between A and the relay B."""
    outer: NotedFlow
    """The leg between B and C."""
    inner_side: int
    """Side of B in `inner`."""
    outer_side: int
    proof: Proof
    equal_bytes: int
    """Bytes that were compared and found equal."""

    @property
    def key(self) -> tuple[int, int]:
        """The serials of both legs."""
        return self.inner.serial, self.outer.serial

    @property
    def hidden(self) -> bool:
        """Whether the legs share no host: between them lies a part of the chain that is encrypted or unseen."""
        return self.inner.host_keys[self.inner_side] != self.outer.host_keys[self.outer_side]

    @property
    def relay_key(self) -> int:
        """`HostTable.key` of B."""
        return self.inner.host_keys[self.inner_side]

    @property
    def front_port(self) -> int:
        """Port that B listens on for A; 0 where B dialled A."""
        return (self.inner.ends[RESPONDER].port or 0) if self.inner_side == RESPONDER else 0


class Handshake(NamedTuple):
    """A proxy handshake before the relayed stream of a flow."""

    client_bytes: int
    server_bytes: int
    protocol: str


Skips = dict[int, Handshake]
"""By flow serial, for flows that begin with a proxy handshake."""
_NO_HANDSHAKE = Handshake(0, 0, "")


def pair_at(tables: Tables, one: int, other: int, host_key: int, proof: Proof, equal_bytes: int) -> Pair | None:
    """Return two flows as legs at the host, or None where they are no relay by their ends, times or numbers."""
    flows = tables.flows
    sides = [_side_of(tables, row, host_key) for row in (one, other)]
    if -1 in sides or _same_connection(flows, one, other) or not _together(flows, one, other):
        return None
    first, second = note(tables, one), note(tables, other)
    if first.host_keys[1 - sides[0]] == second.host_keys[1 - sides[1]]:
        return None
    if _is_outer(first, sides[0], second, sides[1]):
        first, second = second, first
        sides.reverse()
    return Pair(first, second, sides[0], sides[1], proof, equal_bytes)


def token_pair(tables: Tables, one: int, other: int, senders: tuple[int, int]) -> Pair | None:
    """Return two flows that carry one token as legs: at a shared host, or around a hidden middle; None where neither.

    At a shared host the token must come in on one leg and go out on the other. One sender with two receivers is
    a retry, two senders with one receiver are a copy.
    """
    if int(tables.flows.first_ns[one]) > int(tables.flows.first_ns[other]):
        one, other, senders = other, one, (senders[1], senders[0])
    source, relay = (_host_key(tables, one, side) for side in (senders[0], 1 - senders[0]))
    sender, target = (_host_key(tables, other, side) for side in (senders[1], 1 - senders[1]))
    if relay == sender or source == target:
        return pair_at(tables, one, other, relay if relay == sender else source, Proof.TOKEN, TOKEN_BYTES)
    if len({source, relay, sender, target}) < 4 or _same_connection(tables.flows, one, other):
        return None
    if not _together(tables.flows, one, other):
        return None
    legs = note(tables, one), note(tables, other)
    return Pair(legs[0], legs[1], 1 - senders[0], senders[1], Proof.TOKEN, TOKEN_BYTES)


def _host_key(tables: Tables, row: int, side: int) -> int:
    return int(tables.hosts.key[tables.flows.host[row, side]])


def shared_host(tables: Tables, one: int, other: int) -> int:
    """Return the key of the host that is an end of both flows, 0 where there is none."""
    ends = [[int(tables.hosts.key[tables.flows.host[row, side]]) for side in (0, 1)] for row in (one, other)]
    return next((key for key in ends[0] if key in ends[1]), 0)


def content_crosses(tables: Tables, pair: Pair, mix: Mixer) -> tuple[int, int]:
    """Return how many shingles went into B on one leg and out on the other: onward, and back."""
    (into, out_of), (back_into, onward) = (
        tuple(set(shingles(stream, mix).tolist()) for stream in _streams(tables, leg, side, {}))
        for leg, side in _legs(pair)
    )
    return len(into & onward), len(out_of & back_into)


def _is_outer(first: NotedFlow, side: int, second: NotedFlow, other_side: int) -> bool:
    """Whether `first` is the leg towards C: the one that B opened, else the later one."""
    if side != other_side:
        return side == ORIGINATOR
    return (first.first_ns, first.serial) > (second.first_ns, second.serial)


def _side_of(tables: Tables, row: int, host_key: int) -> int:
    for side in (ORIGINATOR, RESPONDER):
        if int(tables.hosts.key[tables.flows.host[row, side]]) == host_key:
            return side
    return -1


def _same_connection(flows: FlowTable, one: int, other: int) -> bool:
    """Whether both rows show one TCP connection, forwarded by NAT or a router: equal initial sequence numbers."""
    return any(
        flows.tcp_flags[one, side] & _SYN
        and flows.tcp_flags[other, side] & _SYN
        and flows.isn[one, side] == flows.isn[other, side]
        for side in (ORIGINATOR, RESPONDER)
    )


def _together(flows: FlowTable, one: int, other: int) -> bool:
    """Whether the flows lived together: started within 2 s, or overlapped over 80 % of the shorter."""
    starts = [int(flows.first_ns[row]) for row in (one, other)]
    ends = [int(flows.last_ns[row]) for row in (one, other)]
    shared = min(ends) - max(starts)
    if shared < 0:
        return False
    shorter = min(end - start for start, end in zip(starts, ends, strict=True))
    return abs(starts[0] - starts[1]) <= _START_NS or shared >= _OVERLAP_MIN * shorter


@dataclass(frozen=True, slots=True)
class Comparison:
    """The kept bytes of two flows, compared crosswise."""

    equal: bool
    """No byte differs where both are known."""
    compared: int
    both_ways: bool
    turns: int
    """Payload packets of the most silent side of the two flows."""

    @property
    def sure(self) -> bool:
        """Whether that much equality shows a relay by itself."""
        enough = _SURE_TURN_BYTES if self.turns >= _SURE_TURNS else _SURE_BYTES
        return self.equal and self.both_ways and self.compared >= enough


def compare(tables: Tables, pair: Pair, skips: Skips) -> Comparison:
    """Compare what went into B on one leg with what came out on the other, both ways, behind any proxy handshake."""
    compared, ways = 0, 0
    streams = [_streams(tables, leg, side, skips) for leg, side in _legs(pair)]
    (into, out_of), (back_into, onward) = streams
    if into[:_SURE_BYTES] == out_of[:_SURE_BYTES]:
        return Comparison(False, 0, False, 0)  # both directions alike: a heartbeat, which crosses with any other
    for one, other in ((into, onward), (out_of, back_into)):
        length = min(len(one), len(other))
        if one[:length] != other[:length]:
            return Comparison(False, compared, False, 0)
        compared += length
        ways += length >= _FIRST_BYTES
    turns = min(int(tables.flows.payload_packets[leg.row].min()) for leg in (pair.inner, pair.outer))
    return Comparison(True, compared, ways == 2, turns)


def _legs(pair: Pair) -> tuple[tuple[NotedFlow, int], tuple[NotedFlow, int]]:
    return (pair.inner, pair.inner_side), (pair.outer, pair.outer_side)


def _streams(tables: Tables, leg: NotedFlow, side: int, skips: Skips) -> tuple[bytes, bytes]:
    """Return the kept bytes into B and out of B on one leg."""
    skip = skips.get(leg.serial, _NO_HANDSHAKE)[:2]
    return tuple(tables.prefixes.payload(leg.row, way)[skip[way] :] for way in (1 - side, side))  # type: ignore[return-value]  # two ways
