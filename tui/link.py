"""The link to the sensor process: messages in, commands out, answers matched to their questions."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from itertools import count
from typing import TypeVar

from nettriage.model.frames import (
    AskFlows,
    AskPackets,
    AskSnapshot,
    Failed,
    Finished,
    Flows,
    FrameReader,
    FromScreens,
    FromSensor,
    Message,
    Packets,
    SnapshotReply,
    Stop,
    Update,
    encode,
)

READ_BYTES = 1 << 18
ANSWER_TIMEOUT_S = 5.0
QUESTIONS_MAX = 16
"""Questions under way at once; a further one is refused."""

News = Update | Finished | Failed
Answer = Flows | Packets | SnapshotReply
T = TypeVar("T", Flows, Packets, SnapshotReply)


class LinkError(Exception):
    """The sensor did not answer: it is gone, too busy, or took too long."""


class SensorLink:
    """One end of the socketpair, on the event loop."""

    def __init__(self, sock: socket.socket) -> None:
        """Own `sock`; nothing is read before `listen`."""
        self._socket = sock
        self._writer: asyncio.StreamWriter | None = None
        self._gone = False
        self._questions: dict[int, asyncio.Future[Answer]] = {}
        self._numbers = count(1)

    async def listen(self, took: Callable[[list[News]], None]) -> None:
        """Hand over messages, all that arrived together in one call, until the sensor closes the link.

        Answers go to who asked and are not handed over. Raises LinkError for a stream that is no such link.
        """
        reader, self._writer = await asyncio.open_connection(sock=self._socket)
        frames = FrameReader()
        try:
            while chunk := await reader.read(READ_BYTES):
                took([message for each in frames.feed(chunk) if (message := self._sorted(each)) is not None])
        except ConnectionError:
            return
        except ValueError as error:
            raise LinkError(f"the sensor spoke out of turn: {error}") from error
        finally:
            self._give_up()

    async def flows(self, alert_id: str) -> Flows:
        """Ask for the flows of an incident; raises LinkError."""
        answer = await self._ask(lambda number: AskFlows(request=number, alert_id=alert_id))
        return _checked(answer, Flows)

    async def packets(self, alert_id: str, flow: int | None) -> Packets:
        """Ask for the kept packets of an incident or of one of its flows; raises LinkError."""
        answer = await self._ask(lambda number: AskPackets(request=number, alert_id=alert_id, flow=flow))
        return _checked(answer, Packets)

    async def snapshot(self) -> SnapshotReply:
        """Ask for everything; raises LinkError."""
        return _checked(await self._ask(lambda number: AskSnapshot(request=number)), SnapshotReply)

    async def close(self) -> None:
        """Tell the sensor to stop, and close the link."""
        if self._writer is None:
            self._socket.close()
            return
        self._writer.write(encode(Stop()))
        self._writer.close()
        try:
            await asyncio.wait_for(self._writer.wait_closed(), 1.0)
        except (OSError, TimeoutError):
            self._writer.transport.abort()

    async def _ask(self, question: Callable[[int], Message]) -> Answer:
        if self._writer is None or self._gone:
            raise LinkError("the sensor is gone")
        if len(self._questions) >= QUESTIONS_MAX:
            raise LinkError("too many questions are waiting for the sensor")
        number = next(self._numbers)
        future: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self._questions[number] = future
        try:
            self._writer.write(encode(question(number)))
            return await asyncio.wait_for(future, ANSWER_TIMEOUT_S)
        except TimeoutError:
            raise LinkError(f"the sensor did not answer within {ANSWER_TIMEOUT_S:.0f} s") from None
        finally:
            self._questions.pop(number, None)

    def _sorted(self, message: FromSensor | FromScreens) -> News | None:
        """Return news as they are; an answer goes to who asked for it."""
        if isinstance(message, (Update, Finished, Failed)):
            return message
        if not isinstance(message, (Flows, Packets, SnapshotReply)):
            raise ValueError(f"a sensor never sends {type(message).__name__}")
        future = self._questions.get(message.request)
        if future is not None and not future.done():
            future.set_result(message)
        return None

    def _give_up(self) -> None:
        for future in self._questions.values():
            if not future.done():
                future.set_exception(LinkError("the sensor is gone"))
        self._gone = True


def _checked(answer: Answer, kind: type[T]) -> T:
    if not isinstance(answer, kind):
        raise LinkError(f"the sensor answered a question with {type(answer).__name__}")
    return answer
