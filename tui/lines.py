"""Lines of styled text as plain tuples, fitted to cells: what every widget draws from."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from rich.cells import cell_len, set_cell_size

from nettriage.model.safetext import safe

Span = tuple[str, str]
"""Text and the role that it is drawn in."""
Line = tuple[Span, ...]
"""Spans side by side. Equal lines look equal: comparing them decides what is repainted."""
Align = Literal["left", "right"]
CELLS_MAX = 1024
"""A line is never longer, whatever it was made from."""


def span(text: str, role: str = "text") -> Span:
    """Return a span whose text is harmless: what is not printable becomes a visible escape."""
    return (text, role) if text.isprintable() else (safe(text, CELLS_MAX), "hostile")


def line(*parts: str | Span) -> Line:
    """Return a line of spans; a bare string is drawn as plain text."""
    return tuple(span(part) if isinstance(part, str) else span(*part) for part in parts)


def width_of(text: str) -> int:
    """Return how many cells `text` takes."""
    return len(text) if text.isascii() else cell_len(text)


def line_width(spans: Line) -> int:
    """Return how many cells a line takes."""
    return sum(width_of(text) for text, _ in spans)


def text_of(spans: Line) -> str:
    """Return the text of a line without its roles."""
    return "".join(text for text, _ in spans)


def fit(spans: Line, width: int, align: Align = "left") -> Line:
    """Return the line in exactly `width` cells: padded, or cut with an ellipsis."""
    if width <= 0:
        return ()
    used = line_width(spans)
    if used > width:
        return _cut(spans, width)
    if used == width:
        return spans
    pad = (" " * (width - used), "text")
    return (pad, *spans) if align == "right" else (*spans, pad)


def justify(left: Line, right: Line, width: int) -> Line:
    """Return one line with `right` flush right; where both do not fit, `left` is cut."""
    space = width - line_width(right)
    if space < 1:
        return fit(right, width)
    return (*fit(left, space), *right)


def wrap(text: str, width: int, role: str = "text") -> list[Line]:
    """Return `text` broken at spaces into lines of at most `width` cells; a longer word is broken anywhere."""
    width = max(width, 1)
    text = span(text, role)[0]
    rows: list[str] = []
    row = ""
    for word in text.split():
        if row and width_of(row) + 1 + width_of(word) <= width:
            row += f" {word}"
            continue
        if row:
            rows.append(row)
        *pieces, row = _pieces(word, width)
        rows += pieces
    return [((item, role),) for item in ([*rows, row] if row else rows)]


def flow(parts: Sequence[str], width: int, role: str = "text") -> list[Line]:
    """Return `parts` side by side, two cells apart, broken only between them where that is possible."""
    rows: list[str] = []
    for part in parts:
        if rows and width_of(rows[-1]) + 2 + width_of(part) <= width:
            rows[-1] += f"  {part}"
        else:
            rows.append(part)
    return [fit((span(row, role),), min(width, width_of(row))) for row in rows]


def _pieces(word: str, width: int) -> list[str]:
    pieces = []
    while width_of(word) > width:
        head = set_cell_size(word, width).rstrip(" ") or word[0]
        pieces.append(head)
        word = word[len(head) :]
    return [*pieces, word]


def _cut(spans: Line, width: int) -> Line:
    room = width - 1
    kept: list[Span] = []
    for text, role in spans:
        cells = width_of(text)
        if cells > room:
            kept.append((f"{set_cell_size(text, room)}…", role))
            return tuple(kept)
        kept.append((text, role))
        room -= cells
    return tuple(kept)
