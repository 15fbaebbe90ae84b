"""From lines of spans to strips of the terminal, and widgets that repaint only the lines that changed."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from rich.segment import Segment
from textual.content import Content
from textual.geometry import Region
from textual.strip import Strip
from textual.widget import Widget

from tui.lines import Line, fit
from tui.theming import Palette

if TYPE_CHECKING:
    from tui.app import NettriageApp


def to_strip(spans: Line, width: int, palette: Palette, under: str = "") -> Strip:
    """Return a strip of exactly `width` cells; `under` is the role that the whole line lies on."""
    segments = [Segment(text, palette.style(role, under)) for text, role in fit(spans, width)]
    return Strip(segments, width)


def palette_of(widget: Widget) -> Palette:
    """Return the palette in force."""
    return cast("NettriageApp", widget.app).palette


def set_titles(widget: Widget, title: str, subtitle: str = "") -> None:
    """Set both titles of a border as plain text; nothing in them is markup. Repaints only on change."""
    wanted = (title, subtitle)
    if getattr(widget, "_titles_shown", None) == wanted:
        return
    widget._titles_shown = wanted  # type: ignore[attr-defined]  # a memo of our own, beside Textual's fields
    widget.border_title = Content(title)
    widget.border_subtitle = Content(subtitle)


def inner_width(widget: Widget) -> int:
    """Return the cells of a line: without border, padding and scrollbar."""
    return widget.scrollable_content_region.width


class PaintedLines:
    """What stands on the screen, line by line, so that only changed lines are drawn again."""

    def __init__(self, widget: Widget) -> None:
        """Begin with an empty screen."""
        self._widget = widget
        self._lines: dict[int, object] = {}

    def drawn(self, y: int, look: object) -> None:
        """Note how line `y` looks now; called from `render_line`."""
        self._lines[y] = look

    def refresh_changed(self, looks: list[object]) -> None:
        """Repaint the lines of the widget whose look, in order from the top, differs from what stands there."""
        width = self._widget.size.width
        changed = [
            Region(0, y, width, 1) for y, look in enumerate(looks) if y not in self._lines or self._lines[y] != look
        ]
        if changed:
            self._widget.refresh(*changed)
