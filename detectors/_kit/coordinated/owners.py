"""Which MAC speaks for an address when its own kernel speaks: in resets of what nobody asked for, and in ARP."""

from __future__ import annotations

import numpy as np

from nettriage.model.addresses import to_words
from nettriage.model.batch import ARP, PacketBatch, TcpFlag
from nettriage.model.columns import U64, Mixer, Rows
from nettriage.model.finding import Address
from nettriage.model.health import Gauge
from nettriage.model.keytable import KeyTable

READS = frozenset(
    {f"packets.{name}" for name in ("ts_ns", "tcp_flags", "proto", "src_hi", "src_lo", "src_mac", "duplicate", "flaw")}
)
_TCP = 6
_RESET = np.uint16(TcpFlag.RST)
_NOBODY = to_words("0.0.0.0")[1]


class OwnerBook:
    """The last MAC that reset or announced for each address; the address longest silent gives way.

    A forged probe carries the forger's MAC, but a kernel resets an answer that it did not ask for, and answers
    ARP, with its own.
    """

    def __init__(self, mixer: Mixer, capacity: int = 4_096) -> None:
        """Know of no address."""
        self._mixer = mixer
        self._table = KeyTable("owners", capacity)
        self._mac: U64 = np.zeros(capacity, np.uint64)

    @property
    def gauge(self) -> Gauge:
        """How full the book is."""
        return self._table.gauge

    @property
    def nbytes(self) -> int:
        """Memory of the book, in bytes."""
        return self._table.capacity * 24 + self._mac.nbytes

    def note(self, packets: PacketBatch) -> None:
        """Take in the resets and the ARP packets of a slice."""
        kernel = (packets.tcp_flags == _RESET) & (packets.proto == _TCP)
        rows: Rows = np.flatnonzero(kernel | (packets.proto == ARP))
        rows = rows[~packets.duplicate[rows] & (packets.flaw[rows] == 0) & (packets.src_mac[rows] != 0)]
        rows = rows[packets.src_lo[rows] != _NOBODY]
        if not len(rows):
            return
        keys = self._mixer(packets.src_hi[rows], packets.src_lo[rows])
        located = self._table.locate(keys, packets.ts_ns[rows])
        placed = located.rows >= 0
        self._mac[located.rows[placed]] = packets.src_mac[rows[placed]]

    def mac_of(self, address: Address) -> int:
        """Return the MAC that speaks for an address, 0 where none did."""
        high, low = (np.array([word], np.uint64) for word in address)
        row = int(self._table.find(self._mixer(high, low))[0])
        return int(self._mac[row]) if row >= 0 else 0
