"""The live source on real interfaces: content, clock, tags, filters, drops, and interfaces that come and go."""

from __future__ import annotations

import asyncio
import os
import socket
import time
from collections.abc import Iterator

import pytest

import sniff.ring
from nettriage.model.batch import NO_VLAN
from nettriage.model.errors import InterfaceError, UsageError
from sniff.ring import RingSource
from sniff.source import SourceOptions
from tests.sniff.forged_captures import rows
from tests.sniff.taps import FAR, NEAR, QUIET, frame, hear, ip, make_pair, missing, namespace, promiscuity, sender

pytestmark = pytest.mark.skipif(bool(missing()), reason=missing())

SMALL = {"ring_mib": 4}


@pytest.fixture(autouse=True)
def _net(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A namespace with a pair of interfaces, looked at every 50 ms."""
    monkeypatch.setattr(sniff.ring, "WATCH_S", 0.05)
    with namespace():
        make_pair()
        yield


@pytest.fixture
def source() -> Iterator[RingSource]:
    """The near interface, without a filter."""
    opened = RingSource(NEAR, SourceOptions(**SMALL))
    yield opened
    opened.close()


async def wait_for_state(source: RingSource, batches, state: str) -> None:
    """Read until the interface is in that state."""
    async with asyncio.timeout(5):
        while source.counters().interface_state != state:
            await anext(batches)


async def test_frames_arrive_as_they_were_sent(source: RingSource) -> None:
    """Bytes, lengths and order are those of the sender, the time is the host's in ns."""
    sent = [frame(number, 60 + 7 * number) for number in range(100)]
    before = time.time_ns()
    with sender() as tap:
        for item in sent:
            tap.send(item)
    batches = await hear(source.batches(), len(sent))
    heard = rows(batches)

    assert [data for _, data in heard] == sent
    assert before - 10**9 < heard[0][0] <= heard[-1][0] < before + 60 * 10**9
    assert any(ts % 1000 for ts, _ in heard)
    assert all(batch.link_type == 1 and not batch.stable for batch in batches)
    assert (source.counters().received, source.counters().kernel_drops) == (100, 0)


async def test_the_tag_that_the_kernel_strips_is_restored(source: RingSource) -> None:
    """The outer VLAN id stands in its column, an inner one in the frame."""
    body = QUIET[12:] + bytes(46)
    tagged = QUIET[:12] + bytes.fromhex("8100a064") + body
    double = QUIET[:12] + bytes.fromhex("88a80065 81000066") + body
    with sender() as tap:
        for item in (tagged, QUIET + bytes(46), double):
            tap.send(item)
    heard = await hear(source.batches(), 3)

    assert [vlan for batch in heard for vlan in batch.vlan.tolist()] == [0x64, NO_VLAN, 0x65]
    assert [data[12:18].hex() for _, data in rows(heard)] == ["88b500000000", "88b500000000", "8100006688b5"]


async def test_the_ring_goes_round(source: RingSource) -> None:
    """More packets than frames come out whole and in order when they are read in time."""
    batches = source.batches()
    count = 0
    with sender() as tap:
        for turn in range(20):
            for number in range(500):
                tap.send(frame(turn * 500 + number))
            for _, data in rows(await hear(batches, 500)):
                assert data == frame(count)
                count += 1

    assert count == 10_000
    assert source.counters().kernel_drops == 0


async def test_large_frames_are_cut_and_keep_their_length() -> None:
    """What is longer than the snapshot length, as frames merged by an offload are, says how long it was."""
    ip("link", "set", NEAR, "mtu", "9000")
    ip("link", "set", FAR, "mtu", "9000")
    source = RingSource(NEAR, SourceOptions(snaplen=100, **SMALL))
    with sender() as tap:
        tap.send(frame(1, 8000))
    (batch,) = await hear(source.batches(), 1)
    source.close()

    assert (batch.cap_len.tolist(), batch.wire_len.tolist()) == ([100], [8000])
    assert batch.packet(0) == frame(1, 100)


async def test_a_full_ring_drops_and_says_how_many() -> None:
    """Received and dropped packets add up to those that were sent, however often the counters are read."""
    source = RingSource(NEAR, SourceOptions(ring_mib=1, snaplen=2048))
    with sender() as tap:
        for number in range(3000):
            tap.send(frame(number))
    source.counters()
    batches = source.batches()
    received = sum(len(batch) for batch in await hear(batches, 400))
    while len(batch := await anext(batches)):
        received += len(batch)
    counters = source.counters()
    source.close()

    assert counters.kernel_drops > 0
    assert counters.received == received
    assert received + counters.kernel_drops == 3000
    assert source.counters().kernel_drops == counters.kernel_drops


async def test_a_filter_runs_in_the_kernel() -> None:
    """Only what the filter accepts takes room in the ring."""
    source = RingSource(NEAR, SourceOptions(bpf="ether proto 0x88b6", **SMALL))
    other = QUIET[:12] + b"\x88\xb6"
    with sender() as tap:
        for number in range(50):
            tap.send(frame(number))
            tap.send(frame(number, header=other))
    heard = await hear(source.batches(), 50)
    source.close()

    assert [data for _, data in rows(heard)] == [frame(number, header=other) for number in range(50)]


async def test_a_filter_sees_the_stripped_tag() -> None:
    """A filter on a VLAN finds the tag although the kernel took it off the frame."""
    source = RingSource(NEAR, SourceOptions(bpf="vlan 7 and ether proto 0x88b5", **SMALL))
    with sender() as tap:
        for vlan in (7, 8, 7):
            tap.send(QUIET[:12] + b"\x81\x00" + vlan.to_bytes(2, "big") + QUIET[12:] + bytes(46))
            tap.send(frame(0))
        tap.send(QUIET[:12] + b"\x81\x00\x00\x07" + QUIET[12:] + b"last".ljust(46, b"\0"))
    heard = await hear(source.batches(), 3)
    source.close()

    assert [vlan for batch in heard for vlan in batch.vlan.tolist()] == [7, 7, 7]


def test_a_bad_filter_is_refused_with_libpcaps_words() -> None:
    """A typing error in a filter is a usage error, at once."""
    with pytest.raises(UsageError, match=r"filter `prt 80`: .*syntax error"):
        RingSource(NEAR, SourceOptions(bpf="prt 80", **SMALL))


def test_a_filter_needs_an_interface_that_is_up() -> None:
    """What cannot be compiled rightly is refused, with the reason."""
    ip("link", "set", NEAR, "down")

    with pytest.raises(InterfaceError, match="up"):
        RingSource(NEAR, SourceOptions(bpf="vlan 7", **SMALL))


async def test_silence_gives_empty_batches(source: RingSource) -> None:
    """While nothing arrives the source shows that it listens, about every 100 ms."""
    batches = source.batches()
    loop = asyncio.get_running_loop()
    begun = loop.time()
    beats = [await anext(batches) for _ in range(3)]

    assert [len(beat) for beat in beats] == [0, 0, 0]
    assert 0.2 < loop.time() - begun < 2


async def test_close_ends_a_source_that_waits(source: RingSource) -> None:
    """Another task may close the source while it waits for packets."""
    batches = source.batches()
    await anext(batches)
    waiting = asyncio.ensure_future(anext(batches, None))
    await asyncio.sleep(0)
    source.close()
    source.close()

    assert len(await waiting or ()) == 0
    assert await anext(batches, None) is None


@pytest.mark.parametrize("wanted", [True, False])
def test_the_interface_is_left_as_it_was_found(wanted: bool) -> None:
    """Promiscuous reception begins with the source, if it was asked for, and ends with it."""
    source = RingSource(NEAR, SourceOptions(promiscuous=wanted, **SMALL))
    during = promiscuity(NEAR)
    source.close()

    assert (during, promiscuity(NEAR)) == (int(wanted), 0)


async def test_an_interface_goes_down_and_comes_up(source: RingSource) -> None:
    """Down is shown, and the same socket hears again when it is up."""
    batches = source.batches()
    await wait_for_state(source, batches, "up")
    ip("link", "set", NEAR, "down")
    await wait_for_state(source, batches, "down")
    ip("link", "set", NEAR, "up")
    await wait_for_state(source, batches, "up")
    with sender() as tap:
        tap.send(frame(1))

    assert rows(await hear(batches, 1))[0][1] == frame(1)
    assert source.counters().reopened == 0


async def test_a_carrier_that_is_lost_is_down(source: RingSource) -> None:
    """A pulled cable is not quiet but down."""
    batches = source.batches()
    ip("link", "set", FAR, "down")

    await wait_for_state(source, batches, "down")


async def test_an_interface_is_deleted_and_made_anew(source: RingSource) -> None:
    """Gone is shown, and the interface that takes the name is heard."""
    batches = source.batches()
    ip("link", "del", NEAR)
    await wait_for_state(source, batches, "gone")
    make_pair()
    await wait_for_state(source, batches, "up")
    with sender() as tap:
        tap.send(frame(2))

    assert rows(await hear(batches, 1))[0][1] == frame(2)
    assert source.counters().reopened == 1


async def test_the_successor_is_joined_without_privileges(source: RingSource) -> None:
    """After the capture was opened the process needs no powers, not even to hear a new interface promiscuously."""
    batches = source.batches()
    ip("link", "del", NEAR)
    await wait_for_state(source, batches, "gone")
    make_pair()
    with sender() as tap:
        os.seteuid(65_534)
        try:
            await wait_for_state(source, batches, "up")
            tap.send(frame(4))
            heard = rows(await hear(batches, 1))
        finally:
            os.seteuid(0)

    assert heard[0][1] == frame(4)
    assert source.counters().reopened == 1
    assert promiscuity(NEAR) == 1


async def test_an_interface_is_followed_when_it_is_renamed(source: RingSource) -> None:
    """The same interface under another name is still the mirror port."""
    batches = source.batches()
    ip("link", "set", NEAR, "down")
    ip("link", "set", NEAR, "name", "renamed0")
    ip("link", "set", "renamed0", "up")
    async with asyncio.timeout(5):
        while not source.counters().note or source.counters().interface_state != "up":
            await anext(batches)
    with sender() as tap:
        tap.send(frame(3))

    assert rows(await hear(batches, 1))[0][1] == frame(3)
    assert source.counters().note == f"{NEAR} is now called renamed0"


async def test_another_kind_of_link_of_the_same_name_is_not_joined(source: RingSource) -> None:
    """Frames that would be read wrongly are not read."""
    batches = source.batches()
    ip("link", "del", NEAR)
    await wait_for_state(source, batches, "gone")
    ip("tuntap", "add", NEAR, "mode", "tun")
    async with asyncio.timeout(5):
        while "another kind" not in source.counters().note:
            await anext(batches)

    assert source.counters().interface_state == "gone"


async def test_loopback_shows_each_packet_once() -> None:
    """A tap on loopback would see a packet leave and arrive."""
    ip("link", "set", "lo", "up")
    source = RingSource("lo", SourceOptions(bpf="udp", **SMALL))
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asker:
        for number in range(5):
            asker.sendto(bytes([number]) * 9, ("127.0.0.1", 9))
    batches = source.batches()
    heard = rows(await hear(batches, 5))
    rest = await anext(batches)
    source.close()

    assert [data[42:] for _, data in heard] == [bytes([number]) * 9 for number in range(5)]
    assert len(rest) == 0


async def test_a_link_without_ethernet_is_read_as_ip() -> None:
    """A tun interface delivers bare packets."""
    ip("tuntap", "add", "tun9", "mode", "tun")
    source = RingSource("tun9", SourceOptions(**SMALL))

    assert source.info.link_types == [101]
    assert source.counters().interface_state == "down"
    source.close()


def test_an_unknown_interface_is_refused_with_the_nearest_name() -> None:
    """A slip of the finger is answered with what exists."""
    with pytest.raises(InterfaceError, match=rf"naer0: no such interface.*did you mean {NEAR}"):
        RingSource("naer0", SourceOptions(**SMALL))
