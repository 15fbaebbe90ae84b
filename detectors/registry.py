"""The registry of detectors: the listing of this folder and the entry-point group of third parties."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
from importlib.metadata import EntryPoint, entry_points
from types import ModuleType

import detectors
from nettriage.model.detector import Detector
from nettriage.model.errors import ConfigError

ENTRY_POINT_GROUP = "nettriage.detectors"
"""Entry points of this group name a `Detector` class; installed ones join the shipped ones."""


def installed_detectors() -> dict[str, type[Detector]]:
    """Return every detector class by its kind, in order of kind.

    Raises ConfigError where an installed plug-in cannot be loaded, is no detector, or claims a kind that
    is taken.
    """
    found = {kind.card.kind: kind for kind in _shipped()}
    for entry in entry_points(group=ENTRY_POINT_GROUP):
        plugin = _loaded(entry)
        if plugin.card.kind in found:
            raise ConfigError(f"plug-in {entry.name}: the kind {plugin.card.kind!r} is already taken")
        found[plugin.card.kind] = plugin
    return dict(sorted(found.items()))


def _shipped() -> list[type[Detector]]:
    names = [item.name for item in pkgutil.iter_modules(detectors.__path__) if not item.ispkg]
    modules = [importlib.import_module(f"detectors.{name}") for name in names if name != "registry"]
    return [kind for module in modules for kind in _defined_in(module)]


def _defined_in(module: ModuleType) -> list[type[Detector]]:
    """Return the concrete detectors that `module` itself defines."""
    return [
        item
        for item in vars(module).values()
        if inspect.isclass(item)
        and issubclass(item, Detector)
        and not inspect.isabstract(item)
        and item.__module__ == module.__name__
    ]


def _loaded(entry: EntryPoint) -> type[Detector]:
    try:
        plugin = entry.load()
    except (ImportError, AttributeError) as error:
        raise ConfigError(f"plug-in {entry.name} ({entry.value}): cannot be loaded: {error}") from error
    if not (inspect.isclass(plugin) and issubclass(plugin, Detector)):
        raise ConfigError(f"plug-in {entry.name} ({entry.value}): is not a Detector class")
    return plugin
