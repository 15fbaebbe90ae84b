"""The levels and the axis of the fan-out map."""

import pytest

from nettriage.model.panel import PORT_BINS
from tui.heat_map import LEVEL_FLOORS, axis, level_of
from tui.lines import line_width, text_of


def test_levels_are_about_powers_of_four() -> None:
    """0, 1, 2, 4, 16, 64, 256 and a thousand each begin a level."""
    assert [level_of(value) for value in (0, 1, 2, 3, 4, 15, 16, 63, 64, 255, 256, 999, 1000, 10**9)] == [
        0, 1, 2, 2, 3, 3, 4, 4, 5, 5, 6, 6, 7, 7,
    ]  # fmt: skip
    assert len(LEVEL_FLOORS) == 7


@pytest.mark.parametrize("cell_width", [1, 2, 3])
def test_labels_stand_over_their_bins_and_never_touch(cell_width: int) -> None:
    """Each label that fits starts over its own bin."""
    text = text_of(axis(cell_width))
    names = [name for name, _, _ in PORT_BINS]

    assert line_width(axis(cell_width)) == len(PORT_BINS) * cell_width
    for word in text.split():
        assert text.index(word) == names.index(word) * cell_width or word in ("21", "80")
    assert set(text.split()) <= set(names)
