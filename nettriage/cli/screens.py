"""A run with screens: the sensor process is started first, then privileges are given up, then the screens open."""

from __future__ import annotations

import os
from pathlib import Path

import platformdirs

from nettriage.cli.arguments import RunArguments
from nettriage.cli.plain import run_config
from nettriage.cli.sourcing import DEMO, STREAM, Chosen
from nettriage.cli.talk import say
from nettriage.engine.launch import start_sensor
from nettriage.engine.privileges import drop_privileges
from nettriage.settings.effective import Settings
from nettriage.settings.files import user_file
from themes import loading
from tui.app import run_app

LOG_MAX_BYTES = 1 << 20


def show(arguments: RunArguments, settings: Settings, source: Chosen) -> int:
    """Show the screens until the operator leaves; return the exit code. Raises NettriageError before they open."""
    user_themes = user_file().parent / "themes"
    loading.load(settings.screen.theme, user_themes)
    if settings.output.alert_log:
        say(f"no line goes to {settings.output.alert_log}: output.alert_log is for --headless runs")
    own_pace = 1.0 if source.type == DEMO else 0.0
    sensor = start_sensor(run_config(arguments, settings, source, speed=own_pace, log_file=_log_file()))
    try:
        if source.name == STREAM:
            _read_keys_from_the_terminal()
        drop_privileges(keep_net_raw=False, keep_user=True)
        exports = Path(settings.output.export_dir or os.curdir).absolute()
        ending = run_app(
            sensor.sock, theme=settings.screen.theme, export_dir=exports,
            source_name=source.shown, sensor_alive=sensor.alive, user_themes=user_themes,
        )  # fmt: skip
    finally:
        sensor.stop()
    say(ending.summary)
    return ending.exit_code


def _read_keys_from_the_terminal() -> None:
    """Give fd 0 to the keyboard: the packets on it belong to the sensor process now."""
    tty = os.open("/dev/tty", os.O_RDWR | os.O_CLOEXEC)
    os.dup2(tty, 0)
    os.close(tty)


def _log_file() -> str:
    """Return the log of the sensor process, empty where no folder can be made for it; a long one is set aside."""
    try:
        folder = Path(platformdirs.user_log_dir("nettriage"))
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        path = folder / "sensor.log"
        if path.exists() and path.stat().st_size > LOG_MAX_BYTES:
            path.replace(path.with_suffix(".log.1"))
    except OSError:
        return ""
    return str(path)
