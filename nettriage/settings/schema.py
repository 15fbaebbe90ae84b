"""The JSON Schema of a settings file, made from the same keys that check it."""

from __future__ import annotations

from typing import Any

from nettriage.settings.catalogue import DETECTORS, Catalogue, Key
from nettriage.settings.render import describe
from nettriage.settings.shapes import Value

CONFIG_SCHEMA = "nettriage.config/1"


def config_schema(catalogue: Catalogue) -> dict[str, Any]:
    """Return the schema (draft 2020-12) of a settings file."""
    tables: dict[str, Any] = {}
    for key in catalogue:
        properties = tables.setdefault(key.table, {})
        properties[key.name] = {**key.shape.schema(), "default": _plain(key.default), "description": _described(key)}
    detectors = {name.removeprefix(f"{DETECTORS}."): _closed(keys) for name, keys in tables.items() if "." in name}
    fixed = {name: _closed(keys) for name, keys in tables.items() if "." not in name}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": CONFIG_SCHEMA,
        **_closed({**fixed, DETECTORS: _closed(detectors)}),
    }


def _closed(properties: dict[str, Any]) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "additionalProperties": False}


def _plain(value: Value) -> Any:  # noqa: ANN401 - JSON
    return list(value) if isinstance(value, tuple) else value


def _described(key: Key) -> str:
    return f"{key.why} [{key.shape.unit}]" if key.shape.unit else describe(key)
