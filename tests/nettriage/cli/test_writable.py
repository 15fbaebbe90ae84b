"""A file that could not be written at the end of a run is refused before it."""

from __future__ import annotations

import os

import pytest

from nettriage.cli.writable import require_writable
from nettriage.model.errors import UsageError

AS_ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="only root gives privileges up")


@pytest.fixture
def plain_root(monkeypatch):
    """A root shell without sudo."""
    monkeypatch.delenv("SUDO_UID", raising=False)


@AS_ROOT
@pytest.mark.usefixtures("plain_root")
def test_a_folder_of_root_is_refused(tmp_path):
    """Root is given up to nobody, who may not write into root's folders; root itself comes back from the question."""
    with pytest.raises(UsageError, match="nobody may not write there"):
        require_writable("--write", tmp_path)
    assert (os.geteuid(), os.getegid()) == (0, 0)


@AS_ROOT
def test_a_folder_of_the_caller_of_sudo_is_fine(tmp_path, monkeypatch):
    """Under sudo the files belong to the caller."""
    monkeypatch.setenv("SUDO_UID", "1234")
    monkeypatch.setenv("SUDO_GID", "1234")
    reached = tmp_path / "caller"
    reached.mkdir()
    os.chown(reached, 1234, 1234)
    for parent in (tmp_path, tmp_path.parent, tmp_path.parent.parent):
        parent.chmod(0o755)

    require_writable("--alert-log", reached / "alerts.ndjson")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_an_ordinary_user_is_told(tmp_path):
    """A folder without write permission is refused."""
    tmp_path.chmod(0o500)

    with pytest.raises(UsageError, match="you may not write there"):
        require_writable("--write", tmp_path)
