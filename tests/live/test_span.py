"""The main job on a mirror port: real tools in namespaces, and nettriage live beside them."""

from __future__ import annotations

import json
import queue
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest

from tests.live.network import SPAN, Network, missing, python_listener, python_question, python_resolver

REASON = missing("nmap", "curl", "microsocks", "socat", "ss")
pytestmark = pytest.mark.skipif(bool(REASON), reason=REASON)

WEB = ("python3", "-m", "http.server", "80", "--directory", "/usr/share/common-licenses")
PAGE = "GPL-2"
LATENCY_S = 5.0
"""The promise: an incident is on the screen this long after the packet that crosses its threshold."""


class Sensor:
    """`nettriage span0 --headless` in the sensor's namespace, its records read as they come."""

    def __init__(self, net: Network) -> None:
        self._child = subprocess.Popen(
            net.command("sensor", sys.executable, "-P", "-m", "nettriage", SPAN, "--headless"),
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        self._lines: queue.Queue[dict[str, Any]] = queue.Queue()
        self.records: list[dict[str, Any]] = []
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def wait_for(self, kind: str, *, timeout_s: float, **wanted: object) -> dict[str, Any]:
        """Return the first record of `kind` with the wanted subject or via, waiting at most `timeout_s`."""
        deadline = time.monotonic() + timeout_s
        for record in self.records:
            if _matches(record, kind, wanted):
                return record
        while (left := deadline - time.monotonic()) > 0:
            try:
                record = self._lines.get(timeout=left)
            except queue.Empty:
                break
            self.records.append(record)
            if _matches(record, kind, wanted):
                return record
        raise AssertionError(f"no {kind} {wanted} in {timeout_s} s; got {[_brief(one) for one in self.records]}")

    def wait_until_up(self) -> None:
        """Wait until the tap is open: it says so on stderr."""
        assert self._child.stderr is not None
        for line in self._child.stderr:
            if SPAN in line:
                return
        raise AssertionError(f"nettriage ended with {self._child.wait()} before it listened")

    def stop(self) -> dict[str, Any]:
        """End it with SIGTERM and return its last record."""
        self._child.terminate()
        assert self._child.wait(timeout=20) == 143
        self._reader.join(timeout=10)
        while not self._lines.empty():
            self.records.append(self._lines.get())
        return self.records[-1]

    def kill(self) -> None:
        """End it for good."""
        self._child.kill()
        self._reader.join(timeout=10)
        self._child.communicate()

    def _read(self) -> None:
        assert self._child.stdout is not None
        for line in self._child.stdout:
            self._lines.put(json.loads(line))


def _matches(record: dict[str, Any], kind: str, wanted: dict[str, object]) -> bool:
    seen = {"subject": record.get("subject", {}).get("ip"), "via": [hop["ip"] for hop in record.get("via", [])]}
    return record["kind"] == kind and all(seen[name] == value for name, value in wanted.items())


def _brief(record: dict[str, Any]) -> str:
    return f"{record['kind']} {record.get('severity')} {record.get('subject', {}).get('ip')}"


@pytest.fixture
def net() -> Iterator[Network]:
    """Four hosts on a hub: h1 the client, h2 the server, h3 the pivot, h4 a second server."""
    with Network(4) as network:
        for host in ("h2", "h4"):
            network.start(host, *WEB)
            network.start(host, *python_listener("SSH-2.0-OpenSSH_9.2\r\n", 22))
            network.wait_for_port(host, 80)
            network.wait_for_port(host, 22)
        network.start("h4", *python_resolver())
        network.wait_for_datagrams("h4", 53)
        yield network


@pytest.fixture
def sensor(net: Network) -> Iterator[Sensor]:
    """The sensor, listening."""
    running = Sensor(net)
    try:
        running.wait_until_up()
        yield running
    finally:
        running.kill()


def ordinary(net: Network) -> None:
    """Ask for names, fetch pages and talk to the SSH port, as people do."""
    for name in ("www.example.test", "intra.example.test", "mail.example.test"):
        net.run("h1", *python_question(net.address("h4"), name))
    for host in ("h2", "h4", "h2"):
        net.run("h1", "curl", "-sS", "-o", "/dev/null", f"http://{net.address(host)}/{PAGE}")
        net.run("h1", "sh", "-c", f"(echo hello; sleep 0.2) | socat - TCP:{net.address(host)}:22")


def test_a_port_scan_is_raised_in_time(net: Network, sensor: Sensor) -> None:
    """A real nmap SYN scan of 1,000 ports is a vertical scan by its source within the promised time."""
    ordinary(net)
    start = time.monotonic()
    net.run("h1", "nmap", "-sS", "-n", "-Pn", "-p1-1000", net.address("h2"))

    alert = sensor.wait_for("vertical-scan", subject="10.77.0.1", timeout_s=start + LATENCY_S - time.monotonic())

    assert alert["severity"] in {"medium", "high", "critical"}
    assert alert["objects"][0]["ip"] == "10.77.0.2"
    assert alert["reason"]


def test_a_ping_sweep_is_raised_in_time(net: Network, sensor: Sensor) -> None:
    """A real nmap host discovery of the own segment is a host sweep by its source."""
    ordinary(net)
    net.run("h1", "nmap", "-sn", "-n", "10.77.0.0/24")

    sensor.wait_for("host-sweep", subject="10.77.0.1", timeout_s=LATENCY_S)


def test_a_socks_proxy_is_named(net: Network, sensor: Sensor) -> None:
    """The host that serves microsocks to curl is named as internal proxy, with client and target around it."""
    ordinary(net)
    net.start("h3", "microsocks", "-p", "1080")
    net.wait_for_port("h3", 1080)
    for _ in range(2):
        net.run("h1", "curl", "-sS", "-o", "/dev/null", "-x", f"socks5://{net.address('h3')}:1080",
                f"http://{net.address('h2')}/{PAGE}")  # fmt: skip

    alert = sensor.wait_for("internal-proxy", subject="10.77.0.3", timeout_s=LATENCY_S)

    assert alert["severity"] in {"medium", "high", "critical"}
    assert [hop["ip"] for hop in alert["via"]] == ["10.77.0.1", "10.77.0.3", "10.77.0.2"]


def test_a_relay_shows_both_legs(net: Network, sensor: Sensor) -> None:
    """A socat relay is raised with its path: client, relay, server."""
    ordinary(net)
    net.start("h3", "socat", "TCP-LISTEN:4444,fork,reuseaddr", f"TCP:{net.address('h2')}:80")
    net.wait_for_port("h3", 4444)
    for _ in range(3):
        net.run("h1", "curl", "-sS", "-o", "/dev/null", f"http://{net.address('h3')}:4444/{PAGE}")

    path = ["10.77.0.1", "10.77.0.3", "10.77.0.2"]
    alert = sensor.wait_for("relay", subject="10.77.0.3", via=path, timeout_s=LATENCY_S)

    assert len(alert["legs"]) == 2


def test_ordinary_traffic_raises_nothing(net: Network, sensor: Sensor) -> None:
    """Pages and logins raise nothing of medium or above, and the summary accounts for every packet."""
    for _ in range(4):
        ordinary(net)

    summary = sensor.stop()

    assert summary["schema"] == "nettriage.summary/1"
    assert summary["packets"] > 50
    assert summary["capture_health"]["kernel_drops"] == 0
    loud = [record for record in sensor.records[:-1] if record["severity"] in {"medium", "high", "critical"}]
    assert [_brief(record) for record in loud] == []
