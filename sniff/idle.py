"""What a source does while nothing arrives: wait for a descriptor, and let the engine know that it still listens."""

from __future__ import annotations

import asyncio

import numpy as np

from nettriage.model.batch import HEAD_WIDTH, RawBatch

HEARTBEAT_S = 0.1
"""Longest silence of a source that waits: then it yields an empty batch."""


class Waiter:
    """Waits until a descriptor can be read; another task may end the wait."""

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._waiting: tuple[asyncio.AbstractEventLoop, asyncio.Event] | None = None

    async def readable(self, timeout_s: float = HEARTBEAT_S) -> bool:
        """Wait at most `timeout_s` and return whether the descriptor can be read.

        What cannot be waited for, a regular file or a null device, can always be read.
        """
        loop, event = asyncio.get_running_loop(), asyncio.Event()
        try:
            loop.add_reader(self._fd, event.set)
        except PermissionError:
            return True
        self._waiting = loop, event
        try:
            async with asyncio.timeout(timeout_s):
                await event.wait()
        except TimeoutError:
            return False
        finally:
            self.stop()
        return True

    def stop(self) -> None:
        """End the wait, if there is one; afterwards the descriptor may be closed."""
        if self._waiting is not None:
            loop, event = self._waiting
            self._waiting = None
            loop.remove_reader(self._fd)
            event.set()


def empty_batch(link_type: int) -> RawBatch:
    """Return a batch without packets: the heartbeat of a source that listens and hears nothing."""
    none = np.zeros(0, np.int64)
    return RawBatch(link_type, none, none, none.astype(np.int32), none.astype(np.int32), np.zeros(HEAD_WIDTH, np.uint8))
