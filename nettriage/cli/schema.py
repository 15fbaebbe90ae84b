"""``nettriage schema``: the JSON Schemas of what is written and read."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import msgspec

from nettriage.cli.arguments import VerbArguments
from nettriage.cli.installed import catalogue
from nettriage.cli.talk import put
from nettriage.model.alert import ALERT_SCHEMA, Alert
from nettriage.model.errors import ExitCode
from nettriage.model.snapshot import SNAPSHOT_SCHEMA, Snapshot
from nettriage.settings.schema import config_schema


def run(arguments: VerbArguments) -> int:
    """Print one schema to stdout."""
    put(schema_text(arguments.word))
    return ExitCode.DONE


def schema_text(word: str) -> str:
    """Return the schema of ``alert``, ``snapshot`` or ``config`` as indented JSON."""
    return json.dumps(_MAKERS[word](), indent=2, ensure_ascii=False) + "\n"


def _record_schema(record: type[msgspec.Struct], name: str) -> dict[str, Any]:
    """Return the schema of a record; readers must ignore keys that they do not know."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": name,
        **msgspec.json.schema(record),
    }


_MAKERS: dict[str, Callable[[], dict[str, Any]]] = {
    "alert": lambda: _record_schema(Alert, ALERT_SCHEMA),
    "snapshot": lambda: _record_schema(Snapshot, SNAPSHOT_SCHEMA),
    "config": lambda: config_schema(catalogue()),
}
