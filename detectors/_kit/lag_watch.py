"""How far behind the outer leg of a relay is: the time from data into the relay to data out of it."""

from __future__ import annotations

from statistics import median

import numpy as np
import numpy.typing as npt

from nettriage.model.health import Gauge
from nettriage.model.slices import Slice
from nettriage.model.tables import Tables

from .legs import NotedFlow
from .twin_check import Pair

_PAIRS_MAX = 64
_SAMPLES_MAX = 64
_LAG_MAX_NS = 2_000_000_000
_BYTES_PER_PAIR = 3_000


class _Watched:
    """One pair under measurement."""

    __slots__ = ("into_ns", "lags_ns", "pair")

    def __init__(self, pair: Pair) -> None:
        self.pair = pair
        self.into_ns = {pair.inner.row: 0, pair.outer.row: 0}
        """Latest data into the relay by leg; taken by the next data out of the other leg."""
        self.lags_ns: list[int] = []

    def take(self, leg: NotedFlow, into: bool, ts_ns: int) -> None:
        """Take in one packet with data."""
        if into:
            self.into_ns[leg.row] = ts_ns
            return
        other = self.pair.outer.row if leg is self.pair.inner else self.pair.inner.row
        since = self.into_ns[other]
        if since and ts_ns - since <= _LAG_MAX_NS:
            self.lags_ns.append(ts_ns - since)
            self.into_ns[other] = 0


class LagWatch:
    """Follows the packets of at most 64 pairs until each has 64 samples."""

    def __init__(self) -> None:
        """Follow nothing."""
        self._rows: npt.NDArray[np.bool_] = np.zeros(0, np.bool_)
        self._by_row: dict[int, tuple[_Watched, NotedFlow, int]] = {}
        self._known: dict[tuple[int, int], _Watched] = {}
        self._refused = 0

    @property
    def gauge(self) -> Gauge:
        """How many pairs are or were followed."""
        return Gauge(cap=_PAIRS_MAX, used=len(self._known), refused=self._refused)

    @property
    def nbytes(self) -> int:
        """Memory, in bytes."""
        return self._rows.nbytes + len(self._known) * _BYTES_PER_PAIR

    def follow(self, pair: Pair, tables: Tables) -> None:
        """Begin to measure a pair, unless one of its legs is being measured or the watch is full."""
        rows = (pair.inner.row, pair.outer.row)
        if pair.key in self._known or any(row in self._by_row for row in rows):
            return
        if len(self._known) >= _PAIRS_MAX:
            self._refused += 1
            return
        if len(self._rows) < len(tables.flows.serial):
            self._rows = np.zeros(len(tables.flows.serial), np.bool_)
        watched = self._known[pair.key] = _Watched(pair)
        for leg, side in ((pair.inner, pair.inner_side), (pair.outer, pair.outer_side)):
            self._by_row[leg.row] = (watched, leg, side)
        self._rows[list(self._by_row)] = True

    def forget(self, pair: Pair) -> None:
        """Drop a pair and what was measured of it."""
        if self._known.pop(pair.key, None):
            self._release(pair)

    def note(self, seen: Slice) -> None:
        """Take in the data packets of the followed legs; a leg with enough samples costs nothing more."""
        if not self._by_row:
            return
        packets = seen.packets
        chosen = np.flatnonzero(self._rows[seen.flow] & (packets.payload_len > 0) & (seen.flow >= 0))
        for at in chosen[~packets.duplicate[chosen]].tolist():
            entry = self._by_row.get(int(seen.flow[at]))
            if entry is None:
                continue
            watched, leg, side = entry
            watched.take(leg, into=int(seen.side[at]) != side, ts_ns=int(packets.ts_ns[at]))
            if len(watched.lags_ns) >= _SAMPLES_MAX:
                self._release(watched.pair)

    def release_gone(self, tables: Tables) -> None:
        """Stop to follow legs whose row has a new tenant."""
        for row, (watched, leg, _) in list(self._by_row.items()):
            if int(tables.flows.serial[row]) != leg.serial:
                self._release(watched.pair)

    def lag_ms(self, pair: Pair) -> float | None:
        """Return the median lag of a pair, None before three samples."""
        watched = self._known.get(pair.key)
        if watched is None or len(watched.lags_ns) < 3:
            return None
        return round(median(watched.lags_ns) / 1e6, 3)

    def _release(self, pair: Pair) -> None:
        for row in (pair.inner.row, pair.outer.row):
            if row in self._by_row and self._by_row[row][0].pair.key == pair.key:
                del self._by_row[row]
                self._rows[row] = False
