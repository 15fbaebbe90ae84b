"""A table whose rows change while it is read: rows are known by key, and the cursor stays with its row."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from textual.cache import LRUCache
from textual.events import Click, Resize
from textual.geometry import Size
from textual.message import Message
from textual.scroll_view import ScrollView
from textual.strip import Strip

from tui.columns import Column, header, lay_out, plan
from tui.lines import Line
from tui.painting import PaintedLines, inner_width, palette_of, to_strip

Cells = tuple[Line, ...]
STRIPS_KEPT = 512


class LiveTable(ScrollView, inherit_bindings=False):
    """Rows are asked for only while they are visible, and repainted only where they changed."""

    class Moved(Message):
        """The cursor stands on another row."""

        def __init__(self, table: LiveTable) -> None:
            super().__init__()
            self.table = table

        @property
        def control(self) -> LiveTable:
            """The table."""
            return self.table

    class Opened(Moved):
        """The row under the cursor was clicked once more."""

    def __init__(self, columns: tuple[Column, ...], *, id: str) -> None:
        super().__init__(id=id)
        self.columns = columns
        self.empty: list[Line] = []
        """Shown while there are no rows: proof of life rather than a blank box."""
        self._keys: Sequence[str] = ()
        self._places: dict[str, int] = {}
        self._cells_of: Callable[[str], Cells] = lambda _key: ()
        self._cursor = 0
        self._held = False
        self._painted = PaintedLines(self)
        self._strips: LRUCache[object, Strip] = LRUCache(STRIPS_KEPT)

    @property
    def cursor_key(self) -> str | None:
        """Key of the row under the cursor; None in an empty table."""
        return self._keys[self._cursor] if self._keys else None

    @property
    def cursor_row(self) -> int:
        """Place of the cursor, from 0."""
        return self._cursor

    @property
    def row_count(self) -> int:
        """How many rows there are."""
        return len(self._keys)

    def set_rows(self, keys: Sequence[str], cells_of: Callable[[str], Cells]) -> None:
        """Show `keys` in this order.

        Once somebody works with the table the cursor stays with its row, and that row on its line of the
        screen; before that it stands on the first row, whichever that is.
        """
        before = self.cursor_key
        self._cells_of = cells_of
        if keys != self._keys:
            at_line = self._cursor - round(self.scroll_y)
            self._keys = list(keys)
            self._places = {key: place for place, key in enumerate(self._keys)}
            kept = self._places.get(before or "", min(self._cursor, max(len(keys) - 1, 0)))
            self._cursor = kept if self._held else 0
            self._sized()
            self._scroll(self._cursor - at_line)
        self.repaint()
        if self.cursor_key != before:
            self.post_message(self.Moved(self))

    def repaint(self) -> None:
        """Draw again the visible lines that would look different."""
        self._painted.refresh_changed([self._look(y) for y in range(self.size.height)])

    def hold(self) -> None:
        """Keep the cursor with its row from now on."""
        self._held = True

    def move_to(self, key: str) -> None:
        """Put the cursor on the row of that key, where there is one."""
        if key in self._places:
            self.move_by(self._places[key] - self._cursor)

    def move_by(self, rows: int) -> None:
        """Move the cursor, and scroll so that it is seen."""
        if not self._keys:
            return
        self._held = True
        target = min(max(self._cursor + rows, 0), len(self._keys) - 1)
        moved = target != self._cursor
        self._cursor = target
        self._reveal()
        self.repaint()
        if moved:
            self.post_message(self.Moved(self))

    def move_pages(self, pages: float) -> None:
        """Move the cursor by a share of what is visible."""
        self.move_by(round(pages * max(self.size.height - 1, 1)))

    def move_to_end(self, *, top: bool) -> None:
        """Move the cursor to the first or the last row."""
        self.move_by(-len(self._keys) if top else len(self._keys))

    def render_line(self, y: int) -> Strip:
        """Draw one line of what is visible."""
        look = self._look(y)
        self._painted.drawn(y, look)
        palette = palette_of(self)
        key = (look, inner_width(self), palette.key)
        if (strip := self._strips.get(key)) is None:
            spans, under = look
            strip = self._strips[key] = to_strip(spans, inner_width(self), palette, under)
        return strip

    def on_resize(self, _event: Resize) -> None:
        """Keep the cursor in sight."""
        self._sized()
        self._reveal()

    def on_focus(self) -> None:
        """Show the cursor as active."""
        self.repaint()

    def on_blur(self) -> None:
        """Show the cursor as idle."""
        self.repaint()

    def on_click(self, event: Click) -> None:
        """Move the cursor to the clicked row; a click on the cursor opens it."""
        row = self._row_at(event.get_content_offset_capture(self).y)
        if row is None:
            return
        if row == self._cursor:
            self.post_message(self.Opened(self))
        self.move_by(row - self._cursor)

    def _look(self, y: int) -> tuple[Line, str]:
        planned = plan(self.columns, inner_width(self))
        if y == 0:
            return header(self.columns, planned), ""
        if not self._keys:
            return (self.empty[y - 1] if y <= len(self.empty) else ()), ""
        row = self._row_at(y)
        if row is None:
            return (), ""
        under = "" if row != self._cursor else "cursor" if self.has_focus else "cursor-idle"
        return lay_out(self._cells_of(self._keys[row]), self.columns, planned), under

    def _row_at(self, y: int) -> int | None:
        row = round(self.scroll_y) + y - 1
        return row if y > 0 and row < len(self._keys) else None

    def _sized(self) -> None:
        wanted = Size(inner_width(self), len(self._keys) + 1)
        if self.virtual_size != wanted:
            self.virtual_size = wanted

    def _reveal(self) -> None:
        top, page = round(self.scroll_y), max(self.size.height - 1, 1)
        if self._cursor < top:
            self._scroll(self._cursor)
        elif self._cursor >= top + page:
            self._scroll(self._cursor - page + 1)

    def _scroll(self, top: int) -> None:
        top = max(top, 0)
        if top != round(self.scroll_y):
            self.scroll_to(y=top, animate=False, force=True)
