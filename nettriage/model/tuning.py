"""Thresholds as typed fields, each with unit, range and reason."""

from __future__ import annotations

from dataclasses import MISSING, Field, dataclass, field, fields, replace
from typing import Any, Self, TypeVar

from nettriage.model.errors import ConfigError, nearest

T = TypeVar("T", int, float)


def knob(default: T, unit: str, *, lo: T, hi: T, why: str) -> T:
    """Declare a threshold of a `Tuning` class: its unit, its range, and why the default is what it is."""
    return field(default=default, metadata={"unit": unit, "lo": lo, "hi": hi, "why": why})


@dataclass(frozen=True, slots=True, kw_only=True)
class Tuning:
    """Base of every detector's thresholds; subclasses add fields made by `knob`."""

    def with_values(self, values: dict[str, Any], where: str) -> Self:
        """Return a copy with `values` set; `where` (file and table) goes into the error.

        Raises ConfigError for an unknown key, a wrong type, or a value out of range.
        """
        known = {item.name: item for item in fields(self)}
        for key, value in values.items():
            if key not in known:
                raise ConfigError(f"{where}: unknown key {key!r}{nearest(key, known)}")
            _check(known[key], value, where)
        return replace(self, **values)


def _check(item: Field[Any], value: object, where: str) -> None:
    lo, hi, unit = (item.metadata[name] for name in ("lo", "hi", "unit"))
    if isinstance(value, bool) or not isinstance(value, int if isinstance(item.default, int) else (int, float)):
        raise ConfigError(f"{where}: {item.name} must be a number of {unit}, not {value!r}")
    if not lo <= value <= hi:
        raise ConfigError(f"{where}: {item.name} = {value} {unit} is outside {lo} to {hi}")


def described(tuning: type[Tuning]) -> list[tuple[str, Any, str, Any, Any, str]]:
    """Return (name, default, unit, lo, hi, why) of every threshold of a tuning class."""
    rows = []
    for item in fields(tuning):
        if item.default is MISSING or "unit" not in item.metadata:
            raise TypeError(f"{tuning.__name__}.{item.name} was not made by knob()")
        meta = item.metadata
        rows.append((item.name, item.default, meta["unit"], meta["lo"], meta["hi"], meta["why"]))
    return rows
