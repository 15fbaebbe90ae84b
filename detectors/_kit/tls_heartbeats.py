"""Heartbeats of a multiplexer inside TLS: tiny records of one size, both ways, in flows that are quiet otherwise."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from nettriage.model.columns import I64, Rows
from nettriage.model.health import Gauge
from nettriage.model.slices import Slice
from nettriage.model.tables import Tables

SIZES = np.array([34, 41], np.int32)
"""A yamux header of 12 bytes as one record: 34 bytes in TLS 1.3, 41 in TLS 1.2 with AES-GCM."""
_IDLE_MIN_NS, _IDLE_MAX_NS = 20_000_000_000, 70_000_000_000
"""yamux pings every 30 s (hashicorp/yamux mux.go), the agent of Ligolo-ng every 60 s."""
_SPAN_MIN_NS = 80_000_000_000
_SHARE_MIN = 0.6


class TlsHeartbeats:
    """Counts of heartbeats by flow row and side, from the first long pause of a TLS flow on."""

    def __init__(self) -> None:
        """Watch nothing; the columns grow to the size of the flow table at the first slice."""
        self._tls: I64 = np.zeros(0, np.int64)
        """Serial of the flow in each row that is known to be TLS."""
        self._watched: I64 = np.zeros(0, np.int64)
        """Serial of the flow in each row that is watched."""
        self._since_ns: I64 = np.zeros(0, np.int64)
        self._beats: npt.NDArray[np.uint32] = np.zeros((0, 2), np.uint32)
        self._others: npt.NDArray[np.uint32] = np.zeros(0, np.uint32)
        self._touched: list[Rows] = []
        self._any = False

    @property
    def nbytes(self) -> int:
        """Memory of the columns, in bytes."""
        columns = (self._tls, self._watched, self._since_ns, self._beats, self._others)
        return sum(column.nbytes for column in columns) + sum(rows.nbytes for rows in self._touched)

    @property
    def gauge(self) -> Gauge:
        """How many flows are watched, at most all of the flow table."""
        return Gauge(cap=len(self._watched), used=int((self._watched > 0).sum()) if self._any else 0)

    def note_tls(self, rows: Rows, tables: Tables) -> None:
        """Remember that flows speak TLS."""
        self._grow(len(tables.flows.serial))
        self._tls[rows] = tables.flows.serial[rows]

    def beats(self, row: int) -> tuple[int, int]:
        """Return the heartbeats of both sides of the flow in `row`."""
        return int(self._beats[row, 0]), int(self._beats[row, 1])

    def take(self, seen: Slice) -> None:
        """Watch TLS flows from their first long pause on, and count what watched flows send."""
        self._grow(len(seen.tables.flows.serial))
        self._begin(seen)
        if not self._any:
            return
        packets, serial = seen.packets, seen.tables.flows.serial
        carries = np.flatnonzero((seen.flow >= 0) & (packets.payload_len > 0) & ~packets.duplicate)
        carries = carries[self._watched[seen.flow[carries]] > 0]
        row = seen.flow[carries].astype(np.intp)
        counted = (self._watched[row] == serial[row]) & (packets.ts_ns[carries] >= self._since_ns[row])
        row, at = row[counted], carries[counted]
        if not len(row):
            return
        beat = np.isin(packets.payload_len[at], SIZES)
        np.add.at(self._beats, (row[beat], seen.side[at[beat]].astype(np.intp)), np.uint32(1))
        np.add.at(self._others, row[~beat], np.uint32(1))
        self._touched.append(np.unique(row[beat]))

    def beating(self, each_side: int, tables: Tables) -> Rows:
        """Return the rows, touched since the last call, whose flows now beat: so often from both sides, or more."""
        if not self._touched:
            return np.zeros(0, np.intp)
        rows = np.unique(np.concatenate(self._touched))
        self._touched.clear()
        flows = tables.flows
        rows = rows[self._watched[rows] == flows.serial[rows]]
        beats = self._beats[rows]
        total = beats.sum(axis=1)
        span = flows.last_ns[rows] - self._since_ns[rows]
        found = (beats >= each_side).all(axis=1) & (span >= _SPAN_MIN_NS)
        found &= total >= _SHARE_MIN * (total + self._others[rows])
        found &= total * (_IDLE_MIN_NS // 4) <= 2 * span
        return np.asarray(rows[found])

    def _begin(self, seen: Slice) -> None:
        resumes = seen.resumes
        at = np.flatnonzero((resumes.idle_ns >= _IDLE_MIN_NS) & (resumes.idle_ns <= _IDLE_MAX_NS))
        if not len(at):
            return
        serial = seen.tables.flows.serial
        row = resumes.flow[at].astype(np.intp)
        fresh = (self._tls[row] == serial[row]) & (self._watched[row] != serial[row]) & (serial[row] > 0)
        row, at = row[fresh][::-1], at[fresh][::-1]  # backwards, so that the first pause of a flow stays
        self._watched[row] = serial[row]
        self._since_ns[row] = resumes.ts_ns[at]
        self._beats[row] = 0
        self._others[row] = 0
        self._any |= bool(len(row))

    def _grow(self, rows: int) -> None:
        more = rows - len(self._tls)
        if more <= 0:
            return
        self._tls, self._watched, self._since_ns = (
            np.concatenate((column, np.zeros(more, np.int64))) for column in (self._tls, self._watched, self._since_ns)
        )
        self._beats = np.concatenate((self._beats, np.zeros((more, 2), np.uint32)))
        self._others = np.concatenate((self._others, np.zeros(more, np.uint32)))
