"""Every key that the settings know: the fixed tables, and one table for each detector from its own thresholds."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields

from nettriage.model.errors import ConfigError, nearest
from nettriage.model.tuning import Tuning, described
from nettriage.settings.sections import SECTIONS
from nettriage.settings.shapes import Number, Shape, Switch, Value

DETECTORS = "detectors"


@dataclass(frozen=True, slots=True)
class Key:
    """One setting: where it stands, what it may be, and why it is what it is."""

    path: str
    """Dotted, as in ``--set``: ``detectors.vertical-scan.ports``."""
    shape: Shape
    default: Value
    why: str

    @property
    def table(self) -> str:
        """Name of the TOML table that holds the key."""
        return self.path.rpartition(".")[0]

    @property
    def name(self) -> str:
        """Name of the key in its table."""
        return self.path.rpartition(".")[2]

    @property
    def variable(self) -> str:
        """Name of the environment variable that sets it."""
        return "NETTRIAGE_" + self.path.upper().replace(".", "_").replace("-", "_")

    def check(self, value: object, where: str) -> Value:
        """Return `value` as it is kept; raises ConfigError that begins with `where`."""
        try:
            return self.shape.check(value)
        except ValueError as error:
            raise ConfigError(f"{where}: {self.name} {error}") from None

    def parse(self, text: str, where: str) -> Value:
        """Return the value of a text; raises ConfigError that begins with `where`."""
        try:
            return self.shape.parse(text)
        except ValueError as error:
            raise ConfigError(f"{where}: {self.name} {error}") from None


class Catalogue:
    """All keys by path, in the order in which they are shown."""

    def __init__(self, tunings: Mapping[str, type[Tuning]]) -> None:
        """Take in the tuning class of every alert kind."""
        self.tunings = dict(sorted(tunings.items()))
        self.keys = {key.path: key for key in (*_fixed(), *_of_detectors(self.tunings))}
        self.tables = list(dict.fromkeys(key.table for key in self.keys.values()))
        self._by_variable = {key.variable: key for key in self.keys.values()}

    def __iter__(self) -> Iterator[Key]:
        return iter(self.keys.values())

    def find(self, path: str, where: str) -> Key:
        """Return the key at `path`; raises ConfigError that names the nearest known key."""
        key = self.keys.get(path)
        if key is None:
            raise ConfigError(f"{where}: unknown key {path!r}{nearest(path, self.keys)}")
        return key

    def find_variable(self, name: str) -> Key:
        """Return the key that an environment variable sets; raises ConfigError that names the nearest."""
        key = self._by_variable.get(name)
        if key is None:
            raise ConfigError(f"environment: unknown variable {name}{nearest(name, self._by_variable)}")
        return key


def _fixed() -> Iterator[Key]:
    for table, section in SECTIONS.items():
        for item in fields(section):
            shape, default = item.metadata["shape"], item.default
            yield Key(f"{table}.{item.name}", shape, shape.check(default), item.metadata["why"])


def _of_detectors(tunings: Mapping[str, type[Tuning]]) -> Iterator[Key]:
    for kind, tuning in tunings.items():
        yield Key(f"{DETECTORS}.{kind}.enabled", Switch(), True, "whether the detector runs at all")
        for name, default, unit, lo, hi, why in described(tuning):
            yield Key(f"{DETECTORS}.{kind}.{name}", Number(unit, lo, hi, isinstance(default, int)), default, why)
