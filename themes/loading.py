"""Themes as data: one TOML file each, shipped beside this module or kept in the user's folder."""

from __future__ import annotations

import tomllib
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nettriage.model.alert import SEVERITIES
from nettriage.model.errors import ConfigError, nearest

HEAT_LEVELS = 8
SERIES_LINES = 8
_SHIPPED = Path(__file__).parent
_THEME_BYTES_MAX = 64 * 1024

_KEYS: Mapping[str, tuple[str, ...]] = {
    "theme": ("name", "about", "dark", "ansi"),
    "colors": (
        "primary", "secondary", "warning", "error", "success", "accent", "foreground", "background", "surface", "panel",
    ),
    "roles": (
        "text", "strong", "muted", "track", "accent", "heading", "ok", "warn", "bad", "hostile", "cursor",
        "cursor-idle", "bar", "badge-ok", "badge-busy", "badge-warn", "badge-bad", "badge-calm",
    ),
    "severity": SEVERITIES,
    "series": ("lines",),
    "heat": ("ramp",),
    "glyphs": (
        *SEVERITIES, "spark", "heat", "bar", "track", "threshold", "arrow", "leg", "reverse", "live", "up", "down",
        "crumb",
    ),
}  # fmt: skip
_RAMPS = {("glyphs", "spark"): 9, ("glyphs", "heat"): HEAT_LEVELS}


@dataclass(frozen=True, slots=True)
class ThemeSpec:
    """A theme as read: colours of the frame, styles of everything drawn, and glyphs."""

    name: str
    about: str
    dark: bool
    ansi: bool
    """Whether it uses the terminal's own colours, and only attributes beside them."""
    colors: dict[str, str]
    """Textual's theme fields."""
    roles: dict[str, str]
    """Rich style of each role that widgets draw in."""
    severity: dict[str, str]
    series: tuple[str, ...]
    """Styles of the lines of a graph."""
    heat: tuple[str, ...]
    """Styles of the levels of the heatmap, coldest first."""
    glyphs: dict[str, str]


def names(user_dir: Path | None = None) -> list[str]:
    """Return the names of all themes that can be loaded, shipped ones first."""
    shipped = sorted(path.stem for path in _SHIPPED.glob("*.toml"))
    own = sorted(path.stem for path in user_dir.glob("*.toml")) if user_dir else []
    return list(dict.fromkeys(shipped + own))


def load(name: str, user_dir: Path | None = None) -> ThemeSpec:
    """Return the theme of that name; the user's file wins over a shipped one.

    Raises ConfigError that names the file, the key and the nearest right one.
    """
    known = names(user_dir)
    if name not in known:
        raise ConfigError(f"there is no theme {name!r}{nearest(name, known)}; themes: {', '.join(known)}")
    own = user_dir / f"{name}.toml" if user_dir else None
    path = own if own is not None and own.is_file() else _SHIPPED / f"{name}.toml"
    return parse(_read(path), str(path))


def parse(tables: dict[str, Any], where: str) -> ThemeSpec:
    """Return the theme that the tables describe; raises ConfigError for a wrong, missing or unknown key."""
    _check_names(tables, _KEYS, where, "table")
    for table, keys in _KEYS.items():
        if not isinstance(tables[table], dict):
            raise ConfigError(f"{where}: [{table}] must be a table")
        _check_names(tables[table], keys, f"{where}: [{table}]", "key")
    head = tables["theme"]
    for key in ("dark", "ansi"):
        if not isinstance(head[key], bool):
            raise ConfigError(f"{where}: [theme] {key} must be true or false")
    texts = {table: _texts(tables[table], f"{where}: [{table}]") for table in ("colors", "roles", "severity", "glyphs")}
    for (table, key), length in _RAMPS.items():
        if len(texts[table][key]) != length:
            raise ConfigError(f"{where}: [{table}] {key} must have {length} characters")
    return ThemeSpec(
        name=str(head["name"]), about=str(head["about"]), dark=head["dark"], ansi=head["ansi"],
        colors=texts["colors"], roles=texts["roles"], severity=texts["severity"], glyphs=texts["glyphs"],
        series=_list(tables["series"]["lines"], SERIES_LINES, f"{where}: [series] lines"),
        heat=_list(tables["heat"]["ramp"], HEAT_LEVELS, f"{where}: [heat] ramp"),
    )  # fmt: skip


def _read(path: Path) -> dict[str, Any]:
    try:
        with path.open("rb") as file:
            text = file.read(_THEME_BYTES_MAX + 1)
        if len(text) > _THEME_BYTES_MAX:
            raise ConfigError(f"{path}: a theme has at most {_THEME_BYTES_MAX} bytes")
        return tomllib.loads(text.decode())
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: not TOML: {error}") from error


def _check_names(table: Mapping[str, object], known: Collection[str], where: str, what: str) -> None:
    for key in table:
        if key not in known:
            raise ConfigError(f"{where}: unknown {what} {key!r}{nearest(key, known)}")
    for key in sorted(known):
        if key not in table:
            raise ConfigError(f"{where}: missing {what} {key!r}{nearest(key, set(table) - set(known))}")


def _texts(table: dict[str, object], where: str) -> dict[str, str]:
    texts = {}
    for key, value in table.items():
        if not isinstance(value, str):
            raise ConfigError(f"{where} {key} must be a text, not {value!r}")
        texts[key] = value
    return texts


def _list(value: object, length: int, where: str) -> tuple[str, ...]:
    if not isinstance(value, list) or len(value) != length or not all(isinstance(item, str) for item in value):
        raise ConfigError(f"{where} must be a list of {length} styles")
    return tuple(value)
