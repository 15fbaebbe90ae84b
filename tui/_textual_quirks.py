"""Ways round Textual 8.2.8: its crash report prints local variables, so packet data, raw to the terminal."""

from __future__ import annotations

import os
import tempfile
import traceback
from pathlib import Path

import platformdirs
from textual.app import App

from nettriage.model.safetext import SafeStr, safe

REPORTS_MAX = 5
"""A fault that repeats fills no disk."""


class QuietCrashApp(App[int]):
    """An app whose crash is one harmless line; the report goes to a file that only its owner reads."""

    crash: SafeStr | None = None
    """What broke first and where the report is; None while nothing did."""
    reports = 0
    """Reports written in this run."""

    def _fatal_error(self) -> None:
        """Replace the traceback with local variables (`App._fatal_error` of 8.2.8) by a report without them."""
        if self.crash is None:
            self.crash = self.note_crash(self._exception)
        self._close_messages_no_wait()

    def note_crash(self, error: BaseException | None) -> SafeStr:
        """Write the report of an error and return one line about it."""
        name = type(error).__name__ if error else "unknown error"
        if self.reports >= REPORTS_MAX:
            return safe(f"the screens broke again: {name}")
        self.reports += 1
        try:
            path = _write("".join(traceback.format_exception(error)) if error else name)
        except OSError as problem:
            return safe(f"the screens broke: {name}; no report: {problem}")
        return safe(f"the screens broke: {name}; report: {path}")


def _write(report: str) -> Path:
    """Write a report with mode 0600 into the user's state folder and return its path."""
    folder = Path(platformdirs.user_state_dir("nettriage"))
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    handle, path = tempfile.mkstemp(prefix="crash-", suffix=".txt", dir=folder)
    with os.fdopen(handle, "w", encoding="utf-8", errors="backslashreplace") as file:
        file.write(report)
    return Path(path)
