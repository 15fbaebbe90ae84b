"""Parts with everyday names are imported from beside the hub, or not at all."""

from __future__ import annotations

import sys

import pytest

from nettriage.cli.unshadowed import assert_unshadowed
from nettriage.model.errors import UsageError


def test_the_installed_parts_pass():
    """Nothing is in the way of an ordinary start."""
    assert_unshadowed()


@pytest.mark.parametrize("name", ["sniff", "themes"])
def test_a_stray_package_is_named(tmp_path, monkeypatch, name):
    """A folder of the same name earlier on the path is named with its place."""
    (tmp_path / name).mkdir()
    (tmp_path / name / "__init__.py").touch()
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, name, raising=False)

    with pytest.raises(UsageError, match=f"'{name}' is shadowed by {tmp_path}"):
        assert_unshadowed()
