"""The link to the sensor."""

import asyncio
import socket
from collections.abc import AsyncIterator

import pytest

from nettriage.model.frames import FRAME_MAX_BYTES, AskFlows, Finished, Stop, Update, encode
from tests.tui.fake_sensor import FakeSensor
from tests.tui.made import alert, update
from tui.link import LinkError, News, SensorLink


@pytest.fixture
async def sensor() -> AsyncIterator[FakeSensor]:
    """A sensor that answers."""
    fake = FakeSensor()
    answering = asyncio.ensure_future(fake.answer())
    yield fake
    answering.cancel()
    await asyncio.wait([answering])
    fake.close()


async def test_news_arrive_in_order_and_answers_do_not(sensor: FakeSensor) -> None:
    """Updates and the end are handed over; what was asked for goes to who asked."""
    took: list[News] = []
    link = SensorLink(sensor.screens_end)
    listening = asyncio.ensure_future(link.listen(took.extend))
    sensor.send(update([alert(1)]), update([alert(2)], 2), Finished(exit_code=0))
    await asyncio.sleep(0)
    while len(took) < 3:
        await asyncio.sleep(0.001)
    answer = await link.flows("A-0001")
    await link.close()
    await listening

    assert [type(each) for each in took] == [Update, Update, Finished]
    assert answer.total == 11
    assert any(isinstance(each, AskFlows) and each.alert_id == "A-0001" for each in sensor.heard)


async def test_closing_tells_the_sensor_to_stop(sensor: FakeSensor) -> None:
    """The last word is Stop."""
    link = SensorLink(sensor.screens_end)
    listening = asyncio.ensure_future(link.listen(lambda _news: None))
    await asyncio.sleep(0.01)
    await link.close()
    await listening
    while not any(isinstance(each, Stop) for each in sensor.heard):
        await asyncio.sleep(0.001)


async def test_questions_fail_when_the_sensor_is_gone() -> None:
    """Whoever waits is told, and so is who asks later."""
    mine, theirs = socket.socketpair()
    link = SensorLink(mine)
    listening = asyncio.ensure_future(link.listen(lambda _news: None))
    await asyncio.sleep(0.01)
    asked = asyncio.ensure_future(link.flows("A-0001"))
    await asyncio.sleep(0.01)
    theirs.close()
    with pytest.raises(LinkError, match="gone"):
        await asked
    await listening
    with pytest.raises(LinkError, match="gone"):
        await link.snapshot()
    await link.close()


@pytest.mark.parametrize(
    "junk",
    [(FRAME_MAX_BYTES + 1).to_bytes(4, "big"), b"\0\0\0\3xyz", encode(Stop())],
    ids=["long", "no frame", "a command"],
)
async def test_a_sensor_that_speaks_out_of_turn_is_cut_off(junk: bytes) -> None:
    """What is no message of a sensor ends the link instead of being believed."""
    mine, theirs = socket.socketpair()
    link = SensorLink(mine)
    theirs.sendall(junk)
    with pytest.raises(LinkError, match="out of turn"):
        await link.listen(lambda _news: None)
    await link.close()
    theirs.close()
