"""Tests of errors for users."""

from __future__ import annotations

from nettriage.model.errors import nearest


def test_the_nearest_word_is_suggested() -> None:
    """A slip of the pen gets a suggestion, a word from nowhere gets none."""
    assert nearest("eht0", ["eth0", "wlan0"]) == " (did you mean eth0?)"
    assert nearest("zzz", ["eth0", "wlan0"]) == ""
