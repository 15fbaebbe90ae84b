"""What the user's word for a source means: an interface, a file, a stream, or the demo."""

from __future__ import annotations

import os
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

from nettriage.cli.arguments import RunArguments
from nettriage.model.errors import CaptureError, InterfaceError, UsageError, nearest
from sniff.opening import interfaces

DEMO = "demo"
STREAM = "-"
_SUFFIXES = (".pcap", ".pcapng", ".cap")


@dataclass(frozen=True, slots=True)
class Chosen:
    """A source before it is opened."""

    name: str
    """As `sniff.opening.open_source` takes it."""
    shown: str
    """As the user knows it."""
    is_live: bool = False
    type: str = ""
    """``demo`` for the bundled capture, else empty."""


def choose(arguments: RunArguments) -> Chosen:
    """Return the source; raises an error that says what to do where there is none, or where its pace cannot be set."""
    chosen = _choose(arguments.source, arguments.source_type)
    if chosen.is_live and (arguments.loop or arguments.speed is not None):
        raise UsageError(f"--speed and --loop are for files: the interface {chosen.shown} has its own pace")
    return chosen


def _choose(word: str, source_type: str) -> Chosen:
    if source_type == "interface":
        return _interface(word)
    if word == STREAM:
        return Chosen(STREAM, "stdin")
    if source_type == "any" and word == DEMO:
        return Chosen(str(demo_capture()), DEMO, type=DEMO)
    return _file(word) if source_type == "file" or _means_a_file(word) else _interface(word)


def _means_a_file(word: str) -> bool:
    """Say whether a word is a file: by its looks, or because there is one and no interface of that name."""
    return "/" in word or Path(word).suffix in _SUFFIXES or (os.path.exists(word) and word not in _names())


def demo_capture() -> Path:
    """Return the path of the bundled capture."""
    return Path(str(files("nettriage.data"))) / "demo.pcap"


def _names() -> list[str]:
    return [item.name for item in interfaces()]


def _interface(name: str) -> Chosen:
    names = _names()
    if name not in names:
        raise InterfaceError(
            f"there is no interface {name!r}{nearest(name, names)}; interfaces: {', '.join(names) or 'none'}"
        )
    return Chosen(name, name, is_live=True)


def _file(name: str) -> Chosen:
    """Return a file; a slash in its path tells it from an interface of the same name."""
    if not os.path.exists(name):
        raise CaptureError(f"{name}: no such file")
    return Chosen(name if "/" in name else os.path.join(".", name), name)
