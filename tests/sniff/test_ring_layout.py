"""The geometry of the ring, and frames that a kernel would fill."""

from __future__ import annotations

import mmap

import numpy as np
import pytest

from nettriage.model.batch import HEAD_WIDTH, NO_VLAN
from sniff.ring_layout import FRAME_HEADER, Geometry, Ring


class FakeTap:
    """A socket whose ring is ordinary memory, filled by the test in place of the kernel."""

    def __init__(self, geometry: Geometry, monkeypatch: pytest.MonkeyPatch) -> None:
        self.geometry = geometry
        self.memory = mmap.mmap(-1, geometry.ring_bytes)
        self.words = np.frombuffer(self.memory, np.uint32).reshape(geometry.frames, -1)
        monkeypatch.setattr(mmap, "mmap", lambda *_: self.memory)

    def setsockopt(self, *_: object) -> None:
        """Accept any option."""

    def fileno(self) -> int:
        """There is none."""
        return -1

    def fill(self, index: int, number: int, tag: int | None = None) -> None:
        """Put a packet with a number in it into a frame."""
        status = 1 if tag is None else 0x11
        row = self.words[index]
        row[1:8] = (1500, 60, 66, number, 999_999_999, tag or 0, 0)
        row.view(np.uint8)[66:70] = list(number.to_bytes(4, "big"))
        row[0] = status


@pytest.mark.parametrize("snaplen", [64, 96, 128, 1500, 2048, 9000, 65_535, 262_144])
@pytest.mark.parametrize("ring_mib", [1, 4, 128])
def test_every_geometry_is_one_that_the_kernel_takes(snaplen: int, ring_mib: int) -> None:
    """Frames fill blocks, blocks fill pages, a frame holds the packet and the room behind it, and the size is kept."""
    geometry = Geometry.fit(snaplen, ring_mib)

    assert geometry.stride % 16 == 0
    assert geometry.stride >= FRAME_HEADER + max(snaplen, HEAD_WIDTH)
    assert geometry.block_bytes % geometry.stride == 0
    assert geometry.block_bytes % mmap.PAGESIZE == 0
    assert geometry.ring_bytes % geometry.block_bytes == 0
    assert geometry.ring_bytes <= max(ring_mib << 20, 64 * geometry.stride * 2)


def test_little_room_is_wasted() -> None:
    """The default ring uses most of what was asked for."""
    assert Geometry.fit(2048, 128).ring_bytes > 0.85 * (128 << 20)


def test_frames_are_read_in_order_across_the_seam(monkeypatch: pytest.MonkeyPatch) -> None:
    """A run ends at the end of the ring, the next begins at its start; frames handed back are the kernel's."""
    geometry = Geometry(256, 10, 2560)
    tap = FakeTap(geometry, monkeypatch)
    ring = Ring(tap, geometry, 128)
    seen, number, index = [], 0, 0
    for filled in (7, 7, 0, 1, 9):
        for _ in range(filled):
            tap.fill(index % 10, number)
            index, number = index + 1, number + 1
        while count := ring.ready(100):
            batch = ring.take(count, 1)
            seen += [int.from_bytes(batch.packet(row)[:4], "big") for row in range(count)]
            assert (batch.offset + HEAD_WIDTH <= len(batch.data)).all()
            ring.hand_back(count)

    assert seen == list(range(24))
    assert not tap.words[:, 0].any()


def test_a_frame_that_is_not_ready_hides_those_behind_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """Processors fill frames out of turn; the run ends before the first that is still being filled."""
    geometry = Geometry(256, 1000, 256_000)
    tap = FakeTap(geometry, monkeypatch)
    ring = Ring(tap, geometry, 128)
    for index in range(1000):
        tap.fill(index, index)
    tap.words[700, 0] = 0

    assert ring.ready(2000) == 700
    assert ring.ready(300) == 300


def test_the_header_becomes_columns(monkeypatch: pytest.MonkeyPatch) -> None:
    """Time in ns, both lengths, the cut to the snapshot length, and the tag without its priority bits."""
    geometry = Geometry(256, 4, 1024)
    tap = FakeTap(geometry, monkeypatch)
    ring = Ring(tap, geometry, 50)
    tap.fill(0, 7, 0xE00A)
    tap.fill(1, 8)
    batch = ring.take(ring.ready(4), 1)

    assert batch.ts_ns.tolist() == [7_999_999_999, 8_999_999_999]
    assert (batch.cap_len.tolist(), batch.wire_len.tolist()) == ([50, 50], [1500, 1500])
    assert batch.vlan is not None
    assert batch.vlan.tolist() == [10, NO_VLAN]
    assert not batch.stable
