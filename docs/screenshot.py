"""Makes the picture of the README: the triage screen over the bundled capture, drawn by the program itself."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path

from nettriage.cli.installed import catalogue
from nettriage.cli.sourcing import demo_capture
from nettriage.engine.config import RunConfig
from nettriage.engine.launch import start_sensor
from nettriage.settings.load import load
from tui.app import NettriageApp
from tui.screenshot import save_screenshot

PICTURE = Path(__file__).parent / "triage.svg"
_WEB_FONT = re.compile(r"@font-face \{.*?\}", re.DOTALL)
"""A picture in a README shall fetch nothing: it is drawn in the reader's own fixed-width font."""


def main() -> None:
    """Analyse the demo at full speed and write the picture once everything was analysed."""
    settings = load(catalogue(), environ={})
    sensor = start_sensor(RunConfig.of(settings, str(demo_capture()), source_type="demo"))
    try:
        app = NettriageApp(
            sensor.sock, theme=settings.screen.theme, export_dir=Path.cwd(), source_name="demo",
            sensor_alive=sensor.alive,
        )  # fmt: skip
        asyncio.run(save_screenshot(app, PICTURE, ready=lambda session: session.ending is not None))
        PICTURE.write_text(_WEB_FONT.sub("", PICTURE.read_text()))
    finally:
        sensor.stop()


if __name__ == "__main__":
    main()
