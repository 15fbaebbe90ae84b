"""Tests of the history of packets and of spreading a choice over it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from detectors._kit.forge import Scene
from nettriage.engine import evidence, packet_history
from nettriage.engine.evidence import PACKETS_BEFORE, Evidence
from nettriage.engine.packet_history import PacketHistory, spread
from nettriage.model.batch import HEAD_WIDTH, RawBatch
from nettriage.model.finding import Endpoint, Finding, FlowRef
from nettriage.model.slices import Slice
from sniff.decode import decode
from sniff.state import State
from tests.nettriage.engine.knocks import SITE, raw_of, town

SCANNER = Endpoint((0, 0xFFFF_0A00_0901))
FINDING = Finding(
    key=1, subject=SCANNER, score=1, confidence=1, first_ns=0, last_ns=0, count=1, title="", reason=""
)  # fmt: skip


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> int:
    """Make the window small enough to be outgrown."""
    monkeypatch.setattr(packet_history, "WINDOW", 64)
    return 64


def slices(stable: bool, size: int) -> list[tuple[RawBatch, Slice]]:
    """Return the town in slices of `size`, in buffers of their own."""
    raw, state = raw_of(town(), stable=stable), State(SITE)
    parts = [raw.rows(slice(at, at + size)) for at in range(0, len(raw), size)]
    return [(part, state.push(decode(part))) for part in parts]


@pytest.mark.parametrize("stable", [True, False])
@pytest.mark.parametrize("size", [1, 5, 64])
def test_the_window_is_exact_whatever_the_cut(small: int, size: int, stable: bool) -> None:
    """The last packets are held, with their bytes, hosts and flows; older ones are not, and memory does not grow."""
    history = PacketHistory()
    for _, seen in slices(stable, size):
        history.add(seen)
    first, src, dst, serial = history.columns(0)
    frames = town()
    kept = [history.packet(number) for number in range(first, history.total)]

    assert (history.total, first) == (len(frames), len(frames) - small)
    assert [(item.ts_ns, item.data) for item in kept] == frames[-small:]
    assert len(src) == len(dst) == len(serial) == small
    assert [item.serial for item in kept] == serial.tolist()
    assert len(history._chunks) <= 2 * small // size + 16


def test_heads_at_the_end_of_a_buffer_are_whole() -> None:
    """A packet whose head would reach beyond the buffer is copied as far as there are bytes."""
    data = np.arange(300 + HEAD_WIDTH, dtype=np.uint8)
    sizes = np.array([100, 60, 200], np.int32)
    raw = RawBatch(
        1, np.arange(3), np.array([0, 240, 100]), sizes, sizes, data, stable=False
    )  # fmt: skip
    seen = State(SITE).push(decode(raw))
    history = PacketHistory()
    history.add(seen)
    data = data.copy()
    expected = [data[0:100].tobytes(), data[240:300].tobytes(), data[100:300].tobytes()]
    raw.data[:] = 0

    assert [history.packet(number).data for number in range(3)] == expected


def test_a_choice_is_spread_evenly() -> None:
    """First and last are among the chosen; a short list is taken whole; nothing is taken of nothing."""
    rows = np.arange(100)

    assert spread(rows, 5).tolist() == [0, 24, 49, 74, 99]
    assert spread(rows[:3], 5).tolist() == [0, 1, 2]
    assert spread(rows, 0).tolist() == []


def test_packets_of_its_flows_come_first() -> None:
    """What a detector points at is kept before other packets of the same hosts, and those before strangers."""
    scene, state, store = Scene(), State(SITE), Evidence()
    for port in range(200):
        scene.syn("10.0.9.1", "10.0.0.3", port)
    scene.session("10.0.9.1", "10.0.0.2", 80).session("10.0.9.1", "10.0.0.2", 80)
    seen = state.push(decode(raw_of(scene.frames())))
    store.remember(seen)
    serial = int(seen.tables.flows.serial[seen.flow[-1]])
    victim = Endpoint((0, 0xFFFF_0A00_0002))
    flow = FlowRef(SCANNER.addr, 1, victim.addr, 80, 6, serial)
    store.raise_for("a1", replace(FINDING, objects=[victim], flows=[flow]), seen.tables)
    kept = store.packets("a1")
    both = bytes([10, 0, 0, 2])

    assert len(kept) == PACKETS_BEFORE
    assert sum(packet.serial == serial for packet in kept) == (seen.flow == seen.flow[-1]).sum() > 5
    assert sum(both in packet.data for packet in kept) == sum(both in frame for _, frame in scene.frames())


def test_a_closed_incident_takes_no_more_packets() -> None:
    """Packets of the cells before the end are kept, later ones are not."""
    store, parts = Evidence(), slices(True, 100)
    store.remember(parts[0][1])
    store.raise_for("a1", FINDING, parts[0][1].tables)
    store.follow()
    store.remember(parts[1][1])
    grown = store.follow()
    before = store.count("a1")
    store.renew("a1", replace(FINDING, closed=True), parts[1][1].tables)
    store.remember(parts[2][1])

    assert grown == ["a1"]
    assert store.follow() == []
    assert store.count("a1") == before > 0


def test_memory_of_evidence_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Over the cap the incidents that were raised first lose their packets, and the gauge counts the bytes."""
    monkeypatch.setattr(evidence, "BYTES_MAX", 20_000)
    store = Evidence()
    tables = None
    for _, seen in slices(True, 512):
        store.remember(seen)
        tables = seen.tables
    assert tables is not None
    for number in range(5):
        store.raise_for(f"a{number}", FINDING, tables)
    gauge = store.gauges()["evidence.bytes"]

    assert store.count("a0") == 0 < store.count("a4")
    assert gauge.used <= gauge.cap
    assert gauge.evicted > 0
    store.forget("a4")
    assert store.gauges()["evidence.bytes"].used < gauge.used
