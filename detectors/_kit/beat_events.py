"""Beats of one slice that may matter: calls to the outside, and calls to hosts that make such calls themselves."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from nettriage.model.columns import I64, U64, Rows
from nettriage.model.slices import Slice
from nettriage.model.tables import ORIGINATOR, RESPONDER, HostTable, Tables

from .beat_rings import Beats
from .fold import Fold

_TCP, _UDP = 6, 17
_REGULAR_BY_DESIGN = np.zeros(0x10000, np.bool_)
_REGULAR_BY_DESIGN[[53, 67, 123, 137, 138, 546, 547, 1900, 5353, 5355]] = True
"""UDP ports of name, time, address and discovery services."""
_NEVER = np.iinfo(np.int64).max


class Outward:
    """Since when each home host has been calling hosts outside, by host row; only such a host passes beats on."""

    def __init__(self) -> None:
        """Know of no call; the arrays grow to the size of the host table."""
        self._since_ns: I64 = np.zeros(0, np.int64)
        self._key: U64 = np.zeros(0, np.uint64)

    @property
    def nbytes(self) -> int:
        """Memory of the marks, in bytes."""
        return self._since_ns.nbytes + self._key.nbytes

    def mark(self, hosts: HostTable, rows: Rows, ts_ns: I64) -> None:
        """Note calls of `rows` to the outside, in time order; the first one of each host stays."""
        more = len(hosts.key) - len(self._key)
        if more > 0:
            self._since_ns = np.concatenate((self._since_ns, np.full(more, _NEVER)))
            self._key = np.concatenate((self._key, np.zeros(more, np.uint64)))
        fresh = self._key[rows] != hosts.key[rows]
        rows, ts_ns = rows[fresh][::-1], ts_ns[fresh][::-1]
        self._key[rows], self._since_ns[rows] = hosts.key[rows], ts_ns

    def before(self, hosts: HostTable, rows: Rows, ts_ns: I64) -> npt.NDArray[np.bool_]:
        """Return `bool [n]`, whether each host had called outside before a time."""
        known = rows < len(self._key)
        at = np.where(known, rows, 0)
        if not len(self._key):
            return known
        return np.asarray(known & (self._key[at] == hosts.key[rows]) & (self._since_ns[at] < ts_ns))


def calls(seen: Slice, fold: Fold, outward: Outward) -> Beats | None:
    """Return the flows whose originator first spoke in this slice, at the time at which each began; None where none."""
    resumes, flows, hosts = seen.resumes, seen.tables.flows, seen.tables.hosts
    chosen = np.flatnonzero(resumes.side == ORIGINATOR)
    row = resumes.flow[chosen].astype(np.intp)
    idle_ns, ts_ns = resumes.idle_ns[chosen], resumes.ts_ns[chosen]
    first = (ts_ns - idle_ns == flows.first_ns[row]) & ((flows.proto[row] == _TCP) | (idle_ns == 0))
    row, ts_ns = row[first], ts_ns[first]
    caller, called = flows.host[row, ORIGINATOR].astype(np.intp), flows.host[row, RESPONDER].astype(np.intp)
    leaving = hosts.home[caller] & ~hosts.home[called]
    outward.mark(hosts, caller[leaving], ts_ns[leaving])
    row = row[leaving | outward.before(hosts, called, ts_ns)]
    row = row[_of_interest(seen.tables, row)]
    if not len(row):
        return None
    return _beats(
        seen.tables, row, flows.first_ns[row], np.zeros(len(row), np.intp), _call_keys(seen.tables, row, fold)
    )


def pulses(seen: Slice, fold: Fold, idle_ns: int, outward: Outward) -> Beats | None:
    """Return when flows were spoken in again by a side that had been silent for `idle_ns`; None where none was.

    Both sides of a flow are one series: an answer belongs to the beat that it answers. Its caller is who spoke first.
    """
    resumes, flows, hosts = seen.resumes, seen.tables.flows, seen.tables.hosts
    chosen = np.flatnonzero(resumes.idle_ns >= idle_ns)
    row, ts_ns = resumes.flow[chosen].astype(np.intp), resumes.ts_ns[chosen]
    one, other = flows.host[row, ORIGINATOR].astype(np.intp), flows.host[row, RESPONDER].astype(np.intp)
    wanted = hosts.home[one] != hosts.home[other]
    wanted |= outward.before(hosts, one, ts_ns) | outward.before(hosts, other, ts_ns)
    wanted &= resumes.idle_ns[chosen] < ts_ns - flows.first_ns[row]
    chosen, row = chosen[wanted], row[wanted]
    kept = _of_interest(seen.tables, row)
    chosen, row = chosen[kept], row[kept]
    if not len(row):
        return None
    side = resumes.side[chosen].astype(np.intp)
    return _beats(seen.tables, row, resumes.ts_ns[chosen], side, fold.columns(flows.serial[row]))


def _call_keys(tables: Tables, row: Rows, fold: Fold) -> U64:
    """Return `u8 [n]`, the series of calls to which each flow belongs: caller, called, protocol and port."""
    flows, hosts = tables.flows, tables.hosts
    ends = hosts.key[flows.host[row]]
    return fold.columns(ends[:, ORIGINATOR], ends[:, RESPONDER], flows.proto[row], flows.port[row, RESPONDER])


def _of_interest(tables: Tables, row: Rows) -> npt.NDArray[np.bool_]:
    flows = tables.flows
    proto, port = flows.proto[row], flows.port[row, RESPONDER]
    datagrams = (proto == _UDP) & ~_REGULAR_BY_DESIGN[port]
    return np.asarray((flows.serial[row] > 0) & ((proto == _TCP) | datagrams))


def _beats(tables: Tables, row: Rows, ts_ns: I64, side: Rows, key: U64) -> Beats:
    flows, hosts = tables.flows, tables.hosts
    caller, called = flows.host[row, side], flows.host[row, 1 - side]
    words = (hosts.addr_hi[caller], hosts.addr_lo[caller], hosts.addr_hi[called], hosts.addr_lo[called])
    return Beats(
        key=key, ts_ns=ts_ns, caller_key=hosts.key[caller], called_key=hosts.key[called],
        words=np.stack(words, axis=1), proto=flows.proto[row], port=flows.port[row, RESPONDER], flow=row,
        serial=flows.serial[row],
    )  # fmt: skip
