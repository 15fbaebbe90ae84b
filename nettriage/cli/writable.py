"""Whether a file can still be written once privileges are given up: asked before the run, not lost after it."""

from __future__ import annotations

import os
import pwd
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from nettriage.engine.privileges import Account, invoking_account
from nettriage.model.errors import UsageError


def require_writable(option: str, place: Path) -> None:
    """Raise UsageError unless the user that the run becomes may write the file, or make files in the folder."""
    folder = place if place.is_dir() else place.parent
    target = place if place.exists() else folder
    account = invoking_account(os.environ) if os.geteuid() == 0 else None
    with _as(account):
        if os.access(target, os.W_OK, effective_ids=account is not None):
            return
    if account is None:
        raise UsageError(f"{option} {place}: you may not write there")
    name = pwd.getpwuid(account.uid).pw_name
    raise UsageError(
        f"{option} {place}: {name} may not write there, and root is given up to {name} before a packet is read:\n"
        f"choose a folder that {name} may write, or start with sudo from an account that may"
    )


@contextmanager
def _as(account: Account | None) -> Iterator[None]:
    """Be another user for a question; root comes back afterwards."""
    if account is None:
        yield
        return
    groups = os.getgroups()
    os.setgroups([])
    os.setegid(account.gid)
    os.seteuid(account.uid)
    try:
        yield
    finally:
        os.seteuid(0)
        os.setegid(0)
        os.setgroups(groups)
