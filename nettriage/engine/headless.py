"""A run without screens: alert records as lines of JSON, and a summary as the last one."""

from __future__ import annotations

import asyncio
import errno
import os
import signal
import sys
from collections.abc import Iterable
from contextlib import aclosing
from dataclasses import dataclass
from pathlib import Path

from nettriage import export
from nettriage.engine.config import RunConfig
from nettriage.engine.novelty import Novelty
from nettriage.engine.outlets import AlertLog, Descriptor, Outlet, unwritable
from nettriage.engine.pcapng import pcapng
from nettriage.engine.privileges import drop_privileges
from nettriage.engine.run import Run, open_run
from nettriage.engine.snapshot_builder import tool_info
from nettriage.engine.verdicts import Verdicts
from nettriage.model.alert import SEVERITIES, Alert, Severity
from nettriage.model.errors import ExitCode
from nettriage.model.snapshot import Summary


@dataclass(frozen=True, slots=True, kw_only=True)
class Headless:
    """What a headless run shall print and write."""

    final: bool = False
    """Print each incident once, in its last state, instead of every change that matters."""
    min_severity: Severity = "info"
    """Lowest severity that is printed and logged."""
    alert_log: Path | None = None
    """File to which the lines are appended too."""
    evidence: Path | None = None
    """File that gets the kept packets of every incident, as pcapng."""
    fail_on: Severity | None = None
    """Severity from which on the exit code is `ExitCode.FAIL_ON`."""


def run_headless(config: RunConfig, wishes: Headless, stdout_fd: int | None = None) -> int:
    """Open the source, give up privileges, analyse, print; return the exit code.

    Raises NettriageError where the source cannot be opened. That an interface is open is said on stderr. A capture
    found damaged later is analysed as far as it is readable; that, too, is said on stderr, after the summary.
    """
    run = open_run(config)
    try:
        drop_privileges(keep_net_raw=run.feed.is_live)
        fd = sys.stdout.fileno() if stdout_fd is None else stdout_fd
        code = asyncio.run(_lines_to(Descriptor(fd), run, wishes))
    finally:
        run.close()
    if run.error is not None:
        sys.stderr.write(f"nettriage: {run.error}\n")
    return code


async def _lines_to(stdout: Outlet, run: Run, wishes: Headless) -> int:
    folder = wishes.evidence.parent if wishes.evidence else None
    if folder is not None and not os.access(folder, os.W_OK):
        raise unwritable(str(folder), PermissionError(errno.EACCES, os.strerror(errno.EACCES)))
    return await _HeadlessRun(run, wishes).lines_to(stdout)


class _HeadlessRun:
    """One headless run and what it must remember of its output."""

    def __init__(self, run: Run, wishes: Headless) -> None:
        self._wishes = wishes
        self._run = run
        self._novelty = Novelty()
        self._verdicts = Verdicts()
        self._floor = SEVERITIES.index(wishes.min_severity)
        self._signal = 0

    async def lines_to(self, stdout: Outlet) -> int:
        """Print to the outlet until the end of the run; return the exit code."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, self._stop, number)
        log = AlertLog(self._wishes.alert_log) if self._wishes.alert_log else None
        if log is not None:
            loop.add_signal_handler(signal.SIGHUP, log.reopen)
        if self._run.feed.is_live:
            sys.stderr.write(f"nettriage: capturing on {self._run.feed.info.name}\n")
        try:
            if log is not None:
                await log.write(b"")  # what cannot be written is said now and not at the first alert
            await self._print_all(stdout, [stdout, log] if log else [stdout])
        except BrokenPipeError:
            return 128 + signal.SIGPIPE
        finally:
            if log is not None:
                await log.close()
        return self._exit_code()

    def _stop(self, number: int) -> None:
        self._signal = number
        self._run.stop()

    async def _print_all(self, stdout: Outlet, outlets: list[Outlet]) -> None:
        async with aclosing(self._run.changes()) as changes:
            async for changed in changes:
                self._verdicts.note(changed)
                due = [alert for alert in changed if self._is_due(alert)]
                await _write(outlets, self._lines(due))
        if self._wishes.final:
            await _write(
                outlets, self._lines(alert for alert in self._run.pipeline.alerts() if alert.activity != "close")
            )
        if self._wishes.evidence is not None:
            await asyncio.to_thread(self._write_evidence, self._wishes.evidence)
        await stdout.write(export.to_json_line(self._summary()))

    def _is_due(self, alert: Alert) -> bool:
        """Whether a change is printed now: with `final` only a closing one, whose state is the last."""
        return alert.activity == "close" if self._wishes.final else self._novelty.is_news(alert)

    def _lines(self, alerts: Iterable[Alert]) -> bytes:
        shown = [alert for alert in alerts if SEVERITIES.index(alert.severity) >= self._floor]
        if self._wishes.evidence is not None:
            for alert in shown:
                alert.evidence.file = str(self._wishes.evidence) if alert.evidence.packets else None
        return b"".join(export.to_json_line(alert) for alert in shown)

    def _write_evidence(self, path: Path) -> None:
        pipeline = self._run.pipeline
        packets = [
            (kept, f"{alert.id} {alert.kind} {alert.subject.ip}")
            for alert in pipeline.alerts()
            for kept in pipeline.packets(alert.id)
        ]
        try:
            export.write_atomic(path.parent, path.name, pcapng(packets, f"nettriage {tool_info().version}"))
        except OSError as error:
            raise unwritable(str(path), error) from error

    def _summary(self) -> Summary:
        run = self._run
        return Summary(
            tool=tool_info(),
            source=run.source,
            window=run.pipeline.window,
            packets=run.packets,
            bytes=run.bytes,
            seconds=round(run.seconds, 6),
            packet_rate=round(run.packets / max(run.seconds, 1e-6), 1),
            alerts_by_severity=self._verdicts.by_severity(),
            alerts_by_kind=self._verdicts.by_kind(),
            capture_health=run.health(),
            limits=run.pipeline.limits(),
            exit_code=self._exit_code(),
        )

    def _exit_code(self) -> int:
        """Return the exit code: a signal first, then an error of the source, then a verdict that asks for one."""
        if self._signal:
            return 128 + self._signal
        if self._run.exit_code:
            return self._run.exit_code
        fail_on = self._wishes.fail_on
        if fail_on is not None and self._verdicts.worst >= SEVERITIES.index(fail_on):
            return int(ExitCode.FAIL_ON)
        return int(ExitCode.DONE)


async def _write(outlets: Iterable[Outlet], lines: bytes) -> None:
    if lines:
        for outlet in outlets:
            await outlet.write(lines)
