"""Pictures made without a terminal."""

import asyncio
from pathlib import Path

import pytest

from tests.tui.fake_sensor import FakeSensor
from tui.app import NettriageApp
from tui.screenshot import save_screenshot


def _app(sensor: FakeSensor, folder: Path) -> NettriageApp:
    return NettriageApp(
        sensor.screens_end, theme="night", export_dir=folder, source_name="eth1", sensor_alive=lambda: True
    )


async def test_a_picture_shows_what_was_waited_for(tmp_path: Path) -> None:
    """The SVG holds the incidents that made the session ready."""
    sensor = FakeSensor()
    sensor.busy()
    answering = asyncio.ensure_future(sensor.answer())
    picture = tmp_path / "screen.svg"
    await save_screenshot(_app(sensor, tmp_path), picture, ready=lambda session: len(session.alerts) == 11)
    await asyncio.wait_for(answering, 5.0)

    assert "Relay" in picture.read_text()


async def test_a_picture_of_nothing_is_refused(tmp_path: Path) -> None:
    """Without what was waited for there is no picture, and an error instead."""
    sensor = FakeSensor()
    answering = asyncio.ensure_future(sensor.answer())
    with pytest.raises(TimeoutError, match="nothing to take a picture of"):
        await save_screenshot(_app(sensor, tmp_path), tmp_path / "no.svg", ready=lambda _: False, patience_s=0.1)
    await asyncio.wait_for(answering, 5.0)

    assert not (tmp_path / "no.svg").exists()
