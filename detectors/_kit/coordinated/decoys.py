"""Probes of several sources that are one probe: same target, ports, sequence number and IP id, back to back.

nmap builds each probe once and sends it under every decoy's address (scan_engine_raw.cc, sendIPScanProbe): only the
source and the TTL differ. Chance does not make such twins: sequence number and IP id agree once in 2^48.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from detectors._kit.coordinated.owners import OwnerBook
from detectors._kit.history import turns
from detectors._kit.tools.probes import Probes
from nettriage.model.columns import I64, U64, Mixer, Rows, group
from nettriage.model.finding import Address
from nettriage.model.health import Gauge
from nettriage.model.keytable import KeyTable

TOGETHER_NS = 50_000_000
MEMBERS_MAX = 16
_GROUPS_MAX = 64
_GROUP_BYTES = 16_384
_PORTS_KEPT = 1_024
_RIPE_A_TICK = 1_024


@dataclass(slots=True)
class DecoyGroup:
    """Sources that sent the same probes to one victim."""

    victim: Address
    first_ns: int
    last_ns: int
    mac: int
    """MAC of the probes, 0 where they came under several."""
    times: int = 0
    """Probes that came from at least the wanted number of sources."""
    members: dict[Address, int] = field(default_factory=dict)
    """Probes of each source, in order of first appearance."""
    ports: dict[int, None] = field(default_factory=dict)
    changed: bool = True

    def real(self, owners: OwnerBook) -> Address | None:
        """Return the source behind the others: the one for which the MAC of the probes speaks; None if unclear."""
        macs = {member: owners.mac_of(member) for member in self.members}
        mine = [member for member, mac in macs.items() if mac == self.mac and mac]
        if len(mine) == 1:
            return mine[0]
        left = [member for member, mac in macs.items() if not mac]
        return left[0] if not mine and len(left) == 1 and self.mac else None


class DecoyWatch:
    """Recent probes by header, and the groups of sources that sent the same ones."""

    def __init__(self, mixer: Mixer, headers: int = 4_096) -> None:
        """Have seen nothing."""
        self._mixer = mixer
        self._table = KeyTable("headers", headers)
        self._first_ns: I64 = np.zeros(headers, np.int64)
        self._count: I64 = np.zeros(headers, np.int64)
        self._told: npt.NDArray[np.bool_] = np.zeros(headers, np.bool_)
        self._mac: U64 = np.zeros(headers, np.uint64)
        self._port: npt.NDArray[np.uint16] = np.zeros(headers, np.uint16)
        self._victim: U64 = np.zeros((headers, 2), np.uint64)
        self._members: U64 = np.zeros((headers, MEMBERS_MAX, 2), np.uint64)
        self._ripe: dict[int, None] = {}
        self.groups: dict[Address, DecoyGroup] = {}
        self._evicted = 0

    @property
    def gauge(self) -> Gauge:
        """How full the table of headers is."""
        return self._table.gauge

    @property
    def group_gauge(self) -> Gauge:
        """How many groups are known; the quietest gives way."""
        return Gauge(cap=_GROUPS_MAX, used=len(self.groups), evicted=self._evicted)

    @property
    def nbytes(self) -> int:
        """Memory of headers and groups, in bytes."""
        columns = (
            self._first_ns, self._count, self._told, self._mac, self._port, self._victim, self._members,
        )  # fmt: skip
        return self._table.capacity * 24 + sum(column.nbytes for column in columns) + _GROUPS_MAX * _GROUP_BYTES

    def note(self, probes: Probes, members: int) -> None:
        """Take in probes; those that `members` sources sent alike await the next judgement."""
        keys = self._mixer(
            probes.dst_hi, probes.dst_lo, (probes.sport.astype(np.uint32) << np.uint32(16)) | probes.port,
            (probes.seq.astype(np.uint64) << np.uint64(16)) | probes.ip_id,
        )  # fmt: skip
        located = self._table.locate(keys, probes.ts_ns)
        new, first = located.new_rows, located.new_first
        self._first_ns[new], self._count[new], self._told[new] = probes.ts_ns[first], 0, False
        self._mac[new], self._port[new] = probes.mac[first], probes.port[first]
        self._victim[new, 0], self._victim[new, 1] = probes.dst_hi[first], probes.dst_lo[first]
        at = np.flatnonzero(located.rows >= 0)
        at = at[probes.ts_ns[at] - self._first_ns[located.rows[at]] <= TOGETHER_NS]
        self._enter(located.rows[at], at, probes)
        crossed = np.unique(located.rows[at])
        for row in crossed[(self._count[crossed] >= members) & ~self._told[crossed]].tolist():
            self._ripe[row] = None

    def judge(self) -> list[DecoyGroup]:
        """Fold the probes that were sent alike into groups by victim; return the groups that changed."""
        for row in sorted(self._ripe, key=lambda row: (int(self._first_ns[row]), row))[:_RIPE_A_TICK]:
            del self._ripe[row]
            self._told[row] = True
            self._fold(row)
        changed = [each for each in self.groups.values() if each.changed]
        for each in changed:
            each.changed = False
        return changed

    def forget(self, now_ns: int, idle_ns: int) -> list[DecoyGroup]:
        """Take out the groups that have been quiet for `idle_ns`, and return them."""
        over = [each for each in self.groups.values() if now_ns - each.last_ns > idle_ns]
        for each in over:
            del self.groups[each.victim]
        return over

    def _enter(self, rows: Rows, at: Rows, probes: Probes) -> None:
        groups = group(rows)
        row, probe = rows[groups.order], at[groups.order]
        place = self._count[row] + turns(groups)
        fits = place < MEMBERS_MAX
        self._members[row[fits], place[fits], 0] = probes.src_hi[probe[fits]]
        self._members[row[fits], place[fits], 1] = probes.src_lo[probe[fits]]
        np.add.at(self._count, row, np.int64(1))
        self._mac[row[self._mac[row] != probes.mac[probe]]] = 0

    def _fold(self, row: int) -> None:
        victim = int(self._victim[row, 0]), int(self._victim[row, 1])
        ts_ns, mac = int(self._first_ns[row]), int(self._mac[row])
        known = self.groups.get(victim)
        if known is None:
            if len(self.groups) >= _GROUPS_MAX:
                quiet = min(self.groups.values(), key=lambda each: (each.last_ns, each.victim))
                del self.groups[quiet.victim]
                self._evicted += 1
            known = self.groups[victim] = DecoyGroup(victim, ts_ns, ts_ns, mac)
        known.first_ns, known.last_ns = min(known.first_ns, ts_ns), max(known.last_ns, ts_ns)
        known.mac = known.mac if known.mac == mac else 0
        known.times += 1
        known.changed = True
        if len(known.ports) < _PORTS_KEPT:
            known.ports[int(self._port[row])] = None
        for high, low in self._members[row, : min(int(self._count[row]), MEMBERS_MAX)].tolist():
            if (high, low) in known.members or len(known.members) < MEMBERS_MAX:
                known.members[high, low] = known.members.get((high, low), 0) + 1
