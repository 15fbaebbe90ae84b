"""A scrolled list of lines; some of them may be rows that a cursor can stand on."""

from __future__ import annotations

from collections.abc import Sequence

from textual.events import Click
from textual.geometry import Size
from textual.message import Message
from textual.scroll_view import ScrollView
from textual.strip import Strip

from tui.lines import Line
from tui.painting import PaintedLines, inner_width, palette_of, to_strip

LINES_MAX = 4096
"""What goes beyond is cut, and the last line says so."""


class LineList(ScrollView, inherit_bindings=False):
    """Lines as given. Where keys are given beside them, the cursor moves from key to key; else the view scrolls."""

    class Moved(Message):
        """The cursor stands on another key."""

        def __init__(self, lines: LineList) -> None:
            super().__init__()
            self.lines = lines

        @property
        def control(self) -> LineList:
            """The list."""
            return self.lines

    class Opened(Moved):
        """The row under the cursor was clicked once more."""

    def __init__(self, *, id: str) -> None:
        super().__init__(id=id)
        self._lines: Sequence[Line] = ()
        self._keys: Sequence[str] = ()
        self._order: list[str] = []
        self._cursor: str | None = None
        self._painted = PaintedLines(self)

    @property
    def cursor_key(self) -> str | None:
        """Key under the cursor; None where no line has one."""
        return self._cursor

    def set_lines(self, lines: Sequence[Line], keys: Sequence[str] = ()) -> None:
        """Show `lines`; `keys` has the key of each line, empty for one that belongs to none."""
        if len(lines) > LINES_MAX:
            left = len(lines) - LINES_MAX + 1
            lines = [*lines[: LINES_MAX - 1], ((f"… {left} more lines", "muted"),)]
        self._lines, self._keys = lines, keys[: len(lines)]
        self._order = list(dict.fromkeys(key for key in self._keys if key))
        if self._cursor not in self._order:
            self._cursor = self._order[0] if self._order else None
        wanted = Size(inner_width(self), len(lines))
        if self.virtual_size != wanted:
            self.virtual_size = wanted
        self.repaint()

    def repaint(self) -> None:
        """Draw again the visible lines that would look different."""
        self._painted.refresh_changed([self._look(y) for y in range(self.size.height)])

    def move_to(self, key: str) -> None:
        """Put the cursor on `key`, where there is such a line."""
        if key in self._order:
            self.move_by(self._order.index(key) - self._place())

    def move_by(self, rows: int) -> None:
        """Move the cursor by keys, or the view by lines where there are no keys."""
        if not self._order:
            self.scroll_to(y=round(self.scroll_y) + rows, animate=False, force=True)
            return
        before = self._cursor
        self._cursor = self._order[min(max(self._place() + rows, 0), len(self._order) - 1)]
        self._reveal()
        self.repaint()
        if self._cursor != before:
            self.post_message(self.Moved(self))

    def move_pages(self, pages: float) -> None:
        """Move by a share of what is visible."""
        self.move_by(round(pages * max(self.size.height, 1)))

    def move_to_end(self, *, top: bool) -> None:
        """Move to the first or the last line."""
        self.move_by(-len(self._lines) if top else len(self._lines))

    def render_line(self, y: int) -> Strip:
        """Draw one line of what is visible."""
        look = self._look(y)
        self._painted.drawn(y, look)
        spans, under = look
        return to_strip(spans, inner_width(self), palette_of(self), under)

    def on_resize(self) -> None:
        """Keep the width of what is scrolled."""
        self.virtual_size = Size(inner_width(self), len(self._lines))

    def on_focus(self) -> None:
        """Show the cursor as active."""
        self.repaint()

    def on_blur(self) -> None:
        """Show the cursor as idle."""
        self.repaint()

    def on_click(self, event: Click) -> None:
        """Move the cursor to what was clicked; a click on the cursor opens it."""
        at = round(self.scroll_y) + event.get_content_offset_capture(self).y
        key = self._keys[at] if at < len(self._keys) else ""
        if not key:
            return
        if key == self._cursor:
            self.post_message(self.Opened(self))
        self.move_to(key)

    def _place(self) -> int:
        return self._order.index(self._cursor) if self._cursor in self._order else 0

    def _look(self, y: int) -> tuple[Line, str]:
        at = round(self.scroll_y) + y
        if at >= len(self._lines):
            return (), ""
        if not self._order or at >= len(self._keys) or self._keys[at] != self._cursor:
            return self._lines[at], ""
        return self._lines[at], "cursor" if self.has_focus else "cursor-idle"

    def _reveal(self) -> None:
        first = self._keys.index(self._cursor) if self._cursor in self._keys else 0
        last = first
        while last + 1 < len(self._keys) and self._keys[last + 1] == self._cursor:
            last += 1
        top, page = round(self.scroll_y), max(self.size.height, 1)
        if first < top:
            self.scroll_to(y=first, animate=False, force=True)
        elif last >= top + page:
            self.scroll_to(y=min(first, last - page + 1), animate=False, force=True)
