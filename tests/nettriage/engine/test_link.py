"""Tests of the sensor's end of the link."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterator

import pytest

from nettriage.engine.link import REPLIES_MAX, SensorLink
from nettriage.model.frames import AskFlows, FlowRow, Flows, FrameReader, Message, Stop, encode

BIG = Flows(
    request=1, total=1,
    rows=[FlowRow(
        serial=1, started="", last="", src="", sport=1, dst="", dport=1, protocol="tcp", state="S0", bytes_up=0,
        bytes_down=0, packets_up=0, packets_down=0, community_id="", name="x" * 4_000_000,
    )],
)  # fmt: skip


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    """Yield both ends of a link."""
    near, far = socket.socketpair()
    yield near, far
    near.close()
    far.close()


async def take(sock: socket.socket, count: int) -> list[Message]:
    """Read until `count` messages came."""
    sock.setblocking(False)
    reader, messages = FrameReader(), []
    while len(messages) < count:
        chunk = await asyncio.get_running_loop().sock_recv(sock, 1 << 20)
        messages += reader.feed(chunk)
    return messages


async def test_a_reader_that_stalls_never_blocks(pair: tuple[socket.socket, socket.socket]) -> None:
    """What does not fit waits, the link says that it is busy, and everything arrives whole once it is read."""
    link = SensorLink(pair[0], lambda _: None, lambda: None)
    link.send(BIG)
    link.send(Flows(request=2, rows=[], total=0))
    assert not link.idle

    messages = await take(pair[1], 2)

    assert [message.request for message in messages if isinstance(message, Flows)] == [1, 2]
    assert link.idle
    link.close()


async def test_answers_that_nobody_reads_are_refused_and_counted(pair: tuple[socket.socket, socket.socket]) -> None:
    """Only so many answers wait; the gauge shows how many were refused."""
    link = SensorLink(pair[0], lambda _: None, lambda: None)
    link.send(BIG)
    for number in range(REPLIES_MAX + 5):
        link.send(Flows(request=number, rows=[], total=0))

    assert (link.gauge.used, link.gauge.refused) == (REPLIES_MAX, 6)
    link.close()


async def test_questions_arrive_whatever_the_cut(pair: tuple[socket.socket, socket.socket]) -> None:
    """A question cut into single bytes is one question."""
    asked: list[Message] = []
    link = SensorLink(pair[0], asked.append, lambda: None)
    for byte in encode(AskFlows(request=7, alert_id="a1")):
        pair[1].send(bytes([byte]))
        await asyncio.sleep(0)

    assert asked == [AskFlows(request=7, alert_id="a1")]
    link.close()


@pytest.mark.parametrize(
    "last", [b"", b"\xff\xff\xff\xff", b"\0\0\0\2\xc1\xc1", encode(Flows(request=1, rows=[], total=0))]
)
async def test_the_end_of_the_link_is_said_once(pair: tuple[socket.socket, socket.socket], last: bytes) -> None:
    """A closed link, bytes that are no frame, and a message that is not for the sensor all end it, once."""
    ended = asyncio.Event()
    times: list[int] = []
    link = SensorLink(pair[0], lambda _: None, lambda: (times.append(1), ended.set())[1])
    if last:
        pair[1].send(last)
    else:
        pair[1].close()
    await asyncio.wait_for(ended.wait(), 5)
    link.send(Stop())

    assert times == [1]
    assert not link.idle
