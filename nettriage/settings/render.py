"""The settings as TOML: the effective ones with their origins, and a commented template."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Iterator

from nettriage.settings.catalogue import Catalogue, Key
from nettriage.settings.effective import Settings
from nettriage.settings.shapes import Number, Text, Value

_COLUMN = 44


def effective_toml(catalogue: Catalogue, settings: Settings) -> str:
    """Return every effective value, with the place it comes from as a comment; valid as a settings file."""
    lines = [f"# digest {settings.digest}"]
    for table in catalogue.tables:
        lines += ["", f"[{table}]"]
        for key in _of(catalogue, table):
            assignment = f"{key.name} = {literal(settings.values[key.path])}"
            lines.append(f"{assignment:<{_COLUMN}} # {settings.origins[key.path]}")
    return "\n".join(lines) + "\n"


def template_toml(catalogue: Catalogue) -> str:
    """Return a settings file in which every key is explained, at its default, and commented out."""
    lines = [
        "# Settings of nettriage. Every key stands here at its default; remove the # of the ones to change.",
        "# Stronger than this file: --config FILE, NETTRIAGE_TABLE_KEY variables, and the command line.",
    ]
    for table in catalogue.tables:
        lines += ["", f"[{table}]"]
        for key in _of(catalogue, table):
            lines += textwrap.wrap(describe(key), 118, initial_indent="# ", subsequent_indent="# ")
            lines.append(f"#{key.name} = {literal(key.default)}")
    return "\n".join(lines) + "\n"


def describe(key: Key) -> str:
    """Return reason, unit and range of a key in one line."""
    shape = key.shape
    if isinstance(shape, Number):
        return f"{key.why} [{shape.unit}, {shape.lo} to {shape.hi}]"
    if isinstance(shape, Text) and shape.choices:
        return f"{key.why} [{', '.join(shape.choices)}]"
    return key.why


def literal(value: Value) -> str:
    """Return a value as TOML writes it."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, tuple):
        return "[" + ", ".join(map(literal, value)) + "]"
    return json.dumps(value, ensure_ascii=False)


def _of(catalogue: Catalogue, table: str) -> Iterator[Key]:
    return (key for key in catalogue if key.table == table)
