"""``nettriage doctor``: whether this host can capture here, and how to mend what stands in the way."""

from __future__ import annotations

from nettriage.cli.arguments import VerbArguments
from nettriage.cli.doctor import host, interface, screen
from nettriage.cli.doctor.check import Check
from nettriage.cli.talk import put
from nettriage.model.errors import ExitCode


def run(arguments: VerbArguments) -> int:
    """Print one line for each check, and the remedy below each that did not pass.

    Returns `PERMISSION` where this user may not capture; raises InterfaceError for an interface that there is not.
    """
    checks = [*host.checks(arguments.word)]
    if arguments.word:
        checks += interface.checks(arguments.word)
    checks += screen.checks()
    put("\n".join(map(_line, checks)))
    return ExitCode.PERMISSION if any(check.status == "fail" for check in checks) else ExitCode.DONE


def _line(check: Check) -> str:
    lines = [f"{check.status:<4}  {check.what}"]
    lines += [f"      {line}" for line in check.remedy.splitlines()]
    return "\n".join(lines)
