"""A bounded map from 64-bit keys to dense rows, worked on by whole columns."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from nettriage.model.columns import I64, U64, Rows, lengths, runs
from nettriage.model.health import Gauge

WAYS = 8
_EMPTY_RANK = np.iinfo(np.int64).min
_HITS = np.dtype("<u8")
"""Eight booleans of a set as one word: the n-th byte is 1 where the n-th way holds the key."""
_WAY_OF_HIT, _TOP_BYTE = np.array(0x0001020304050607, np.uint64), np.array(56, np.uint64)
"""Times a word whose n-th byte is 1, this has n as its top byte."""


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
        self._set_mask: U64 = np.array(self._sets - 1, np.uint64)
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
        hit = (self._keys.take(sets, axis=0) == keys[:, None]).view(_HITS)[:, 0]
        rows: Rows = (hit * _WAY_OF_HIT >> _TOP_BYTE).view(np.intp)
        rows += sets * WAYS
        rows[hit == 0] = -1
        return rows

    def touch(self, rows: Rows, ts_ns: I64) -> None:
        """Renew the life of `rows` (later duplicates win, so pass rows in time order)."""
        self._rank.reshape(-1)[rows] = self.credit_ns.take(rows) + ts_ns

    def locate(self, keys: U64, ts_ns: I64) -> Located:
        """Return the row of every key, giving rows to new keys; touches all of them.

        `ts_ns` is `i8 [n]`, the packet time of each key, in row order.
        """
        rows = self.find(keys)
        absent = (rows < 0).nonzero()[0]
        if not len(absent):
            self.touch(rows, ts_ns)
            return Located(rows, absent, absent, absent)
        if len(absent) < len(rows):
            known = (rows >= 0).nonzero()[0]
            self.touch(rows[known], ts_ns[known])
        return self._insert(keys, ts_ns, rows, absent)

    def drop(self, rows: Rows) -> None:
        """Free `rows`; their keys are forgotten."""
        if not len(rows):
            return
        held = rows[self.keys[rows] != 0]
        self.keys[held] = 0
        self._rank.reshape(-1)[held] = _EMPTY_RANK
        self.credit_ns[held] = 0
        self._used -= len(np.unique(held))

    def rows_in_use(self) -> Rows:
        """Return the rows that hold a key, ascending."""
        rows: Rows = (self.keys != 0).nonzero()[0]
        return rows

    def _set_of(self, keys: U64) -> Rows:
        return (keys & self._set_mask).astype(np.intp)

    def _insert(self, keys: U64, ts_ns: I64, rows: Rows, absent: Rows) -> Located:
        distinct = _distinct(keys.take(absent), self._sets)
        fresh, first = distinct.keys, distinct.first
        placed = self._places(fresh)
        unplaced = (placed < 0).nonzero()[0]
        rows[absent[distinct.order]] = placed.repeat(distinct.counts)
        taken, news = absent, np.zeros(len(rows), np.bool_)
        news[absent[first]] = True
        if len(unplaced):
            taken = absent[rows[absent] >= 0]
            news[absent[first[unplaced]]] = False
            kept = (placed >= 0).nonzero()[0]
            placed, fresh = placed[kept], fresh[kept]
        overwritten = placed[self.keys.take(placed) != 0]
        self.keys[placed] = fresh
        self.credit_ns[placed] = 0
        self._rank.reshape(-1)[rows[taken]] = ts_ns[taken]
        self._used += len(placed) - len(overwritten)
        self._evicted += len(overwritten)
        self._refused += len(unplaced)
        new_first = news.nonzero()[0]
        return Located(rows, rows[new_first], new_first, overwritten)

    def _places(self, fresh: U64) -> Rows:
        """Return a row for each of the distinct new keys, which are in order of their sets, -1 where there is none.

        The r-th key of a set gets the row of the r-th lowest rank.
        """
        sets = self._set_of(fresh)
        ranks = self._rank.take(sets, axis=0)
        places = sets * WAYS
        places += _lowest(ranks)
        starts = runs(sets)
        if len(starts) == len(sets):
            return places
        nth = np.arange(len(sets))
        nth -= starts.repeat(lengths(starts, len(sets)))
        later = ((nth > 0) & (nth < WAYS)).nonzero()[0]
        by_rank = np.argsort(ranks[later], axis=1, kind="stable")
        places[later] = sets[later] * WAYS + by_rank[np.arange(len(later)), nth[later]]
        places[nth >= WAYS] = -1
        return places


def _lowest(ranks: I64) -> Rows:
    """Return the first way of the lowest rank of each set: an `argmin` of eight, by halves."""
    least = np.minimum(ranks[:, :4], ranks[:, 4:])
    least = np.minimum(least[:, :2], least[:, 2:])
    hit = (ranks == np.minimum(least[:, :1], least[:, 1:])).view(_HITS)[:, 0]
    hit &= ~hit + np.uint64(1)
    way: Rows = (hit * _WAY_OF_HIT >> _TOP_BYTE).view(np.intp)
    return way


@dataclass(frozen=True, slots=True)
class _Distinct:
    """Distinct keys, in order of their sets."""

    keys: U64
    first: Rows
    """Index of the first of each."""
    order: Rows
    """Indices of all keys, equal ones together."""
    counts: Rows
    """How often each key comes."""


def _distinct(keys: U64, sets: int) -> _Distinct:
    """Return the distinct of the `keys` of a table of so many `sets`.

    Set, the rest of the key, and index are packed into one word and sorted, which is several times faster than
    an index sort. The low bits of the key's rest that give way to the index are compared afterwards; where they
    matter, the slow way is taken.
    """
    set_bits, bits = np.uint64(sets.bit_length() - 1), np.uint64(max(1, (len(keys) - 1).bit_length()))
    turned = keys >> set_bits
    if set_bits:
        turned |= keys << (np.uint64(64) - set_bits)
    packed = turned >> bits << bits
    packed |= np.arange(len(keys), dtype=np.uint64)
    packed.sort()
    order = (packed & ((np.uint64(1) << bits) - np.uint64(1))).view(np.intp)
    starts = runs(keys.take(order))
    if len(starts) != len(runs(packed >> bits)):
        order = np.argsort(turned, kind="stable")
        starts = runs(keys.take(order))
    return _Distinct(keys[order[starts]], order[starts], order, lengths(starts, len(keys)))
