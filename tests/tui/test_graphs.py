"""Bars of one line."""

from tests.tui.made import WAVE
from tui.graphs import bullet, proportion, resample, spark
from tui.lines import line_width, text_of

GLYPHS = {"bar": "#", "track": ".", "threshold": "|"}
RAMP = " 12345678"


def test_sparks_start_at_zero() -> None:
    """A flat series looks full, not empty; nothing looks like nothing; a little is seen."""
    assert spark([5, 5, 5], 3, RAMP) == "888"
    assert spark([0, 1, 1000], 3, RAMP) == " 18"
    assert spark([], 3, RAMP) == "   "


def test_long_series_keep_their_peaks() -> None:
    """Squeezing a series never hides a burst."""
    assert max(resample([0] * 100 + [9] + [0] * 100, 12)) == 9
    assert len(resample(WAVE, 12)) == 12


def test_bullets_mark_the_threshold_inside_or_beyond_the_bar() -> None:
    """The mark stands inside a bar that crossed it, and to the right of one that did not."""
    crossed = text_of(bullet(1024, 100, 20, GLYPHS, "bad"))
    short = text_of(bullet(1, 50, 20, GLYPHS, "text"))

    assert crossed.index("|") < crossed.rindex("#")
    assert short.index("|") > short.rindex("#")


def test_bullets_fill_their_width() -> None:
    """Zero, tiny and huge values draw a bar of the same width."""
    for value, threshold in ((0, 0), (0, 5), (1e-9, 1), (1e12, 1), (5, 5)):
        assert line_width(bullet(value, threshold, 17, GLYPHS, "text")) == 17


def test_proportions_are_linear_and_never_hide_anything() -> None:
    """Half is half, and one byte is still a cell."""
    assert len(proportion(50, 100, 20, "#")) == 10
    assert len(proportion(1, 1e9, 20, "#")) == 1
    assert proportion(0, 10, 20, "#") == ""
