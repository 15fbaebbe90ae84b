"""A bounded map from 64-bit keys to dense rows, worked on by whole columns."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from nettriage.model.columns import I64, U64, Rows, group
from nettriage.model.health import Gauge

WAYS = 8
_EMPTY_RANK = np.iinfo(np.int64).min


@dataclass(frozen=True, slots=True)
class Located:
    """Where the keys of one batch live."""

    rows: Rows
    """`intp [n]`, the row of each key; -1 where the key's set was full of keys of this same batch."""
    new_rows: Rows
    """`intp [k]`, rows that were given to new keys, in order of first appearance."""
    new_first: Rows
    """`intp [k]`, index into the batch of each new key's first appearance."""
    evicted: Rows
    """`intp [e]`, those of `new_rows` that held another key before: whoever keeps columns resets them."""


class KeyTable:
    """Rows for keys, in sets of `WAYS`; in a full set the row of lowest rank gives way.

    The rank of a row is the time it was last touched plus its `credit_ns`: a longer life for rows that
    earned it (an answered flow, a known host), so that a flood of one-packet rows does not push them out.
    Eight keys stand in one cache line, so a look-up costs one gather and one compare, and no probe is
    ever longer.
    """

    def __init__(self, name: str, capacity: int) -> None:
        """Make an empty table of `capacity` rows (a power of two, at least `WAYS`)."""
        if capacity < WAYS or capacity & (capacity - 1):
            raise ValueError(f"{name}: capacity {capacity} is not a power of two of at least {WAYS}")
        self.name = name
        self.capacity = capacity
        self._sets = capacity // WAYS
        self._keys: U64 = np.zeros((self._sets, WAYS), np.uint64)
        self._rank: I64 = np.full((self._sets, WAYS), _EMPTY_RANK, np.int64)
        self.credit_ns: I64 = np.zeros(capacity, np.int64)
        self._used = 0
        self._evicted = 0
        self._refused = 0

    @property
    def keys(self) -> U64:
        """`u8 [capacity]`, the key of each row, 0 where the row is free."""
        return self._keys.reshape(-1)

    @property
    def gauge(self) -> Gauge:
        """How full the table is, and what it had to give up."""
        return Gauge(cap=self.capacity, used=self._used, evicted=self._evicted, refused=self._refused)

    def find(self, keys: U64) -> Rows:
        """Return `intp [n]`, the row of each key, -1 where absent; changes nothing."""
        sets = self._set_of(keys)
        hit = self._keys[sets] == keys[:, None]
        way = hit.argmax(axis=1)
        return np.where(hit[np.arange(len(keys)), way], sets * WAYS + way, -1)

    def touch(self, rows: Rows, ts_ns: I64) -> None:
        """Renew the life of `rows` (later duplicates win, so pass rows in time order)."""
        self._rank.reshape(-1)[rows] = ts_ns + self.credit_ns[rows]

    def locate(self, keys: U64, ts_ns: I64) -> Located:
        """Return the row of every key, giving rows to new keys; touches all of them.

        `ts_ns` is `i8 [n]`, the packet time of each key, in row order.
        """
        rows = self.find(keys)
        known = rows >= 0
        if known.all():
            self.touch(rows, ts_ns)
            none = np.zeros(0, np.intp)
            return Located(rows, none, none, none)
        self.touch(rows[known], ts_ns[known])
        return self._insert(keys, ts_ns, rows, np.flatnonzero(~known))

    def drop(self, rows: Rows) -> None:
        """Free `rows`; their keys are forgotten."""
        held = rows[self.keys[rows] != 0]
        self.keys[held] = 0
        self._rank.reshape(-1)[held] = _EMPTY_RANK
        self.credit_ns[held] = 0
        self._used -= len(np.unique(held))

    def rows_in_use(self) -> Rows:
        """Return the rows that hold a key, ascending."""
        return np.flatnonzero(self.keys)

    def _set_of(self, keys: U64) -> Rows:
        return (keys & np.uint64(self._sets - 1)).astype(np.intp)

    def _insert(self, keys: U64, ts_ns: I64, rows: Rows, absent: Rows) -> Located:
        fresh, first, inverse = _distinct(keys[absent])
        placed = self._places(fresh)
        ok = np.flatnonzero(placed >= 0)
        got = placed[ok]
        overwritten = self.keys[got] != 0
        self.keys[got] = fresh[ok]
        self.credit_ns[got] = 0
        rows[absent] = placed[inverse]
        taken = absent[rows[absent] >= 0]
        self.touch(rows[taken], ts_ns[taken])
        self._used += int(len(got) - overwritten.sum())
        self._evicted += int(overwritten.sum())
        self._refused += int(len(fresh) - len(ok))
        in_time = np.argsort(first[ok], kind="stable")
        return Located(rows, got[in_time], absent[first[ok][in_time]], got[overwritten])

    def _places(self, fresh: U64) -> Rows:
        """Return a row for each of the distinct new keys: the r-th lowest rank of its set for the r-th key."""
        sets = self._set_of(fresh)
        groups = group(sets)
        order, ordered = groups.order, sets[groups.order]
        turn = np.arange(len(order)) - np.repeat(groups.starts, groups.counts)
        places: npt.NDArray[np.intp] = np.full(len(fresh), -1, np.intp)
        fits = turn < WAYS
        ranks, nth = self._rank[ordered[fits]], turn[fits]
        way = ranks.argmin(axis=1)
        later = np.flatnonzero(nth)
        way[later] = np.argsort(ranks[later], axis=1, kind="stable")[np.arange(len(later)), nth[later]]
        places[order[fits]] = ordered[fits] * WAYS + way
        return places


def _distinct(keys: U64) -> tuple[U64, Rows, Rows]:
    """Return the distinct keys, the index of the first of each, and which of them each key is.

    Key and index are packed into one word and sorted, which is several times faster than an index sort. The
    low bits that give way to the index are compared afterwards; where they matter, the slow way is taken.
    """
    bits = np.uint64(max(1, (len(keys) - 1).bit_length()))
    packed = (keys >> bits << bits) | np.arange(len(keys), dtype=np.uint64)
    packed.sort()
    order = (packed & ((np.uint64(1) << bits) - np.uint64(1))).astype(np.intp)
    ordered = keys[order]
    differs = ordered[1:] != ordered[:-1]
    if (differs & (packed[1:] >> bits == packed[:-1] >> bits)).any():
        fresh, first, back = np.unique(keys, return_index=True, return_inverse=True)
        return fresh, first, back
    edges = np.concatenate(([True], differs))
    inverse = np.empty(len(keys), np.intp)
    inverse[order] = np.cumsum(edges) - 1
    return ordered[edges], order[edges], inverse
