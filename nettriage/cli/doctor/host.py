"""Checks of the host: Python, the kernel's capture interface, the right to use it, and memory for the ring."""

from __future__ import annotations

import os
import platform
import socket
from collections.abc import Iterator
from importlib.metadata import version

from nettriage.cli.doctor.check import Check
from nettriage.cli.remedies import with_capability, with_sudo
from nettriage.settings.sections import Capture
from sniff.ring_layout import PACKET_RX_RING, PACKET_VERSION, TPACKET_V2, Geometry

CAP_NET_RAW = 13
SOL_PACKET = 263


def checks(interface: str) -> Iterator[Check]:
    """Yield the checks that need no interface; `interface` only completes the remedies."""
    yield Check("ok", f"Python {platform.python_version()}, NumPy {version('numpy')}, {os.cpu_count()} cores")
    if not hasattr(socket, "AF_PACKET"):
        yield Check("warn", f"{platform.system()} has no AF_PACKET: capture goes through libpcap (pcapy-ng)")
        return
    try:
        tap = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
    except PermissionError:
        words = interface or "IFACE"
        remedy = f"{with_sudo(words)}\n{with_capability(words)}"
        yield Check("fail", f"user {os.geteuid()} may not capture: CAP_NET_RAW is missing", remedy)
        return
    except OSError as error:
        yield Check("fail", f"the kernel refuses AF_PACKET: {error.strerror}", "use a kernel with CONFIG_PACKET")
        return
    with tap:
        yield Check("ok", f"capture is allowed ({_by_what_right()})")
        yield _ring(tap, Capture().snaplen, Capture().ring_mib)


def _by_what_right() -> str:
    if os.geteuid() == 0:
        return "root; given up before the first packet is read"
    return "CAP_NET_RAW" if _effective_capabilities() >> CAP_NET_RAW & 1 else "no capability, but the kernel allows it"


def _effective_capabilities() -> int:
    with open("/proc/self/status", encoding="ascii", errors="replace") as status:
        for line in status:
            if line.startswith("CapEff:"):
                return int(line.split()[1], 16)
    return 0


def _ring(tap: socket.socket, snaplen: int, mib: int) -> Check:
    """Ask for the ring of a capture (TPACKET_V2, packet_mmap.rst of the kernel); it goes with the socket."""
    try:
        tap.setsockopt(SOL_PACKET, PACKET_VERSION, TPACKET_V2)
        tap.setsockopt(SOL_PACKET, PACKET_RX_RING, Geometry.fit(snaplen, mib).request())
    except OSError as error:
        remedy = f"nettriage IFACE --ring-mib {max(1, mib // 4)}   (or free memory)"
        return Check("fail", f"no ring of {mib} MiB: {error.strerror}", remedy)
    return Check("ok", f"Linux {platform.release()}: a TPACKET_V2 ring of {mib} MiB can be mapped")
