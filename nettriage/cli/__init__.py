"""The command ``nettriage``: it reads the command line, says errors in plain words, and returns an exit code."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from nettriage.cli.talk import say
from nettriage.cli.unshadowed import assert_unshadowed
from nettriage.model.errors import ExitCode, NettriageError

if TYPE_CHECKING:
    from nettriage.cli.arguments import VerbArguments


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command with `argv` (without the program's name) and return its exit code."""
    words = list(sys.argv[1:] if argv is None else argv)
    try:
        return _dispatch(words)
    except NettriageError as error:
        say(str(error))
        return error.exit_code
    except KeyboardInterrupt:
        return 128 + signal.SIGINT
    except BrokenPipeError:
        # the reader of stdout is gone: what is still buffered has nowhere to go
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 128 + signal.SIGPIPE
    except OSError as error:
        say(": ".join(str(part) for part in (error.filename, error.strerror) if part))
        return ExitCode.RUNTIME


def _dispatch(words: list[str]) -> int:
    from nettriage.cli.arguments import VERBS, parse_run, parse_verb

    if words and words[0] in VERBS:
        return _verb(words[0], parse_verb(words[0], words[1:]))
    arguments = parse_run(words)
    assert_unshadowed()
    if arguments.list_interfaces or not arguments.source:
        from nettriage.cli import interfaces

        return interfaces.run(hint=not arguments.list_interfaces)
    from nettriage.cli.run import run

    return run(arguments)


def _verb(verb: str, arguments: VerbArguments) -> int:
    assert_unshadowed()
    if verb == "explain":
        from nettriage.cli.explain import run
    elif verb == "config":
        from nettriage.cli.config import run
    elif verb == "schema":
        from nettriage.cli.schema import run
    else:
        from nettriage.cli.doctor import run
    return run(arguments)
