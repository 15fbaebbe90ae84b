"""Where the lines of a headless run go: standard output, and the alert log."""

from __future__ import annotations

import asyncio
import concurrent.futures.thread  # noqa: F401 - asyncio loads it late: too late, once privileges are gone
import os
from pathlib import Path
from typing import Protocol

import aiofiles
from aiofiles.threadpool.binary import AsyncBufferedIOBase

from nettriage.model.errors import NettriageError
from nettriage.model.safetext import safe

LOG_MODE = 0o640


class Outlet(Protocol):
    """Takes lines; waits while whoever reads them is slow."""

    async def write(self, lines: bytes) -> None:
        """Write whole lines; raises NettriageError, or BrokenPipeError where the reader is gone."""
        ...

    async def close(self) -> None:
        """Let go of the file."""
        ...


class Descriptor:
    """Lines to an open file descriptor, which stays open."""

    def __init__(self, fd: int) -> None:
        self._fd = fd

    async def write(self, lines: bytes) -> None:
        """Write the lines in a thread, so that a reader who stalls does not stall timers and signals."""
        try:
            await asyncio.to_thread(self._write_all, lines)
        except BrokenPipeError:
            raise
        except OSError as error:
            raise unwritable("standard output", error) from error

    async def close(self) -> None:
        """Leave the descriptor as it is."""

    def _write_all(self, lines: bytes) -> None:
        rest = memoryview(lines)
        while rest:
            rest = rest[os.write(self._fd, rest) :]


class AlertLog:
    """Lines appended to a file, which is opened when the first one comes."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: AsyncBufferedIOBase | None = None
        self._renamed = False

    async def write(self, lines: bytes) -> None:
        """Append whole lines at once."""
        try:
            if self._renamed:
                await self.close()
            if self._file is None:
                self._file = await aiofiles.open(self._path, "ab", opener=_append_only)
            await self._file.write(lines)
            await self._file.flush()
        except OSError as error:
            raise unwritable(str(self._path), error) from error

    def reopen(self) -> None:
        """Have the next line open the path again: the file there was renamed."""
        self._renamed = True

    async def close(self) -> None:
        """Close the file."""
        self._renamed = False
        if self._file is not None:
            await self._file.close()
            self._file = None


def unwritable(what: str, error: OSError) -> NettriageError:
    """Return the error that says what cannot be written, why, and as whom."""
    return NettriageError(f"{safe(what)}: cannot be written by user id {os.geteuid()}: {error.strerror}")


def _append_only(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW, LOG_MODE)
