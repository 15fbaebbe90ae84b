"""Short sessions that a host accepts, and those that it opens, which begin and end together and weigh alike."""

from __future__ import annotations

from collections import OrderedDict, deque
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from nettriage.model.columns import I64, U64, Mixer, Rows
from nettriage.model.health import Gauge
from nettriage.model.slices import Slice
from nettriage.model.tables import ORIGINATOR, RESPONDER, Tables

from .binomial import chance_within, log10_tail
from .preceding import Events, preceding

_TCP = 6
BEGIN_NS, END_NS = 300_000_000, 100_000_000
"""What an accepted session needs until the next one is opened (a TLS handshake of a distant client), and how far
apart both end."""
_TIGHT_NS = 20_000_000
"""The same on a LAN; both are tried."""
PAIRS_MIN, _SHARE_MIN = 4, 0.8
_FRAME_BYTES, _BYTES_MIN = 80, 64
"""What encryption or framing may add to a message; least payload of each side."""
_NEAREST, _KEPT, _EDGES_MAX, _MATCHES_PER_TICK, _ENDS_MAX = 8, 8, 1_024, 128, 65_536


@dataclass(frozen=True, slots=True)
class Matched:
    """Two flows that ended and belong together, as far as the likes of them do."""

    accepted: int
    opened: int
    host_key: int


@dataclass(slots=True)
class _Edges:
    """Sessions of one client to one port of a host, and of the host to one port of another."""

    since_ns: int
    accepted: int = 1
    opened: int = 1
    matched: int = 0
    tight: int = 0
    """Matches within the windows of a LAN."""
    proved: bool = False
    recent: deque[tuple[Matched, int, int]] = field(default_factory=lambda: deque(maxlen=_KEPT))
    """Matches with the serials of their flows, until the edges are proved."""


class SessionPairs:
    """Tallies matches by (client, host, port, target, port), at most 1,024 of them; the oldest gives way."""

    def __init__(self, mix: Mixer) -> None:
        """Know no session."""
        self._mix = mix
        self._ends: list[tuple[I64, Rows, I64]] = []
        self._used = 0
        self._old: tuple[I64, Rows, I64] = (np.zeros(0, np.int64), np.zeros(0, np.intp), np.zeros(0, np.int64))
        self._edges: OrderedDict[tuple[int, int], _Edges] = OrderedDict()
        self._evicted = self._refused = self._unmatched = 0

    @property
    def nbytes(self) -> int:
        """Memory, in bytes."""
        return 24 * (self._used + len(self._old[0])) + 1_200 * len(self._edges)

    def gauges(self) -> dict[str, Gauge]:
        """Return how full the tallies are, and what was left unmatched."""
        return {
            "session ends": Gauge(cap=_ENDS_MAX, used=self._used, refused=self._refused),
            "session edges": Gauge(cap=_EDGES_MAX, used=len(self._edges), evicted=self._evicted),
            "session matches a tick": Gauge(cap=_MATCHES_PER_TICK, used=0, refused=self._unmatched),
        }

    def note(self, seen: Slice) -> None:
        """Take in the flows that ended."""
        ends, flows = seen.ends, seen.tables.flows
        if not len(ends):
            return
        at = np.flatnonzero(flows.proto[ends.flow] == _TCP)
        room = _ENDS_MAX - self._used
        self._refused += max(len(at) - room, 0)
        at = at[:room]
        row = ends.flow[at].astype(np.intp)
        self._ends.append((ends.ts_ns[at], row, flows.serial[row]))
        self._used += len(at)

    def proved(self, tables: Tables) -> list[Matched]:
        """Return the matches of edges that no chance explains, in order of the opened sessions' end."""
        if not self._used:
            return []
        known = len(self._old[0])
        ts_ns, row, serial = (np.concatenate(part) for part in zip(self._old, *self._ends, strict=True))
        self._ends, self._used = [], 0
        fits = _may_belong(tables, row, serial)
        known = int(np.count_nonzero(fits < known))
        ts_ns, row, serial = ts_ns[fits], row[fits], serial[fits]
        if not len(row):
            return []
        recent = ts_ns >= ts_ns.max() - 2 * END_NS
        self._old = (ts_ns[recent], row[recent], serial[recent])
        accepted, opened = self._edge_keys(tables, row)
        self._tally(accepted[known:], opened[known:])
        into, out = self._match(tables, ts_ns, row, known)
        self._unmatched += max(len(out) - _MATCHES_PER_TICK, 0)
        found: list[Matched] = []
        for one, other in zip(into[:_MATCHES_PER_TICK].tolist(), out[:_MATCHES_PER_TICK].tolist(), strict=True):
            host = int(tables.hosts.key[tables.flows.host[row[one], RESPONDER]])
            match = Matched(int(row[one]), int(row[other]), host)
            edges = self._edges_of((int(accepted[one]), int(opened[other])), int(tables.flows.first_ns[row[one]]))
            late_ns = int(tables.flows.first_ns[row[other]] - tables.flows.first_ns[row[one]])
            edges.matched += 1
            edges.tight += max(late_ns, abs(int(ts_ns[other] - ts_ns[one]))) <= _TIGHT_NS
            found += _entered(edges, match, int(ts_ns[other]), tables)
        return found

    def _edge_keys(self, tables: Tables, row: Rows) -> tuple[U64, U64]:
        """Return the prints of (client, host, port) of each flow, once as one accepted and once as one opened."""
        flows = tables.flows
        ends = tables.hosts.key[flows.host[row]]
        edge = self._mix(ends[:, ORIGINATOR], ends[:, RESPONDER], flows.port[row, RESPONDER])
        return edge, edge ^ np.uint64(1)

    def _tally(self, accepted: U64, opened: U64) -> None:
        """Count the sessions of the edges that are followed."""
        if not self._edges:
            return
        counts = [dict(zip(*(part.tolist() for part in np.unique(keys, return_counts=True)), strict=True))
                  for keys in (accepted, opened)]  # fmt: skip
        for (inner, outer), edges in self._edges.items():
            edges.accepted += counts[0].get(inner, 0)
            edges.opened += counts[1].get(outer, 0)

    def _match(self, tables: Tables, ts_ns: I64, row: Rows, known: int) -> tuple[Rows, Rows]:
        """Return index pairs of an accepted and an opened session of one host, each opened one once."""
        flows, hosts = tables.flows, tables.hosts
        ends = hosts.key[flows.host[row]]
        order = np.argsort(ts_ns, kind="stable")
        into, out = preceding(
            Events(ends[order, RESPONDER], ts_ns[order]), Events(ends[order, ORIGINATOR], ts_ns[order] + END_NS),
            2 * END_NS, _NEAREST,
        )  # fmt: skip
        into, out = order[into], order[out]
        later = flows.first_ns[row[out]] - flows.first_ns[row[into]]
        fits = (later >= 0) & (later <= BEGIN_NS) & (np.maximum(into, out) >= known)
        fits &= ends[into, ORIGINATOR] != ends[out, RESPONDER]
        into, out, later = into[fits], out[fits], later[fits]
        alike = _alike(tables, row[into], row[out])
        into, out, later = into[alike], out[alike], later[alike]
        nearest = np.lexsort((into, later, out))
        nearest = nearest[np.diff(out[nearest], prepend=-1) != 0]
        return into[nearest], out[nearest]

    def _edges_of(self, key: tuple[int, int], began_ns: int) -> _Edges:
        edges = self._edges.get(key)
        if edges is None:
            edges = self._edges[key] = _Edges(began_ns)
            if len(self._edges) > _EDGES_MAX:
                self._edges.popitem(last=False)
                self._evicted += 1
        return edges


def _entered(edges: _Edges, match: Matched, now_ns: int, tables: Tables) -> list[Matched]:
    """Return what is proved by a match: nothing, itself, or at first all that are kept and alive."""
    if edges.proved:
        return [match]
    serials = tables.flows.serial[[match.accepted, match.opened]].tolist()
    edges.recent.append((match, serials[0], serials[1]))
    if not _is_sure(edges, now_ns):
        return []
    edges.proved = True
    alive = [
        past for past, inner, outer in edges.recent
        if tables.flows.serial[[past.accepted, past.opened]].tolist() == [inner, outer]
    ]  # fmt: skip
    edges.recent.clear()
    return alive


def _may_belong(tables: Tables, row: Rows, serial: I64) -> Rows:
    """Return the sessions with payload both ways that have a host which accepts and opens sessions."""
    flows, hosts = tables.flows, tables.hosts
    client, server = flows.host[row, ORIGINATOR], flows.host[row, RESPONDER]
    at = np.flatnonzero((hosts.received_flows[client] > 0) | (hosts.sent_flows[server] > 0))
    talked = (flows.payload_bytes[row[at]] >= _BYTES_MIN).all(axis=1) & (flows.serial[row[at]] == serial[at])
    return np.asarray(at[talked])


def _alike(tables: Tables, one: Rows, other: Rows) -> npt.NDArray[np.bool_]:
    """Return whether flows weigh alike both ways: within 40 % and 80 bytes a message."""
    flows = tables.flows
    sizes = np.stack([flows.payload_bytes[row].astype(np.int64) for row in (one, other)])
    messages = np.stack([flows.payload_packets[row].astype(np.int64) for row in (one, other)]).max(axis=0)
    return np.asarray((sizes.max(axis=0) <= 1.4 * sizes.min(axis=0) + _FRAME_BYTES * messages).all(axis=1))


def _is_sure(edges: _Edges, now_ns: int) -> bool:
    """Whether the matches are more than sessions that come as often would make by themselves."""
    if edges.matched < PAIRS_MIN or edges.matched < _SHARE_MIN * min(edges.accepted, edges.opened):
        return False
    matched = np.array([edges.tight, edges.matched], float)
    accepted, span = np.full(2, float(edges.accepted)), np.full(2, float(now_ns - edges.since_ns))
    begin, end = np.array([_TIGHT_NS, BEGIN_NS], float), np.array([_TIGHT_NS, END_NS], float)
    chance = chance_within(accepted, span, begin) * chance_within(accepted, span, 2 * end)
    tries = np.full(2, float(max(edges.opened, edges.matched) - 1))
    return bool(log10_tail(matched - 1, tries, chance).min() <= -6.0 - np.log10(2))
