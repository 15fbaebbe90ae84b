"""The sensor process: it opens the tap, gives up its privileges, runs the pipeline, and answers the screens."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import socket
import sys
from contextlib import suppress

from nettriage.engine.config import RunConfig
from nettriage.engine.drilldown import flows_of, packets_of
from nettriage.engine.link import SensorLink
from nettriage.engine.privileges import drop_privileges, end_with_parent
from nettriage.engine.run import Run, open_run
from nettriage.engine.snapshot_builder import snapshot
from nettriage.engine.updates import Updates
from nettriage.engine.wire import receive_config
from nettriage.model.errors import ExitCode, NettriageError
from nettriage.model.frames import (
    AskFlows,
    AskPackets,
    AskSnapshot,
    Failed,
    Finished,
    FromScreens,
    SnapshotReply,
    encode,
)

BEAT_S = 0.25
"""Time between updates: people see no more than four a second."""

_LAST_WORDS_S = 1.0

_log = logging.getLogger(__name__)


class Sensor:
    """One run, served over a link until the screens say stop or are gone."""

    def __init__(self, config: RunConfig, run: Run) -> None:
        self._config = config
        self._run = run
        self._updates = Updates(run)
        self._over = asyncio.Event()

    async def serve(self, sock: socket.socket) -> int:
        """Run to the end and answer questions until nobody asks any more; return the exit code."""
        self._link = SensorLink(sock, self._answer, self._over.set)
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, self._over.set)
        self._link.send(self._updates.make("running", self._link.gauge))
        async with asyncio.TaskGroup() as tasks:
            beat = tasks.create_task(self._beat())
            drive = tasks.create_task(self._drive())
            await self._over.wait()
            self._run.stop()
            await asyncio.wait({drive})
            beat.cancel()
        self._run.close()
        self._link.close()
        return self._run.exit_code

    async def _drive(self) -> None:
        async for changed in self._run.changes():
            self._updates.note(changed)

    async def _beat(self) -> None:
        """Send an update at every beat for which the reader is ready, and the end when everything was sent."""
        said_end = False
        while not said_end:
            await asyncio.sleep(BEAT_S)
            ended = self._run.finished
            if not self._link.idle:
                self._updates.skip()
                continue
            self._link.send(self._updates.make(self._state(), self._link.gauge))
            if ended and not self._updates.pending:
                self._link.send(self._end())
                said_end = True

    def _state(self) -> str:
        if not self._run.finished:
            return "running"
        return "failed" if self._run.error else "finished"

    def _end(self) -> Failed | Finished:
        error = self._run.error
        if error is not None and error.exit_code != ExitCode.CAPTURE:
            return Failed(message=str(error), exit_code=error.exit_code)
        return Finished(exit_code=self._run.exit_code, message=str(error) if error else "")

    def _answer(self, message: FromScreens) -> None:
        if isinstance(message, AskFlows):
            self._link.send(flows_of(self._run.pipeline, message))
        elif isinstance(message, AskPackets):
            self._link.send(packets_of(self._run.pipeline, message))
        elif isinstance(message, AskSnapshot):
            config = self._config
            record = snapshot(self._run, config.config_digest, config.site.home)
            self._link.send(SnapshotReply(request=message.request, snapshot=record))
        else:
            self._over.set()


def main(words: list[str]) -> int:
    """Serve the link on the file descriptor named by the first word, for the parent process named by the second."""
    sock = socket.socket(fileno=int(words[0]))
    config = receive_config(sock)
    _log_to(config.log_file)
    try:
        run = open_run(config)
        drop_privileges(keep_net_raw=run.feed.is_live)
        end_with_parent(int(words[1]))
        return asyncio.run(_serve(config, run, sock))
    except NettriageError as error:
        return _fail(sock, str(error), error.exit_code)
    except Exception:  # noqa: BLE001 - a bug: it is logged and said, for nothing else would tell anybody
        _log.exception("sensor crashed")
        return _fail(sock, "the sensor process failed; see its log", ExitCode.RUNTIME)


def _fail(sock: socket.socket, message: str, exit_code: ExitCode) -> int:
    """Say why the run is over, unless nobody listens, and return the exit code."""
    with suppress(OSError):
        sock.settimeout(_LAST_WORDS_S)
        sock.sendall(encode(Failed(message=message, exit_code=exit_code)))
    return int(exit_code)


async def _serve(config: RunConfig, run: Run, sock: socket.socket) -> int:
    return await Sensor(config, run).serve(sock)


def _log_to(path: str) -> None:
    if path:
        form = "%(asctime)s %(levelname)s %(name)s %(message)s"
        logging.basicConfig(filename=path, level=logging.INFO, format=form)
    else:
        logging.disable()


if __name__ == "__main__":
    os.umask(0o077)
    sys.exit(main(sys.argv[1:]))
