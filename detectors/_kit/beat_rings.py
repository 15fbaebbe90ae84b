"""The latest beats of many series: when a host called the same service again, or spoke again in one flow."""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np
import numpy.typing as npt

from nettriage.model.columns import I64, U64, Rows, group
from nettriage.model.finding import Address
from nettriage.model.health import Gauge
from nettriage.model.keytable import KeyTable

RING = 64
"""Beats of a series that are kept."""


@dataclass(frozen=True, slots=True)
class Beats:
    """Beats of one slice, in order of time."""

    key: U64
    """`u8 [n]`, the series of each."""
    ts_ns: I64
    caller_key: U64
    """`u8 [n]`, identity of the host that calls (`HostTable.key`)."""
    called_key: U64
    words: U64
    """`u8 [n, 4]`, both addresses, caller first."""
    proto: npt.NDArray[np.uint16]
    port: npt.NDArray[np.uint16]
    """`u2 [n]`, port of the responder."""
    flow: Rows
    """`intp [n]`, row of the flow."""
    serial: I64
    """`i8 [n]`, its serial."""

    def rows(self, chosen: npt.NDArray[np.bool_]) -> Beats:
        """Return some of the beats."""
        return Beats(*(getattr(self, item.name)[chosen] for item in fields(self)))


class BeatRings:
    """Series by key, each with a ring of its latest beats; the series that was silent longest gives way.

    A series gets its ring with its second beat, so that the many hosts that call a service once push none out.
    """

    def __init__(self, name: str, capacity: int) -> None:
        """Make an empty table."""
        self._name = name
        self._table = KeyTable(name, capacity)
        self._once = KeyTable(f"{name}, begun", 2 * capacity)
        self._by_flow: npt.NDArray[np.int32] = np.zeros(0, np.int32)
        """By flow row, the row of its series; grows to the size of the flow table."""
        self._ring: I64 = np.zeros((capacity, RING), np.int64)
        self._bytes: I64 = np.zeros((capacity, RING), np.int64)
        self._sized: I64 = np.zeros(capacity, np.int64)
        self._touched = np.zeros(capacity, np.bool_)
        self.total: I64 = np.zeros(capacity, np.int64)
        """`i8`, beats since the series began."""
        self.first_ns: I64 = np.zeros(capacity, np.int64)
        self.last_ns: I64 = np.zeros(capacity, np.int64)
        self.caller_key: U64 = np.zeros(capacity, np.uint64)
        self.called_key: U64 = np.zeros(capacity, np.uint64)
        self.proto: npt.NDArray[np.uint16] = np.zeros(capacity, np.uint16)
        self.port: npt.NDArray[np.uint16] = np.zeros(capacity, np.uint16)
        self.serial: I64 = np.zeros(capacity, np.int64)
        """`i8`, the latest flow."""
        self._words: U64 = np.zeros((capacity, 4), np.uint64)

    @property
    def keys(self) -> U64:
        """`u8`, the key of each row, 0 where free."""
        return self._table.keys

    def gauges(self) -> dict[str, Gauge]:
        """Return how full the tables are."""
        return {table.name: table.gauge for table in (self._table, self._once)}

    @property
    def nbytes(self) -> int:
        """Memory of the table, in bytes."""
        arrays = (
            self._ring, self._bytes, self._sized, self._touched, self.total, self.first_ns, self.last_ns,
            self.caller_key, self.called_key, self.proto, self.port, self.serial, self._words, self._by_flow,
        )  # fmt: skip
        return sum(array.nbytes for array in arrays) + 24 * (self._table.capacity + self._once.capacity)

    @property
    def used(self) -> int:
        """Series held now."""
        return self._table.gauge.used

    def called(self, rows: Rows) -> tuple[U64, U64]:
        """Return `u8 [n]` twice, the words of the addresses that each series calls."""
        return self._words[rows, 2], self._words[rows, 3]

    def ends(self, row: int) -> tuple[Address, Address]:
        """Return the addresses of caller and called."""
        words = [int(word) for word in self._words[row]]
        return (words[0], words[1]), (words[2], words[3])

    def add(self, beats: Beats, flow_rows: int) -> None:
        """Take in beats; `flow_rows` is the size of the flow table."""
        beats = self._again(beats)
        if not len(beats.key):
            return
        found = self._table.locate(beats.key, beats.ts_ns)
        fresh, first = found.new_rows, found.new_first
        self.total[fresh] = self._sized[fresh] = 0
        self.first_ns[fresh] = beats.ts_ns[first]
        self.caller_key[fresh], self.called_key[fresh] = beats.caller_key[first], beats.called_key[first]
        self.proto[fresh], self.port[fresh] = beats.proto[first], beats.port[first]
        self._words[fresh] = beats.words[first]
        held = np.flatnonzero(found.rows >= 0)
        rows = found.rows[held]
        self._enter(self._ring, self.total, rows, beats.ts_ns[held])
        self.last_ns[rows], self.serial[rows] = beats.ts_ns[held], beats.serial[held]
        self._touched[rows] = True
        if flow_rows > len(self._by_flow):
            more = np.full(flow_rows - len(self._by_flow), -1, np.int32)
            self._by_flow = np.concatenate((self._by_flow, more))
        self._by_flow[beats.flow[held]] = rows

    def _again(self, beats: Beats) -> Beats:
        """Return the beats that are not the first of their series."""
        found = self._once.locate(beats.key, beats.ts_ns)
        again = found.rows >= 0
        again[found.new_first] = False
        return beats.rows(again)

    def add_sizes(self, flow: Rows, serial: I64, size: I64) -> None:
        """Take in the bytes of calls that are over; of calls that overlap only those of the latest are known."""
        known = flow < len(self._by_flow)
        flow, serial, size = flow[known], serial[known], size[known]
        rows = self._by_flow[flow]
        held = np.flatnonzero((rows >= 0) & (self.serial[rows] == serial))
        self._enter(self._bytes, self._sized, rows[held], size[held])

    @staticmethod
    def _enter(ring: I64, total: I64, rows: npt.NDArray[np.integer], values: I64) -> None:
        """Write values into the rings of rows, each behind the one before."""
        groups = group(rows)
        turn = np.empty(len(rows), np.int64)
        turn[groups.order] = np.arange(len(rows)) - np.repeat(groups.starts, groups.counts)
        ring[rows, (total[rows] + turn) % RING] = values
        np.add.at(total, rows, np.int64(1))

    def drain(self, min_beats: int) -> Rows:
        """Return the rows touched since the last call that have so many beats."""
        rows = np.flatnonzero(self._touched)
        self._touched[rows] = False
        return np.asarray(rows[self.total[rows] >= min_beats])

    def times(self, rows: Rows) -> tuple[I64, I64]:
        """Return `i8 [n, RING]`, the beats of each row, ascending, and how many; behind them the largest word."""
        count = np.minimum(self.total[rows], RING)
        kept = np.arange(RING) < count[:, None]
        times = np.where(kept, self._ring[rows], np.iinfo(np.int64).max)
        times.sort(axis=1)
        return times, count

    def sizes(self, rows: Rows) -> tuple[I64, I64]:
        """Return `i8 [n, RING]`, the bytes of calls, ascending, and how many; behind them the largest word."""
        count = np.minimum(self._sized[rows], RING)
        kept = np.arange(RING) < count[:, None]
        sizes = np.where(kept, self._bytes[rows], np.iinfo(np.int64).max)
        sizes.sort(axis=1)
        return sizes, count
