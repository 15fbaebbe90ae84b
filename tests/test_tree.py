"""The rules of the tree that no other tool checks: sizes, folders, and what is imported when."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGES = ("nettriage", "sniff", "detectors", "tui", "themes")
FUNCTION_LINES_MAX = 40
MODULE_LINES_MAX = 300
LONGER_MODULES: dict[str, int] = {}
"""Modules that are longer, with their length; the list may only shrink, and so may each length in it."""
LONGER_FUNCTIONS: dict[str, int] = {"nettriage/engine/record.py:alert": 41}  # one record, a line for each field
"""Functions that are longer (docstring left out), with their length; the list may only shrink."""
SENSOR_SIDE = (
    "nettriage.engine.sensor",
    "nettriage.engine.pipeline",
    "nettriage.settings.load",
    "sniff",
    "detectors.registry",
)
UI_AND_SCAPY = ("textual", "rich", "tui", "themes", "scapy")


def _modules() -> list[Path]:
    return sorted(path for package in PACKAGES for path in (ROOT / package).rglob("*.py"))


def _functions(path: Path) -> Iterator[tuple[str, int]]:
    """Yield name and lines of every function of a file, without its docstring."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            lines = (node.end_lineno or node.lineno) - node.lineno + 1
            first = node.body[0]
            if ast.get_docstring(node) is not None:
                lines -= (first.end_lineno or first.lineno) - first.lineno + 1
            yield f"{path.relative_to(ROOT)}:{node.name}", lines


def _loaded_after(statements: str) -> set[str]:
    """Return the top-level names that a fresh interpreter has loaded after the statements."""
    report = "import sys; sys.stdout.write(' '.join({name.partition('.')[0] for name in sys.modules}))"
    code = f"{statements}\n{report}"
    done = subprocess.run([sys.executable, "-P", "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    return set(done.stdout.splitlines()[-1].split())


def test_modules_stay_short() -> None:
    """A module that grows beyond the limit is two ideas; the list of exceptions only shrinks."""
    lengths = {str(path.relative_to(ROOT)): len(path.read_text().splitlines()) for path in _modules()}
    longer = {name: length for name, length in lengths.items() if length > MODULE_LINES_MAX}

    assert longer == LONGER_MODULES


def test_functions_stay_short() -> None:
    """A function beyond the limit does more than one thing; the list of exceptions only shrinks."""
    longer = {name: lines for path in _modules() for name, lines in _functions(path) if lines > FUNCTION_LINES_MAX}

    assert longer == LONGER_FUNCTIONS


def test_no_package_below_tests() -> None:
    """An __init__.py below tests would shadow the real packages of the same name."""
    assert list((ROOT / "tests").rglob("__init__.py")) == []


def test_every_package_is_typed() -> None:
    """Type checkers of others believe our annotations."""
    assert [name for name in PACKAGES if not (ROOT / name / "py.typed").is_file()] == []


@pytest.mark.parametrize("module", SENSOR_SIDE)
def test_the_sensor_side_never_loads_a_user_interface(module: str) -> None:
    """What parses hostile bytes with a live tap in hand carries no terminal library and no scapy."""
    assert _loaded_after(f"import {module}") & set(UI_AND_SCAPY) == set()


def test_the_version_is_said_without_loading_anything_heavy() -> None:
    """`nettriage --version` stays instant."""
    loaded = _loaded_after(
        "import contextlib, io\n"
        "from nettriage.cli import main\n"
        "with contextlib.redirect_stdout(io.StringIO()), contextlib.suppress(SystemExit):\n"
        "    main(['--version'])"
    )

    assert loaded & {"numpy", "msgspec", "netaddr", "aiofiles", "pcapy", *UI_AND_SCAPY} == set()


def test_explaining_a_detector_loads_no_user_interface() -> None:
    """The verbs that only print load neither the screens nor scapy."""
    loaded = _loaded_after(
        "import contextlib, io\n"
        "from nettriage.cli import main\n"
        "with contextlib.redirect_stdout(io.StringIO()):\n"
        "    main(['explain'])"
    )

    assert loaded & set(UI_AND_SCAPY) == set()
