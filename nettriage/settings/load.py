"""Gathering the settings from every place, the command line strongest and the built-in defaults weakest."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from pathlib import Path

from nettriage.model.errors import ConfigError
from nettriage.settings.catalogue import Catalogue
from nettriage.settings.effective import Settings, settle
from nettriage.settings.files import SYSTEM_FILE, invoking_uid, read, user_file
from nettriage.settings.shapes import Value

CONFIG_VARIABLE = "NETTRIAGE_CONFIG"
"""Environment variable that stands for ``--config``."""


def load(
    catalogue: Catalogue,
    *,
    config: Path | None = None,
    assignments: Iterable[str] = (),
    options: Mapping[str, tuple[str, str]] | None = None,
    environ: Mapping[str, str] = os.environ,
) -> Settings:
    """Return the effective settings.

    `config` is the file of ``--config``, `assignments` are the ``key=value`` of ``--set``, and `options` maps
    the path of a key to the name and the text of the option that sets it. Raises ConfigError.
    """
    layers: dict[str, dict[str, Value]] = {}
    for path, owners in ((SYSTEM_FILE, None), (user_file(environ), frozenset({0, invoking_uid(environ)}))):
        try:
            layers[str(path)] = read(path, catalogue, owners)
        except FileNotFoundError:
            continue
    chosen = config or (Path(environ[CONFIG_VARIABLE]) if environ.get(CONFIG_VARIABLE) else None)
    if chosen is not None:
        try:
            layers[f"--config {chosen}"] = read(chosen, catalogue)
        except FileNotFoundError:
            raise ConfigError(f"{chosen}: no such file") from None
    layers |= _from_environment(catalogue, environ)
    layers["--set"] = dict(_assigned(catalogue, text) for text in assignments)
    for path_of_key, (option, text) in (options or {}).items():
        layers[option] = {path_of_key: catalogue.find(path_of_key, option).parse(text, option)}
    return settle(catalogue, layers)


def _from_environment(catalogue: Catalogue, environ: Mapping[str, str]) -> dict[str, dict[str, Value]]:
    layers = {}
    for name in sorted(environ):
        if name.startswith("NETTRIAGE_") and name != CONFIG_VARIABLE:
            key = catalogue.find_variable(name)
            layers[name] = {key.path: key.parse(environ[name], name)}
    return layers


def _assigned(catalogue: Catalogue, text: str) -> tuple[str, Value]:
    path, equals, value = text.partition("=")
    if not equals:
        raise ConfigError(f"--set {text}: write --set key=value")
    key = catalogue.find(path.strip(), "--set")
    return key.path, key.parse(value.strip(), f"--set {key.path}")
