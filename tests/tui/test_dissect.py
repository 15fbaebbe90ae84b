"""The dissector: a child with a budget."""

import sys
from collections.abc import AsyncIterator

import pytest

from tests.tui.hostile import hostile_packets
from tests.tui.made import packet_rows
from tui.dissect import BYTES_MAX, DissectError, Dissector
from tui.dissect_child import READY, answer, fields_of

SLOW = f"import sys, time; sys.stdout.buffer.write({READY!r}); sys.stdout.flush(); time.sleep(600)"
RUBBISH = (
    f"import sys; sys.stdout.buffer.write({READY!r}); sys.stdout.flush(); "
    "sys.stdin.buffer.read(6); sys.stdout.buffer.write(b'\\0\\0\\0\\2zz'); sys.stdout.flush(); sys.stdin.read()"
)


@pytest.fixture
async def real() -> AsyncIterator[Dissector]:
    """The dissector that the screens use, with patience for a busy host."""
    dissector = Dissector(budget_s=5.0)
    yield dissector
    await dissector.close()


async def test_a_packet_becomes_layers_and_fields(real: Dissector) -> None:
    """Layers in order, each field with the bytes that hold it."""
    fields = await real.dissect(1, packet_rows()[0].data)

    assert [field.label for field in fields if field.depth == 0][:3] == ["Ethernet", "IP", "TCP"]
    port = next(field for field in fields if field.label == "dport")
    assert (port.start, port.end, port.value) == (36, 38, "http")


async def test_hostile_packets_give_harmless_fields(real: Dissector) -> None:
    """Names in the bytes come out as visible escapes, and no packet stops the child."""
    for row in hostile_packets():
        fields = await real.dissect(row.link_type, row.data)

        assert all(field.label.isprintable() and field.value.isprintable() for field in fields)


async def test_a_slow_dissector_is_killed_and_started_anew() -> None:
    """Past its budget the child dies, and the next packet gets a new one."""
    dissector = Dissector(sys.executable, "-c", SLOW, budget_s=0.05)
    for _ in range(2):
        with pytest.raises(DissectError, match="timed out after 50 ms"):
            await dissector.dissect(1, b"x")
    await dissector.close()


async def test_a_dissector_that_speaks_rubbish_is_not_believed() -> None:
    """A child taken over by a packet can only lose its place."""
    dissector = Dissector(sys.executable, "-c", RUBBISH, budget_s=5.0)
    with pytest.raises(DissectError, match="failed"):
        await dissector.dissect(1, b"x")
    await dissector.close()


async def test_a_dissector_that_cannot_start_says_so() -> None:
    """Without scapy the screens go on without a tree."""
    dissector = Dissector(sys.executable, "-c", "raise SystemExit(1)")
    with pytest.raises(DissectError, match="did not start"):
        await dissector.dissect(1, b"x")
    await dissector.close()


def test_random_bytes_of_every_link_type_are_answered() -> None:
    """Bytes that are no packet end in fields or in one line that says why not."""
    for link_type in (0, 1, 12, 101, 113, 228, 276, 9999):
        for data in (b"", b"\0", b"\xff" * 64, bytes(range(200))):
            assert answer(link_type, data)


def test_fields_lie_inside_the_packet() -> None:
    """No range points beyond the bytes."""
    for row in packet_rows():
        for field in fields_of(row.link_type, row.data):
            assert 0 <= field.start <= field.end <= len(row.data) <= BYTES_MAX
