"""Copies: packets that a mirror delivered more than once."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from nettriage.model.batch import ARP, NO_PROTO, IpFlag, PacketBatch
from nettriage.model.columns import I64, U64, Mixer, Rows, lengths, runs
from nettriage.model.health import Gauge
from sniff.heads import gather, layout, read

WINDOW_NS = 2_000_000
"""Packet time between a packet and its copy: a mirror of both directions, or of several VLANs, copies within
fractions of a millisecond (zeek/zeek #2206); stacks repeat a packet after 10 ms at the earliest (RFC 8985 7.2)."""
COPIES_MAX = 64
"""Copies of one packet in a row that are believed to come from the mirror: an egress mirror of a 48-port switch
delivers a broadcast 48 times. What goes on longer is a sender that repeats itself, and is traffic."""
SLOTS = 65_536
"""Packets remembered: 30 times what a window holds at 1,000,000 packets/s. A slot remembers its last packet."""
_LONG_AGO_NS = -(1 << 62)

_START = layout(12, first=("<u8", 0), rest=("<u4", 8))
_FIRST_BYTES = np.array([(1 << 8 * min(held, 8)) - 1 for held in range(13)], np.uint64)
_NEXT_BYTES = np.array([(1 << 8 * max(held - 8, 0)) - 1 for held in range(13)], np.uint32)
"""`[13]`, masks of the first 8 and of the next 4 bytes of which so many are held, as little-endian words."""
_CHECKSUM_AT = np.zeros(0x10000, np.uint8)
"""`u1 [65536]`, offset of the checksum in the transport header by protocol, 0 where there is none."""
_CHECKSUM_AT[[1, 6, 17, 58, 132]] = [2, 16, 6, 2, 8]


class DuplicateFilter:
    """Marks packets that are copies of one seen up to `WINDOW_NS` before.

    Two packets are the same when addresses, ports, protocol, IP identification, sequence and acknowledgement,
    flags, lengths, the transport checksum and the first 12 payload bytes (Arkime 6.4 hashes as many) agree. TTL,
    MAC addresses, VLAN and tunnels may differ, since a copy may be taken before and behind a router or gateway.

    A sender's own repetition differs: a retransmission comes later and with a new identification, keep-alive
    probes are seconds apart, a scan changes port or sequence number, an echo its sequence number. Only where
    there is no identification (IPv6, or IPv4 with 0) can a datagram repeated within 2 ms pass for a copy:
    then its checksum is the same, so that nothing new is lost with it, and a flood of equal packets shows
    as traffic after `COPIES_MAX`. TTL or MAC address cannot tell the two: a mirror of both directions of one
    switch delivers the very same bytes. An ARP packet is compared with its MAC addresses; fragments without
    transport header, flawed packets and what is neither IP nor ARP are never marked.

    The verdict on a packet depends on the packet before it in its slot alone, so it is the same however the
    capture is cut into batches.
    """

    def __init__(self, mixer: Mixer) -> None:
        """Remember nothing yet."""
        self._mixer = mixer
        self._key: U64 = np.zeros(SLOTS, np.uint64)
        self._ts_ns: I64 = np.full(SLOTS, _LONG_AGO_NS, np.int64)
        self._copies: I64 = np.zeros(SLOTS, np.int64)
        """Copies in a row that the slot saw of its packet."""
        self._overwritten = 0

    @property
    def gauge(self) -> Gauge:
        """How many packets are remembered; `evicted` are those forgotten within the window for another packet."""
        return Gauge(cap=SLOTS, used=int(np.count_nonzero(self._key)), evicted=self._overwritten)

    def mark(self, packets: PacketBatch) -> int:
        """Set `packets.duplicate`; return how many packets are copies."""
        rows = _comparable(packets)
        if not len(rows):
            return 0
        keys = _keys(packets, self._mixer)
        if len(rows) < len(keys):
            keys = keys[rows]
        slots = (keys >> np.uint64(48)).astype(np.uint16)
        order = np.argsort(slots, kind="stable")
        arrived = rows[order]
        copies = self._count(slots[order], keys[order], packets.ts_ns[arrived])
        if copies is None:
            return 0
        marked = arrived[(copies > 0) & (copies <= COPIES_MAX)]
        packets.duplicate[marked] = True
        return len(marked)

    def _count(self, slots: np.ndarray[tuple[int], np.dtype[np.uint16]], keys: U64, ts_ns: I64) -> I64 | None:
        """Return `i8 [k]`, how many copies in a row each packet ends, None where there is none.

        Rows are grouped by slot, in order inside.
        """
        first = runs(slots)
        last = first + lengths(first, len(slots)) - 1
        held = slots[first].astype(np.intp)
        near, same = np.empty(len(slots), np.bool_), np.empty(len(slots), np.bool_)
        near[1:] = np.abs(ts_ns[1:] - ts_ns[:-1]) <= WINDOW_NS
        same[1:] = keys[1:] == keys[:-1]
        near[first] = np.abs(ts_ns[first] - self._ts_ns[held]) <= WINDOW_NS
        same[first] = keys[first] == self._key[held]
        linked = near & same
        copies = None
        if linked.any():
            copies = np.zeros(len(slots), np.int64)
            copies[first] = np.where(linked[first], self._copies[held] + 1, 0)
            number = np.arange(len(slots))
            linked_on = linked.copy()
            linked_on[first] = False
            run_at = np.maximum.accumulate(np.where(linked_on, 0, number))
            copies = copies[run_at] + number - run_at
        self._overwritten += int(np.count_nonzero(near)) - int(np.count_nonzero(linked))
        self._key[held], self._ts_ns[held] = keys[last], ts_ns[last]
        self._copies[held] = 0 if copies is None else copies[last]
        return copies


def _comparable(packets: PacketBatch) -> Rows:
    later = packets.ip_flags & np.uint8(IpFlag.LATER_FRAGMENT)
    return np.asarray(((packets.flaw == 0) & (packets.proto != NO_PROTO) & (later == 0)).nonzero()[0])


def _keys(packets: PacketBatch, mixer: Mixer) -> U64:
    """Return `u8 [n]`, what makes a packet itself, mixed."""
    first, rest = _payload_start(packets)
    ends = _ends(packets, mixer)
    arp = (packets.proto == ARP).nonzero()[0]
    if len(arp):
        first[arp] = packets.src_mac[arp]
        ends[arp] = mixer(ends[arp], packets.dst_mac[arp])
    return mixer(
        ends,
        _packed(np.uint16, packets.src_port, packets.dst_port, packets.proto, packets.tcp_flags),
        _packed(np.uint32, packets.seq, packets.ack),
        _packed(np.uint16, packets.ip_id, packets.icmp_type, packets.icmp_code, _checksum(packets)),
        _packed(np.uint32, packets.payload_len, rest),
        first,
    )


def _ends(packets: PacketBatch, mixer: Mixer) -> U64:
    """Return `u8 [n]`, both addresses in one word: IPv4 addresses as they are, IPv6 addresses mixed."""
    ends = packets.src_lo << np.uint64(32)
    ends |= packets.dst_lo & np.uint64(0xFFFF_FFFF)
    six = (packets.ip_version == 6).nonzero()[0]
    if len(six):
        ends[six] = mixer(packets.src_hi[six], packets.src_lo[six], packets.dst_hi[six], packets.dst_lo[six])
    return ends


def _packed(kind: type[np.integer[Any]], *columns: npt.NDArray[np.integer[Any]]) -> U64:
    """Return `u8 [n]`, columns side by side, each as a `kind`, that together fill a word."""
    words = np.empty((len(columns[0]), len(columns)), kind)
    for index, column in enumerate(columns):
        words[:, index] = column
    return words.view(np.uint64)[:, 0]


def _payload_start(packets: PacketBatch) -> tuple[U64, npt.NDArray[np.uint32]]:
    """Return `u8 [n]` and `u4 [n]`, the first 8 and the next 4 payload bytes, as far as they were captured."""
    head = read(packets.raw.data, packets.payload_at, _START)
    held = np.minimum(packets.payload_cap, 12)
    return head["first"] & _FIRST_BYTES.take(held), head["rest"] & _NEXT_BYTES.take(held)


def _checksum(packets: PacketBatch) -> np.ndarray[tuple[int], np.dtype[np.uint16]]:
    """Return `u2 [n]`, the transport checksum, 0 where it was not captured.

    It stands for the whole payload, and neither routers nor mirrors change it.
    """
    offset = _CHECKSUM_AT.take(packets.proto)
    at = packets.l4_at + offset
    captured = (offset > 0) & (at + 2 <= packets.payload_at + packets.payload_cap)
    return gather(packets.raw.data, at, 2).view(np.uint16)[:, 0] * captured
