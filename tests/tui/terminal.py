"""A real pseudo-terminal around a program: keys in, raw bytes and the picture out."""

from __future__ import annotations

import fcntl
import os
import pty
import select
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Self

import pyte

ROOT = Path(__file__).parent.parent.parent
DEADLINE_S = 20.0


class Terminal:
    """Runs a module of this tree in a terminal of that size."""

    def __init__(self, *words: str, width: int = 80, height: int = 24, **environment: str) -> None:
        """Start ``python -m words``."""
        self._screen = pyte.Screen(width, height)
        self._stream = pyte.ByteStream(self._screen)
        self.raw = bytearray()
        self._handle, child = pty.openpty()
        fcntl.ioctl(child, termios.TIOCSWINSZ, struct.pack("HHHH", height, width, 0, 0))
        own = {name: os.environ[name] for name in ("PATH", "HOME", "VIRTUAL_ENV") if name in os.environ}
        self.process = subprocess.Popen(
            [sys.executable, "-m", *words], stdin=child, stdout=child, stderr=child, cwd=ROOT, close_fds=True,
            start_new_session=True,
            env={**own, "TERM": "xterm-256color", "COLORTERM": "truecolor", "LANG": "C.UTF-8", **environment},
        )  # fmt: skip
        os.close(child)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        os.close(self._handle)

    @property
    def text(self) -> str:
        """What stands on the screen."""
        return "\n".join(line.rstrip() for line in self._screen.display)

    def press(self, keys: str) -> None:
        """Type."""
        os.write(self._handle, keys.encode())

    def until(self, seen: str | Callable[[], bool]) -> None:
        """Read until a text stands on the screen, or a condition holds; fails after a deadline."""
        held = seen if callable(seen) else lambda: seen in self.text
        give_up = time.monotonic() + DEADLINE_S
        while not held():
            assert time.monotonic() < give_up, f"never saw {seen!r} in\n{self.text}"
            self._read(0.05)

    def settle(self) -> None:
        """Read until nothing more comes for a moment."""
        while self._read(0.3):
            pass

    def wait(self) -> int:
        """Read to the end and return the exit status of the program."""
        self.until(lambda: self.process.poll() is not None)
        self.settle()
        return self.process.wait()

    def _read(self, patience_s: float) -> bool:
        if not select.select([self._handle], [], [], patience_s)[0]:
            return False
        try:
            chunk = os.read(self._handle, 1 << 16)
        except OSError:
            return False
        self.raw += chunk
        self._stream.feed(chunk)
        return bool(chunk)
