"""The effective settings: every key has one value, and one origin."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import TypeVar

import msgspec

from nettriage.model.tuning import Tuning
from nettriage.settings.catalogue import DETECTORS, Catalogue
from nettriage.settings.sections import Capture, Network, Output, Screen
from nettriage.settings.shapes import Value

Section = TypeVar("Section", Network, Capture, Screen, Output)


@dataclass(frozen=True, slots=True)
class Settings:
    """What the program goes by; read-only."""

    network: Network
    capture: Capture
    screen: Screen
    output: Output
    tunings: dict[str, Tuning]
    """Thresholds of every detector that is enabled, by alert kind."""
    values: dict[str, Value]
    """Every value by the path of its key, in the order of the catalogue."""
    origins: dict[str, str] = field(compare=False)
    """Where each value comes from: a file, a variable, an option, or ``default``."""

    @property
    def digest(self) -> str:
        """SHA-256 over every effective value, in hexadecimal."""
        return hashlib.sha256(msgspec.json.encode(sorted(self.values.items()))).hexdigest()


def settle(catalogue: Catalogue, layers: Mapping[str, Mapping[str, Value]]) -> Settings:
    """Return the settings of checked values, layers from the weakest to the strongest, named by origin."""
    values = {key.path: key.default for key in catalogue}
    origins = dict.fromkeys(values, "default")
    for origin, layer in layers.items():
        values.update(layer)
        origins.update(dict.fromkeys(layer, origin))
    return Settings(
        network=_section(Network, values),
        capture=_section(Capture, values),
        screen=_section(Screen, values),
        output=_section(Output, values),
        tunings=_tunings(catalogue, values),
        values=values,
        origins=origins,
    )


def _section(section: type[Section], values: Mapping[str, Value]) -> Section:
    table = section.__name__.lower()
    return section(**{item.name: values[f"{table}.{item.name}"] for item in fields(section)})  # type: ignore[arg-type]  # checked by shape


def _tunings(catalogue: Catalogue, values: Mapping[str, Value]) -> dict[str, Tuning]:
    tunings = {}
    for kind, tuning in catalogue.tunings.items():
        table = f"{DETECTORS}.{kind}"
        if values[f"{table}.enabled"]:
            chosen = {item.name: values[f"{table}.{item.name}"] for item in fields(tuning)}
            tunings[kind] = tuning().with_values(chosen, table)
    return tunings
