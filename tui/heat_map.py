"""The port fan-out map: sources against port bins, each cell a colour and a glyph."""

from __future__ import annotations

from itertools import groupby

from textual.events import Click
from textual.message import Message
from textual.strip import Strip
from textual.widget import Widget

from nettriage.model.panel import PORT_BINS, FanoutRow, Panel
from tui import figures
from tui.lines import Line, Span, fit, span
from tui.painting import PaintedLines, palette_of, set_titles, to_strip

LEVEL_FLOORS = (1, 2, 4, 16, 64, 256, 1000)
"""Least value of levels 1 to 7: about powers of four, so that one probe and a sweep are told apart."""
LABEL_CELLS = 16
TOTAL_CELLS = 6
CELL_WIDTH_MAX = 3


def level_of(value: int) -> int:
    """Return the level, 0 to 7, that a cell of `value` is drawn in."""
    return sum(value >= floor for floor in LEVEL_FLOORS)


def axis(cell_width: int) -> Line:
    """Return the labels of the bins: each one that fits without touching the one before."""
    text = ""
    for at, (label, _, _) in enumerate(PORT_BINS):
        start = at * cell_width
        room = len(PORT_BINS) * cell_width - start
        if (not text or start > len(text)) and len(label) <= room:
            text = text.ljust(start) + label
    return fit(((text, "muted"),), len(PORT_BINS) * cell_width)


class HeatMap(Widget, can_focus=True):
    """Rows are sources, columns port bins: a filled row is a vertical scan, a bright cell a sweep."""

    class Moved(Message):
        """The cursor stands on another source or bin."""

        def __init__(self, heat: HeatMap) -> None:
            super().__init__()
            self.heat = heat

        @property
        def control(self) -> HeatMap:
            """The map."""
            return self.heat

    def __init__(self, *, id: str) -> None:
        super().__init__(id=id)
        self._panel = Panel(window_s=0, step_s=0, rows=[])
        self._source: str | None = None
        self._bin = 0
        self._top = 0
        self._painted = PaintedLines(self)

    @property
    def cursor_key(self) -> str | None:
        """Address of the source under the cursor."""
        return self._source

    def set_panel(self, panel: Panel | None, order: list[str]) -> None:
        """Show the rows of `panel`, those of `order` first and in that order."""
        panel = panel or Panel(window_s=0, step_s=0, rows=[])
        places = {ip: place for place, ip in enumerate(order)}
        rows = sorted(panel.rows, key=lambda row: places.get(row.ip, len(places)))
        self._panel = Panel(
            window_s=panel.window_s, step_s=panel.step_s, rows=rows, bin_sources=panel.bin_sources
        )  # fmt: skip
        if self._row() is None:
            self._source = rows[0].ip if rows else None
        self.repaint()

    def repaint(self) -> None:
        """Draw again the lines that would look different."""
        self._reveal()
        self._painted.refresh_changed([self._look(y) for y in range(self.size.height)])
        span_text = f"{figures.duration(self._panel.window_s)} window" if self._panel.window_s else ""
        set_titles(self, "3 Port fan-out", self.exact() if self.has_focus else span_text)

    def exact(self) -> str:
        """Return what stands under the cursor, in words."""
        row = self._row()
        if row is None:
            return ""
        contacts = row.cells[self._bin] if self._bin < len(row.cells) else 0
        fails = figures.percent(row.failed / row.settled) if row.settled else "n/a"
        return (
            f"{row.ip} × {PORT_BINS[self._bin][0]}: {figures.plural(contacts, 'contact')}"
            f" · source: {figures.plural(row.hosts, 'host')}, {fails} fail, {row.open} open"
        )

    def move_by(self, rows: int) -> None:
        """Move the cursor to another source."""
        if self._panel.rows:
            at = min(max(self._place() + rows, 0), len(self._panel.rows) - 1)
            self._source = self._panel.rows[at].ip
        self.repaint()
        self.post_message(self.Moved(self))

    def move_to(self, key: str) -> None:
        """Move the cursor to the source of that address, where it is on the map."""
        places = [at for at, row in enumerate(self._panel.rows) if row.ip == key]
        if places:
            self.move_by(places[0] - self._place())

    def move_sideways(self, bins: int) -> None:
        """Move the cursor to another bin."""
        self._bin = min(max(self._bin + bins, 0), len(PORT_BINS) - 1)
        self.repaint()
        self.post_message(self.Moved(self))

    def move_pages(self, pages: float) -> None:
        """Move the cursor by a share of what is visible."""
        self.move_by(round(pages * self._rows_visible()))

    def move_to_end(self, *, top: bool) -> None:
        """Move the cursor to the first or last source."""
        self.move_by(-len(self._panel.rows) if top else len(self._panel.rows))

    def render_line(self, y: int) -> Strip:
        """Draw one line."""
        look = self._look(y)
        self._painted.drawn(y, look)
        return to_strip(look, self.size.width, palette_of(self))

    def on_focus(self) -> None:
        """Show the cursor."""
        self.repaint()

    def on_blur(self) -> None:
        """Hide the cursor."""
        self.repaint()

    def on_resize(self) -> None:
        """Keep the cursor in sight."""
        self.repaint()

    def on_click(self, event: Click) -> None:
        """Move the cursor to the clicked cell."""
        at = event.get_content_offset_capture(self)
        row = self._top + at.y - 1
        if 0 <= row < len(self._panel.rows) and at.y <= self._rows_visible():
            self._source = self._panel.rows[row].ip
            self._bin = min(max((at.x - LABEL_CELLS) // self._cell_width(), 0), len(PORT_BINS) - 1)
            self.repaint()

    def _look(self, y: int) -> Line:
        if not self._panel.rows:
            return self._empty(y)
        if y == 0:
            return ((" " * LABEL_CELLS, "text"), *self._crossed_axis())
        shown = min(len(self._panel.rows) - self._top, self._rows_visible())
        if y <= shown:
            return self._source_line(self._panel.rows[self._top + y - 1])
        return self._margin() if y == shown + 1 else self._legend() if y == shown + 2 else ()

    def _empty(self, y: int) -> Line:
        words = f"No source reached out to several targets in {figures.duration(self._panel.window_s)}."
        if not self._panel.window_s:
            words = "Waiting for the first contacts."
        return ((words, "muted"),) if y == 0 else ()

    def _source_line(self, row: FanoutRow) -> Line:
        here = row.ip == self._source and self.has_focus
        cells: list[Span] = [*fit((span(row.ip, "accent" if here else "strong"),), LABEL_CELLS)]
        width = self._cell_width()
        glyphs = palette_of(self).glyphs["heat"]
        levels = [level_of(row.cells[at]) if at < len(row.cells) else 0 for at in range(len(PORT_BINS))]
        marked = self._bin if here else -1
        for (level, at_cursor), run in groupby(enumerate(levels), key=lambda item: (item[1], item[0] == marked)):
            count = len(list(run))
            cells.append((glyphs[level] * (width * count), "cursor" if at_cursor else f"heat-{level}"))
        total = fit(((figures.count(sum(row.cells)), "text"),), TOTAL_CELLS, "right")
        return (*cells, *total)

    def _crossed_axis(self) -> Line:
        width = self._cell_width()
        labels = axis(width)
        if not self.has_focus:
            return labels
        text = "".join(part for part, _ in labels)
        name = PORT_BINS[self._bin][0]
        start = min(self._bin * width, len(text) - len(name))
        left = text[:start]
        right = text[start + len(name) :]
        if left and not left.endswith(" "):
            left = left[: left.rfind(" ") + 1].ljust(len(left))
        if right and not right.startswith(" "):
            right = right[right.find(" ") :].rjust(len(right)) if " " in right else " " * len(right)
        return ((left, "muted"), (name, "accent"), (right, "muted"))

    def _margin(self) -> Line:
        """The sources of each bin: where many sources of few probes show."""
        width = self._cell_width()
        cells = []
        for value in (self._panel.bin_sources or [0] * len(PORT_BINS))[: len(PORT_BINS)]:
            text = "" if not value else str(value) if len(str(value)) <= max(width - 1, 1) else "+"
            cells.append(text.rjust(width) if width == 1 else text.ljust(width))
        return (("sources a bin".ljust(LABEL_CELLS), "muted"), ("".join(cells), "text"))

    def _legend(self) -> Line:
        glyphs = palette_of(self).glyphs["heat"]
        names = ("0", *(figures.count(floor) for floor in LEVEL_FLOORS[:-1]), "1k+")
        keys: list[Span] = []
        for level, (glyph, name) in enumerate(zip(glyphs, names, strict=True)):
            keys.append((f"{glyph}{name} ", f"heat-{level}"))
        return (("contacts a cell".ljust(LABEL_CELLS), "muted"), *keys)

    def _cell_width(self) -> int:
        room = self.size.width - LABEL_CELLS - TOTAL_CELLS
        return min(max(room // len(PORT_BINS), 1), CELL_WIDTH_MAX)

    def _rows_visible(self) -> int:
        return max(self.size.height - 3, 1)

    def _reveal(self) -> None:
        at, page = self._place(), self._rows_visible()
        self._top = min(max(self._top, at - page + 1, 0), at) if self._panel.rows else 0

    def _place(self) -> int:
        return next((at for at, row in enumerate(self._panel.rows) if row.ip == self._source), 0)

    def _row(self) -> FanoutRow | None:
        return next((row for row in self._panel.rows if row.ip == self._source), None)
