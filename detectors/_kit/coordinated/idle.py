"""Idle scans: somebody reads the IP id of a zombie by unasked SYN/ACKs, and sends SYNs in the zombie's name.

nmap -sI first sends six SYN/ACKs from neighbouring ports to the zombie, which resets them; then it sends each probe
with the zombie's address and that port as source (idle_scan.cc).
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from detectors._kit.tools.probes import Probes
from nettriage.model.batch import TcpFlag
from nettriage.model.columns import I64, U64, Mixer
from nettriage.model.finding import Address
from nettriage.model.health import Gauge
from nettriage.model.keytable import KeyTable
from nettriage.model.slices import Outcome, Slice

_TCP = 6
_KNOCKED = int(TcpFlag.SYN | TcpFlag.ACK)
_PORTS_KEPT = 1_024
_ZOMBIES_MAX = 64
_IN_NAME_BYTES = 65_536
_LOST_NS = 1_800 * 1_000_000_000


@dataclass(slots=True)
class InName:
    """What was sent in the name of one zombie."""

    zombie: Address
    prober: Address
    port: int
    """Port of the zombie that was knocked at, and that the forged probes come from."""
    knocks: int
    """Unasked SYN/ACKs from different ports."""
    first_ns: int
    last_ns: int
    targets: dict[tuple[Address, int], None] = field(default_factory=dict)


class IdleWatch:
    """Knocked-at hosts, and the probes that came in their name under the MAC of who knocked."""

    def __init__(self, mixer: Mixer, zombies: int = 1_024) -> None:
        """Know of no knock."""
        self._mixer = mixer
        self._table = KeyTable("knocked", zombies)
        self._knocks: I64 = np.zeros(zombies, np.int64)
        self._first_ns: I64 = np.zeros(zombies, np.int64)
        self._prober: U64 = np.zeros((zombies, 2), np.uint64)
        self._mac: U64 = np.zeros(zombies, np.uint64)
        self._port: I64 = np.zeros(zombies, np.int64)
        self._in_name: dict[Address, InName] = {}
        self._changed: dict[Address, None] = {}
        self._refused = 0

    @property
    def gauge(self) -> Gauge:
        """How full the table of knocked-at hosts is."""
        return self._table.gauge

    @property
    def used(self) -> Gauge:
        """How many zombies in use are watched; no more are taken while it is full."""
        return Gauge(cap=_ZOMBIES_MAX, used=len(self._in_name), refused=self._refused)

    @property
    def nbytes(self) -> int:
        """Memory of the watch, in bytes."""
        columns = (self._knocks, self._first_ns, self._prober, self._mac, self._port)
        return (
            self._table.capacity * 24 + sum(column.nbytes for column in columns) + len(self._in_name) * _IN_NAME_BYTES
        )

    def note_knocks(self, seen: Slice) -> None:
        """Take in the SYN/ACKs of a slice that nobody asked for."""
        events, packets = seen.contacts, seen.packets
        at = np.flatnonzero((events.outcome == Outcome.ATTEMPT) & (events.proto == _TCP) & ~events.sure)
        rows = events.probe_row[at]
        knocks = (packets.tcp_flags[rows] == _KNOCKED) & (packets.src_lo[rows] == events.dst_lo[at])
        at, rows = at[knocks], rows[knocks]
        if not len(at):
            return
        located = self._table.locate(self._mixer(events.src_hi[at], events.src_lo[at]), events.ts_ns[at])
        new, first = located.new_rows, located.new_first
        self._knocks[new], self._first_ns[new] = 0, events.ts_ns[at[first]]
        self._prober[new, 0], self._prober[new, 1] = events.dst_hi[at[first]], events.dst_lo[at[first]]
        self._mac[new], self._port[new] = packets.src_mac[rows[first]], events.sport[at[first]]
        placed = located.rows >= 0
        at, row = at[placed], located.rows[placed]
        same = (self._prober[row, 1] == events.dst_lo[at]) & (self._port[row] == events.sport[at])
        np.add.at(self._knocks, row[same], np.int64(1))

    def note_probes(self, probes: Probes) -> None:
        """Take in the probes that came in the name of a knocked-at host, from its port and the prober's MAC."""
        if not self._table.gauge.used:
            return
        rows = self._table.find(self._mixer(probes.src_hi, probes.src_lo))
        forged = (rows >= 0) & (probes.sport == self._port[rows]) & (probes.mac == self._mac[rows])
        forged &= (probes.ts_ns > self._first_ns[rows]) & (probes.proto == _TCP)
        for at in np.flatnonzero(forged).tolist():
            self._enter(int(rows[at]), at, probes)

    def judge(self, knocks: int, targets: int) -> list[InName]:
        """Return the zombies used, changed since the last judgement, with enough knocks and forged probes."""
        found = []
        for zombie in list(self._changed):
            del self._changed[zombie]
            used = self._in_name[zombie]
            row = int(self._table.find(self._mixer(*(np.array([word], np.uint64) for word in zombie)))[0])
            used.knocks = int(self._knocks[row]) if row >= 0 else used.knocks
            if used.knocks >= knocks and len(used.targets) >= targets:
                found.append(used)
        return found

    def forget(self, now_ns: int) -> None:
        """Take out the zombies that were not used for half an hour."""
        for used in [used for used in self._in_name.values() if now_ns - used.last_ns > _LOST_NS]:
            del self._in_name[used.zombie]
            self._changed.pop(used.zombie, None)

    def _enter(self, row: int, at: int, probes: Probes) -> None:
        zombie, ts_ns = (int(probes.src_hi[at]), int(probes.src_lo[at])), int(probes.ts_ns[at])
        used = self._in_name.get(zombie)
        if used is None:
            if len(self._in_name) >= _ZOMBIES_MAX:
                self._refused += 1
                return
            prober = int(self._prober[row, 0]), int(self._prober[row, 1])
            used = self._in_name[zombie] = InName(zombie, prober, int(self._port[row]), 0, ts_ns, ts_ns)
        used.last_ns = max(used.last_ns, ts_ns)
        self._changed[zombie] = None
        if len(used.targets) < _PORTS_KEPT:
            used.targets[(int(probes.dst_hi[at]), int(probes.dst_lo[at])), int(probes.port[at])] = None
