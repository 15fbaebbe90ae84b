"""The sensor's end of the link: it sends what fits and never waits for the reader."""

from __future__ import annotations

import asyncio
import logging
import socket
from collections import deque
from collections.abc import Callable

from nettriage.model.frames import AskFlows, AskPackets, AskSnapshot, FrameReader, FromScreens, Message, Stop, encode
from nettriage.model.health import Gauge

REPLIES_MAX = 32
"""Answers that may wait for the reader; of more, the newest are refused, and the screens ask again."""
_CHUNK = 1 << 16
_FROM_SCREENS = (AskFlows, AskPackets, AskSnapshot, Stop)

_log = logging.getLogger(__name__)


class SensorLink:
    """Length-prefixed messages over a stream socket, without a single blocking call.

    `on_message` gets each message of the screens; `on_end` is called once, when the other end is gone or speaks
    no such protocol.
    """

    def __init__(
        self, sock: socket.socket, on_message: Callable[[FromScreens], None], on_end: Callable[[], None]
    ) -> None:
        sock.setblocking(False)
        self._sock = sock
        self._on_message = on_message
        self._on_end = on_end
        self._loop = asyncio.get_running_loop()
        self._reader = FrameReader()
        self._out: deque[memoryview] = deque()
        self._refused = 0
        self.open = True
        self._loop.add_reader(sock, self._readable)

    @property
    def idle(self) -> bool:
        """Whether everything sent has gone out: only then is a new update worth making."""
        return self.open and not self._out

    @property
    def gauge(self) -> Gauge:
        """Answers that wait, and those refused."""
        return Gauge(cap=REPLIES_MAX, used=len(self._out), refused=self._refused)

    def send(self, message: Message) -> None:
        """Send a message as soon as the reader lets it."""
        if not self.open:
            return
        if len(self._out) >= REPLIES_MAX:
            self._refused += 1
            return
        self._out.append(memoryview(encode(message)))
        if len(self._out) == 1:
            self._flush()

    def close(self) -> None:
        """Give the socket back, without `on_end`."""
        if self.open:
            self.open = False
            self._out.clear()
            self._loop.remove_reader(self._sock)
            self._loop.remove_writer(self._sock)
            self._sock.close()

    def _flush(self) -> None:
        try:
            while self._out:
                sent = self._sock.send(self._out[0])
                if sent < len(self._out[0]):
                    self._out[0] = self._out[0][sent:]
                else:
                    self._out.popleft()
        except BlockingIOError:
            self._loop.add_writer(self._sock, self._flush)
            return
        except OSError as error:
            self._end(error)
            return
        self._loop.remove_writer(self._sock)

    def _readable(self) -> None:
        try:
            chunk = self._sock.recv(_CHUNK)
            if not chunk:
                self._end(None)
                return
            for message in self._reader.feed(chunk):
                if not isinstance(message, _FROM_SCREENS):
                    raise ValueError(f"a {type(message).__name__} is not for the sensor")
                self._on_message(message)
        except BlockingIOError:
            return
        except (OSError, ValueError) as error:
            self._end(error)

    def _end(self, error: Exception | None) -> None:
        _log.info("link ended error=%r", error)
        self.close()
        self._on_end()
