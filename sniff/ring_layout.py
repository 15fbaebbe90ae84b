"""The kernel's packet ring, TPACKET_V2 (packet(7), linux/if_packet.h), as a matrix."""

from __future__ import annotations

import mmap
import socket
import struct
import threading
from dataclasses import dataclass

import numpy as np

from nettriage.model.batch import HEAD_WIDTH, NO_VLAN, RawBatch

SOL_PACKET = 263
PACKET_RX_RING, PACKET_VERSION = 5, 10
TPACKET_V2 = 1
FRAME_HEADER = 96
"""Bytes of a frame before the packet, rounded up: header, link address, alignment (TPACKET2_HDRLEN)."""
BLOCK_BITS_MIN = 20
"""A block fills most of a power of two of at least so many bits."""
FRAMES_A_BLOCK = 64
"""A stride is a multiple of 64, so this many frames fill whole pages."""

STATUS, WIRE_LEN, CAP_LEN, PLACE, SECONDS, NANOSECONDS, VLAN = range(7)
"""Words of struct tpacket2_hdr; the first half of `PLACE` is where the packet begins, that of `VLAN` is the tag."""
STATUS_KERNEL, STATUS_USER, STATUS_VLAN_VALID = 0, 1, 0x10
_VLAN_ID = 0xFFF
_HEADER_WORDS = 8
_FIRST_LOOK = 256
"""Frames whose status is looked at first."""


@dataclass(frozen=True, slots=True)
class Geometry:
    """How the ring is cut into frames."""

    stride: int
    """Bytes of a frame."""
    frames: int
    block_bytes: int

    @staticmethod
    def fit(snaplen: int, ring_mib: int) -> Geometry:
        """Return the largest ring of at most `ring_mib` MiB whose frames hold `snaplen` bytes of packet.

        The kernel keeps blocks of a power of two of pages, so a block is filled as far as that goes.
        """
        stride = FRAME_HEADER + max(snaplen, HEAD_WIDTH)
        stride += -stride % 64
        unit = stride * FRAMES_A_BLOCK
        room = 1 << max(BLOCK_BITS_MIN, (unit - 1).bit_length())
        block = unit * (room // unit)
        blocks = max(1, (ring_mib << 20) // room)
        return Geometry(stride, block // stride * blocks, block)

    @property
    def ring_bytes(self) -> int:
        """Bytes of all frames."""
        return self.stride * self.frames

    def request(self) -> bytes:
        """Return struct tpacket_req."""
        return struct.pack("@IIII", self.block_bytes, self.ring_bytes // self.block_bytes, self.stride, self.frames)


class Ring:
    """The mapped frames of one socket, in the order in which the kernel fills them.

    A frame belongs to the kernel until its status says `STATUS_USER`, and to the reader until that writes
    `STATUS_KERNEL` there. The status is always read before, and written after, everything else of the frame.
    """

    def __init__(self, tap: socket.socket, geometry: Geometry, snaplen: int) -> None:
        """Ask the kernel for the ring of `tap`, not bound yet, and map it."""
        tap.setsockopt(SOL_PACKET, PACKET_VERSION, TPACKET_V2)
        tap.setsockopt(SOL_PACKET, PACKET_RX_RING, geometry.request())
        mapped = mmap.mmap(tap.fileno(), geometry.ring_bytes, mmap.MAP_SHARED, mmap.PROT_READ | mmap.PROT_WRITE)
        self._bytes = np.frombuffer(mapped, np.uint8)
        self._words = self._bytes.view(np.uint32).reshape(geometry.frames, geometry.stride // 4)
        self._status = self._words[:, STATUS]
        self._stride = geometry.stride
        self._snaplen = snaplen
        self._head = 0
        self._order = threading.Lock()

    def ready(self, limit: int) -> int:
        """Return how many frames, at most `limit` and none beyond the end of the ring, wait to be read.

        Looks at few frames when few are ready: each look is a cache miss.
        """
        limit = min(limit, len(self._status) - self._head)
        span = min(_FIRST_LOOK, limit)
        while span < limit and self._status[self._head + span - 1] & STATUS_USER:
            span = min(2 * span, limit)
        mine = self._status[self._head : self._head + span] & STATUS_USER
        count = span if mine.all() else int(mine.argmin())
        self._fence()
        return count

    def take(self, count: int, link_type: int) -> RawBatch:
        """Return the next `count` frames, which must be ready; the batch is valid until they are handed back."""
        first = self._head
        head = self._words[first : first + count, :_HEADER_WORDS].copy()
        starts = np.arange(first, first + count, dtype=np.int64) * self._stride
        halves = head.view(np.uint16)
        tagged = head[:, STATUS] & STATUS_VLAN_VALID
        return RawBatch(
            link_type,
            head[:, SECONDS].astype(np.int64) * 1_000_000_000 + head[:, NANOSECONDS],
            starts + halves[:, 2 * PLACE],
            np.minimum(head[:, CAP_LEN], self._snaplen).astype(np.int32),
            head[:, WIRE_LEN].astype(np.int32),
            self._bytes,
            np.where(tagged, halves[:, 2 * VLAN].astype(np.int32) & _VLAN_ID, NO_VLAN).astype(np.int32),
            stable=False,
        )

    def hand_back(self, count: int) -> None:
        """Let the kernel fill the next `count` frames again."""
        self._fence()
        self._status[self._head : self._head + count] = STATUS_KERNEL
        self._head = (self._head + count) % len(self._status)

    def forget(self) -> None:
        """Let go of the memory; it is unmapped when the last batch of it is gone."""
        self._bytes = self._bytes[:0].copy()
        self._words = self._words[:0].copy()
        self._status = self._words[:, STATUS]

    def _fence(self) -> None:
        """Keep what comes before, loads as well, from being reordered with what comes after.

        Python has no memory barrier, but taking a lock orders like an acquire and leaving it like a release:
        what precedes the first release stays before it, and what follows the second acquire stays after it.
        """
        with self._order:
            pass
        with self._order:
            pass
