"""Who refuses whose flows: the address of the filter, what it said, and how often."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from nettriage.model.addresses import to_text
from nettriage.model.batch import PacketBatch
from nettriage.model.columns import U64, Mixer, Rows, group
from nettriage.model.finding import Address
from nettriage.model.health import Gauge
from nettriage.model.keytable import KeyTable
from nettriage.model.slices import ContactEvents

_ROWS = 4_096
_UNREACHABLE = ((1, 3), (58, 1))
"""Protocol and type of destination-unreachable (RFC 792, RFC 4443 3.1)."""
_CODES = {
    (4, 2): "protocol unreachable",
    (4, 3): "port unreachable for another host",
    (4, 9): "network administratively prohibited",
    (4, 10): "host administratively prohibited",
    (4, 13): "communication administratively prohibited",
    (6, 1): "administratively prohibited",
    (6, 4): "port unreachable for another host",
    (6, 5): "source address failed policy",
    (6, 6): "reject route",
}
"""Names of the codes that refuse (RFC 1812 5.2.7.1, RFC 4443 3.1)."""


@dataclass(frozen=True, slots=True)
class Denier:
    """One filter that refused one source."""

    addr: Address | None
    """None where a filter answered in the target's name."""
    targets: int
    said: str


class Deniers:
    """Pairs of source and denier, at most 4,096; the pair longest unseen gives way."""

    def __init__(self, mixer: Mixer) -> None:
        """Start without any."""
        self._mixer = mixer
        self._table = KeyTable("deniers", _ROWS)
        self._addr: U64 = np.zeros((_ROWS, 4), np.uint64)
        self._targets: npt.NDArray[np.int64] = np.zeros(_ROWS, np.int64)
        self._codes: npt.NDArray[np.uint16] = np.zeros(_ROWS, np.uint16)

    @property
    def gauge(self) -> Gauge:
        """How full the table is."""
        return self._table.gauge

    @property
    def nbytes(self) -> int:
        """Memory of the table, in bytes."""
        return _ROWS * 24 + self._addr.nbytes + self._targets.nbytes + self._codes.nbytes

    def note(self, events: ContactEvents, at: Rows) -> None:
        """Count the blocked contacts `at` for those who blocked them."""
        ends = (events.src_hi[at], events.src_lo[at], events.denier_hi[at], events.denier_lo[at])
        located = self._table.locate(self._mixer(*ends), events.ts_ns[at])
        new, first = located.new_rows, located.new_first
        self._targets[new] = 0
        self._codes[new] = 0
        self._addr[new] = np.stack([end[first] for end in ends], axis=1)
        groups = group(located.rows[located.rows >= 0])
        self._targets[groups.ids] += groups.counts

    def hear(self, packets: PacketBatch) -> None:
        """Note what codes the known deniers send."""
        row = packets.quoted.row
        if not len(row):
            return
        kind, said = packets.proto[row], packets.icmp_type[row]
        index = np.flatnonzero(np.logical_or.reduce([(kind == one) & (said == two) for one, two in _UNREACHABLE]))
        row, quoted = row[index], packets.quoted
        keys = self._mixer(quoted.src_hi[index], quoted.src_lo[index], packets.src_hi[row], packets.src_lo[row])
        known = self._table.find(keys)
        bits = np.uint16(1) << np.minimum(packets.icmp_code[row], 15).astype(np.uint16)
        np.bitwise_or.at(self._codes, known[known >= 0], bits[known >= 0])

    def of(self, src: Address) -> list[Denier]:
        """Return who refused a source, the most active first."""
        rows = np.flatnonzero((self._table.keys != 0) & (self._addr[:, 0] == src[0]) & (self._addr[:, 1] == src[1]))
        return [self._denier(row) for row in rows[np.argsort(-self._targets[rows], kind="stable")].tolist()]

    def _denier(self, row: int) -> Denier:
        high, low = int(self._addr[row, 2]), int(self._addr[row, 3])
        if not high and not low:
            return Denier(None, int(self._targets[row]), "resets of foreign TTL in the target's name")
        version = 4 if ":" not in to_text(high, low) else 6
        codes = [code for code in range(16) if int(self._codes[row]) >> code & 1]
        names = [f"ICMP code {code}, {_CODES[version, code]}" for code in codes if (version, code) in _CODES]
        return Denier((high, low), int(self._targets[row]), "; ".join(names) or "ICMP unreachable")
