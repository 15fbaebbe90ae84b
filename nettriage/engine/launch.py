"""Starting the sensor process, before any screen opens."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from dataclasses import dataclass

from nettriage.engine.config import RunConfig
from nettriage.engine.wire import receive_exactly, send_config
from nettriage.model.errors import (
    CaptureError,
    CapturePermissionError,
    ConfigError,
    InterfaceError,
    NettriageError,
    UsageError,
)
from nettriage.model.frames import Failed, FrameReader, Message, Stop, Update, encode

OPEN_TIMEOUT_S = 30.0
"""A sensor that says nothing for so long after its start is stuck: compiling a filter takes a second at most."""
STOP_TIMEOUT_S = 3.0

_ERRORS: dict[int, type[NettriageError]] = {
    int(kind.exit_code): kind
    for kind in (ConfigError, UsageError, CapturePermissionError, InterfaceError, CaptureError)
}


@dataclass(slots=True)
class SensorHandle:
    """A running sensor, from the side of the screens."""

    sock: socket.socket
    """The link: frames both ways; blocking, as made."""
    process: subprocess.Popen[bytes]
    first: Update
    """The first update, already read from the link: the tap is open and the privileges are gone."""

    @property
    def pid(self) -> int:
        """Process id of the sensor."""
        return self.process.pid

    def alive(self) -> bool:
        """Return whether the sensor still runs."""
        return self.process.poll() is None

    def wait(self, timeout_s: float | None = None) -> int:
        """Wait for the end of the sensor and return its exit code; raises subprocess.TimeoutExpired."""
        return self.process.wait(timeout_s)

    def stop(self) -> int:
        """End the sensor in order, by force where it does not follow; return its exit code, 128 + n for a signal."""
        try:
            self.sock.setblocking(False)
            self.sock.send(encode(Stop()))
        except OSError:
            pass  # the sensor is gone, or its buffer is full: closing the link tells it too
        self.sock.close()
        for end in (self.process.terminate, self.process.kill):
            try:
                return _exit_code(self.process.wait(STOP_TIMEOUT_S))
            except subprocess.TimeoutExpired:
                end()
        return _exit_code(self.process.wait())


def start_sensor(config: RunConfig) -> SensorHandle:
    """Start a sensor process and wait until its tap is open.

    Call it before threads, event loops or screens are started. The child has no terminal: it reads nothing but, for the
    source ``-``, the standard input of this process, and it writes to its log file. Raises the error that
    kept the source from being opened, with the exit code of it, or NettriageError where the sensor died.
    """
    near, far = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
    process = subprocess.Popen(
        [sys.executable, "-P", "-m", "nettriage.engine.sensor", str(far.fileno()), str(os.getpid())],
        pass_fds=(far.fileno(),),
        stdin=None if config.source == "-" else subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    far.close()
    try:
        near.settimeout(OPEN_TIMEOUT_S)
        send_config(near, config)
        first = _first_message(near)
        near.settimeout(None)
        if isinstance(first, Update):
            return SensorHandle(near, process, first)
        process.wait(STOP_TIMEOUT_S)
        raise _error_of(first)
    except (ConnectionError, TimeoutError) as error:
        process.kill()
        code = _exit_code(process.wait())
        raise NettriageError(f"the sensor process ended before the tap was open (exit code {code}): {error}") from error
    except BaseException:
        near.close()
        raise


def _first_message(sock: socket.socket) -> Message:
    size = receive_exactly(sock, 4)
    return next(FrameReader().feed(size + receive_exactly(sock, int.from_bytes(size, "big"))))


def _error_of(message: Message) -> NettriageError:
    if not isinstance(message, Failed):
        return NettriageError(f"the sensor process began with a {type(message).__name__}")
    return _ERRORS.get(message.exit_code, NettriageError)(message.message)


def _exit_code(status: int) -> int:
    return 128 + signal.Signals(-status) if status < 0 else status
