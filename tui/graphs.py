"""Graphs of one line, drawn with block characters as spans."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

from tui.lines import Line, Span


def resample(values: Sequence[int], width: int) -> list[int]:
    """Return `values` in `width` bins, each the peak of what falls into it; shorter series keep their length."""
    if len(values) <= width:
        return list(values)
    edges = [round(at * len(values) / width) for at in range(width + 1)]
    return [max(values[low:high]) for low, high in pairwise(edges)]


def spark(values: Sequence[int], width: int, glyphs: str) -> str:
    """Return a row of bars from a zero baseline, flush right, `width` cells; any value above 0 is visible."""
    if width <= 0:
        return ""
    bins = resample(values, width)
    peak = max(bins, default=0)
    top = len(glyphs) - 1
    cells = [glyphs[0] if value <= 0 else glyphs[max(1, round(value / peak * top))] for value in bins]
    return "".join(cells).rjust(width)


def bullet(value: float, threshold: float, width: int, glyphs: dict[str, str], role: str) -> Line:
    """Return a bar of `value` with a mark at `threshold`, on a logarithmic scale that holds both."""
    if width < 3:
        return ()
    top = max(value, threshold, 1e-9) * 1.25
    filled = _place(value, top, width)
    mark = min(_place(threshold, top, width), width - 1) if threshold > 0 else -1
    cells: list[Span] = []
    for start, end, glyph, name in (
        (0, filled, glyphs["bar"], role), (filled, width, glyphs["track"], "track"),
    ):  # fmt: skip
        if start <= mark < end:
            cells += [(glyph * (mark - start), name), (glyphs["threshold"], "warn"), (glyph * (end - mark - 1), name)]
        else:
            cells.append((glyph * (end - start), name))
    return tuple(cell for cell in cells if cell[0])


def proportion(value: float, largest: float, width: int, glyph: str) -> str:
    """Return a bar of at most `width` cells, linear, at least one cell for anything above 0."""
    if value <= 0 or largest <= 0 or width <= 0:
        return ""
    return glyph * max(1, round(min(value / largest, 1.0) * width))


def _place(value: float, top: float, width: int) -> int:
    """Return the cell of `value` on a scale from a thousandth of `top` up to `top`, `width` cells."""
    floor = top / 1000
    if value <= floor:
        return 1 if value > 0 else 0
    return min(width, max(1, round(math.log(value / floor) / math.log(1000) * width)))
