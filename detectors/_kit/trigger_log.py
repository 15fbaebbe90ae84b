"""Connections that a host opens right after data came in on one of its flows, with the odds that chance did it."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from nettriage.model.columns import I64, U64, Rows, group
from nettriage.model.health import Gauge
from nettriage.model.slices import Slice
from nettriage.model.tables import ORIGINATOR, Opened, Tables

from .binomial import F64, log10_tail
from .preceding import Events, preceding

_TCP = 6
_SEEN_OPENING = np.uint8(Opened.SYN)
WINDOWS_NS = (2_000_000, 20_000_000)
"""Lags that are tried: a process on a LAN connects within 2 ms, one that looks up a name first within 20 ms."""
_IDLE_NS = 200_000_000
_NEAREST = 8
_EVENTS_MAX = 65_536
"""Data packets, and connections, that are kept between two looks."""


class Triggers(NamedTuple):
    """Connections that followed data, one row for each connection and flow that it may have come from."""

    flow: Rows
    """`intp [k]`, the flow on which data came in."""
    serial: I64
    side: npt.NDArray[np.uint8]
    """`u1 [k]`, side of the host in that flow."""
    opened: Rows
    """`intp [k]`, the flow that the host opened."""
    opened_serial: I64
    lag_ns: I64
    counts: npt.NDArray[np.bool_]
    """Whether it is evidence: the first connection after its piece of data. One page makes a browser open many."""

    def rows(self, at: Rows) -> Triggers:
        """Return some of the rows."""
        return Triggers(
            self.flow[at], self.serial[at], self.side[at], self.opened[at], self.opened_serial[at], self.lag_ns[at],
            self.counts[at],
        )  # fmt: skip


_NONE = np.zeros(0, np.int64)
_NO_TRIGGERS = Triggers(_NONE, _NONE, _NONE.astype(np.uint8), _NONE, _NONE, _NONE, _NONE.astype(np.bool_))


class _Columns:
    """Rows of equally long columns, at most `_EVENTS_MAX` between two looks."""

    def __init__(self, names: str) -> None:
        self._names = names.split()
        self._parts: list[tuple[npt.NDArray[np.generic], ...]] = []
        self.used = 0
        self.refused = 0

    def put(self, *columns: npt.NDArray[np.generic]) -> None:
        room = _EVENTS_MAX - self.used
        self.refused += max(len(columns[0]) - room, 0)
        columns = tuple(column[:room] for column in columns)
        self._parts.append(columns)
        self.used += len(columns[0])

    def drain(self) -> list[I64]:
        """Return the columns, as they came."""
        columns = [np.concatenate(column, dtype=np.int64) for column in zip(*self._parts, strict=True)]
        self._parts, self.used = [], 0
        if not columns:
            return [np.zeros(0, np.int64) for _ in self._names]
        return columns


class TriggerLog:
    """Follows the data of flows that rest now and then into hosts that open connections.

    A flow that never rests for 0.2 s is a transfer. What is followed changes at looks alone, so that the cut of
    the traffic changes nothing.
    """

    def __init__(self) -> None:
        """Follow nothing yet."""
        self._data = _Columns("ts_ns flow side serial")
        self._opened = _Columns("flow serial")
        self._late: list[I64] = self._data.drain()
        """Data of the last look that may precede a connection of the next one."""
        self._followed: npt.NDArray[np.bool_] = np.zeros(0, np.bool_)
        """By lane (flow row times two, plus the side that speaks): whether every packet with data counts."""
        self._owner: I64 = np.zeros(0, np.int64)
        """By flow row, the serial that lanes and counts belong to."""
        self._covered = np.zeros((0, len(WINDOWS_NS)), np.int64)
        """By lane: ns that lie within each window after data."""
        self._since_ns: I64 = np.zeros(0, np.int64)
        self._last_ns: I64 = np.zeros(0, np.int64)
        self._hits = np.zeros((0, len(WINDOWS_NS)), np.uint32)
        self._before = np.zeros(0, np.uint32)
        """By lane: connections that the hearer had opened before."""
        self._connections = np.zeros(0, np.uint32)
        """By host row, connections that it opened since data first went to it."""
        self._host_key: U64 = np.zeros(0, np.uint64)
        """By host row, the host that is counted."""
        self._hears: npt.NDArray[np.bool_] = np.zeros(0, np.bool_)
        """By host row, whether some host is counted there: a small array answers for most rows of a flood."""

    @property
    def nbytes(self) -> int:
        """Memory, in bytes."""
        arrays = (
            self._followed, self._owner, self._covered, self._since_ns, self._last_ns, self._hits, self._before,
            self._connections, self._host_key, self._hears,
        )  # fmt: skip
        kept = 32 * (self._data.used + self._opened.used + len(self._late[0]))
        return sum(array.nbytes for array in arrays) + kept

    def gauges(self) -> dict[str, Gauge]:
        """Return how full the logs are."""
        return {
            name: Gauge(cap=_EVENTS_MAX, used=columns.used, refused=columns.refused)
            for name, columns in (("data before connections", self._data), ("connections", self._opened))
        }

    def note(self, seen: Slice) -> None:
        """Take in data, resumes and new connections of a slice."""
        flows = seen.tables.flows
        fresh = seen.new_flows
        if len(fresh):
            self._opened.put(fresh, flows.serial[fresh])
        resumes = seen.resumes
        if len(resumes):
            at = np.flatnonzero((resumes.idle_ns >= _IDLE_NS) & (flows.proto[resumes.flow] == _TCP))
            row = resumes.flow[at]
            self._data.put(resumes.ts_ns[at], row, resumes.side[at], flows.serial[row])
        if len(self._followed):
            self._note_data(seen)

    def _note_data(self, seen: Slice) -> None:
        packets, flows = seen.packets, seen.tables.flows
        lane = seen.flow * 2 + seen.side
        at = np.flatnonzero(self._followed[lane] & (packets.payload_len > 0) & (lane >= 0))
        if not len(at):
            return
        at = at[~packets.duplicate[at]]
        row = seen.flow[at]
        self._data.put(packets.ts_ns[at], row, seen.side[at], flows.serial[row])

    def drain(self, tables: Tables) -> Triggers:
        """Return the connections since the last look that followed data, the nearest data first."""
        self._grow(tables)
        data, opened = _in_time(self._data.drain()), self._opened.drain()
        late = len(self._late[0])
        if late:
            data = [np.concatenate(pair) for pair in zip(self._late, data, strict=True)]
        alive = tables.flows.serial[data[1]] == data[3]
        late = int(np.count_nonzero(alive[:late]))
        data = [column[alive] for column in data]
        self._cover(tables, [column[late:] for column in data])
        if len(data[0]):
            recent = data[0] >= data[0][-1] - WINDOWS_NS[-1]
            self._late = [column[recent] for column in data]
        row, serial = self._by_hearers(tables, *opened)
        if not len(row):
            return _NO_TRIGGERS
        opened = _in_time([tables.flows.first_ns[row], row, serial])
        found = self._match(tables, data, opened)
        self._count(tables, opened, found)
        return found

    def tries(self, lane: Rows, hearer: npt.NDArray[np.integer]) -> I64:
        """Return `i8 [n]`, connections that each hearer opened since its lane was first heard."""
        return np.asarray(self._connections[hearer].astype(np.int64) - self._before[lane])

    def chance(self, flow: Rows, side: npt.NDArray[np.uint8], now_ns: int) -> F64:
        """Return `f8 [n, windows]`, the share of the time that lies shortly after data into `side`.

        An unrelated connection falls into it with this chance.
        """
        lane = flow * 2 + 1 - side
        windows = np.array(WINDOWS_NS, float)
        span = (now_ns - self._since_ns[lane]).astype(float)[:, None]
        return np.asarray(np.minimum((self._covered[lane] + windows) / np.maximum(span, windows), 1.0))

    def odds(self, tables: Tables, flow: Rows, side: npt.NDArray[np.uint8], now_ns: int) -> tuple[F64, I64]:
        """Return log10 of the odds that chance explains the hits of lanes into `side`, and the hits (`i8 [n]`)."""
        lane = flow * 2 + 1 - side
        hits = np.cumsum(self._hits[lane].astype(float), axis=1)
        tries = self.tries(lane, tables.flows.host[flow, side]).astype(float)[:, None]
        odds = log10_tail(hits - 1, tries - 1, self.chance(flow, side, now_ns))
        return np.asarray(odds.min(axis=1) + np.log10(len(WINDOWS_NS))), hits[:, -1].astype(np.int64)

    def rivals(self, tables: Tables, flow: int, side: int) -> int:
        """Return how many flows could have been blamed at the host; one pass over the flow table."""
        flows = tables.flows
        there = (flows.host == flows.host[flow, side]).any(axis=1) & (self._owner == flows.serial) & (self._owner > 0)
        return max(int(np.count_nonzero(there)), 1)

    def _grow(self, tables: Tables) -> None:
        rows, hosts = len(tables.flows.serial), len(tables.hosts.key)
        if len(self._owner) < rows:
            self._followed = np.zeros(2 * rows, np.bool_)
            self._owner = np.zeros(rows, np.int64)
            self._covered = np.zeros((2 * rows, len(WINDOWS_NS)), np.int64)
            self._since_ns, self._last_ns = np.zeros(2 * rows, np.int64), np.zeros(2 * rows, np.int64)
            self._hits = np.zeros((2 * rows, len(WINDOWS_NS)), np.uint32)
            self._before = np.zeros(2 * rows, np.uint32)
        if len(self._host_key) < hosts:
            self._connections, self._host_key = np.zeros(hosts, np.uint32), np.zeros(hosts, np.uint64)
            self._hears = np.zeros(hosts, np.bool_)

    def _by_hearers(self, tables: Tables, row: I64, serial: I64) -> tuple[I64, I64]:
        """Return which connections were seen to be opened by a host that some data goes to: rows and serials."""
        if not len(row):
            return row, serial
        flows, hosts = tables.flows, tables.hosts
        host = flows.host[row, ORIGINATOR]
        at = np.flatnonzero(self._hears[host])
        row, serial, host = row[at], serial[at], host[at]
        fits = self._host_key[host] == hosts.key[host]
        fits &= (flows.serial[row] == serial) & (flows.opened[row] == _SEEN_OPENING) & (flows.proto[row] == _TCP)
        return row[fits], serial[fits]

    def _cover(self, tables: Tables, data: list[I64]) -> None:
        """Add up the time that lies shortly after data, by lane, and follow the lanes from now on."""
        ts_ns, row, side, serial = data
        if not len(ts_ns):
            return
        stale = row[self._owner[row] != serial]
        if len(stale):
            lanes = np.concatenate((2 * stale, 2 * stale + 1))
            self._since_ns[lanes], self._hits[lanes], self._covered[lanes], self._followed[lanes] = 0, 0, 0, False
            self._owner[stale] = tables.flows.serial[stale]
        groups = group(row * 2 + side)
        lane, at = groups.ids, ts_ns[groups.order]
        fresh = self._since_ns[lane] == 0
        first = at[groups.starts]
        self._since_ns[lane[fresh]] = self._last_ns[lane[fresh]] = first[fresh]
        hearer = tables.flows.host[row[groups.first], 1 - side[groups.first]]
        self._own_hosts(tables, hearer)
        self._before[lane[fresh]] = self._connections[hearer[fresh]]
        before = np.concatenate((at[:1], at[:-1]))
        before[groups.starts] = self._last_ns[lane]
        for window, within_ns in enumerate(WINDOWS_NS):
            near = np.minimum(np.maximum(at - before, 0), within_ns)
            self._covered[lane, window] += np.add.reduceat(near, groups.starts)
        self._last_ns[lane] = at[groups.starts + groups.counts - 1]
        self._followed[lane] = True

    def _own_hosts(self, tables: Tables, hosts: npt.NDArray[np.integer]) -> None:
        fresh = hosts[self._host_key[hosts] != tables.hosts.key[hosts]]
        self._connections[fresh] = 0
        self._host_key[fresh] = tables.hosts.key[fresh]
        self._hears[fresh] = True

    def _match(self, tables: Tables, data: list[I64], opened: list[I64]) -> Triggers:
        """Return the connections with the data before them, once for each flow, between three different hosts."""
        flows, hosts = tables.flows, tables.hosts
        ts_ns, row, side, serial = data
        hearer = hosts.key[flows.host[row, 1 - side]]
        opener = hosts.key[flows.host[opened[1], ORIGINATOR]]
        into, out = preceding(Events(hearer, ts_ns), Events(opener, opened[0]), WINDOWS_NS[-1], _NEAREST)
        if not len(into):
            return _NO_TRIGGERS
        speaker, target = hosts.key[flows.host[row, side]][into], hosts.key[flows.host[opened[1], 1]][out]
        other = (serial[into] != opened[2][out]) & (speaker != target)
        into, out = into[other][::-1], out[other][::-1]
        _, once = np.unique(np.stack((out, row[into] * 2 + side[into])), axis=1, return_index=True)
        into, out = into[once], out[once]
        counts = np.zeros(len(into), np.bool_)
        counts[np.unique(into, return_index=True)[1]] = True
        return Triggers(
            row[into], serial[into], (1 - side[into]).astype(np.uint8), opened[1][out], opened[2][out],
            opened[0][out] - ts_ns[into], counts,
        )  # fmt: skip

    def _count(self, tables: Tables, opened: list[I64], found: Triggers) -> None:
        opener = tables.flows.host[opened[1], ORIGINATOR]
        np.add.at(self._connections, opener, np.uint32(1))
        if not len(found.flow):
            return
        lane = found.flow * 2 + 1 - found.side
        window = np.searchsorted(WINDOWS_NS, found.lag_ns)
        for column in range(len(WINDOWS_NS)):
            np.add.at(self._hits[:, column], lane[(window == column) & found.counts], np.uint32(1))


def _in_time(columns: list[I64]) -> list[I64]:
    """Return columns in order of the first, which is a time."""
    if len(columns[0]) < 2:
        return columns
    order = np.argsort(columns[0], kind="stable")
    return [column[order] for column in columns]
