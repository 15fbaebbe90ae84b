"""Writes the generated part of the documentation: the reference of detectors, and the schemas."""

from __future__ import annotations

from pathlib import Path

from detectors.registry import installed_detectors
from nettriage.cli.arguments import SCHEMA_WORDS
from nettriage.cli.explain import reference
from nettriage.cli.schema import schema_text

DOCS = Path(__file__).parent


def generated() -> dict[Path, str]:
    """Return every generated file with its content."""
    schemas = {DOCS / "schema" / f"{word}-v1.json": schema_text(word) for word in SCHEMA_WORDS}
    return {DOCS / "detectors.md": reference(installed_detectors()), **schemas}


if __name__ == "__main__":
    for path, content in generated().items():
        path.parent.mkdir(exist_ok=True)
        path.write_text(content)
