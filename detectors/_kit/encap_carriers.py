"""Pairs of hosts that carry packets inside packets: volumes each way, kinds, and what the inside tells of a mirror."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from nettriage.model.batch import ARP, NO_PROTO, Tunnel
from nettriage.model.columns import I64, U64, Rows
from nettriage.model.finding import Address
from nettriage.model.health import Gauge
from nettriage.model.keytable import KeyTable
from nettriage.model.slices import Slice

from .fold import Fold

ESP, AH, ETHERIP, L2TPV3 = 1 << 10, 1 << 11, 1 << 12, 1 << 13
"""Kinds beside the bits of `Tunnel`: protocols that are known by number alone."""
KIND_NAMES = {
    int(Tunnel.GRE): "GRE", int(Tunnel.ERSPAN): "ERSPAN", int(Tunnel.VXLAN): "VXLAN", int(Tunnel.GENEVE): "GENEVE",
    int(Tunnel.IPIP): "IPIP", int(Tunnel.SIXINFOUR): "6in4", int(Tunnel.GTPU): "GTP-U", int(Tunnel.TEREDO): "Teredo",
    ESP: "IPsec ESP", AH: "IPsec AH", ETHERIP: "EtherIP", L2TPV3: "L2TPv3",
}  # fmt: skip
_IP_KINDS = np.uint16(~(Tunnel.MPLS | Tunnel.PPPOE) & 0xFFFF)
_BY_PROTO: npt.NDArray[np.uint16] = np.zeros(0x10000, np.uint16)
_BY_PROTO[[4, 41, 47, 50, 51, 97, 115]] = [
    Tunnel.IPIP, Tunnel.SIXINFOUR, Tunnel.GRE, ESP, AH, ETHERIP, L2TPV3
]  # fmt: skip
_NO_INSIDE = (ARP, NO_PROTO)
_PAYLOAD_MIN = 8
"""Probes of a protocol scan (nmap -sO) and keep-alives carry nothing."""
_WORDS = 16
"""Words of a bit map: 1,024 flows or hosts of a pair are told apart."""


@dataclass(frozen=True, slots=True)
class Pair:
    """What two hosts carried for others."""

    key: int
    ends: tuple[Address, Address]
    """The sender of the first packet, and its peer."""
    kinds: tuple[str, ...]
    first_ns: int
    last_ns: int
    packets: tuple[int, int]
    """From the first end, from its peer."""
    bytes: tuple[int, int]
    """Frame bytes, in the same order."""
    inner_hosts: int
    """Hosts whose packets were inside, estimated above some hundred."""
    inner_flows: int
    folded: float
    """Share of inner flows of which both directions were carried in one and the same direction."""


@dataclass(slots=True)
class _Carried:
    """Carried packets of one slice, in order of capture; one row for each tunnel around a packet."""

    row: Rows
    src_hi: U64
    src_lo: U64
    dst_hi: U64
    dst_lo: U64
    kind: npt.NDArray[np.uint16]


class Carriers:
    """Carrying pairs, at most `capacity`; the one that was silent longest gives way."""

    def __init__(self, capacity: int, fold: Fold) -> None:
        """Make an empty table."""
        self._fold = fold
        self._table = KeyTable("carrying pairs", capacity)
        self._ends: U64 = np.zeros((capacity, 4), np.uint64)
        self._opener: npt.NDArray[np.uint8] = np.zeros(capacity, np.uint8)
        self._kinds: npt.NDArray[np.uint16] = np.zeros(capacity, np.uint16)
        self._packets: I64 = np.zeros((capacity, 2), np.int64)
        self._bytes: I64 = np.zeros((capacity, 2), np.int64)
        self._first_ns: I64 = np.zeros(capacity, np.int64)
        self._last_ns: I64 = np.zeros(capacity, np.int64)
        self._flow_bits: U64 = np.zeros((capacity, 2, 2, _WORDS), np.uint64)
        """By direction of the tunnel and side of the inner flow."""
        self._host_bits: U64 = np.zeros((capacity, _WORDS), np.uint64)
        self._touched = np.zeros(capacity, np.bool_)

    @property
    def gauge(self) -> Gauge:
        """How full the table is."""
        return self._table.gauge

    @property
    def nbytes(self) -> int:
        """Memory of the table, in bytes."""
        arrays = (
            self._ends, self._opener, self._kinds, self._packets, self._bytes, self._first_ns, self._last_ns,
            self._flow_bits, self._host_bits, self._touched,
        )  # fmt: skip
        return sum(array.nbytes for array in arrays) + 24 * self._table.capacity

    def key_of(self, one: Address, other: Address) -> int:
        """Return the key of the pair of two addresses, whichever is named first."""
        low, high = sorted((one, other))
        words = (np.array([word], np.uint64) for word in (*low, *high))
        return int(self._fold.columns(*words)[0])

    def add(self, seen: Slice) -> None:
        """Count the carried packets of a slice."""
        carried = _carried(seen)
        if carried is None:
            return
        swap = (carried.src_hi > carried.dst_hi) | (
            (carried.src_hi == carried.dst_hi) & (carried.src_lo > carried.dst_lo)
        )
        ends = [
            np.where(swap, there, here)
            for here, there in (
                (carried.src_hi, carried.dst_hi), (carried.src_lo, carried.dst_lo),
                (carried.dst_hi, carried.src_hi), (carried.dst_lo, carried.src_lo),
            )
        ]  # fmt: skip
        ts_ns = seen.packets.ts_ns[carried.row]
        found = self._table.locate(self._fold.columns(*ends), ts_ns)
        fresh, first = found.new_rows, found.new_first
        for array in (self._kinds, self._packets, self._bytes, self._flow_bits, self._host_bits):
            array[fresh] = 0
        self._first_ns[fresh], self._opener[fresh] = ts_ns[first], swap[first]
        for place, column in enumerate(ends):
            self._ends[fresh, place] = column[first]
        held = np.flatnonzero(found.rows >= 0)
        rows, way = found.rows[held], swap[held].astype(np.intp)
        self._last_ns[rows] = ts_ns[held]
        np.bitwise_or.at(self._kinds, rows, carried.kind[held])
        np.add.at(self._packets, (rows, way), np.int64(1))
        np.add.at(self._bytes, (rows, way), seen.packets.wire_len[carried.row[held]])
        self._note_inside(seen, carried.row[held], rows, way)
        self._touched[rows] = True

    def _note_inside(self, seen: Slice, packet: Rows, rows: Rows, way: Rows) -> None:
        """Mark inner flows by direction of the tunnel and side, and inner hosts."""
        flow = seen.flow[packet]
        known = np.flatnonzero(flow >= 0)
        rows, way, packet = rows[known], way[known], packet[known]
        word, bit = _place(self._fold.columns(seen.tables.flows.serial[flow[known]]))
        np.bitwise_or.at(self._flow_bits, (rows, way, seen.side[packet].astype(np.intp), word), bit)
        word, bit = _place(self._fold.columns(seen.tables.hosts.key[seen.src[packet]]))
        np.bitwise_or.at(self._host_bits, (rows, word), bit)

    def drain(self) -> list[Pair]:
        """Return the pairs touched since the last call."""
        rows = np.flatnonzero(self._touched)
        self._touched[rows] = False
        return [self._pair(row) for row in rows.tolist()]

    def find(self, key: int) -> Pair | None:
        """Return a pair by its key, None where it is not known."""
        row = int(self._table.find(np.array([key], np.uint64))[0])
        return None if row < 0 else self._pair(row)

    def peers(self, addr: Address) -> int:
        """Return with how many hosts `addr` carries packets."""
        high, low = (np.uint64(word) for word in addr)
        ends = self._ends[self._table.rows_in_use()]
        mine = (ends[:, 0] == high) & (ends[:, 1] == low) | (ends[:, 2] == high) & (ends[:, 3] == low)
        return int(mine.sum())

    def _pair(self, row: int) -> Pair:
        words = [int(word) for word in self._ends[row]]
        ends = ((words[0], words[1]), (words[2], words[3]))
        turn = int(self._opener[row])
        bits = self._flow_bits[row]
        both, any_side = (
            np.bitwise_count(bits[:, 0] & bits[:, 1]).sum(axis=1),
            np.bitwise_count(bits[:, 0] | bits[:, 1]).sum(axis=1),
        )
        folded = both / np.maximum(any_side, 1)
        return Pair(
            key=int(self._table.keys[row]), ends=(ends[turn], ends[1 - turn]), kinds=_names(int(self._kinds[row])),
            first_ns=int(self._first_ns[row]), last_ns=int(self._last_ns[row]),
            packets=_turned(self._packets[row], turn), bytes=_turned(self._bytes[row], turn),
            inner_hosts=_estimate(self._host_bits[row]), inner_flows=int(any_side.max()),
            folded=float(folded[int(any_side.argmax())]),
        )  # fmt: skip


def _carried(seen: Slice) -> _Carried | None:
    """Return the packets of a slice that lie in a tunnel, and those that are one which nobody can open."""
    packets, outer = seen.packets, seen.packets.outer
    kind = outer.tunnel & _IP_KINDS
    opened = np.flatnonzero(kind)
    closed = np.flatnonzero(_BY_PROTO[packets.proto])
    if not len(opened) and not len(closed):
        return None
    closed = closed[(packets.payload_len[closed] >= _PAYLOAD_MIN) & (packets.flaw[closed] == 0)]
    row = np.concatenate((outer.row[opened], closed)).astype(np.intp)
    columns = [
        np.concatenate((getattr(outer, name)[opened], getattr(packets, name)[closed]))
        for name in ("src_hi", "src_lo", "dst_hi", "dst_lo")
    ]
    kinds = np.concatenate((kind[opened], _BY_PROTO[packets.proto[closed]]))
    order = np.argsort(row, kind="stable")
    order = order[~packets.duplicate[row[order]] & _unicast(columns[2], columns[3])[order]]
    if not len(order):
        return None
    src_hi, src_lo, dst_hi, dst_lo = (column[order] for column in columns)
    return _Carried(row[order], src_hi, src_lo, dst_hi, dst_lo, kinds[order])


def _unicast(high: U64, low: U64) -> npt.NDArray[np.bool_]:
    """Whether addresses are no groups: an overlay that floods to a group tells of no peer."""
    is_v4 = (high == 0) & (low >> np.uint64(32) == np.uint64(0xFFFF))
    group_v4 = low >> np.uint64(28) & np.uint64(0xF) == np.uint64(0xE)
    return np.asarray(~np.where(is_v4, group_v4, high >> np.uint64(56) == np.uint64(0xFF)))


def _place(hashed: U64) -> tuple[Rows, U64]:
    """Return word and bit of each hash in a bit map."""
    word = (hashed >> np.uint64(6) & np.uint64(_WORDS - 1)).astype(np.intp)
    return word, np.left_shift(np.uint64(1), hashed & np.uint64(63))


def _names(kinds: int) -> tuple[str, ...]:
    return tuple(name for bit, name in KIND_NAMES.items() if kinds & bit)


def _turned(values: I64, turn: int) -> tuple[int, int]:
    return int(values[turn]), int(values[1 - turn])


def _estimate(bits: U64) -> int:
    """Return how many different things set the bits of a map (linear counting, Whang 1990)."""
    size, used = 64 * _WORDS, int(np.bitwise_count(bits).sum())
    return round(size * math.log(size / max(size - used, 1)))
