"""What pairs of hosts exchange by echo: counters of the running minute, the one before, and the whole life."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from nettriage.model.columns import I64, U64, Rows
from nettriage.model.finding import Address
from nettriage.model.health import Gauge
from nettriage.model.keytable import KeyTable
from nettriage.model.slices import Slice

from .echoes import Echoes, Matches, latest_before
from .fold import Fold

COUNTERS = (
    "requests", "replies", "matched", "differs", "orphans", "ipv4", "magic", "large", "varied", "up", "down",
)  # fmt: skip
_AT = {name: index for index, name in enumerate(COUNTERS)}
WINDOW_NS = 60_000_000_000
_TAILS = 16_384
"""Places for the latest request of a pair."""
LARGE_BYTES = 128
"""Payload that no common ping sends; MTU probes do, a few times."""


@dataclass(slots=True)
class PairView:
    """The counters of some pairs at one moment."""

    rows: Rows
    window: I64
    """`i8 [n, counters]`, the running minute and the one before."""
    sizes: npt.NDArray[np.int64]
    """`i8 [n]`, different payload sizes in the window, at most 64."""

    def __getitem__(self, name: str) -> I64:
        """Return a counter of the window."""
        return np.asarray(self.window[:, _AT[name]])


class EchoPairs:
    """Pairs of asker and asked, at most `capacity`; those quiet longest give way."""

    def __init__(self, capacity: int, fold: Fold) -> None:
        """Make an empty table."""
        self._fold = fold
        self._table = KeyTable("echo pairs", capacity)
        self._window: I64 = np.zeros((capacity, 2, len(COUNTERS)), np.int64)
        self._life: I64 = np.zeros((capacity, len(COUNTERS)), np.int64)
        self._sizes: U64 = np.zeros((capacity, 2), np.uint64)
        self._minute: I64 = np.zeros(capacity, np.int64)
        self._tail: U64 = np.zeros(_TAILS, np.uint64)
        self._tail_key: U64 = np.zeros(_TAILS, np.uint64)
        self._touched = np.zeros(capacity, np.bool_)
        self._ends: U64 = np.zeros((capacity, 2, 2), np.uint64)
        self.first_ns: I64 = np.zeros(capacity, np.int64)
        self.last_ns: I64 = np.zeros(capacity, np.int64)
        self.asker_key: U64 = np.zeros(capacity, np.uint64)
        self.is_v6 = np.zeros(capacity, np.bool_)
        self.magic: npt.NDArray[np.uint32] = np.zeros(capacity, np.uint32)
        """`u4`, mark of a tool, 0 where none was seen."""
        self.target: npt.NDArray[np.uint32] = np.zeros((capacity, 2), np.uint32)
        """`u4 [rows, 2]`, address and port that a ptunnel header asks for."""

    @property
    def gauge(self) -> Gauge:
        """How full the table is."""
        return self._table.gauge

    @property
    def keys(self) -> U64:
        """`u8`, the key of each row."""
        return self._table.keys

    @property
    def nbytes(self) -> int:
        """Memory of the table, in bytes."""
        arrays = (
            self._window, self._life, self._sizes, self._minute, self._tail, self._tail_key, self._touched,
            self._ends, self.first_ns, self.last_ns, self.asker_key, self.is_v6, self.magic, self.target,
        )  # fmt: skip
        return sum(array.nbytes for array in arrays) + self._table.capacity * 24

    def ends(self, row: int) -> tuple[Address, Address]:
        """Return the addresses of asker and asked."""
        asker, asked = ((int(high), int(low)) for high, low in self._ends[row])
        return asker, asked

    def life(self, row: int) -> list[int]:
        """Return the counters of one pair since it was first seen, in the order of `COUNTERS`."""
        return [int(value) for value in self._life[row]]

    def add(self, echo: Echoes, matches: Matches, seen: Slice) -> None:
        """Count the echo packets of one slice: all of the known pairs, and those that make a pair worth knowing."""
        keys = self._fold.columns(echo.asker_key, echo.asked_key)
        varied = self._varied(echo, keys)
        unusual = matches.differs | matches.orphan | varied | (echo.magic() > 0) | echo.carries_ipv4()
        chosen = np.flatnonzero(unusual | (self._table.find(keys) >= 0))
        if not len(chosen):
            return
        rows = self._rows(echo, keys, chosen, seen)
        kept, rows = chosen[rows >= 0], rows[rows >= 0]
        minutes = echo.ts_ns[kept] // WINDOW_NS
        counts = self._counts(echo, matches, kept, varied)
        bits = np.left_shift(np.uint64(1), (echo.length[kept] % 61).astype(np.uint64))
        for minute in np.unique(minutes):  # a slice spans one minute, seldom two
            here = minutes == minute
            self._roll(np.unique(rows[here]), int(minute))
            np.add.at(self._window[:, 0], rows[here], counts[here])
            np.bitwise_or.at(self._sizes[:, 0], rows[here], bits[here])
        np.add.at(self._life, rows, counts)
        self._note_magic(echo, kept, rows)
        self._touched[rows] = True

    def drain(self) -> PairView:
        """Return the pairs touched since the last call."""
        rows = np.flatnonzero(self._touched)
        self._touched[rows] = False
        return PairView(
            rows, self._window[rows].sum(axis=1),
            np.bitwise_count(self._sizes[rows, 0] | self._sizes[rows, 1]).astype(np.int64),
        )  # fmt: skip

    def _rows(self, echo: Echoes, keys: U64, chosen: Rows, seen: Slice) -> Rows:
        """Return the row of each chosen packet's pair, made where it is new."""
        found = self._table.locate(keys[chosen], echo.ts_ns[chosen])
        fresh, first = found.new_rows, chosen[found.new_first]
        for array in (self._window, self._life, self._sizes, self._minute, self.magic, self.target):
            array[fresh] = 0
        hosts = seen.tables.hosts
        for side, host in enumerate((echo.asker[first], echo.asked[first])):
            self._ends[fresh, side, 0], self._ends[fresh, side, 1] = hosts.addr_hi[host], hosts.addr_lo[host]
        self.first_ns[fresh] = echo.ts_ns[first]
        self.asker_key[fresh] = echo.asker_key[first]
        self.is_v6[fresh] = echo.is_v6[first]
        self.last_ns[found.rows[found.rows >= 0]] = echo.ts_ns[chosen[found.rows >= 0]]
        return found.rows

    def _counts(self, echo: Echoes, matches: Matches, kept: Rows, varied: npt.NDArray[np.bool_]) -> I64:
        """Return `i8 [n, counters]`, what each kept packet adds."""
        asks = echo.is_request[kept]
        length = echo.length[kept]
        columns = {
            "requests": asks, "replies": ~asks, "matched": matches.matched[kept], "differs": matches.differs[kept],
            "orphans": matches.orphan[kept], "ipv4": echo.carries_ipv4()[kept], "magic": echo.magic()[kept] > 0,
            "large": length > LARGE_BYTES, "varied": varied[kept], "up": np.where(asks, length, 0),
            "down": np.where(asks, 0, length),
        }  # fmt: skip
        return np.stack([columns[name].astype(np.int64) for name in COUNTERS], axis=1)

    def _varied(self, echo: Echoes, keys: U64) -> npt.NDArray[np.bool_]:
        """Whether each request differs from the pair's one before behind the time stamp.

        Works on a fixed number of places for all pairs; a pair that lost its place starts anew.
        """
        place = (keys & np.uint64(len(self._tail) - 1)).astype(np.intp)
        before = latest_before(keys, echo.is_request)
        inside = before >= 0
        held = self._tail_key[place] == keys
        last = np.where(inside, echo.tail_print[before], np.where(held, self._tail[place], 0))
        asked = np.flatnonzero(echo.is_request)
        self._tail_key[place[asked]], self._tail[place[asked]] = keys[asked], echo.tail_print[asked]
        return np.asarray(echo.is_request & (inside | held) & (echo.tail_print != last))

    def _roll(self, rows: Rows, minute: int) -> None:
        """Begin a new minute where it is one."""
        older = rows[self._minute[rows] < minute]
        adjacent = (self._minute[older] == minute - 1)[:, None]
        self._window[older, 1] = np.where(adjacent, self._window[older, 0], 0)
        self._sizes[older, 1] = np.where(adjacent[:, 0], self._sizes[older, 0], 0)
        self._window[older, 0] = 0
        self._sizes[older, 0] = 0
        self._minute[older] = minute

    def _note_magic(self, echo: Echoes, kept: Rows, rows: Rows) -> None:
        magic = echo.magic()[kept]
        marked = np.flatnonzero(magic)
        self.magic[rows[marked]] = magic[marked]
        asked_for = np.ascontiguousarray(echo.head[kept[marked], 4:12]).view(">u4")
        telling = np.flatnonzero(asked_for[:, 0])
        self.target[rows[marked[telling]]] = asked_for[telling]
