"""Runs without screens: lines of JSON as they come, or a report at the end."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import BinaryIO, cast

import msgspec

from nettriage.cli.arguments import RunArguments
from nettriage.cli.report import report
from nettriage.cli.sourcing import Chosen
from nettriage.cli.talk import put
from nettriage.cli.writable import require_writable
from nettriage.engine.config import RunConfig
from nettriage.engine.headless import Headless, run_headless
from nettriage.model.alert import Alert, Severity
from nettriage.model.snapshot import Summary
from nettriage.settings.effective import Settings


def print_lines(arguments: RunArguments, settings: Settings, source: Chosen) -> int:
    """Print alert records and the summary to stdout; return the exit code."""
    return run_headless(
        run_config(arguments, settings, source, speed=0.0), _wishes(arguments, settings, arguments.final)
    )


def print_report(arguments: RunArguments, settings: Settings, source: Chosen) -> int:
    """Print a report for people to stdout when the source has ended; return the exit code."""
    with tempfile.TemporaryFile() as lines:
        config = run_config(arguments, settings, source, speed=0.0)
        code = run_headless(config, _wishes(arguments, settings, final=True), lines.fileno())
        lines.seek(0)
        put(_report_of(cast("BinaryIO", lines)))
    return code


def run_config(
    arguments: RunArguments, settings: Settings, source: Chosen, *, speed: float, log_file: str = ""
) -> RunConfig:
    """Return what the engine is to run; `speed` is the pace where none was asked for, 0 for as fast as possible."""
    asked = arguments.speed
    return RunConfig.of(
        settings, source.name, speed=speed if asked is None else 0.0 if asked == "max" else asked, loop=arguments.loop,
        count=arguments.count, source_type=source.type, log_file=log_file,
    )  # fmt: skip


def _wishes(arguments: RunArguments, settings: Settings, final: bool) -> Headless:
    log = Path(settings.output.alert_log) if settings.output.alert_log else None
    if log is not None:
        require_writable("--alert-log", log)
    if arguments.write is not None:
        require_writable("--write", arguments.write.absolute().parent)
    return Headless(
        final=final, min_severity=settings.output.min_severity, alert_log=log, evidence=arguments.write,
        fail_on=cast("Severity | None", arguments.fail_on),
    )  # fmt: skip


def _report_of(lines: BinaryIO) -> str:
    *records, summary = lines.read().splitlines()
    alerts = map(msgspec.json.Decoder(Alert).decode, records)
    return report(alerts, msgspec.json.decode(summary, type=Summary))
