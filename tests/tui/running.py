"""The app over a fake sensor, driven by a pilot."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

from textual.pilot import Pilot

from tests.tui.fake_sensor import FakeSensor
from tui.app import NettriageApp
from tui.main_screen import MainScreen

TRIES = 500


class Running:
    """An app, its sensor, and a clock that stands still until it is moved."""

    def __init__(self, app: NettriageApp, sensor: FakeSensor, pilot: Pilot[int], clock: list[float]) -> None:
        self.app = app
        self.sensor = sensor
        self.pilot = pilot
        self.clock = clock

    @property
    def screen(self) -> MainScreen:
        """The main screen, also while a box stands over it."""
        return self.app.get_default_screen()

    def text(self, panel: str) -> str:
        """What stands in a panel or bar of whatever screen is on top."""
        stack = self.app.screen_stack
        widget = next(found for screen in reversed(stack) for found in screen.query(f"#{panel}"))
        return "\n".join(widget.render_line(y).text.rstrip() for y in range(widget.size.height))

    async def press(self, *keys: str) -> None:
        """Type."""
        await self.pilot.press(*keys)
        await self.pilot.pause()

    async def until(self, condition: Callable[[], bool]) -> None:
        """Let the app work until a condition holds."""
        for _ in range(TRIES):
            if condition():
                return
            await self.pilot.pause(0.01)
        raise AssertionError(
            "it never came true:\n" + "\n".join(self.text(name) for name in ("status", "tabs", "alerts"))
        )


@asynccontextmanager
async def running(folder: Path, width: int = 120, height: int = 40, *, busy: bool = True) -> AsyncIterator[Running]:
    """Run the app in a terminal of that size, with a dozen incidents or none yet."""
    sensor, clock = FakeSensor(), [100.0]
    app = NettriageApp(
        sensor.screens_end, theme="night", export_dir=folder, source_name="eth1", sensor_alive=lambda: True,
        clock=lambda: clock[0],
    )  # fmt: skip
    async with app.run_test(size=(width, height)) as pilot:
        if busy:
            sensor.busy()
        answering = asyncio.ensure_future(sensor.answer())
        run = Running(app, sensor, pilot, clock)
        if busy:
            await run.until(lambda: run.screen.alerts.row_count > 0)
            await pilot.pause()
        yield run
    await asyncio.wait_for(answering, 5.0)
    sensor.close()
