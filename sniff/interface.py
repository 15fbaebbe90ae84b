"""Network interfaces of this host, as Linux describes them."""

from __future__ import annotations

import errno
import fcntl
import socket
import struct
from dataclasses import dataclass
from pathlib import Path

ARPHRD_ETHER = 1
ARPHRD_LOOPBACK = 772
"""Kinds of link (linux/if_arp.h)."""

SYSFS = Path("/sys/class/net")

_SIOCGIFFLAGS, _SIOCGIFHWADDR, _SIOCGIFINDEX = 0x8913, 0x8927, 0x8933
_IFF_UP, _IFF_RUNNING = 0x1, 0x40
_NO_INTERFACE = {errno.ENODEV, errno.ENXIO}
_RTM_GETADDR, _NLM_F_DUMP_REQUEST, _NLMSG_DONE, _NLMSG_ERROR = 22, 0x301, 3, 2
_NAME_MAX = 15


@dataclass(frozen=True, slots=True)
class Link:
    """An interface at one moment."""

    name: str
    index: int
    """Number that the kernel never gives twice while it runs."""
    up: bool
    """Whether it is switched on and has a carrier."""
    hardware: int
    """``ARPHRD_`` number."""
    mac: str
    """Empty where the kind of link has none."""


@dataclass(frozen=True, slots=True)
class ListedInterface:
    """One line of the list of interfaces."""

    name: str
    up: bool
    mac: str
    addresses: int
    """IPv4 and IPv6 addresses; a mirror port should have none."""


def find_link(name: str) -> Link | None:
    """Return the interface called `name`, None if there is none.

    The kernel would take ``eth0:1`` for ``eth0``: an old way to write a second address.
    """
    if not 0 < len(name.encode()) <= _NAME_MAX or set(name) & {"\0", ":"}:
        return None
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asker:
        try:
            (index,) = struct.unpack_from("@i", _ask(asker, _SIOCGIFINDEX, name))
            (flags,) = struct.unpack_from("@H", _ask(asker, _SIOCGIFFLAGS, name))
            address = _ask(asker, _SIOCGIFHWADDR, name)
        except OSError as error:
            if error.errno in _NO_INTERFACE:
                return None
            raise
    (hardware,) = struct.unpack_from("@H", address)
    mac = address[2:8].hex(":") if hardware == ARPHRD_ETHER else ""
    return Link(name, index, flags & (_IFF_UP | _IFF_RUNNING) == _IFF_UP | _IFF_RUNNING, hardware, mac)


def _ask(asker: socket.socket, request: int, name: str) -> bytes:
    """Return the answer part of struct ifreq (netdevice(7))."""
    return fcntl.ioctl(asker, request, struct.pack("16s24x", name.encode()))[16:]


def name_of(index: int) -> str:
    """Return the present name of interface number `index`, empty if it is gone."""
    try:
        return socket.if_indextoname(index)
    except OSError:
        return ""


def nic_drops(link: Link) -> int | None:
    """Return packets that the interface lost before the kernel saw them; None where nobody counts them.

    These are the counters behind libpcap's ps_ifdrop. They are not read where sysfs shows another network
    namespace than this process is in.
    """
    folder = SYSFS / link.name
    try:
        if int((folder / "ifindex").read_text()) != link.index:
            return None
        counters = (folder / "statistics" / f"rx_{cause}_errors" for cause in ("missed", "fifo"))
        return sum(int(counter.read_text()) for counter in counters)
    except (OSError, ValueError):
        return None


def list_interfaces() -> list[ListedInterface]:
    """Return the interfaces of this network namespace, in the kernel's order."""
    counts = _address_counts()
    links = (find_link(name) for _, name in socket.if_nameindex())
    return [ListedInterface(link.name, link.up, link.mac, counts.get(link.index, 0)) for link in links if link]


def _address_counts() -> dict[int, int]:
    """Return the number of addresses of each interface number (rtnetlink(7), RTM_GETADDR)."""
    counts: dict[int, int] = {}
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE) as kernel:
        kernel.send(struct.pack("@IHHIIBxxxi", 24, _RTM_GETADDR, _NLM_F_DUMP_REQUEST, 1, 0, socket.AF_UNSPEC, 0))
        while True:
            answer = kernel.recv(1 << 16)
            at = 0
            while at < len(answer):
                length, kind = struct.unpack_from("@IH", answer, at)
                if kind in (_NLMSG_DONE, _NLMSG_ERROR):
                    return counts
                (index,) = struct.unpack_from("@I", answer, at + 20)
                counts[index] = counts.get(index, 0) + 1
                at += length + -length % 4
