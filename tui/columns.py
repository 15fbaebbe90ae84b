"""Columns of a table: which of them fit into a width, and how wide each is."""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

from tui.lines import Align, Line, fit

GAP = 1
LUXURY_PRIORITY = 4


class Column(NamedTuple):
    """A column of a table."""

    title: str
    width: int
    """Cells; for the one that stretches, the least it may have."""
    priority: int = 1
    """1 is never hidden; the highest number goes first."""
    align: Align = "left"
    stretch: bool = False
    good: int = 0
    """For the one that stretches: cells it has before any column of priority 4 or more is shown."""


Plan = tuple[tuple[int, int], ...]
"""(column, width) of every column that is shown. It depends on the width alone, never on the data."""


@lru_cache(maxsize=256)
def plan(columns: tuple[Column, ...], width: int) -> Plan:
    """Return the columns that fit into `width`, hiding those of least priority; one column takes what is left."""
    shown = list(range(len(columns)))
    while True:
        worst = max(shown, key=lambda at: (columns[at].priority, at))
        luxury = _luxury(columns) if columns[worst].priority >= LUXURY_PRIORITY else 0
        if columns[worst].priority == 1 or _needed(columns, shown) + luxury <= width:
            break
        shown.remove(worst)
    spare = width - _needed(columns, shown)
    widths = []
    for at in shown:
        column = columns[at]
        widths.append((at, max(1, column.width + spare) if column.stretch else column.width))
    return tuple(widths)


def header(columns: tuple[Column, ...], planned: Plan) -> Line:
    """Return the line of titles."""
    return lay_out(tuple(((column.title, "muted"),) for column in columns), columns, planned)


def lay_out(cells: tuple[Line, ...], columns: tuple[Column, ...], planned: Plan) -> Line:
    """Return one line of cells at their places."""
    spans: list[tuple[str, str]] = []
    for place, (at, width) in enumerate(planned):
        if place:
            spans.append((" " * GAP, "text"))
        spans.extend(fit(cells[at], width, columns[at].align))
    return tuple(spans)


def _luxury(columns: tuple[Column, ...]) -> int:
    return sum(max(column.good - column.width, 0) for column in columns)


def _needed(columns: tuple[Column, ...], shown: list[int]) -> int:
    return sum(columns[at].width for at in shown) + GAP * max(len(shown) - 1, 0)
