"""``nettriage SOURCE``: one run, as screens, as lines of JSON, or as a plain report."""

from __future__ import annotations

import os
import shlex
import sys

from nettriage.cli import terminal
from nettriage.cli.arguments import RunArguments
from nettriage.cli.installed import catalogue
from nettriage.cli.remedies import with_capability, with_sudo
from nettriage.cli.sourcing import STREAM, Chosen, choose
from nettriage.cli.talk import say
from nettriage.model.errors import CapturePermissionError, UsageError
from nettriage.settings.effective import Settings
from nettriage.settings.load import load


def run(arguments: RunArguments) -> int:
    """Run a source to its end and return the exit code; raises NettriageError for what the user can mend."""
    try:
        return _run(arguments)
    except CapturePermissionError:
        words = shlex.join(arguments.words)
        raise CapturePermissionError(
            f"capturing on {arguments.source} needs CAP_NET_RAW, which this user does not have. Either\n"
            f"  {with_sudo(words)}\nor, without the other powers of root:\n  {with_capability(words)}"
        ) from None


def _run(arguments: RunArguments) -> int:
    settings = load(
        catalogue(), config=arguments.config, assignments=arguments.assignments, options=arguments.options
    )  # fmt: skip
    source = choose(arguments)
    if arguments.headless:
        from nettriage.cli.plain import print_lines

        return print_lines(arguments, settings, source)
    why = _why_plain(source)
    if not why:
        return _show(arguments, settings, source)
    if source.is_live:
        raise UsageError(f"no screens here: {why}\nnettriage {source.shown} --headless prints alert records instead")
    if why != _REDIRECTED:
        say(f"no screens here, a plain report instead: {why}")
    from nettriage.cli.plain import print_report

    return print_report(arguments, settings, source)


_REDIRECTED = "stdout is no terminal"


def _why_plain(source: Chosen) -> str:
    """Return why there are no screens, empty where there are; raises UsageError for a window that is too small."""
    if not source.is_live and not sys.stdout.isatty():
        return _REDIRECTED
    keys = _controlling_terminal() if source.name == STREAM else 0
    why = terminal.obstacle(keys_fd=keys)
    if keys > 0:
        os.close(keys)
    if not why and (small := terminal.cramped()):
        raise UsageError(f"{small}: enlarge the window, or use --headless")
    return why


def _controlling_terminal() -> int:
    """Return a descriptor of the terminal for keys when stdin is the packets; -1 where there is none."""
    try:
        return os.open("/dev/tty", os.O_RDWR | os.O_CLOEXEC)
    except OSError:
        return -1


def _show(arguments: RunArguments, settings: Settings, source: Chosen) -> int:
    wanted = {
        "--fail-on": arguments.fail_on, "--write": arguments.write,
        "--alert-log": arguments.options.get("output.alert_log"),
        "--min-severity": arguments.options.get("output.min_severity"),
    }  # fmt: skip
    for option, value in wanted.items():
        if value:
            raise UsageError(f"{option} belongs to --headless: the screens have a filter (/) and an export (e)")
    from nettriage.cli.screens import show

    return show(arguments, settings, source)
