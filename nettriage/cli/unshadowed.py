"""A guard against files that would be imported in place of the parts of the program."""

from __future__ import annotations

import sys
from importlib.util import find_spec
from pathlib import Path

import nettriage
from nettriage.model.errors import UsageError

WINGS = ("sniff", "detectors", "tui", "themes")


def assert_unshadowed() -> None:
    """Raise UsageError where a wing would not be imported from beside `nettriage`; imports nothing.

    The wings have everyday names, and ``python -m`` puts the working folder first on the path: a stray
    ``tui.py`` there would run with the privileges of a capture.
    """
    home = Path(nettriage.__file__).resolve().parent.parent
    for name in WINGS:
        origin = _origin(name)
        if origin is None:
            raise UsageError(f"the part {name!r} is missing beside {home / 'nettriage'}: install nettriage again")
        if Path(origin).resolve().parent.parent != home:
            raise UsageError(f"import name {name!r} is shadowed by {origin}: start nettriage from another folder")


def _origin(name: str) -> str | None:
    if name in sys.modules:
        return sys.modules[name].__file__
    spec = find_spec(name)
    return spec.origin if spec else None
