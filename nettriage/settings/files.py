"""The settings files: where they lie, whether they may be trusted, and what they say."""

from __future__ import annotations

import os
import pwd
import stat
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import platformdirs

from nettriage.model.errors import ConfigError, nearest
from nettriage.settings.catalogue import DETECTORS, Catalogue
from nettriage.settings.shapes import Value

SYSTEM_FILE = Path("/etc/nettriage/config.toml")
FILE_MAX_BYTES = 1 << 20


def invoking_uid(environ: Mapping[str, str] = os.environ) -> int:
    """Return the id of the person at the keyboard: under sudo the one who called it."""
    caller = environ.get("SUDO_UID", "")
    return int(caller) if os.geteuid() == 0 and caller.isdecimal() else os.geteuid()


def user_file(environ: Mapping[str, str] = os.environ) -> Path:
    """Return the settings file of the person at the keyboard, whether it exists or not.

    HOME (and XDG_CONFIG_HOME) count only where that home is theirs: sudo and setpriv leave root's behind.
    """
    uid = invoking_uid(environ)
    if uid == os.geteuid() and _owner(Path.home()) == uid:
        return Path(platformdirs.user_config_dir("nettriage")) / "config.toml"
    try:
        home = pwd.getpwuid(uid).pw_dir
    except KeyError:
        home = "/nonexistent"
    return Path(home) / ".config" / "nettriage" / "config.toml"


def _owner(path: Path) -> int:
    """Return the user id that a path belongs to, -1 where it cannot be known."""
    try:
        return path.stat().st_uid
    except OSError:
        return -1


def read(path: Path, catalogue: Catalogue, owners: frozenset[int] | None = None) -> dict[str, Value]:
    """Return the checked values of a settings file by path of their key.

    `owners` are the user ids whose file is believed, None for anybody's. Raises ConfigError that names file,
    key and the nearest known key, and FileNotFoundError where there is no file.
    """
    try:
        document = tomllib.loads(_text(path, owners))
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{path}: {error}") from None
    values = {}
    for name, value in _flat(document, path, catalogue):
        key = catalogue.find(name, f"{path}")
        values[name] = key.check(value, f"{path} [{key.table}]")
    return values


def _text(path: Path, owners: frozenset[int] | None) -> str:
    try:
        with open(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as file:
            facts = os.fstat(file.fileno())
            if not stat.S_ISREG(facts.st_mode):
                raise ConfigError(f"{path}: not a file")
            if owners is not None and facts.st_uid not in owners:
                raise ConfigError(
                    f"{path}: belongs to user {facts.st_uid}, not to you or root: chown it, or use --config"
                )
            if facts.st_size > FILE_MAX_BYTES:
                raise ConfigError(f"{path}: {facts.st_size} bytes are more than settings need")
            return file.read(FILE_MAX_BYTES).decode()
    except FileNotFoundError:
        raise
    except UnicodeDecodeError:
        raise ConfigError(f"{path}: not UTF-8") from None
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}") from None


def _flat(document: Mapping[str, Any], path: Path, catalogue: Catalogue) -> Iterator[tuple[str, object]]:
    """Yield dotted name and value of every key; raises ConfigError for a table that is not known."""
    for table, content in document.items():
        _table(f"{table}", content, path, (*dict.fromkeys(name.partition(".")[0] for name in catalogue.tables),))
        if table != DETECTORS:
            yield from ((f"{table}.{name}", value) for name, value in content.items())
            continue
        for kind, thresholds in content.items():
            _table(kind, thresholds, path, (*catalogue.tunings,), within=f"{DETECTORS}.")
            yield from ((f"{DETECTORS}.{kind}.{name}", value) for name, value in thresholds.items())


def _table(name: str, content: object, path: Path, known: tuple[str, ...], within: str = "") -> None:
    if name not in known:
        what = "table" if isinstance(content, dict) else "key"
        raise ConfigError(f"{path}: unknown {what} {within + name!r}{nearest(name, known)}")
    if not isinstance(content, dict):
        raise ConfigError(f"{path}: {within}{name} is a table, write [{within}{name}]")
