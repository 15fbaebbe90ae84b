"""First probes as columns: the headers in which a scanner differs from an operating system."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from detectors._kit.byte_rows import byte_rows
from nettriage.model.batch import ARP, IpFlag, PacketBatch
from nettriage.model.columns import I64, U64, Rows
from nettriage.model.slices import ContactEvents, Outcome, Slice

Bools = npt.NDArray[np.bool_]
TCP, UDP, ICMP = 6, 17, 1
ECHO = 8 << 8
NETBIOS_NAME = 137
HEAD_BYTES = 32
"""Bytes looked at: an ARP body has 28, the longest telling ICMP payload 32."""
_TCP_HEADER = 20
_ATTEMPT = np.uint8(Outcome.ATTEMPT)
_ARP_BODY = np.array([0, 1, 8, 0, 6, 4], np.uint8)
"""ARP for IPv4 over Ethernet (RFC 826): the first six bytes of its body."""
_ARP_AT = (14, 18, 22)
"""Where that body begins, behind up to two VLAN tags."""
_COLUMNS = ("src_lo", "src_mac", "payload_at", "l4_at", "window", "ip_flags", "seq", "ack", "ttl", "ip_id", "raw")
TCP_READS = frozenset({"contacts", *(f"packets.{name}" for name in _COLUMNS)})
"""What `tcp_probes` reads of a slice."""
SWEEP_READS = TCP_READS | {"packets.payload_len", "packets.payload_cap"}
"""What `sweep_probes` and `name_probes` read of a slice."""


@dataclass(frozen=True, slots=True)
class Probes:
    """Columns of first probes that were seen themselves, one row a contact, in event order."""

    ts_ns: I64
    src_hi: U64
    src_lo: U64
    dst_hi: U64
    dst_lo: U64
    mac: U64
    """`u8`, source MAC of the frame."""
    proto: npt.NDArray[np.uint16]
    port: npt.NDArray[np.uint16]
    sport: npt.NDArray[np.uint16]
    flags: npt.NDArray[np.uint16]
    seq: npt.NDArray[np.uint32]
    ack: npt.NDArray[np.uint32]
    window: npt.NDArray[np.uint16]
    ttl: npt.NDArray[np.uint8]
    ip_id: npt.NDArray[np.uint16]
    df: Bools
    """Whether don't-fragment is set."""
    size: I64
    """`i8`, bytes of TCP options, else of payload."""
    head: npt.NDArray[np.uint8]
    """`u1 [n, HEAD_BYTES]`, TCP options, else payload (of ARP its body), zero beyond `size`."""

    def __len__(self) -> int:
        return len(self.ts_ns)

    @property
    def dst(self) -> npt.NDArray[np.uint32]:
        """`u4`, the target's IPv4 address, or the last four bytes of an IPv6 address."""
        return self.dst_lo.astype(np.uint32)

    def starts(self, expected: bytes, at: int = 0) -> Bools:
        """Return `bool [n]`, whether the head has these bytes at this place."""
        width = len(expected)
        return np.asarray((self.head[:, at : at + width] == np.frombuffer(expected, np.uint8)).all(axis=1))


def _own(seen: Slice, wanted: Callable[[ContactEvents], Bools]) -> tuple[Rows, Rows]:
    """Return indices of attempts whose own packet was seen, and the rows of these packets."""
    events = seen.contacts
    at = np.flatnonzero((events.outcome == _ATTEMPT) & wanted(events))
    rows = events.probe_row[at]
    own = seen.packets.src_lo[rows] == events.src_lo[at]
    return at[own], rows[own]


def tcp_probes(seen: Slice) -> Probes | None:
    """Return the TCP probes whose header no usual operating system makes; None where there are none.

    Such are those without don't-fragment that have at most one option, or Windows' options; and any with a receive
    window of 32.
    """
    if not len(seen.contacts):
        return None
    packets = seen.packets
    at, rows = _own(seen, lambda events: np.asarray(events.proto == TCP))
    size = packets.payload_at[rows] - packets.l4_at[rows] - _TCP_HEADER
    fragile = (packets.ip_flags[rows] & IpFlag.DF) == 0
    odd = (fragile & ((size <= 4) | (size == 12)) | (packets.window[rows] == 32)) & (size >= 0)
    if not odd.any():
        return None
    at, rows, size = at[odd], rows[odd], size[odd]
    heads = byte_rows(packets.raw.data, packets.l4_at[rows] + _TCP_HEADER, size, HEAD_BYTES)
    return _probes(seen.contacts, packets, at, rows, size, heads)


def sweep_probes(seen: Slice) -> Probes | None:
    """Return echo requests and ARP requests; None where there are none."""
    return _payload_probes(seen, _asks_for_hosts)


def name_probes(seen: Slice) -> Probes | None:
    """Return NetBIOS name queries; None where there are none."""
    return _payload_probes(seen, _asks_for_names)


def _payload_probes(seen: Slice, wanted: Callable[[ContactEvents], Bools]) -> Probes | None:
    if not len(seen.contacts):
        return None
    packets = seen.packets
    at, rows = _own(seen, wanted)
    if not len(at):
        return None
    size = packets.payload_len[rows].astype(np.int64)
    heads = byte_rows(packets.raw.data, packets.payload_at[rows], packets.payload_cap[rows], HEAD_BYTES)
    arp = np.flatnonzero(seen.contacts.proto[at] == ARP)
    if len(arp):
        heads[arp] = _arp_bodies(packets, rows[arp])
    return _probes(seen.contacts, packets, at, rows, size, heads)


def _asks_for_hosts(events: ContactEvents) -> Bools:
    return np.asarray(((events.proto == ICMP) & (events.port == ECHO)) | (events.proto == ARP))


def _asks_for_names(events: ContactEvents) -> Bools:
    return np.asarray((events.proto == UDP) & (events.port == NETBIOS_NAME))


def _arp_bodies(packets: PacketBatch, rows: Rows) -> npt.NDArray[np.uint8]:
    """Return the ARP bodies of plain or tagged Ethernet frames, zeros for other encapsulations."""
    raw = packets.raw
    frames = byte_rows(raw.data, raw.offset[rows], raw.cap_len[rows], _ARP_AT[-1] + HEAD_BYTES)
    bodies = np.zeros((len(rows), HEAD_BYTES), np.uint8)
    for start in _ARP_AT:
        body = frames[:, start : start + HEAD_BYTES]
        here = (body[:, : len(_ARP_BODY)] == _ARP_BODY).all(axis=1)
        bodies[here] = body[here]
    return bodies


def _probes(
    events: ContactEvents, packets: PacketBatch, at: Rows, rows: Rows, size: I64, heads: npt.NDArray[np.uint8]
) -> Probes:
    return Probes(
        events.ts_ns[at], events.src_hi[at], events.src_lo[at], events.dst_hi[at], events.dst_lo[at],
        packets.src_mac[rows], events.proto[at], events.port[at], events.sport[at], events.probe_flags[at],
        packets.seq[rows], packets.ack[rows], packets.window[rows], packets.ttl[rows], packets.ip_id[rows],
        (packets.ip_flags[rows] & IpFlag.DF) != 0, size, heads,
    )  # fmt: skip
