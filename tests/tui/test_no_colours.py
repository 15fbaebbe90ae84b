"""Colours live in theme files alone."""

import re
from pathlib import Path

import tui
from themes.loading import load
from tui.theming import Palette

FOLDER = Path(tui.__file__).parent
COLOUR = re.compile(r"#[0-9a-fA-F]{6}\b|\brgb\(|\b(?:red|green|blue|yellow|cyan|magenta|bright_\w+)\b")


def test_no_widget_names_a_colour() -> None:
    """Neither code nor style sheets of the screens have a colour in them."""
    found = {
        f"{path.name}: {match.group()}"
        for path in [*FOLDER.glob("*.py"), *FOLDER.glob("*.tcss")]
        for match in COLOUR.finditer(path.read_text())
    }

    assert found == set()


def test_every_role_that_is_drawn_is_in_the_themes() -> None:
    """Every literal role in the screens is one that themes have."""
    roles = Palette(load("night")).roles
    spans = re.compile(r'", "([a-z]+(?:-[a-z0-9]+)*)"\)')
    drawn = {match.group(1) for path in FOLDER.glob("*.py") for match in spans.finditer(path.read_text())}
    styles = {role for role in drawn if role.startswith(("badge-", "severity-", "heat-", "series-", "cursor-"))}

    assert styles <= roles
    assert {"text", "muted", "strong", "warn", "bad", "ok", "accent", "heading"} <= roles
