"""The real screens over a real replay, in a pseudo-terminal: from the command line to a file for handing over."""

from __future__ import annotations

import json

import jsonschema
import pytest

from nettriage.cli.schema import schema_text
from nettriage.cli.sourcing import demo_capture
from tests.tui.terminal import Terminal


@pytest.fixture
def screens(tmp_path):
    """The demo's capture at full speed on a terminal of 120x40 cells, analysed to its end."""
    words = ("nettriage", str(demo_capture()), "--export-dir", str(tmp_path / "exports"))
    (tmp_path / "exports").mkdir()
    with Terminal(*words, width=120, height=40, HOME=str(tmp_path)) as terminal:
        terminal.until("FINISHED")
        yield terminal


def test_an_incident_is_opened_drilled_into_and_exported(screens, tmp_path):
    """Enter leads from an incident to its reasons, flows and a packet; e writes JSON that the schema accepts."""
    for keys, seen in (
        ("\r", "Not if"),
        ("\r", "5 Flows"),
        ("\r", "Decoded"),
        ("e", "this incident"),
        ("\r", "exported"),
    ):
        screens.press(keys)
        screens.until(seen)
    (exported,) = (tmp_path / "exports").iterdir()
    record = json.loads(exported.read_bytes())

    jsonschema.validate(record, json.loads(schema_text("alert")))
    assert record["schema"] == "nettriage.alert/1"


def test_leaving_says_what_was_seen(screens):
    """The key q ends with 0, and the normal screen says how much was seen."""
    screens.press("q")

    assert screens.wait() == 0
    assert "7,519 packets" in screens.text
    assert "critical" in screens.text


def test_errors_come_before_the_screen(tmp_path):
    """A theme that there is not ends with 2 and plain words, without an escape sequence."""
    with Terminal("nettriage", "demo", "--theme", "nigth", HOME=str(tmp_path)) as terminal:
        assert terminal.wait() == 2
        assert "did you mean night?" in terminal.text
        assert b"\x1b" not in terminal.raw
