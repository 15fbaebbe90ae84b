"""Tests of the sensor process, with a real child over a forged capture."""

from __future__ import annotations

import os
import select
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import pytest

from detectors._kit.forge import Scene
from detectors.registry import installed_detectors
from nettriage.engine.config import RunConfig, SiteConfig
from nettriage.engine.launch import SensorHandle, start_sensor
from nettriage.engine.packet_history import Kept
from nettriage.engine.pcapng import pcapng
from nettriage.model.errors import CaptureError, InterfaceError
from nettriage.model.frames import (
    AskFlows,
    AskPackets,
    AskSnapshot,
    Failed,
    Finished,
    Flows,
    FrameReader,
    Message,
    Packets,
    SnapshotReply,
    Stop,
    Update,
    encode,
)
from nettriage.model.site import HOME_NET_DEFAULT

AS_ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="only root has privileges to drop")
SCANNER = "10.0.9.1"


@pytest.fixture
def capture(tmp_path: Path) -> Path:
    """Return a capture file of a port scan among sessions."""
    scene = Scene()
    scene.session("10.0.0.1", "10.0.0.2", 80)
    for port in range(1, 400):
        scene.refused(SCANNER, "10.0.0.2", port)
    scene.half_open(SCANNER, "10.0.0.2", 80)
    path = tmp_path / "scan.pcapng"
    path.write_bytes(pcapng([(Kept(ts, frame, 1, len(frame), 0), "") for ts, frame in scene.frames()], "test"))
    return path


def config(source: str) -> RunConfig:
    """Return a run with every installed detector at its defaults."""
    tunings: dict[str, dict[str, int | float]] = {kind: {} for kind in installed_detectors()}
    return RunConfig(source=source, site=SiteConfig(home=HOME_NET_DEFAULT), tunings=tunings, config_digest="d")


@pytest.fixture
def start() -> Iterator[Callable[[RunConfig], SensorHandle]]:
    """Start sensors that are surely gone after the test."""
    started: list[SensorHandle] = []

    def begin(wanted: RunConfig) -> SensorHandle:
        started.append(start_sensor(wanted))
        started[-1].sock.settimeout(20)
        return started[-1]

    yield begin
    for handle in started:
        handle.process.kill()
        handle.process.wait()
        handle.sock.close()


class Screens:
    """The other end of the link, as plain blocking reads."""

    def __init__(self, handle: SensorHandle) -> None:
        self.sock = handle.sock
        self._reader = FrameReader()
        self.seen: list[Message] = [handle.first]

    def ask(self, question: Message) -> None:
        """Send a message."""
        self.sock.sendall(encode(question))

    def until(self, *kinds: type[Message]) -> Message:
        """Read on until a message of one of the kinds, and return it."""
        while True:
            chunk = self.sock.recv(1 << 16)
            assert chunk, "the sensor closed the link"
            new = list(self._reader.feed(chunk))
            self.seen += new
            for message in new:
                if isinstance(message, kinds):
                    return message


def test_a_capture_is_analysed_and_can_be_asked_about(
    capture: Path, start: Callable[[RunConfig], SensorHandle]
) -> None:
    """Incidents arrive in updates, then the end; flows, packets and the snapshot can be asked for even after it."""
    handle = start(config(str(capture)))
    screens = Screens(handle)
    end = screens.until(Finished, Failed)
    alerts = {alert.id: alert for seen in screens.seen if isinstance(seen, Update) for alert in seen.alerts}
    scan = next(alert for alert in alerts.values() if alert.kind == "vertical-scan")
    screens.ask(AskFlows(request=1, alert_id=scan.id))
    flows = screens.until(Flows)
    screens.ask(AskPackets(request=2, alert_id=scan.id))
    packets = screens.until(Packets)
    screens.ask(AskSnapshot(request=3))
    reply = screens.until(SnapshotReply)
    screens.ask(Stop())

    assert isinstance(end, Finished)
    assert end.exit_code == 0
    assert isinstance(flows, Flows)
    assert flows.request == 1
    assert flows.total >= 300
    assert {row.src for row in flows.rows} == {SCANNER}
    assert {row.state for row in flows.rows} >= {"REJ"}
    assert isinstance(packets, Packets)
    assert len(packets.rows) == scan.evidence.packets > 16
    assert any("[SYN]" in row.info for row in packets.rows)
    assert isinstance(reply, SnapshotReply)
    assert {alert.id for alert in reply.snapshot.alerts} == set(alerts)
    assert {host.ip for host in reply.snapshot.hosts} >= {SCANNER, "10.0.0.2"}
    assert msgspec.json.encode(reply.snapshot)
    assert handle.wait(10) == 0


@pytest.mark.parametrize(
    ("make", "error", "words"),
    [
        (lambda folder: str(folder / "junk"), CaptureError, "junk"),
        (lambda _: "nosuchif0", InterfaceError, "nosuchif0"),
    ],
)
def test_what_cannot_be_opened_is_said_before_any_screen(
    tmp_path: Path, make: Callable[[Path], str], error: type[Exception], words: str
) -> None:
    """The error of the source comes through the link as itself, in plain words."""
    (tmp_path / "junk").write_bytes(b"no capture at all, only words")
    if error is InterfaceError and os.geteuid() != 0:
        pytest.skip("only root gets as far as the missing interface")
    with pytest.raises(error, match=words):
        start_sensor(config(make(tmp_path)))


@AS_ROOT
def test_the_sensor_is_nobody_before_it_reads_a_packet(
    capture: Path, start: Callable[[RunConfig], SensorHandle]
) -> None:
    """A capture that only root may read was opened first; then nothing of root is left, in any thread."""
    capture.chmod(0o600)
    handle = start(config(str(capture)))
    status = _status(handle.pid)

    assert status["Uid"].split()[0] != "0"
    assert status["Groups"].split() == []
    assert status["NoNewPrivs"] == "1"
    assert int(status["CapEff"], 16) == int(status["CapPrm"], 16) == 0
    assert isinstance(Screens(handle).until(Finished, Failed), Finished)


@AS_ROOT
def test_a_live_sensor_keeps_one_capability(start: Callable[[RunConfig], SensorHandle]) -> None:
    """On an interface only CAP_NET_RAW is left, and the sensor ends in order when told."""
    handle = start(config("lo"))
    status = _status(handle.pid)

    assert status["Uid"].split()[0] != "0"
    assert int(status["CapEff"], 16) == 1 << 13
    assert handle.first.source.type == "live"
    assert handle.stop() == 0


def _status(pid: int) -> dict[str, str]:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return dict(line.split(":\t", 1) for line in lines if ":\t" in line)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_the_end_of_the_sensor_is_seen(
    capture: Path, start: Callable[[RunConfig], SensorHandle], number: signal.Signals
) -> None:
    """A sensor that is ended closes the link, is no longer alive, and leaves its exit status."""
    handle = start(config(str(capture)))
    Screens(handle).until(Finished)
    os.kill(handle.pid, number)
    status = handle.wait(10)

    assert status == (-signal.SIGKILL if number == signal.SIGKILL else 0)
    assert not handle.alive()
    assert _drained(handle.sock)


def _drained(sock: socket.socket) -> bool:
    """Read to the end of the stream; whether there is one."""
    while sock.recv(1 << 16):
        pass
    return True


def test_screens_that_are_killed_take_the_sensor_with_them(capture: Path, tmp_path: Path) -> None:
    """After a kill -9 of the screens the sensor sees the end of the link and goes too."""
    code = (
        "import os, signal, sys, msgspec\n"
        "from nettriage.engine.config import RunConfig\nfrom nettriage.engine.launch import start_sensor\n"
        "handle = start_sensor(msgspec.json.decode(sys.stdin.read(), type=RunConfig))\n"
        "sys.stdout.write(f'{handle.pid}\\n'); sys.stdout.flush(); sys.stdin.close(); signal.pause()\n"
    )
    parent = subprocess.Popen(
        [sys.executable, "-P", "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=tmp_path
    )  # fmt: skip
    assert parent.stdin is not None
    assert parent.stdout is not None
    parent.stdin.write(msgspec.json.encode(config(str(capture))))
    parent.stdin.close()
    sensor = os.pidfd_open(int(parent.stdout.readline()))
    parent.kill()
    parent.wait()
    parent.stdout.close()
    ended, _, _ = select.select([sensor], [], [], 10)
    os.close(sensor)

    assert ended


def test_a_damaged_capture_is_analysed_as_far_as_it_goes(
    capture: Path, start: Callable[[RunConfig], SensorHandle]
) -> None:
    """What is readable raises its incidents; the end says what was wrong, with the exit code for it."""
    capture.write_bytes(capture.read_bytes()[:-30])
    screens = Screens(start(config(str(capture))))
    end = screens.until(Finished, Failed)

    assert isinstance(end, Finished)
    assert end.exit_code == 5
    assert "cut" in end.message or "damaged" in end.message
    assert any(
        alert.subject.ip == SCANNER for seen in screens.seen if isinstance(seen, Update) for alert in seen.alerts
    )


def test_screens_that_do_not_read_cost_no_packet(
    capture: Path, start: Callable[[RunConfig], SensorHandle]
) -> None:  # fmt: skip
    """While nobody reads, the run goes on; later everything that was kept arrives, and what was refused is counted."""
    screens = Screens(start(config(str(capture))))
    for number in range(400):
        screens.ask(AskSnapshot(request=number))
    end = screens.until(Finished, Failed)
    last = [seen for seen in screens.seen if isinstance(seen, Update)][-1]
    answered = [seen.request for seen in screens.seen if isinstance(seen, SnapshotReply)]

    assert isinstance(end, Finished)
    assert last.health.received == 811
    assert answered == sorted(answered)
    assert last.limits["link.replies"].refused == 400 - len(answered) > 0


def test_a_stream_is_read_by_the_sensor(capture: Path, tmp_path: Path) -> None:
    """With the source `-` the standard input of the starting process is the capture."""
    code = (
        "import sys, msgspec\nfrom nettriage.engine.config import RunConfig\n"
        "from nettriage.engine.launch import start_sensor\nfrom nettriage.model.frames import FrameReader, Update\n"
        "handle = start_sensor(msgspec.json.decode(sys.argv[1], type=RunConfig))\nreader = FrameReader()\n"
        "received = 0\nwhile received < 811:\n    for message in reader.feed(handle.sock.recv(1 << 16)):\n"
        "        received = message.health.received if isinstance(message, Update) else received\n"
        "print(handle.first.source.type, received, handle.stop())\n"
    )
    with subprocess.Popen(["cat", str(capture)], stdout=subprocess.PIPE) as writer:
        done = subprocess.run(
            [sys.executable, "-P", "-c", code, msgspec.json.encode(config("-")).decode()],
            stdin=writer.stdout, capture_output=True, text=True, check=True, cwd=tmp_path, timeout=30,
        )  # fmt: skip

    assert done.stdout.split() == ["stream", "811", "0"]
