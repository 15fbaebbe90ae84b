"""The committed documentation says what the program says."""

from __future__ import annotations

import pytest

from docs.generate import DOCS, generated
from nettriage.cli.arguments import SCHEMA_WORDS


@pytest.mark.parametrize("name", ["detectors.md", *(f"schema/{word}-v1.json" for word in SCHEMA_WORDS)])
def test_generated_files_are_up_to_date(name):
    """`make docs` would change nothing."""
    assert (DOCS / name).read_text() == generated()[DOCS / name], "run make docs"
