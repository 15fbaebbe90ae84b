"""Lines of spans: exact widths, cuts, wrapping, and text that is never raw."""

import pytest

from tui.lines import fit, flow, justify, line, line_width, span, text_of, wrap


@pytest.mark.parametrize("text", ["", "plain", "日本語テスト", "x" * 50, "mixed 日本 text"])
@pytest.mark.parametrize("width", [1, 2, 7, 12, 40])
def test_fit_gives_exactly_the_width(text: str, width: int) -> None:
    """A fitted line fills its cells, whatever the characters' width."""
    assert line_width(fit(line(text), width)) == width


def test_a_cut_line_says_so() -> None:
    """What does not fit ends in an ellipsis, and keeps the roles of what is left."""
    cut = fit((("ab", "muted"), ("cdef", "bad")), 4)

    assert text_of(cut) == "abc…"
    assert cut[1][1] == "bad"


def test_numbers_stand_right() -> None:
    """Right-aligned cells are padded on the left."""
    assert text_of(fit(line("42"), 5, "right")) == "   42"


def test_unprintable_text_becomes_a_visible_escape() -> None:
    """A span never holds a control character, and marks the text as hostile."""
    text, role = span("a\x1b[2Jb", "text")

    assert text == "a\\x1b[2Jb"
    assert role == "hostile"


def test_lone_surrogates_are_made_visible() -> None:
    """What was bytes that are no text can be drawn."""
    assert span("a\udc9bb") == ("a\\x9bb", "hostile")


def test_wrap_keeps_every_word_and_the_width() -> None:
    """Long texts wrap at spaces, longer words anywhere; nothing is lost."""
    text = "tcp[tcpflags] & (tcp-syn|tcp-ack) == tcp-syn and " + "y" * 30
    rows = wrap(text, 14)

    assert all(line_width(row) <= 14 for row in rows)
    assert "".join(text_of(row).replace(" ", "") for row in rows) == text.replace(" ", "")


def test_flow_breaks_only_between_parts() -> None:
    """Facts side by side move to the next line whole."""
    assert [text_of(row) for row in flow(["score 97", "sure 93%", "first 13:41"], 20)] == [
        "score 97  sure 93%",
        "first 13:41",
    ]


def test_justify_cuts_the_left_side_only() -> None:
    """What stands flush right is never cut while it fits."""
    assert text_of(justify(line("a long path"), line("97 1m"), 12)) == "a long…97 1m"
