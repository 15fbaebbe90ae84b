"""From theme data to what Textual and the widgets use: the frame's colours, and a style for each role."""

from __future__ import annotations

from rich.errors import StyleSyntaxError
from rich.style import Style
from textual.theme import Theme

from nettriage.model.errors import ConfigError
from themes.loading import ThemeSpec


class Palette:
    """Styles by role and glyphs by name; read-only. `key` tells palettes apart in caches."""

    def __init__(self, spec: ThemeSpec) -> None:
        """Parse every style of the theme; raises ConfigError naming the one that is none."""
        self.key = spec.name
        self.glyphs = spec.glyphs
        roles = dict(spec.roles)
        roles |= {f"severity-{name}": style for name, style in spec.severity.items()}
        roles |= {f"series-{at}": style for at, style in enumerate(spec.series)}
        roles |= {f"heat-{at}": style for at, style in enumerate(spec.heat)}
        self._ground = _parsed(spec, "foreground", _ground(spec))
        self._styles = {role: self._ground + _parsed(spec, role, style) for role, style in roles.items()}
        self._plain = {role: _parsed(spec, role, style) for role, style in roles.items()}

    def style(self, role: str, under: str = "") -> Style:
        """Return the style of `role`, laid over the style of the role `under` where one is given.

        Raises KeyError for a role that no theme has.
        """
        if not under:
            return self._styles[role]
        return self._styles[under] + self._plain[role]

    @property
    def roles(self) -> frozenset[str]:
        """All roles."""
        return frozenset(self._styles)


def textual_theme(spec: ThemeSpec) -> Theme:
    """Return the Textual theme of the frame: borders, scrollbars, input."""
    colors = spec.colors
    line, ground, front = colors["panel"], colors["background"], colors["foreground"]
    variables = {
        "border": colors["primary"], "border-blurred": line,
        "scrollbar": line, "scrollbar-hover": colors["primary"], "scrollbar-active": colors["primary"],
        "scrollbar-background": ground, "scrollbar-background-hover": ground,
        "scrollbar-background-active": ground, "scrollbar-corner-color": ground,
        "input-cursor-background": front, "input-cursor-foreground": ground,
        "input-cursor-text-style": "reverse" if spec.ansi else "none",
        "ansi-background": ground, "ansi-foreground": front,
    }  # fmt: skip
    return Theme(
        name=spec.name, dark=spec.dark, ansi=spec.ansi, variables=variables,
        primary=colors["primary"], secondary=colors["secondary"], warning=colors["warning"], error=colors["error"],
        success=colors["success"], accent=colors["accent"], foreground=front, background=ground,
        surface=colors["surface"], panel=line,
    )  # fmt: skip


def _ground(spec: ThemeSpec) -> str:
    return "" if spec.ansi else f"{spec.colors['foreground']} on {spec.colors['background']}"


def _parsed(spec: ThemeSpec, role: str, style: str) -> Style:
    try:
        return Style.parse(style)
    except StyleSyntaxError as error:
        raise ConfigError(f"theme {spec.name}: {role} = {style!r} is no style: {error}") from error
