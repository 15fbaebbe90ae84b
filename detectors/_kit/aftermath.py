"""Services that scans have just found, and the sessions that followed to them."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from detectors._kit.incidents import IDLE_NS, SESSIONS_MAX, Incident, IncidentBook
from detectors._kit.legs import rfc3339
from detectors._kit.results import ANSWERED
from nettriage.model.addresses import to_text
from nettriage.model.alert import FollowUp
from nettriage.model.columns import U64, Mixer, Rows
from nettriage.model.finding import Address
from nettriage.model.health import Gauge
from nettriage.model.slices import Slice
from nettriage.model.tables import ORIGINATOR, RESPONDER, Opened, Tables

READS = frozenset({"prefixes", "ends", "tables"})
"""What `Aftermath.note` reads of a slice."""
WATCHED_MAX = 1_024
FOLLOW_UP_POINTS = 20.0
"""What a session to a service just found adds to the score."""
_CLIENTS_MAX = 4
"""Clients of a service whose sessions are told; a service with more of them is not watched on."""
_TCP = 6
_WATCHED_BYTES = 1_024
"""Memory of one watched service with its clients, rounded up."""


@dataclass(slots=True)
class _Service:
    """A service that a scan found."""

    incident: Incident
    address: Address
    port: int
    found_ns: int
    fresh: bool
    """Whether nobody had used it before: then a session of anybody is worth telling."""
    clients: set[Address] = field(default_factory=set)


class Aftermath:
    """A table of found TCP services, watched for half an hour each; the one found longest ago gives way."""

    def __init__(self, mixer: Mixer) -> None:
        """Watch nothing."""
        self._mixer = mixer
        self._services: dict[int, _Service] = {}
        self._keys: U64 = np.zeros(0, np.uint64)
        self._read: dict[int, int] = {}
        """Listed contacts of each incident that were looked through, by its key."""
        self._evicted = 0

    @property
    def gauge(self) -> Gauge:
        """How full the table is."""
        return Gauge(cap=WATCHED_MAX, used=len(self._services), evicted=self._evicted)

    @property
    def nbytes(self) -> int:
        """Memory of the table, in bytes."""
        return len(self._services) * _WATCHED_BYTES + len(self._read) * 200 + self._keys.nbytes

    def note(self, seen: Slice) -> None:
        """Tell the incidents of new sessions to what they found: only of flows that ended or whose payload grew."""
        if not len(self._keys):
            return
        grown = np.unique(np.concatenate((seen.prefixes, seen.ends.flow))).astype(np.intp)
        rows, keys = self._sessions(grown, seen.tables)
        at = np.minimum(np.searchsorted(self._keys, keys), len(self._keys) - 1)
        hits = np.flatnonzero(self._keys[at] == keys)
        flows = seen.tables.flows
        for hit in hits[np.lexsort((flows.serial[rows[hits]], flows.first_ns[rows[hits]]))].tolist():
            self._tell(int(keys[hit]), int(rows[hit]), seen.tables)

    def watch(self, incident: Incident) -> None:
        """Watch the services that the incident found since it was last looked through."""
        cells = incident.results.cells
        new = cells[self._read.get(incident.key, 0) :]
        self._read[incident.key] = len(cells)
        new = new[np.isin(new["outcome"], ANSWERED)]
        if incident.proto != _TCP or not len(new):
            return
        for cell, key in zip(new, self._key(new["hi"], new["lo"], new["port"]).tolist(), strict=True):
            address = (int(cell["hi"]), int(cell["lo"]))
            self._services.pop(key, None)
            self._services[key] = _Service(
                incident, address, int(cell["port"]), int(cell["ts_ns"]), bool(cell["fresh"])
            )  # fmt: skip
        while len(self._services) > WATCHED_MAX:
            del self._services[next(iter(self._services))]
            self._evicted += 1
        self._index()

    def settle(self, now_ns: int, book: IncidentBook) -> None:
        """Forget the services that were found long ago, and what was read of incidents that are over."""
        old = [key for key, item in self._services.items() if now_ns - item.found_ns > IDLE_NS]
        for key in old:
            del self._services[key]
        if old:
            self._index()
        if len(self._read) > len(book):
            open_now = {incident.key for incident in book}
            self._read = {key: read for key, read in self._read.items() if key in open_now}

    def _index(self) -> None:
        self._keys = np.sort(np.array(list(self._services), np.uint64))

    def _key(self, high: U64, low: U64, port: npt.NDArray[np.uint16]) -> U64:
        return self._mixer(high, low, port)

    def _sessions(self, rows: Rows, tables: Tables) -> tuple[Rows, U64]:
        """Return those of `rows` that are TCP sessions with payload both ways, and the keys of their services."""
        flows, hosts = tables.flows, tables.hosts
        rows = rows[(flows.proto[rows] == _TCP) & (flows.opened[rows] <= Opened.SYN_ACK)]
        rows = rows[((flows.host[rows] >= 0) & (flows.payload_bytes[rows] > 0)).all(axis=1)]
        server = flows.host[rows, RESPONDER]
        return rows, self._key(hosts.addr_hi[server], hosts.addr_lo[server], flows.port[rows, RESPONDER])

    def _tell(self, key: int, row: int, tables: Tables) -> None:
        service, flows, hosts = self._services.get(key), tables.flows, tables.hosts
        if service is None:
            return
        host, began_ns = int(flows.host[row, ORIGINATOR]), int(flows.first_ns[row])
        client = (int(hosts.addr_hi[host]), int(hosts.addr_lo[host]))
        in_time = service.found_ns < began_ns <= service.found_ns + IDLE_NS
        if not in_time or client in service.clients or not (service.fresh or client == service.incident.src):
            return
        service.clients.add(client)
        incident = service.incident
        incident.changed = True
        if len(incident.sessions) < SESSIONS_MAX:
            incident.sessions.append(
                FollowUp(src=to_text(*client), dst=to_text(*service.address), port=service.port, at=rfc3339(began_ns))
            )
        else:
            incident.sessions_left_out += 1
        if len(service.clients) == _CLIENTS_MAX:
            del self._services[key]
            self._index()


def follow_up_words(incident: Incident) -> str:
    """Return a sentence on the first session that followed, and how many more there were; empty without any."""
    if not incident.sessions:
        return ""
    first = incident.sessions[0]
    place = f"[{first.dst}]:{first.port}" if ":" in first.dst else f"{first.dst}:{first.port}"
    more = len(incident.sessions) + incident.sessions_left_out - 1
    rest = f", and {more:,} more sessions followed" if more else ""
    return f" Afterwards {first.src} used {place}, which this scan had found{rest}."
