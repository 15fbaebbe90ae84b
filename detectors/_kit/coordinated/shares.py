"""Sources that divide the ports of one victim among themselves."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from detectors._kit.history import turns
from detectors._kit.scancontacts import ScanContacts
from nettriage.model.columns import I64, Mixer, group
from nettriage.model.finding import Address
from nettriage.model.health import Gauge
from nettriage.model.keytable import KeyTable

DEPTH = 256
"""Failing contacts remembered of each victim."""
_JUDGED_A_TICK = 64
_CELL = np.dtype([("hi", "u8"), ("lo", "u8"), ("ts_ns", "i8"), ("port", "u2")])


@dataclass(frozen=True, slots=True)
class Division:
    """How many sources with how many ports each are a division of work."""

    sources: int
    ports_each: int
    overlap_max: float
    """Share of the tried ports that more than one source tried."""
    window_ns: int


@dataclass(slots=True)
class SharedScan:
    """The ports of one victim that failed each source, in the window."""

    key: int
    victim: Address
    first_ns: int
    last_ns: int
    ports: dict[Address, set[int]] = field(default_factory=dict)

    @property
    def tried(self) -> int:
        """Ports tried by anybody."""
        return len(set().union(*self.ports.values()))

    @property
    def overlap(self) -> float:
        """Share of the tries that repeat the port of another source."""
        return 1 - self.tried / max(sum(map(len, self.ports.values())), 1)


class SharedVictims:
    """Recent failing contacts by victim; the victim longest untouched gives way."""

    def __init__(self, mixer: Mixer, victims: int = 1_024) -> None:
        """Know of no victim."""
        self._mixer = mixer
        self._table = KeyTable("shared-victims", victims)
        self._cells: npt.NDArray[np.void] = np.zeros((victims, DEPTH), _CELL)
        self._seen: I64 = np.zeros(victims, np.int64)
        self._victim: npt.NDArray[np.uint64] = np.zeros((victims, 2), np.uint64)
        self._dirty: dict[int, None] = {}

    @property
    def gauge(self) -> Gauge:
        """How full the table is."""
        return self._table.gauge

    @property
    def nbytes(self) -> int:
        """Memory of the table, in bytes."""
        return self._table.capacity * 120 + self._cells.nbytes + self._seen.nbytes + self._victim.nbytes

    def note(self, contacts: ScanContacts) -> None:
        """Take in failing contacts."""
        located = self._table.locate(self._mixer(contacts.dst_hi, contacts.dst_lo), contacts.ts_ns)
        self._seen[located.new_rows] = 0
        at = np.flatnonzero(located.rows >= 0)
        rows = located.rows[at]
        groups = group(rows)
        row, contact = rows[groups.order], at[groups.order]
        cells: npt.NDArray[np.void] = np.zeros(len(row), _CELL)
        cells["hi"], cells["lo"] = contacts.src_hi[contact], contacts.src_lo[contact]
        cells["ts_ns"], cells["port"] = contacts.ts_ns[contact], contacts.port[contact]
        self._cells[row, (self._seen[row] + turns(groups)) % DEPTH] = cells
        np.add.at(self._seen, row, np.int64(1))
        self._victim[row, 0], self._victim[row, 1] = contacts.dst_hi[contact], contacts.dst_lo[contact]
        self._dirty.update(dict.fromkeys(groups.ids.tolist()))

    def judge(self, plan: Division) -> list[SharedScan]:
        """Return the victims, touched since the last judgement, whose ports several sources divide."""
        enough = plan.sources * plan.ports_each
        found = []
        for row in sorted(self._dirty)[:_JUDGED_A_TICK]:
            del self._dirty[row]
            if int(self._seen[row]) >= enough:
                found += self._shared(row, plan)
        return found

    def _shared(self, row: int, plan: Division) -> list[SharedScan]:
        cells = self._cells[row, : min(int(self._seen[row]), DEPTH)]
        cells = cells[cells["ts_ns"] >= cells["ts_ns"].max() - plan.window_ns]
        ports: dict[Address, set[int]] = {}
        for high, low, port in zip(cells["hi"].tolist(), cells["lo"].tolist(), cells["port"].tolist(), strict=True):
            ports.setdefault((high, low), set()).add(port)
        ports = {source: tried for source, tried in ports.items() if len(tried) >= plan.ports_each}
        if len(ports) < plan.sources:
            return []
        victim = int(self._victim[row, 0]), int(self._victim[row, 1])
        first, last = int(cells["ts_ns"].min()), int(cells["ts_ns"].max())
        shared = SharedScan(int(self._table.keys[row]), victim, first, last, ports)
        return [shared] if shared.overlap <= plan.overlap_max else []
