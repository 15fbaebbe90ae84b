"""What is printed as settings can be read back as settings."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass

import jsonschema
import pytest

from nettriage.model.tuning import Tuning, knob
from nettriage.settings.catalogue import Catalogue
from nettriage.settings.effective import settle
from nettriage.settings.files import read
from nettriage.settings.render import effective_toml, template_toml
from nettriage.settings.schema import config_schema


@dataclass(frozen=True, slots=True, kw_only=True)
class BeaconTuning(Tuning):
    jitter: float = knob(0.2, "share", lo=0.0, hi=1.0, why="implants vary their period by a fifth")


@pytest.fixture
def catalogue() -> Catalogue:
    """Return the keys with one detector."""
    return Catalogue({"beacon": BeaconTuning})


def test_effective_settings_read_back_as_themselves(catalogue, tmp_path):
    """The output of `nettriage config` is a settings file with the same meaning."""
    chosen = settle(catalogue, {"a test": {"detectors.beacon.jitter": 0.5, "network.scanners": ("10.0.0.9",)}})
    path = tmp_path / "printed.toml"
    path.write_text(effective_toml(catalogue, chosen))

    again = settle(catalogue, {"file": read(path, catalogue)})

    assert again.values == chosen.values
    assert "jitter = 0.5" in path.read_text()
    assert "# a test" in path.read_text()


def test_template_changes_nothing_until_a_line_is_uncommented(catalogue, tmp_path):
    """The template is valid as it stands, and with every key uncommented gives the defaults."""
    template = template_toml(catalogue)
    commented, uncommented = tmp_path / "a.toml", tmp_path / "b.toml"
    commented.write_text(template)
    uncommented.write_text(
        "\n".join(line[1:] if line.startswith("#") and line[1:2] != " " else line for line in template.splitlines())
    )

    assert read(commented, catalogue) == {}
    assert read(uncommented, catalogue) == settle(catalogue, {}).values


def test_template_explains_every_key(catalogue):
    """Reason, unit and range of every key stand in the template."""
    template = template_toml(catalogue)

    assert "implants vary their period by a fifth [share, 0.0 to 1.0]" in template
    assert all(f"#{key.name} = " in template for key in catalogue)


def test_schema_agrees_with_the_reader(catalogue):
    """The published schema accepts the printed settings, and refuses what the reader refuses."""
    schema = config_schema(catalogue)
    jsonschema.Draft202012Validator.check_schema(schema)
    validator = jsonschema.Draft202012Validator(schema)
    printed = tomllib.loads(effective_toml(catalogue, settle(catalogue, {})))

    assert validator.is_valid(printed)
    assert not validator.is_valid({"detectors": {"beacon": {"jitter": 1.5}}})
    assert not validator.is_valid({"screen": {"colour": "red"}})


def test_variables_are_distinct(catalogue):
    """No two keys share an environment variable."""
    assert len({key.variable for key in catalogue}) == len(catalogue.keys)
