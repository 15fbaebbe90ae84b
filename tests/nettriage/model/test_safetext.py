"""Tests of text from the wire."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nettriage.model.safetext import CELLS_MAX, safe


@pytest.mark.parametrize(
    ("raw", "shown"),
    [
        ("plain host-01.example", "plain host-01.example"),
        ("\x1b]52;c;cm0=\x07", "\\x1b]52;c;cm0=\\x07"),
        ("a\x9bb", "a\\x9bb"),
        ("evil\u202egpj.exe", "evil\\u{202e}gpj.exe"),
        ("back\\slash", "back\\\\slash"),
        (b"\xff\x00ok", "\\xff\\x00ok"),
        ("zero\u200bwidth", "zero\\u{200b}width"),
        ("пример", "пример"),
    ],
)
def test_dangerous_characters_become_visible(raw: str | bytes, shown: str) -> None:
    """Controls, bidirectional and zero-width characters are shown as escapes, the rest stays."""
    assert safe(raw) == shown


def test_long_text_is_cut_and_says_by_how_much() -> None:
    """What exceeds the limit is cut, and the number of hidden characters stands at the end."""
    shown = safe("x" * 300)

    assert len(shown) <= CELLS_MAX
    assert shown.endswith("…+52")


@given(st.one_of(st.text(max_size=400), st.binary(max_size=400)))
def test_nothing_dangerous_survives(raw: str | bytes) -> None:
    """Whatever comes in, what goes out is printable, short, and without marks or controls."""
    shown = safe(raw)

    assert len(shown) <= CELLS_MAX
    assert all(char.isprintable() and not unicodedata.category(char).startswith(("M", "C")) for char in shown)
