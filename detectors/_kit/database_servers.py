"""Hosts that serve a database, learned in event order, and what their clients asked for in clear SQL."""

from __future__ import annotations

import re
from dataclasses import dataclass, fields

import numpy as np
import numpy.typing as npt

from detectors._kit.legs import host_address
from nettriage.model.columns import U64, Rows
from nettriage.model.finding import Address, FlowRef
from nettriage.model.health import Gauge
from nettriage.model.keytable import KeyTable
from nettriage.model.safetext import SafeStr, safe
from nettriage.model.slices import ContactEvents, Outcome
from nettriage.model.tables import ORIGINATOR, RESPONDER, Role, Tables

DATABASE_PORTS = np.array([1433, 1521, 3306, 5432], np.uint16)
"""Microsoft SQL Server, Oracle, MySQL and PostgreSQL: the servers that can open connections by SQL."""
_IS_DATABASE_PORT = np.zeros(65_536, np.bool_)
_IS_DATABASE_PORT[DATABASE_PORTS] = True
_OPEN = np.uint8(Outcome.OPEN)
_TCP = 6
_BEFORE_NS = 5_000_000_000
"""A session drives what its server does from this long before until it ends."""
_SESSIONS_LISTED = 8
_SQL_CELLS = 160
_LEAD_BYTES = 40
_NETWORKED_SQL = {
    "dblink": rb"dblink\w*",
    "postgres_fdw": rb"postgres_fdw",
    "COPY FROM PROGRAM": rb"copy\s[^;]{0,200}?from\s+program",
    "xp_cmdshell": rb"xp_cmdshell",
    "OPENROWSET": rb"open(?:rowset|datasource)",
    "linked server": rb"sp_addlinkedserver",
    "UTL_TCP, UTL_HTTP or UTL_INADDR": rb"utl_(?:tcp|http|inaddr)",
    "DBMS_LDAP": rb"dbms_ldap",
    "sys_exec": rb"sys_(?:exec|eval)\b",
    "FEDERATED": rb"engine\s*=\s*federated",
}
_SQL = {name: re.compile(pattern, re.IGNORECASE) for name, pattern in _NETWORKED_SQL.items()}


@dataclass(frozen=True, slots=True)
class Driver:
    """A session of a client with the database that may have driven what the server did."""

    client: Address
    flow: FlowRef
    first_ns: int
    sql_name: str
    """What in its SQL reaches the network; empty where nothing was seen."""
    sql: SafeStr
    """The SQL around it."""


class DatabaseServers:
    """Hosts that answered on a database port, and since when; the one longest unseen gives way."""

    def __init__(self, capacity: int = 1_024) -> None:
        """Know no server."""
        self._table = KeyTable("database-servers", capacity)
        self._since_ns = np.zeros(capacity, np.int64)

    @property
    def gauge(self) -> Gauge:
        """How full the table is."""
        return self._table.gauge

    @property
    def nbytes(self) -> int:
        """Memory of the table, in bytes."""
        return self._table.capacity * 24 + self._since_ns.nbytes

    def note(self, events: ContactEvents) -> None:
        """Learn the servers that answered in this slice."""
        served = _IS_DATABASE_PORT[events.port] & (events.outcome == _OPEN) & (events.proto == _TCP)
        at = np.flatnonzero(served & (events.dst_key != 0))
        if len(at):
            self._learn(events.dst_key[at], events.ts_ns[at])

    def note_roles(self, tables: Tables, now_ns: int) -> None:
        """Learn the servers that the state knows, of sessions whose start was not seen."""
        hosts = tables.hosts
        at = (hosts.roles != 0).nonzero()[0]
        keys = hosts.key[at[(hosts.roles[at] & np.uint32(Role.DATABASE)) != 0]]
        keys = keys[keys != 0]
        if len(keys):
            self._learn(keys, np.full(len(keys), now_ns, np.int64))

    def serves(self, keys: U64, ts_ns: npt.NDArray[np.int64]) -> npt.NDArray[np.bool_]:
        """Return `bool [n]`, whether each host was known to serve a database by then."""
        if not self._table.gauge.used:
            return np.zeros(len(keys), np.bool_)
        rows = self._table.find(keys)
        return np.asarray((rows >= 0) & (self._since_ns[rows] <= ts_ns))

    def _learn(self, keys: U64, ts_ns: npt.NDArray[np.int64]) -> None:
        located = self._table.locate(keys, ts_ns)
        self._since_ns[located.new_rows] = ts_ns[located.new_first]


def part_of(events: ContactEvents, kept: Rows) -> ContactEvents:
    """Return some of the events."""
    return ContactEvents(*(getattr(events, one.name)[kept] for one in fields(events)))


def drivers(server: Address, first_ns: int, last_ns: int, tables: Tables) -> list[Driver]:
    """Return the sessions with the database of `server` that spoke at that time, those with networked SQL first."""
    flows, hosts = tables.flows, tables.hosts
    row = int(hosts.find(*(np.array([word], np.uint64) for word in server))[0])
    if row < 0:
        return []
    mine = (flows.host[:, RESPONDER] == row) & (flows.serial > 0) & np.isin(flows.port[:, RESPONDER], DATABASE_PORTS)
    mine &= (flows.first_ns <= last_ns) & (flows.last_ns >= first_ns - _BEFORE_NS)
    at = np.flatnonzero(mine & (flows.payload_bytes[:, ORIGINATOR] > 0))
    nearest = at[np.argsort(np.abs(flows.last_data_ns[at, ORIGINATOR] - first_ns), kind="stable")]
    found = [_driver(int(each), server, tables) for each in nearest[:_SESSIONS_LISTED]]
    return sorted(found, key=lambda driver: not driver.sql_name)


def _driver(row: int, server: Address, tables: Tables) -> Driver:
    flows = tables.flows
    client = host_address(tables.hosts, int(flows.host[row, ORIGINATOR]))
    sport, dport = (int(port) for port in flows.port[row])
    name, sql = networked_sql(tables.prefixes.payload(row, ORIGINATOR))
    ref = FlowRef(client, sport, server, dport, _TCP, int(flows.serial[row]))
    return Driver(client, ref, int(flows.first_ns[row]), name, sql)


def networked_sql(payload: bytes) -> tuple[str, SafeStr]:
    """Return what in the SQL of a client reaches out to the network, and the text around it; empty where nothing.

    Zero bytes are left out: they end strings in the protocols, and are every second byte of SQL Server's UTF-16.
    """
    text = payload.replace(b"\0", b"")
    for name, pattern in _SQL.items():
        if hit := pattern.search(text):
            start = max(hit.start() - _LEAD_BYTES, 0)
            return name, safe(text[start : start + _SQL_CELLS].decode("latin-1"), _SQL_CELLS)
    return "", safe("")
