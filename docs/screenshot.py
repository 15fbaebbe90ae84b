"""Makes the picture of the README: the triage screen over the bundled capture, drawn by the program itself."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path

from nettriage.cli.installed import catalogue
from nettriage.cli.sourcing import demo_capture
from nettriage.engine.config import RunConfig
from nettriage.engine.launch import SensorHandle, start_sensor
from nettriage.settings.load import load
from tui.app import NettriageApp

PICTURE = Path(__file__).parent / "triage.svg"
SIZE = (140, 42)
WAIT_S = 60.0
_FONT_FACE = re.compile(r"@font-face \{.*?\}", re.DOTALL)


async def draw(sensor: SensorHandle, settings_theme: str) -> str:
    """Return the screen as SVG once the whole capture was analysed; the fonts are those of the reader."""
    app = NettriageApp(
        sensor.sock, theme=settings_theme, export_dir=Path.cwd(), source_name="demo",
        sensor_alive=sensor.alive,
    )  # fmt: skip
    async with app.run_test(size=SIZE) as pilot, asyncio.timeout(WAIT_S):
        while app.session.ending is None:
            await pilot.pause(0.1)
        await pilot.pause(0.5)
        return _FONT_FACE.sub("", app.export_screenshot(title="nettriage demo"))


def main() -> None:
    """Analyse the demo at full speed and write the picture."""
    settings = load(catalogue(), environ={})
    sensor = start_sensor(RunConfig.of(settings, str(demo_capture()), source_type="demo"))
    try:
        PICTURE.write_text(asyncio.run(draw(sensor, settings.screen.theme)))
    finally:
        sensor.stop()


if __name__ == "__main__":
    main()
