"""The registry of detectors."""

import importlib.metadata

import pytest

from detectors import registry
from detectors.flood import Flood
from nettriage.model.errors import ConfigError


def entry(name, value):
    """Return an entry point of the group."""
    return importlib.metadata.EntryPoint(name=name, value=value, group=registry.ENTRY_POINT_GROUP)


def with_plugins(monkeypatch, *entries):
    """Let the registry see installed plug-ins."""
    monkeypatch.setattr(registry, "entry_points", lambda group: entries if group == registry.ENTRY_POINT_GROUP else ())


def test_every_file_of_the_folder_is_found():
    """The listing of the folder is the registry: each detector is there under the name of its file."""
    found = registry.installed_detectors()

    assert {"vertical-scan", "horizontal-scan", "block-scan", "host-sweep", "port-fanout", "flood"} <= found.keys()
    assert list(found) == sorted(found)


def test_plugin_with_a_taken_kind_is_refused(monkeypatch):
    """A plug-in cannot take the place of a shipped detector in silence."""
    with_plugins(monkeypatch, entry("mine", "detectors.flood:Flood"))

    with pytest.raises(ConfigError, match="'flood' is already taken"):
        registry.installed_detectors()


@pytest.mark.parametrize("value", ["no.such.module:Thing", "detectors.flood:NoSuchClass"])
def test_plugin_that_does_not_load_is_named(monkeypatch, value):
    """A plug-in that cannot be loaded is an error that names it."""
    with_plugins(monkeypatch, entry("broken", value))

    with pytest.raises(ConfigError, match="plug-in broken"):
        registry.installed_detectors()


def test_plugin_that_is_no_detector_is_named(monkeypatch):
    """A plug-in that is something else is an error that names it."""
    with_plugins(monkeypatch, entry("odd", "pathlib:Path"))

    with pytest.raises(ConfigError, match="is not a Detector class"):
        registry.installed_detectors()


def test_shipped_class_is_the_class_of_its_file():
    """Classes that a file only imports are not taken for its detectors."""
    assert registry.installed_detectors()["flood"] is Flood
