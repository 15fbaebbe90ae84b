"""Errors that a user can act on, each with the exit code that it ends the program with."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from enum import IntEnum


class ExitCode(IntEnum):
    """Exit status of the command (docs/cli.md)."""

    DONE = 0
    RUNTIME = 1
    USAGE = 2
    PERMISSION = 3
    INTERFACE = 4
    CAPTURE = 5
    FAIL_ON = 10


class NettriageError(Exception):
    """An error with a plain-text message for the user and an exit code; never raised by traffic."""

    exit_code = ExitCode.RUNTIME


class UsageError(NettriageError):
    """The command line asks for something impossible."""

    exit_code = ExitCode.USAGE


class ConfigError(NettriageError):
    """A setting is wrong: the message names the file, the key and the nearest right thing."""

    exit_code = ExitCode.USAGE


class CapturePermissionError(NettriageError):
    """The tap may not be opened by this user: the message holds the exact remedy."""

    exit_code = ExitCode.PERMISSION


class InterfaceError(NettriageError):
    """There is no such interface, or it went away for good."""

    exit_code = ExitCode.INTERFACE


class CaptureError(NettriageError):
    """A capture is unreadable or cut; everything readable before the damage has been analysed."""

    exit_code = ExitCode.CAPTURE


def nearest(word: str, known: Iterable[str]) -> str:
    """Return `` (did you mean X?)`` for the known word closest to `word`, or an empty string."""
    close = difflib.get_close_matches(word, list(known), n=1, cutoff=0.5)
    return f" (did you mean {close[0]}?)" if close else ""
