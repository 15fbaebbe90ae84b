"""A small network of real hosts in namespaces, all on one hub, with a sensor that sees every frame."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Sequence
from contextlib import ExitStack
from types import TracebackType
from typing import Self

PREFIX = "10.77.0."
SPAN = "span0"


def missing(*commands: str) -> str:
    """Return why the network cannot be made here, or an empty string."""
    if os.geteuid() != 0:
        return "namespaces need root"
    absent = [command for command in ("ip", *commands) if not shutil.which(command)]
    return f"not installed: {', '.join(absent)}" if absent else ""


class Network:
    """Hosts ``h1`` to ``hN`` at 10.77.0.1 to 10.77.0.N and a namespace ``sensor`` with the port `SPAN`.

    The bridge forgets every address at once (``ageing_time 0``), so it floods like a hub and the sensor's
    port sees each frame once. Offloads are off: frames have their size on the wire.
    """

    def __init__(self, hosts: int) -> None:
        self._names = [f"h{number}" for number in range(1, hosts + 1)]
        self._tag = f"nt{os.getpid()}"
        self._stack = ExitStack()
        self._children: list[subprocess.Popen[bytes]] = []

    def __enter__(self) -> Self:
        try:
            self._build()
        except BaseException:
            self._stack.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        for child in self._children:
            child.terminate()
        for child in self._children:
            child.wait(timeout=10)
        self._stack.close()

    def address(self, host: str) -> str:
        """Return the address of ``hN``."""
        return PREFIX + host.removeprefix("h")

    def command(self, host: str, *command: str) -> list[str]:
        """Return the command line that runs `command` in the namespace of `host`."""
        return ["ip", "netns", "exec", self._namespace(host), *command]

    def run(self, host: str, *command: str, timeout_s: float = 60) -> subprocess.CompletedProcess[str]:
        """Run a command in a host to its end; raises CalledProcessError when it fails."""
        return subprocess.run(
            self.command(host, *command), check=True, capture_output=True, text=True, timeout=timeout_s
        )

    def start(self, host: str, *command: str) -> subprocess.Popen[bytes]:
        """Start a command in a host; it is ended with the network."""
        child = subprocess.Popen(
            self.command(host, *command), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        self._children.append(child)
        return child

    def wait_for_port(self, host: str, port: int, timeout_s: float = 10) -> None:
        """Wait until a TCP port of a host listens; sends no packet."""
        self._wait_for_socket(host, port, "-Hltn", timeout_s)

    def wait_for_datagrams(self, host: str, port: int, timeout_s: float = 10) -> None:
        """Wait until a UDP port of a host is bound; sends no packet."""
        self._wait_for_socket(host, port, "-Hlun", timeout_s)

    def _wait_for_socket(self, host: str, port: int, kind: str, timeout_s: float) -> None:
        deadline = time.monotonic() + timeout_s
        while time.monotonic() < deadline:
            if f":{port} " in self.run(host, "ss", kind).stdout:
                return
            time.sleep(0.05)
        raise TimeoutError(f"{host} does not listen on port {port}")

    def _namespace(self, host: str) -> str:
        return f"{self._tag}-{host}"

    def _build(self) -> None:
        for name in ("hub", "sensor", *self._names):
            _ip("netns", "add", self._namespace(name))
            self._stack.callback(_ip, "netns", "del", self._namespace(name))
            self._in(name, "link", "set", "lo", "up")
        self._in("hub", "link", "add", "br0", "type", "bridge", "ageing_time", "0", "mcast_snooping", "0")
        self._in("hub", "link", "set", "br0", "up")
        for name in self._names:
            self._plug(name, "eth0")
            self._in(name, "addr", "add", f"{self.address(name)}/24", "dev", "eth0")
        self._plug("sensor", SPAN)
        self.run("sensor", "sysctl", "-qw", f"net.ipv6.conf.{SPAN}.disable_ipv6=1")

    def _plug(self, name: str, device: str) -> None:
        port = f"p-{name}"
        _ip("link", "add", port, "netns", self._namespace("hub"), "type", "veth", "peer", "name", device, "netns",
            self._namespace(name))  # fmt: skip
        self._in("hub", "link", "set", port, "master", "br0", "up")
        self._in(name, "link", "set", device, "up")
        if shutil.which("ethtool"):
            for host, dev in (("hub", port), (name, device)):
                self.run(host, "ethtool", "-K", dev, "tx", "off", "gso", "off", "tso", "off", "gro", "off")

    def _in(self, name: str, *words: str) -> None:
        _ip("-n", self._namespace(name), *words)


def _ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True, capture_output=True)


def python_listener(answer: str, port: int) -> Sequence[str]:
    """Return a command that answers every TCP connection on `port` with `answer` and echoes what it is sent."""
    code = (
        "import socketserver as s\n"
        "class H(s.BaseRequestHandler):\n"
        "    def handle(self):\n"
        f"        self.request.sendall({answer!r}.encode())\n"
        "        while chunk := self.request.recv(4096): self.request.sendall(chunk)\n"
        "s.ThreadingTCPServer.allow_reuse_address = True\n"
        f"s.ThreadingTCPServer(('', {port}), H).serve_forever()\n"
    )
    return ["python3", "-c", code]


def python_resolver() -> Sequence[str]:
    """Return a command that answers every DNS question on port 53: there is no such name."""
    code = (
        "import socket\n"
        "s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.bind(('', 53))\n"
        "while True:\n"
        "    ask, who = s.recvfrom(512)\n"
        "    s.sendto(ask[:2] + bytes([0x81, 0x83]) + ask[4:], who)\n"
    )
    return ["python3", "-c", code]


def python_question(server: str, name: str) -> Sequence[str]:
    """Return a command that asks `server` for the address of `name` and waits for the reply."""
    labels = b"".join(bytes([len(part)]) + part.encode() for part in name.split("."))
    ask = b"\x12\x34\x01\0\0\x01\0\0\0\0\0\0" + labels + b"\0\0\x01\0\x01"
    code = (
        "import socket\n"
        "s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.settimeout(5)\n"
        f"s.sendto({ask!r}, ({server!r}, 53)); s.recv(512)\n"
    )
    return ["python3", "-c", code]
