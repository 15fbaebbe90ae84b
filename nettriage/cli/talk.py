"""The two voices of the command: data goes to stdout, talk goes to stderr."""

from __future__ import annotations

import sys

from nettriage.model.safetext import safe

PROGRAM = "nettriage"
_LINE_MAX = 2_000


def say(message: str) -> None:
    """Write a message for people to stderr, each line made harmless."""
    lines = [safe(line, _LINE_MAX).replace("\\\\", "\\") for line in message.splitlines()]
    sys.stderr.write(f"{PROGRAM}: " + "\n".join(lines) + "\n")
    sys.stderr.flush()


def put(text: str) -> None:
    """Write data to stdout, ending with a newline."""
    sys.stdout.write(text if text.endswith("\n") else text + "\n")
    sys.stdout.flush()
