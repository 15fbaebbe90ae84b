"""The command as a user runs it: output, words on stderr, and exit codes."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import jsonschema
import pytest

from nettriage import __version__


def nettriage(*words: str, cwd: str | None = None, **environ: str) -> subprocess.CompletedProcess[str]:
    """Run the command without a terminal, with nothing but `environ` in its environment."""
    bare = {"HOME": str(Path(__file__).parent), "PATH": "/usr/sbin:/usr/bin:/sbin:/bin", **environ}
    return subprocess.run(
        [sys.executable, "-m", "nettriage", *words], capture_output=True, text=True, check=False, cwd=cwd,
        stdin=subprocess.DEVNULL, env=bare, timeout=60,
    )  # fmt: skip


def test_version():
    """--version prints name and version."""
    done = nettriage("--version")

    assert (done.returncode, done.stdout) == (0, f"nettriage {__version__}\n")


def test_interfaces_go_to_stdout_and_the_hint_to_stderr():
    """Without a source the interfaces are listed, and stderr says how to start."""
    done = nettriage()

    assert done.returncode == 0
    assert any(line.split()[0] == "lo" for line in done.stdout.splitlines())
    assert "nettriage demo" in done.stderr
    assert nettriage("-D").stdout == done.stdout
    assert nettriage("-D").stderr == ""


@pytest.mark.parametrize("word", ["alert", "snapshot", "config"])
def test_schemas_are_schemas(word):
    """What `schema` prints is a JSON Schema."""
    done = nettriage("schema", word)

    jsonschema.Draft202012Validator.check_schema(json.loads(done.stdout))
    assert done.stderr == ""


def test_explain_lists_and_explains():
    """Every listed kind explains itself with all four sections, its thresholds and its references."""
    listed = nettriage("explain").stdout.split("\n\n")[0].splitlines()
    kind = listed[0].split()[0]
    text = nettriage("explain", kind).stdout

    for heading in (
        "What it measures",
        "Blind spots",
        "Common benign causes",
        "What to do next",
        "Thresholds",
        "References",
    ):
        assert heading in text


def test_explain_shows_the_thresholds_in_force():
    """A threshold that the settings changed is shown with its default and origin."""
    text = nettriage("explain", "vertical-scan").stdout
    name, _, rest = next(line for line in text.splitlines() if " = " in line).strip().partition(" = ")
    lowest = rest.partition("(")[2].split()[0]
    changed = nettriage("explain", "vertical-scan", "--set", f"detectors.vertical-scan.{name}={lowest}").stdout

    assert f"default {rest.split()[0]}, set by --set" in changed


def test_unknown_kinds_name_the_nearest():
    """A misspelt kind is a usage error with the nearest one."""
    done = nettriage("explain", "vertical-scn")

    assert done.returncode == 2
    assert "did you mean vertical-scan?" in done.stderr


def test_config_check_says_what_is_wrong():
    """A wrong variable ends --check with exit code 2 and its name."""
    done = nettriage("config", "--check", NETTRIAGE_CAPTURE_RING_MIB="many")

    assert (done.returncode, done.stdout) == (2, "")
    assert "NETTRIAGE_CAPTURE_RING_MIB: ring_mib must be a whole number of MiB" in done.stderr


def test_config_check_passes_in_silence_on_stdout():
    """Right settings end --check with 0, and only talk."""
    done = nettriage("config", "--check")

    assert (done.returncode, done.stdout) == (0, "")
    assert "the settings are right" in done.stderr


def test_doctor_looks_at_an_interface():
    """The doctor says one verdict a line, and every remedy stands below its verdict."""
    done = nettriage("doctor", "lo")

    assert done.returncode in (0, 3)
    assert all(line[:6] in ("ok    ", "warn  ", "fail  ", "      ") for line in done.stdout.splitlines())
    assert any("lo is up" in line for line in done.stdout.splitlines())


def test_doctor_names_the_nearest_interface():
    """An interface that there is not ends with 4 and the names of those there are."""
    done = nettriage("doctor", "l0")

    assert done.returncode == 4
    assert "did you mean lo?" in done.stderr


def test_a_stray_module_in_the_working_folder_is_refused(tmp_path):
    """`python -m nettriage` does not run a tui.py that lies in the folder it was started in."""
    (tmp_path / "tui.py").write_text("raise SystemExit('hijacked')\n")
    done = nettriage("config", cwd=str(tmp_path))

    assert done.returncode == 2
    assert "'tui' is shadowed by" in done.stderr


def test_control_characters_of_arguments_do_not_reach_the_terminal():
    """An argument quoted in an error is made harmless."""
    done = nettriage("explain", "\x1b]0;owned\x07")

    assert "\x1b" not in done.stderr
    assert "\\x1b" in done.stderr
