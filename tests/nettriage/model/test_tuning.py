"""Tests of thresholds as typed fields."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from nettriage.model.errors import ConfigError
from nettriage.model.tuning import Tuning, described, knob


@dataclass(frozen=True, slots=True, kw_only=True)
class Example(Tuning):
    """Thresholds of nothing."""

    ports: int = knob(7, "ports", lo=2, hi=100, why="fewer fail by chance")
    window_s: float = knob(60.0, "s", lo=1.0, hi=3600.0, why="a minute")


def test_values_replace_defaults() -> None:
    """A value in range replaces the default; an integer is a fine number of seconds."""
    assert Example().with_values({"ports": 9, "window_s": 30}, "x") == Example(ports=9, window_s=30)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"port": 9}, r"my\.toml \[detectors\.x\]: unknown key 'port' \(did you mean ports\?\)"),
        ({"ports": 1}, r"ports = 1 ports is outside 2 to 100"),
        ({"ports": 7.5}, r"ports must be a number of ports, not 7\.5"),
        ({"ports": True}, r"must be a number"),
        ({"window_s": "long"}, r"window_s must be a number of s, not 'long'"),
    ],
)
def test_a_wrong_value_says_where_and_why(values: dict[str, object], message: str) -> None:
    """The error names the place, the key, and what would be right."""
    with pytest.raises(ConfigError, match=message):
        Example().with_values(values, "my.toml [detectors.x]")


def test_thresholds_describe_themselves() -> None:
    """Name, default, unit, range and reason of each threshold can be listed."""
    assert described(Example)[0] == ("ports", 7, "ports", 2, 100, "fewer fail by chance")
