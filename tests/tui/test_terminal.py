"""The screens in a real terminal: what arrives there, and what is left behind."""

import json
import os
import re
import signal
from pathlib import Path

import pytest

from tests.tui.terminal import Terminal

RUN = "tests.tui.fake_run"
GOLDEN = Path(__file__).parent / "golden"
OWN = re.compile(
    rb"\x1b\[[0-9;:<=>?$]*[A-Za-z~]"  # cursor, colours, modes: Textual's own
    rb"|\x1b[=>78]|\x1b\(B"
    rb"|\x1b\]22;[a-z]*\x07|\x1bP\+q[0-9a-f]*\x1b\\|\x1b_[^\x1b]*\x1b\\"
)
"""Escape sequences of the toolkit. Sequences of the corpus that have the same form are looked for by their text."""


def test_no_hostile_byte_reaches_the_terminal(tmp_path: Path) -> None:
    """Through every screen, with the whole corpus in every field: no foreign escape, no control byte, no action."""
    with Terminal(RUN, "hostile", str(tmp_path), width=120, height=40) as terminal:
        terminal.until("Incidents")
        terminal.settle()
        for keys in (
            "G",
            "g",
            "\r",
            "jjjj",
            "\r",
            "jj",
            "\r",
            "jjjj",
            "2",
            "3",
            "4",
            "G",
            "7",
            "1",
            "?",
            "q",
            "e",
            "\x1b",
        ):
            terminal.press(keys)
            terminal.settle()
        terminal.press("5")
        terminal.until("5 Flows · 30")
        terminal.press("6")
        terminal.until("6 Packets · 30")
        terminal.press("GG")
        terminal.settle()
        assert terminal.process.poll() is None
        inside = bytes(terminal.raw)
        terminal.press("\x11")
        status = terminal.wait()

    foreign = OWN.sub(b"", inside)
    assert re.findall(rb"[\x00-\x09\x0b\x0c\x0e-\x1f\x7f]", foreign) == []
    assert b"\xc2\x9b" not in inside
    assert b"\xc2\x9d" not in inside
    for text in ("\u202e", "\u200b", "\ufeff", "\u2028"):
        assert text.encode() not in inside
    assert b"\x1b[2J\x1b[1;1H" not in inside
    assert inside.count(b"\x1b[?1049l") == 0
    assert status == 0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
def test_signals_leave_a_clean_terminal(tmp_path: Path, number: signal.Signals) -> None:
    """Killed politely, the program restores screen, cursor and mouse, and exits with 128 and the signal's number."""
    with Terminal(RUN, "busy", str(tmp_path)) as terminal:
        terminal.until("Relay")
        os.kill(terminal.process.pid, number)
        status = terminal.wait()
        raw = bytes(terminal.raw)

    assert status == 128 + number
    assert raw.rindex(b"\x1b[?1049l") > raw.rindex(b"\x1b[?1049h")
    assert raw.rindex(b"\x1b[?25h") > raw.rindex(b"\x1b[?25l")
    assert b"\x1b[?1003l" in raw
    assert "incidents: 1 critical" in terminal.text


def test_a_failure_is_told_on_the_normal_screen(tmp_path: Path) -> None:
    """The sensor's message stands in plain text after the screens, and its exit code is passed on."""
    with Terminal(RUN, "failed", str(tmp_path)) as terminal:
        status = terminal.wait()

    assert status == 4
    assert "no such interface: eht1 (did you mean eth1?)" in terminal.text


def test_a_bug_leaves_a_clean_terminal_and_a_private_report(tmp_path: Path) -> None:
    """A crash is one harmless line and exit code 1; the report is a file that only its owner reads."""
    with Terminal(RUN, "broken", str(tmp_path), XDG_STATE_HOME=str(tmp_path)) as terminal:
        status = terminal.wait()
        raw = bytes(terminal.raw)
    reports = list((tmp_path / "nettriage").iterdir())

    assert status == 1
    assert "the screens broke: ValueError; report:" in terminal.text
    assert b"hunter2" not in raw
    assert raw.rindex(b"\x1b[?1049l") > raw.rindex(b"\x1b[?1049h")
    assert all("alerts_title" in report.read_text() for report in reports)
    assert {report.stat().st_mode & 0o777 for report in reports} == {0o600}


def test_the_drill_and_export_work_in_a_real_terminal(tmp_path: Path) -> None:
    """From the list to the bytes of a packet, and out as JSON, with real keys."""
    with Terminal(RUN, "busy", str(tmp_path), width=100, height=30) as terminal:
        terminal.until("Relay")
        for keys, seen in (("\r", "Relay 10.1.9.5"), ("\r", "10.1.9.5:8080"), ("\r", "Decoded"), ("\x1b", "5 Flows")):
            terminal.press(keys)
            terminal.until(seen)
        terminal.press("e")
        terminal.until("this incident")
        terminal.press("\r")
        terminal.until("exported")
        terminal.press("\x11")
        terminal.wait()
        (path,) = tmp_path.iterdir()

    assert json.loads(path.read_text())["schema"] == "nettriage.alert/1"
    assert str(path) in terminal.text.replace("\n", "")


@pytest.mark.parametrize("size", ["80x24", "120x40", "200x60"])
def test_the_triage_screen_looks_as_approved(tmp_path: Path, size: str) -> None:
    """The picture is the one in the golden file; to approve another: NETTRIAGE_APPROVE=1 and look at the difference."""
    width, height = map(int, size.split("x"))
    with Terminal(RUN, "busy", str(tmp_path), width=width, height=height) as terminal:
        terminal.until("Relay")
        terminal.settle()
        text = terminal.text + "\n"
    golden = GOLDEN / f"triage-{size}.txt"
    if os.environ.get("NETTRIAGE_APPROVE"):
        golden.write_text(text)

    assert text == golden.read_text()


def test_no_colour_is_no_colour(tmp_path: Path) -> None:
    """With NO_COLOR and the mono theme only attributes reach the terminal."""
    with Terminal(RUN, "busy", str(tmp_path), "mono", NO_COLOR="1") as terminal:
        terminal.until("Relay")
        terminal.settle()
        raw = bytes(terminal.raw)
    codes = {code for found in re.findall(rb"\x1b\[([0-9;]*)m", raw) for code in found.split(b";")}

    assert codes <= {b"", b"0", b"1", b"2", b"4", b"7", b"22", b"24", b"27", b"39", b"49"}
