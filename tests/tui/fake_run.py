"""The screens over a fake sensor in a real terminal: ``python -m tests.tui.fake_run SCENARIO``."""

from __future__ import annotations

import asyncio
import sys
import threading
from pathlib import Path

from nettriage.model.frames import Failed, Message
from tests.tui.fake_sensor import FakeSensor
from tests.tui.hostile import hostile_alerts, hostile_flows, hostile_packets
from tests.tui.made import alert, busy_alerts, update
from tui import panels
from tui.app import run_app

PERIOD_S = 0.25
CROWD = 2000


def scenario(name: str, sensor: FakeSensor) -> list[Message]:
    """Return what the sensor says first."""
    if name == "hostile":
        sensor.alerts, sensor.flows, sensor.packets = hostile_alerts(), hostile_flows(), hostile_packets()
    elif name == "failed":
        return [Failed(message="no such interface: eht1 (did you mean eth1?)", exit_code=4)]
    elif name == "crowd":
        sensor.alerts = [alert(number, score=number % 100) for number in range(CROWD)]
    else:
        sensor.alerts = busy_alerts()
    return [update(sensor.alerts)]


async def play(sensor: FakeSensor, name: str) -> None:
    """Answer questions, and in the scenarios ``live`` and ``crowd`` send an update four times a second."""
    answering = asyncio.ensure_future(sensor.answer())
    await sensor.linked.wait()
    for message in scenario(name, sensor):
        sensor.say(message)
    sequence = 1
    while not answering.done():
        await asyncio.wait([answering], timeout=PERIOD_S)
        sequence += 1
        if name in ("live", "crowd") and not answering.done():
            changed = [
                each for at, each in enumerate(sensor.alerts) if (at + sequence) % (len(sensor.alerts) // 4) == 0
            ]
            for each in changed:
                each.count += sequence
            sensor.say(update(changed, sequence, received=4_100_000 + sequence * 1000))
    await answering


def _break(_session: object) -> tuple[str, str]:
    """Fail as a bug would, with something secret at hand."""
    secret = "\x1b]2;hunter2\x07"
    raise ValueError(secret)


def main() -> None:
    """Play the scenario that the command line names, and print how it ended."""
    name = sys.argv[1]
    sensor = FakeSensor()
    thread = threading.Thread(target=lambda: asyncio.run(play(sensor, name)), daemon=True)
    thread.start()
    if name == "broken":
        panels.alerts_title = _break
    theme = sys.argv[3] if len(sys.argv) > 3 else "night"
    ending = run_app(
        sensor.screens_end, theme=theme, export_dir=Path(sys.argv[2]), source_name="eth1", sensor_alive=thread.is_alive
    )
    sys.stderr.write(f"{ending.summary}\n")
    raise SystemExit(ending.exit_code)


if __name__ == "__main__":
    main()
