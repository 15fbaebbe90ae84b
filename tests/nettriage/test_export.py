"""Tests of durable writing."""

from __future__ import annotations

import json
import os
import stat
from pathlib import Path

import pytest

from nettriage import export
from nettriage.model.alert import Tool
from nettriage.model.safetext import SafeStr


def test_an_export_is_whole_private_and_alone(tmp_path: Path) -> None:
    """The file has the content, mode 0600, and no temporary file beside it; an older one is replaced."""
    (tmp_path / "a.json").write_text("old")
    path = export.write_atomic(tmp_path, "a.json", b"new")

    assert path.read_bytes() == b"new"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert os.listdir(tmp_path) == ["a.json"]


def test_a_failed_export_leaves_the_old_file(tmp_path: Path) -> None:
    """Where the name cannot be replaced, the error comes through and nothing is left behind."""
    (tmp_path / "a.json").mkdir()
    with pytest.raises(OSError, match=r"a\.json"):
        export.write_atomic(tmp_path, "a.json", b"new")

    assert os.listdir(tmp_path) == ["a.json"]


def test_a_linked_folder_is_refused(tmp_path: Path) -> None:
    """A symbolic link in place of the folder could lead anywhere."""
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")

    with pytest.raises(OSError, match="symbolic link"):
        export.write_atomic(tmp_path / "link", "a.json", b"new")


@pytest.mark.parametrize("name", ["../a", "a/b", "", ".."])
def test_a_name_is_no_path(tmp_path: Path, name: str) -> None:
    """A name that would leave the folder is an error of the programmer."""
    with pytest.raises(ValueError, match="plain file name"):
        export.write_atomic(tmp_path, name, b"")


def test_names_hold_time_and_id_only() -> None:
    """Whatever the id looks like, the name has only letters, digits and dashes."""
    name = export.export_name("alert", "2026-01-02T03:04:05.678901Z", "a1/../b\n2", "json")

    assert name == "nettriage-alert-20260102T030405-a1b2.json"


def test_json_is_ascii_and_means_the_same() -> None:
    """Every character beyond ASCII is escaped, also beyond the basic plane, and reads back unchanged."""
    record = Tool(name="ü😀", confidence=0.5, evidence=SafeStr("«x»"))

    for text in (export.to_json(record), export.to_json_line(record)):
        assert text.isascii()
        assert json.loads(text) == {"name": "ü😀", "confidence": 0.5, "evidence": "«x»"}
    assert export.to_json_line(record).count(b"\n") == 1
