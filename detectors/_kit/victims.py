"""New flows by victim in a short sliding window, with a small sample of them to see what became of them."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from detectors._kit.distinct import DistinctCounters
from detectors._kit.history import turns
from detectors._kit.window import SlotRing
from nettriage.model.columns import I32, I64, U64, Mixer, Rows, group
from nettriage.model.finding import Address
from nettriage.model.health import Gauge
from nettriage.model.keytable import KeyTable
from nettriage.model.slices import Slice
from nettriage.model.tables import ORIGINATOR, RESPONDER, Opened, Tables

STEPS = 3
"""Slots of half a window each: the window and the half that is being filled."""
SAMPLES = 32
"""Flows remembered of each slot: the first ones, so that they are old enough to be judged."""
_EVERY = 8
"""One flow in this many, by serial number, feeds the estimates and the sample."""
_TCP = 6
_SEEN_OPENING = np.uint8(Opened.SYN)
_IS_COUNTED = np.zeros(65_536, np.bool_)
_IS_COUNTED[[1, _TCP, 17, 58, 132]] = True


@dataclass(frozen=True, slots=True)
class Load:
    """What came upon one victim in the window."""

    key: int
    victim: Address
    proto: int
    slots: Rows
    flows: int
    """New flows in the window."""
    total: int
    """New flows since the victim has its row."""
    sampled: int
    """Flows of the window behind what is estimated."""
    sample: Rows
    """`intp [k]`, rows of sampled flows, -1 where the flow left its table."""
    last_ns: int
    sources: int = 0
    """Estimate of distinct sources, from one flow in eight: a lower bound; 0 until `VictimTable.estimated`."""
    ports: int = 0
    """Estimate of distinct destination ports among those; 0 until then."""


class VictimTable:
    """Victims (address, protocol) by row; the one longest without a new flow gives way."""

    def __init__(self, mixer: Mixer, *, victims: int, window_s: float) -> None:
        """Make an empty table."""
        self._mixer = mixer
        self._table = KeyTable("victims", victims)
        self._ring = SlotRing(victims, STEPS, int(window_s * 5e8))
        lines = self._ring.lines
        self._addr: U64 = np.zeros((victims, 2), np.uint64)
        self._proto: npt.NDArray[np.uint16] = np.zeros(victims, np.uint16)
        self._total: I64 = np.zeros(victims, np.int64)
        self._last_ns: I64 = np.zeros(victims, np.int64)
        self._flows: I64 = np.zeros(lines, np.int64)
        self._sampled: I64 = np.zeros(lines, np.int64)
        self._sources, self._ports = DistinctCounters(lines), DistinctCounters(lines)
        self._sample_row: I32 = np.zeros((lines, SAMPLES), np.int32)
        self._sample_serial: I64 = np.zeros((lines, SAMPLES), np.int64)

    @property
    def gauge(self) -> Gauge:
        """How full the table is."""
        return self._table.gauge

    @property
    def nbytes(self) -> int:
        """Memory of the table, in bytes."""
        columns = (self._addr, self._proto, self._total, self._last_ns, self._flows, self._sampled)
        samples = self._sample_row.nbytes + self._sample_serial.nbytes
        counters = self._sources.nbytes + self._ports.nbytes + self._ring.nbytes
        return self._table.capacity * 24 + samples + counters + sum(column.nbytes for column in columns)

    def add(self, seen: Slice) -> None:
        """Count the flows that began, by the host that they were opened to."""
        flows, hosts = seen.tables.flows, seen.tables.hosts
        at = seen.new_flows
        if not len(at):
            return
        proto, host = flows.proto[at], flows.host[at]
        opened = (proto != _TCP) | (flows.opened[at] == _SEEN_OPENING)
        at = at[opened & _IS_COUNTED[proto] & (host[:, ORIGINATOR] >= 0) & (host[:, RESPONDER] >= 0)]
        if not len(at):
            return
        victim = flows.host[at, RESPONDER].astype(np.int64)
        groups = group(victim << 8 | flows.proto[at])
        first = groups.first
        keys = self._mixer(hosts.key[victim[first]], flows.proto[at[first]])
        located = self._table.locate(keys, flows.first_ns[at[first]])
        self._reset(located.new_rows)
        self._describe(located.rows, victim[first], flows.proto[at[first]], seen.tables)
        rows = np.empty(len(at), np.intp)
        rows[groups.order] = np.repeat(located.rows, groups.counts)
        self._count(rows[rows >= 0], at[rows >= 0], seen.tables)

    def loads(self, now_ns: int, floor: int, tables: Tables) -> list[Load]:
        """Return the victims with at least `floor` new flows in the window, heaviest first."""
        rows = self._table.rows_in_use()
        slots = self._ring.live(rows, now_ns)
        flows = self._flows[slots].sum(axis=1)
        heavy = np.flatnonzero(flows >= floor)
        order = heavy[np.argsort(-flows[heavy], kind="stable")]
        return [self._load(int(rows[at]), slots[at], int(flows[at]), tables) for at in order.tolist()]

    def estimated(self, load: Load) -> Load:
        """Return a load of this moment with its distinct sources and ports."""
        line = load.slots[None, :]
        return replace(load, sources=int(self._sources.merged(line)[0]), ports=int(self._ports.merged(line)[0]))

    def _load(self, row: int, slots: Rows, flows: int, tables: Tables) -> Load:
        held = np.arange(SAMPLES) < self._sampled[slots][:, None]
        sample, serial = self._sample_row[slots][held], self._sample_serial[slots][held]
        return Load(
            key=int(self._table.keys[row]),
            victim=(int(self._addr[row, 0]), int(self._addr[row, 1])),
            proto=int(self._proto[row]),
            slots=slots,
            flows=flows,
            total=int(self._total[row]),
            sampled=int(self._sampled[slots].sum()),
            sample=np.where(tables.flows.serial[sample] == serial, sample, -1).astype(np.intp),
            last_ns=int(self._last_ns[row]),
        )

    def _reset(self, rows: Rows) -> None:
        self._ring.reset(rows)
        self._total[rows] = 0
        self._last_ns[rows] = 0

    def _empty(self, slots: Rows) -> None:
        self._flows[slots] = 0
        self._sampled[slots] = 0
        self._sources.clear(slots)
        self._ports.clear(slots)

    def _describe(self, rows: Rows, host: I64, proto: npt.NDArray[np.uint16], tables: Tables) -> None:
        placed = rows >= 0
        rows, host = rows[placed], host[placed]
        self._addr[rows, 0], self._addr[rows, 1] = tables.hosts.addr_hi[host], tables.hosts.addr_lo[host]
        self._proto[rows] = proto[placed]

    def _count(self, rows: Rows, at: I32, tables: Tables) -> None:
        flows, first_ns = tables.flows, tables.flows.first_ns[at]
        slots, stale = self._ring.enter(rows, first_ns)
        self._empty(stale)
        np.maximum.at(self._last_ns, rows, first_ns)
        np.add.at(self._total, rows, np.int64(1))
        inside = slots >= 0
        np.add.at(self._flows, slots[inside], np.int64(1))
        chosen = inside & (flows.serial[at] % _EVERY == 0)
        self._sample(slots[chosen], at[chosen], tables)

    def _sample(self, slots: Rows, at: I32, tables: Tables) -> None:
        if not len(slots):
            return
        flows = tables.flows
        self._sources.add(slots, self._mixer(tables.hosts.key[flows.host[at, ORIGINATOR]]))
        self._ports.add(slots, self._mixer(flows.port[at, RESPONDER]))
        groups = group(slots)
        turn = np.empty(len(slots), np.intp)
        turn[groups.order] = turns(groups)
        place = self._sampled[slots] + turn
        first = place < SAMPLES
        self._sample_row[slots[first], place[first]] = at[first]
        self._sample_serial[slots[first], place[first]] = flows.serial[at[first]]
        np.add.at(self._sampled, slots, np.int64(1))
