"""Table of services: (host, protocol, port) that answered somebody, and how many different clients."""

from __future__ import annotations

import numpy as np

from nettriage.model.columns import I32, I64, U64, Mixer, Rows, lengths, runs
from nettriage.model.keytable import KeyTable
from nettriage.model.tables import U8, U16, U32
from sniff.records import Records

EXACT_CLIENTS = 16
_REGISTERS = 64
_ALPHA = 0.709
"""Bias of HyperLogLog with 64 registers (Flajolet and others 2007); its error is 13 %."""
ANSWERED_CREDIT_NS = 3_600_000_000_000
SERVICE_DTYPE = np.dtype(
    [
        ("since", "i8"), ("host_key", "u8"), ("host", "i4"), ("known", "u4"), ("marks", "u4", EXACT_CLIENTS),
        ("registers", "u1", _REGISTERS), ("proto", "u2"), ("port", "u2"),
    ],
    align=True,
)  # fmt: skip


class ServiceTable:
    """Services seen in use."""

    since: I64
    host_key: U64
    host: I32
    proto: U16
    port: U16
    known: U32
    """`u4`, clients counted exactly up to `EXACT_CLIENTS`; one more stands for more."""
    marks: U32
    """`u4 [rows, 16]`, marks of those clients."""
    registers: U8
    """`u1 [rows, 64]`, HyperLogLog of all clients."""

    def __init__(self, capacity: int, secret: int) -> None:
        """Make an empty table of `capacity` rows, a power of two."""
        self.table = KeyTable("services", capacity)
        self._mixer = Mixer(secret ^ 0x7365727669636573)
        self._records = Records(capacity, SERVICE_DTYPE)
        self._records.expose(self)

    def clients(self, host_key: U64, proto: U16, port: U16) -> U32:
        """Return `u4 [n]`, how many different hosts each service answered (an estimate above 16), 0 if never."""
        rows = self.table.find(self._mixer(host_key, proto, port))
        return np.where(rows >= 0, self.clients_of(rows), 0).astype(np.uint32)

    def since_ns(self, host_key: U64, proto: U16, port: U16) -> I64:
        """Return `i8 [n]`, when each service first answered; 0 if never."""
        rows = self.table.find(self._mixer(host_key, proto, port))
        return np.where(rows >= 0, self.since[rows], 0)

    def clients_of(self, rows: Rows) -> U32:
        """Return `u4 [n]`, the clients of the services in `rows`."""
        known = self.known[rows]
        harmonic = np.exp2(-self.registers[rows].astype(np.float64)).sum(axis=1)
        estimate = _ALPHA * _REGISTERS**2 / harmonic
        empty = (self.registers[rows] == 0).sum(axis=1)
        small = (estimate <= 2.5 * _REGISTERS) & (empty > 0)
        estimate = np.where(small, _REGISTERS * np.log(_REGISTERS / np.maximum(empty, 1)), estimate)
        return np.where(known <= EXACT_CLIENTS, known, np.maximum(np.rint(estimate), known)).astype(np.uint32)

    def answer(
        self, host: Rows, host_key: U64, proto: U16, port: U16, client_key: U64, time_ns: I64
    ) -> Rows:  # fmt: skip
        """Note that services answered clients, in time order; return the rows of the services."""
        key = self._mixer(host_key, proto, port)
        located = self.table.locate(key, time_ns)
        new, first = located.new_rows, located.new_first
        self._records.clear(new)
        self.since[new] = time_ns[first]
        self.host_key[new] = host_key[first]
        self.host[new] = host[first]
        self.proto[new] = proto[first]
        self.port[new] = port[first]
        self.table.credit_ns[new] = ANSWERED_CREDIT_NS
        held = np.flatnonzero((located.rows >= 0) & (self.table.keys[located.rows] == key))
        rows = located.rows[held]
        self.host[rows] = host[held]
        self._count(rows, self._mixer(client_key[held]))
        return rows

    def shift(self, shift_ns: int) -> None:
        """Follow a step of the clock."""
        self.since[self.since != 0] += shift_ns

    def _count(self, rows: Rows, client: U64) -> None:
        index = (client & np.uint64(_REGISTERS - 1)).astype(np.intp)
        rank = 53 - np.frexp((client >> np.uint64(11)).astype(np.float64))[1] + 1
        np.maximum.at(self.registers, (rows, index), rank.astype(np.uint8))
        short = (client >> np.uint64(32)).astype(np.uint32) | np.uint32(1)
        room = np.flatnonzero(self.known[rows] <= EXACT_CLIENTS)
        pair = (rows[room].astype(np.uint64) << np.uint64(32)) | short[room]
        pair.sort()
        pair = pair[runs(pair)]
        row, mark = (pair >> np.uint64(32)).astype(np.intp), pair.astype(np.uint32)
        unseen = ~(self.marks[row] == mark[:, None]).any(axis=1)
        self._remember(row[unseen], mark[unseen])

    def _remember(self, row: Rows, mark: U32) -> None:
        """Add marks not yet remembered; `row` ascends, and equal rows fill places one after another."""
        if not len(row):
            return
        start = runs(row)
        counts = lengths(start, len(row))
        place = self.known[row] + (np.arange(len(row)) - np.repeat(start, counts)).astype(np.uint32)
        fits = place < EXACT_CLIENTS
        self.marks[row[fits], place[fits]] = mark[fits]
        self.known[row[start]] = np.minimum(self.known[row[start]] + counts, EXACT_CLIENTS + 1).astype(np.uint32)
