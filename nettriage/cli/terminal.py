"""What the terminal can do, found out before a screen is opened."""

from __future__ import annotations

import os
from collections.abc import Mapping

SIZE_MIN = (60, 16)
"""Columns and rows below which the screens have no room."""
_UNKNOWN_TERMS = ("", "dumb", "unknown")


def obstacle(environ: Mapping[str, str] = os.environ, keys_fd: int = 0, picture_fd: int = 2) -> str:
    """Return why no screen can be opened here, or an empty string when one can.

    The screens are drawn on stderr and read keys from stdin, so stdout may go anywhere.
    """
    if not os.isatty(picture_fd):
        return "stderr is no terminal"
    if not os.isatty(keys_fd):
        return "stdin is no terminal"
    term = environ.get("TERM", "")
    if term in _UNKNOWN_TERMS:
        return f"the terminal says that it can do nothing (TERM={term or 'unset'})"
    return ""


def cramped(picture_fd: int = 2) -> str:
    """Return that the screens have no room, empty where they have; an unknown size is left to the screens."""
    columns, rows = size(picture_fd)
    if (columns or rows) and (columns < SIZE_MIN[0] or rows < SIZE_MIN[1]):
        return f"the terminal has {columns}x{rows} cells, the screens need {SIZE_MIN[0]}x{SIZE_MIN[1]}"
    return ""


def size(picture_fd: int = 2) -> tuple[int, int]:
    """Return columns and rows of the terminal; (0, 0) where there is none, or it does not know."""
    try:
        found = os.get_terminal_size(picture_fd)
    except OSError:
        return 0, 0
    return found.columns, found.lines


def colours(environ: Mapping[str, str] = os.environ) -> int:
    """Return how many colours the screens will use here."""
    if environ.get("NO_COLOR"):
        return 0
    if environ.get("COLORTERM", "").lower() in ("truecolor", "24bit"):
        return 1 << 24
    if "256color" in environ.get("TERM", ""):
        return 256
    return 0 if environ.get("TERM", "") in _UNKNOWN_TERMS else 16


def utf8(environ: Mapping[str, str] = os.environ) -> bool:
    """Return whether the locale lets the screens draw with Unicode."""
    chosen = environ.get("LC_ALL") or environ.get("LC_CTYPE") or environ.get("LANG") or ""
    return "utf-8" in chosen.lower() or "utf8" in chosen.lower()
