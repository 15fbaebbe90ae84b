"""The exact command lines that mend what stands in the way of a capture."""

from __future__ import annotations

import os
import shlex
import sys
from pathlib import Path


def with_sudo(words: str) -> str:
    """Return the line that runs nettriage with `words` as root; it gives up root before it reads a packet."""
    return f"sudo {_program()} {words}"


def with_capability(words: str) -> str:
    """Return the line that runs nettriage with `words` as the same user, with nothing but the right to capture."""
    return (
        f"sudo setpriv --reuid={os.getuid()} --regid={os.getgid()} --init-groups"
        f" --inh-caps=+net_raw --ambient-caps=+net_raw {_program()} {words}"
    )


def _program() -> str:
    """Return the command by its path, because sudo searches a path of its own."""
    started = Path(sys.argv[0])
    if started.name == "nettriage":
        return shlex.quote(str(started.absolute()))
    return f"{shlex.quote(sys.executable)} -P -m nettriage"
