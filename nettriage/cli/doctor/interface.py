"""Checks of one interface: its link, promiscuous mode, offloads, and what it lost so far."""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterator
from pathlib import Path

from nettriage.cli.doctor.check import Check
from nettriage.cli.doctor.ethtool import offloads
from nettriage.model.errors import InterfaceError, nearest
from sniff.interface import find_link, list_interfaces

SYSFS = Path("/sys/class/net")
SOL_PACKET = 263
PACKET_ADD_MEMBERSHIP = 1
PACKET_MR_PROMISC = 1
IFF_UP = 1
_LOST = ("rx_missed_errors", "rx_fifo_errors", "rx_over_errors", "rx_dropped")
"""Counters of packets that reached the interface and nobody else (kernel: networking/statistics.rst)."""


def checks(name: str) -> Iterator[Check]:
    """Yield the checks of an interface; raises InterfaceError where there is none of that name."""
    if find_link(name) is None:
        names = [item.name for item in list_interfaces()]
        raise InterfaceError(f"there is no interface {name!r}{nearest(name, names)}; interfaces: {', '.join(names)}")
    folder = SYSFS / name
    yield _link(folder)
    yield from _promiscuous(name)
    yield _merging(name, _fact(folder, "mtu", "?"))
    yield _losses(folder)


def _link(folder: Path) -> Check:
    if not int(_fact(folder, "flags", "0x1"), 16) & IFF_UP:
        return Check("warn", f"{folder.name} is down", f"sudo ip link set {folder.name} up")
    state = _fact(folder, "operstate", "unknown")
    speed = _fact(folder, "speed", "-1")
    rate = f", {speed} Mbit/s" if speed.isdecimal() and int(speed) > 0 else ""
    if state in ("down", "lowerlayerdown", "dormant"):
        return Check("warn", f"{folder.name} is up without a link ({state})", "check the cable and the mirror session")
    return Check("ok", f"{folder.name} is up{rate}, MTU {_fact(folder, 'mtu', '?')}, {_fact(folder, 'address', '')}")


def _promiscuous(name: str) -> Iterator[Check]:
    """Join and leave promiscuous mode; yields nothing where the user may not capture, which another check says."""
    try:
        tap = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
    except (OSError, AttributeError):
        return
    with tap:
        membership = struct.pack("=iHH8s", socket.if_nametoindex(name), PACKET_MR_PROMISC, 0, b"")
        try:
            tap.setsockopt(SOL_PACKET, PACKET_ADD_MEMBERSHIP, membership)
        except OSError as error:
            why = f"{name} cannot be promiscuous ({error.strerror}): only its own packets will be seen"
            yield Check("warn", why, f"nettriage {name} --set capture.promiscuous=false")
            return
    yield Check("ok", f"{name} can be promiscuous")


def _merging(name: str, mtu: str) -> Check:
    """Receive offloads merge packets before the tap sees them, so sizes and counts are no longer those of the wire."""
    found = offloads(name)
    merging = [offload for offload in ("gro", "lro") if found.get(offload)]
    if merging:
        why = f"{' and '.join(merging)} merge packets of {name}: sizes above MTU {mtu} and too few packets are seen"
        return Check("warn", why, f"sudo ethtool -K {name} " + " ".join(f"{offload} off" for offload in merging))
    sending = [offload for offload in ("tso", "gso") if found.get(offload)]
    if sending:
        return Check(
            "ok", f"{name} merges nothing it receives ({' and '.join(sending)} touch only what this host sends)"
        )
    return Check("ok", f"{name} merges no packets" if found else f"the driver of {name} has no offload switches")


def _losses(folder: Path) -> Check:
    lost = {name: int(count) for name in _LOST if (count := _fact(folder / "statistics", name, "0")).isdecimal()}
    received = _fact(folder / "statistics", "rx_packets", "?")
    lossy = ", ".join(f"{name} {count}" for name, count in lost.items() if count)
    if lossy:
        remedy = f"sudo ethtool -G {folder.name} rx 4096   (a larger ring of the card), or a filter: -f BPF"
        return Check("warn", f"{folder.name} lost packets since it came up: {lossy} of {received}", remedy)
    return Check("ok", f"{folder.name} received {received} packets and lost none")


def _fact(folder: Path, name: str, otherwise: str) -> str:
    try:
        return (folder / name).read_text(encoding="ascii", errors="replace").strip()
    except OSError:
        return otherwise
