"""The terminal application: joins the link, the session and the screen, and leaves the terminal clean."""

from __future__ import annotations

import asyncio
import gc
import signal
import socket
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import ClassVar, NamedTuple

from textual.binding import BindingType
from textual.filter import LineFilter
from textual.worker import Worker, WorkerState

from nettriage.model.errors import ExitCode
from nettriage.model.frames import Failed, Update
from nettriage.model.safetext import safe
from themes import loading
from tui import actions, figures
from tui._textual_quirks import QuietCrashApp
from tui.controls import ControlledScreen
from tui.dissect import Dissector
from tui.drill import Drill
from tui.incident_book import tally
from tui.line_guard import LineGuard
from tui.link import LinkError, News, SensorLink
from tui.session import Session
from tui.theming import Palette, textual_theme

HEARTBEAT_S = 1.0
"""How often ages, stale marks and the order of rows are looked at without an update."""
EXPORTS_SHOWN = 20


class Ending(NamedTuple):
    """How the screens ended."""

    exit_code: int
    summary: str
    """Plain text for the normal screen: what was seen, and what was written."""


class NettriageApp(QuietCrashApp):
    """Shows what a sensor says over `link_socket`. It captures nothing and needs no privilege."""

    TITLE = "nettriage"
    CSS_PATH = "nettriage.tcss"
    ENABLE_COMMAND_PALETTE = False
    BINDINGS: ClassVar[list[BindingType]] = actions.bindings(actions.app_actions())

    def __init__(
        self, link_socket: socket.socket, *, theme: str, export_dir: Path, source_name: str,
        sensor_alive: Callable[[], bool], user_themes: Path | None = None, clock: Callable[[], float] = time.monotonic,
    ) -> None:  # fmt: skip
        """Own one end of the socketpair; the theme is loaded here, so that a wrong one fails before the screen opens.

        Raises ConfigError for a theme that is not there or wrong.
        """
        spec = loading.load(theme, user_themes)
        super().__init__(ansi_color=True if spec.ansi else None)
        self.animation_level = "none"
        self.link = SensorLink(link_socket)
        self.session = Session(source_name)
        self.drill = Drill()
        self.dissector = Dissector()
        self.palette = Palette(spec)
        self.export_dir = export_dir
        self.exported: list[str] = []
        self.clock = clock
        self._sensor_alive = sensor_alive
        self._user_themes = user_themes
        self._guard = LineGuard()
        self._quit_asked_at = float("-inf")
        self._main = ControlledScreen(self.session, self.drill)
        self.register_theme(textual_theme(spec))
        self.theme = spec.name

    def get_default_screen(self) -> ControlledScreen:
        """The one screen."""
        return self._main

    def get_line_filters(self) -> Sequence[LineFilter]:
        """Let nothing through that could drive the terminal."""
        return [*super().get_line_filters(), self._guard]

    def on_mount(self) -> None:
        """Begin to listen."""
        if not self.is_headless:
            self._handle_signals()
        self.set_interval(HEARTBEAT_S, self._beat)
        self.run_worker(self._listen(), group="link", exit_on_error=False)
        gc.collect()
        gc.freeze()

    async def on_unmount(self) -> None:
        """Tell the sensor to stop, and end the dissector."""
        await self.link.close()
        await self.dissector.close()

    def say(self, text: str, *, bad: bool = False) -> None:
        """Say something in a corner, as plain text."""
        self.notify(text, severity="error" if bad else "information", markup=False, timeout=6)

    def action_next_theme(self) -> None:
        """Draw in the next theme."""
        names = loading.names(self._user_themes)
        name = names[(names.index(self.palette.key) + 1) % len(names)]
        spec = loading.load(name, self._user_themes)
        self.palette = Palette(spec)
        self.register_theme(textual_theme(spec))
        self.theme = spec.name
        self.say(f"theme {spec.name}: {spec.about}")
        self._main.refresh(layout=True)
        self._main.paint()

    def action_quit_twice(self) -> None:
        """Leave; ask once more while capturing."""
        now = self.clock()
        if not self.session.capturing or now - self._quit_asked_at < 3.0:
            self.leave()
            return
        self._quit_asked_at = now
        saved = "" if self.exported else f" ({figures.plural(len(self.session.alerts), 'incident')} not exported)"
        self.say(f"q again to stop the capture{saved}")

    async def action_quit(self) -> None:
        """Leave at once."""
        self.leave()

    def leave(self, code: int | None = None) -> None:
        """Close the screens with `code`, or with the exit code of the sensor."""
        if code is None:
            code = self.session.ending.exit_code if self.session.ending else int(ExitCode.DONE)
            code = int(ExitCode.RUNTIME) if self.session.link_lost and not self.session.ending else code
        self.exit(code, return_code=code)

    def ending(self) -> Ending:
        """Return exit code and summary of a run that is over."""
        code = self.return_code if self.return_code is not None else int(ExitCode.RUNTIME)
        return Ending(code, "\n".join(self._summary()))

    def on_worker_state_changed(self, event: Worker.StateChanged) -> None:
        """Report what broke in the background: the screens go on."""
        self.report(event)

    def report(self, event: Worker.StateChanged) -> None:
        """Say that a worker broke, with the path of the report."""
        if event.state is WorkerState.ERROR:
            self.say(self.note_crash(event.worker.error), bad=True)

    async def _listen(self) -> None:
        try:
            await self.link.listen(self._took)
        except LinkError as error:
            self.say(str(error), bad=True)
        self.session.link_lost = True
        self._main.paint()

    def _took(self, news: list[News]) -> None:
        """Take in everything that arrived together, then paint once: a slow terminal skips pictures, not incidents."""
        now = self.clock()
        for message in news:
            if isinstance(message, Update):
                self.session.take(message, now)
            else:
                self.session.ending = message
        ending = self.session.ending
        if isinstance(ending, Failed) and not (self.session.latest and self.session.latest.health.received):
            self.leave(ending.exit_code)
        elif news and self._main.is_mounted:
            if ending in news and ending is not None and ending.message:
                self.say(ending.message, bad=isinstance(ending, Failed))
            self._main.paint()

    def _beat(self) -> None:
        if not self.session.link_lost and not self.session.ending and not self._sensor_alive():
            self.session.link_lost = True
        self._main.paint()

    def _handle_signals(self) -> None:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
            loop.add_signal_handler(number, self.leave, 128 + number)

    def _summary(self) -> list[str]:
        update, rows = self.session.latest, []
        if update is not None:
            health = update.health
            lost = sum(drops or 0 for drops in (health.kernel_drops, health.nic_drops, health.shed))
            rows.append(f"{update.source.name}: {health.received:,} packets, {lost:,} lost or shed")
        counts = tally(self.session.book.alerts.values())
        words = ", ".join(f"{number} {name}" for name, number in counts.items())
        rows.append(f"incidents: {words or 'none'}")
        rows += [f"wrote {path}" for path in self.exported[:EXPORTS_SHOWN]]
        if self.crash is not None:
            rows.append(self.crash)
        if self.session.ending and self.session.ending.message:
            rows.append(self.session.ending.message)
        elif self.session.link_lost:
            rows.append("the sensor process ended without a word; see its log")
        return [safe(row) for row in rows]


def run_app(
    link_socket: socket.socket, *, theme: str, export_dir: Path, source_name: str, sensor_alive: Callable[[], bool],
    user_themes: Path | None = None,
) -> Ending:  # fmt: skip
    """Show the screens until the operator leaves, and return exit code and summary; the terminal is restored."""
    app = NettriageApp(
        link_socket, theme=theme, export_dir=export_dir, source_name=source_name, sensor_alive=sensor_alive,
        user_themes=user_themes,
    )  # fmt: skip
    app.run()
    return app.ending()
