"""Themes as data."""

import tomllib
from pathlib import Path
from typing import Any

import pytest
from rich.style import Style
from textual.color import Color

import themes
from nettriage.model.alert import SEVERITIES
from nettriage.model.errors import ConfigError
from themes.loading import load, names, parse
from tui.theming import Palette, textual_theme

SHIPPED = Path(themes.__file__).parent


def _tables(name: str = "night") -> dict[str, Any]:
    return tomllib.loads((SHIPPED / f"{name}.toml").read_text())


def _luminance(color: Color) -> float:
    parts = [value / 255 for value in (color.r, color.g, color.b)]
    linear = [value / 12.92 if value <= 0.04045 else ((value + 0.055) / 1.055) ** 2.4 for value in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def _contrast(style: Style) -> float:
    assert style.color is not None
    assert style.bgcolor is not None
    ends = sorted(_luminance(Color.from_rich_color(color)) for color in (style.color, style.bgcolor))
    return (ends[1] + 0.05) / (ends[0] + 0.05)


@pytest.mark.parametrize("name", names())
def test_every_shipped_theme_loads(name: str) -> None:
    """Every style parses, and the frame can be drawn with it."""
    spec = load(name)

    assert spec.name == name
    assert Palette(spec).roles
    assert textual_theme(spec).name == name


@pytest.mark.parametrize("name", [name for name in names() if not load(name).ansi])
def test_text_can_be_read(name: str) -> None:
    """Everything that is read has a contrast of 4.5 to 1 or more (WCAG 2.1, 1.4.3), also on the cursor."""
    palette = Palette(load(name))
    read = palette.roles - {"track", "cursor", "cursor-idle", "bar", "heat-0", "hostile"}

    assert {role: _contrast(palette.style(role)) for role in read if _contrast(palette.style(role)) < 4.5} == {}
    for role in ("text", "strong", "muted", "accent", "warn", "severity-high", "severity-medium", "severity-low"):
        assert _contrast(palette.style(role, "cursor")) >= 3, role
        assert _contrast(palette.style(role, "cursor-idle")) >= 4.5, role


def test_mono_has_no_colour() -> None:
    """The colourless theme is colourless: attributes only, and levels still differ by glyph."""
    palette = Palette(load("mono"))

    assert all(palette.style(role).color is None and palette.style(role).bgcolor is None for role in palette.roles)
    assert len(set(palette.glyphs["heat"])) == 8


@pytest.mark.parametrize("name", names())
def test_severities_differ_without_colour(name: str) -> None:
    """Neighbouring severities differ by mark or attribute; the word stands beside it anyway."""
    glyphs = load(name).glyphs

    assert all(len(glyphs[severity]) == 1 for severity in SEVERITIES)
    assert len({glyphs[severity] for severity in SEVERITIES}) >= 4


@pytest.mark.parametrize(
    ("table", "key", "value", "says"),
    [("roles", "acent", "red", "unknown key 'acent' .did you mean accent"), ("glyphs", "spark", "12", "9 characters"),
     ("heat", "ramp", ["red"], "list of 8"), ("theme", "dark", "yes", "true or false"),
     ("colors", "primary", 5, "a text"), ("severity", "critical", "blinkish #zz", "is no style")],
)  # fmt: skip
def test_a_wrong_key_is_named_with_file_and_remedy(table: str, key: str, value: object, says: str) -> None:
    """Errors name the file, the table, the key and the nearest right one."""
    tables = _tables()
    tables[table][key] = value
    with pytest.raises(ConfigError, match=says):
        Palette(parse(tables, "mine.toml"))


def test_a_missing_key_is_named() -> None:
    """Nothing is filled in silently."""
    tables = _tables()
    del tables["roles"]["muted"]
    with pytest.raises(ConfigError, match=r"mine.toml: \[roles\]: missing key 'muted'"):
        parse(tables, "mine.toml")


def test_an_unknown_theme_names_the_nearest(tmp_path: Path) -> None:
    """A slip of the finger is answered with the right name."""
    with pytest.raises(ConfigError, match="did you mean night"):
        load("nigth", tmp_path)


def test_the_users_theme_wins(tmp_path: Path) -> None:
    """A file in the user's folder is a theme of its own, or replaces a shipped one."""
    own = (SHIPPED / "night.toml").read_text().replace("dark, safe", "mine, safe")
    (tmp_path / "night.toml").write_text(own)
    (tmp_path / "paper.toml").write_text(own)

    assert load("night", tmp_path).about.startswith("mine")
    assert names(tmp_path) == ["mono", "night", "paper"]


@pytest.mark.parametrize("content", [b"[theme", b"\xff\xfe", b"a = 1\n" * 20_000])
def test_a_damaged_file_is_an_error_with_its_name(tmp_path: Path, content: bytes) -> None:
    """Not TOML, not UTF-8, too long: each names the file."""
    (tmp_path / "odd.toml").write_bytes(content)
    with pytest.raises(ConfigError, match=r"odd\.toml"):
        load("odd", tmp_path)
