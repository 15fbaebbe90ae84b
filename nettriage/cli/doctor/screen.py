"""Checks of the terminal."""

from __future__ import annotations

from collections.abc import Iterator

from nettriage.cli import terminal
from nettriage.cli.doctor.check import Check

_COLOUR_WORDS = {0: "no colours", 16: "16 colours", 256: "256 colours", 1 << 24: "24-bit colour"}


def checks() -> Iterator[Check]:
    """Yield the checks of the terminal that this runs in."""
    why = terminal.obstacle() or terminal.cramped()
    if why:
        remedy = "nettriage SOURCE --headless   (records on stdout), or ssh -t for a terminal"
        yield Check("warn", f"no screens here: {why}", remedy)
        return
    columns, rows = terminal.size()
    yield Check("ok", f"terminal of {columns}x{rows} cells, {_COLOUR_WORDS[terminal.colours()]}")
    if not terminal.utf8():
        yield Check("warn", "the locale is not UTF-8: graphs may be drawn wrongly", "export LC_ALL=C.UTF-8")
