"""A Linux interface, read through the kernel's packet ring."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import socket
import struct
from collections.abc import AsyncIterator
from dataclasses import replace

from nettriage.model.batch import RawBatch
from nettriage.model.errors import CapturePermissionError, InterfaceError, NettriageError, nearest
from nettriage.model.safetext import safe
from nettriage.model.snapshot import SourceInfo
from sniff.bpf import attach, kernel_program
from sniff.idle import Waiter, empty_batch
from sniff.interface import ARPHRD_ETHER, ARPHRD_LOOPBACK, Link, find_link, name_of, nic_drops
from sniff.linktype import ETHERNET, RAW_IP
from sniff.ring_layout import SOL_PACKET, Geometry, Ring
from sniff.source import SourceCounters, SourceOptions

WATCH_S = 1.0
"""Seconds between two looks at the interface."""
GATHER_S = 0.01
"""Rest after a batch that was not full: at 300,000 packets/s the next has 3,000 rows, and the ring has room."""

_ETH_P_ALL = 0x0003
_ADD_MEMBERSHIP, _DROP_MEMBERSHIP, _MR_PROMISC = 1, 2, 1
_PACKET_STATISTICS, _PACKET_IGNORE_OUTGOING = 6, 23


class RingSource:
    """Receives what arrives on one interface, and on its successor of the same name when it is deleted and made anew.

    The socket is opened once, with privileges; binding it again later needs none. It follows an interface that is
    renamed. Nothing ends it but `close`: an interface that is down or gone may come back. Loopback hands every
    packet to a tap twice, when it leaves and when it arrives; only the second is kept there.

    Raises `InterfaceError`, `CapturePermissionError`, or `UsageError` for a bad filter.
    """

    is_live = True

    def __init__(self, name: str, options: SourceOptions) -> None:
        link = find_link(name)
        if link is None:
            raise no_such_interface(name)
        self._name = name
        self._options = options
        self._link_type = _link_type(link)
        self._counters = SourceCounters(kernel_drops=0)
        self._tap = _open_tap(name, self._link_type)
        try:
            if options.bpf:
                attach(self._tap, kernel_program(options.bpf, name))
            self._ring = _open_ring(self._tap, options)
            if link.hardware == ARPHRD_LOOPBACK:
                self._tap.setsockopt(SOL_PACKET, _PACKET_IGNORE_OUTGOING, 1)
            self._join(link)
        except BaseException:
            self._tap.close()
            raise
        self._waiter = Waiter(self._tap.fileno())
        self._closed = False
        self._next_watch_s = 0.0
        self.info = SourceInfo(
            type="live", name=safe(name), link_types=[self._link_type], bpf=options.bpf, snaplen=options.snaplen
        )

    async def batches(self) -> AsyncIterator[RawBatch]:
        """Yield what arrived, or an empty batch about every 100 ms; a batch is valid until the next is asked for."""
        while not self._closed:
            count = self._ring.ready(self._options.batch_rows)
            if count:
                self._counters.received += count
                yield self._ring.take(count, self._link_type)
                if self._closed:
                    return
                self._ring.hand_back(count)
            self._watch(asyncio.get_running_loop().time())
            if count:
                await asyncio.sleep(0 if count == self._options.batch_rows else GATHER_S)
            elif not await self._waiter.readable():
                yield empty_batch(self._link_type)
            elif not self._closed and not self._ring.ready(1):
                self._tap.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)  # tells once that the interface went down
                self._next_watch_s = 0.0
                await asyncio.sleep(GATHER_S)

    def counters(self) -> SourceCounters:
        """Return the counters; the kernel forgets its count of drops whenever it tells it, so this adds up."""
        if not self._closed:
            tally = self._tap.getsockopt(SOL_PACKET, _PACKET_STATISTICS, 8)
            self._counters.kernel_drops = (self._counters.kernel_drops or 0) + struct.unpack("@II", tally)[1]
        return replace(self._counters)

    def close(self) -> None:
        """Leave the interface as it was found."""
        if self._closed:
            return
        self.counters()
        self._closed = True
        self._waiter.stop()
        self._promiscuous(_DROP_MEMBERSHIP)
        self._tap.close()
        self._ring.forget()

    def _join(self, link: Link) -> None:
        """Receive from `link`, and count its losses from now on."""
        self._tap.bind((link.name, _ETH_P_ALL))
        self._link = link
        self._promiscuous(_ADD_MEMBERSHIP)
        self._drops_before = self._counters.nic_drops or 0
        self._drops_base = nic_drops(link) or 0
        self._look(link)

    def _promiscuous(self, change: int) -> None:
        if not self._options.promiscuous:
            return
        member = struct.pack("@iHH8x", self._link.index, _MR_PROMISC, 0)
        with contextlib.suppress(OSError):  # dropped already if the interface is gone
            self._tap.setsockopt(SOL_PACKET, change, member)

    def _look(self, link: Link) -> None:
        """Note the state of the interface, which may have been renamed."""
        self._link = link
        self._counters.interface_state = "up" if link.up else "down"
        self._counters.note = "" if link.name == self._name else f"{self._name} is now called {link.name}"
        drops = nic_drops(link)
        if drops is not None:
            self._counters.nic_drops = self._drops_before + max(0, drops - self._drops_base)

    def _watch(self, now_s: float) -> None:
        """Once a second, see what became of the interface, and join the one that took its place."""
        if now_s < self._next_watch_s:
            return
        self._next_watch_s = now_s + WATCH_S
        link = find_link(name_of(self._link.index))
        if link is not None and link.index == self._link.index:
            self._look(link)
            return
        self._counters.interface_state = "gone"
        heir = find_link(self._name)
        if heir is None:
            return
        if _link_type(heir) != self._link_type:
            self._counters.note = f"{self._name} came back as another kind of link: start anew"
            return
        with contextlib.suppress(OSError):  # gone again meanwhile: the next look tells
            self._join(heir)
            self._counters.reopened += 1


def no_such_interface(name: str) -> InterfaceError:
    """Return the error for a name that is neither an interface nor a file."""
    known = [interface for _, interface in socket.if_nameindex()]
    return InterfaceError(
        f"{safe(name)}: no such interface, and no such file{nearest(name, known)}; interfaces: {', '.join(known)}"
    )


def _link_type(link: Link) -> int:
    return ETHERNET if link.hardware in (ARPHRD_ETHER, ARPHRD_LOOPBACK) else RAW_IP


def _open_tap(name: str, link_type: int) -> socket.socket:
    """Return a packet socket that receives nothing before it is bound.

    Of links that are not Ethernet (tun, ppp, tunnels) the kernel is asked for the network layer alone.
    """
    kind = socket.SOCK_RAW if link_type == ETHERNET else socket.SOCK_DGRAM
    try:
        return socket.socket(socket.AF_PACKET, kind, 0)
    except PermissionError as error:
        raise no_permission(name) from error


def no_permission(name: str) -> CapturePermissionError:
    """Return the error for a user who may not capture, with the lines that let them."""
    return CapturePermissionError(
        f"capturing on {safe(name)} needs the capability CAP_NET_RAW. Either\n"
        f"  sudo nettriage {safe(name)}\n"
        "or, without the other powers of root:\n"
        "  sudo setpriv --reuid=$USER --regid=$(id -g) --init-groups --inh-caps=+net_raw --ambient-caps=+net_raw"
        f" nettriage {safe(name)}"
    )


def _open_ring(tap: socket.socket, options: SourceOptions) -> Ring:
    try:
        return Ring(tap, Geometry.fit(options.snaplen, options.ring_mib), options.snaplen)
    except OSError as error:
        if error.errno != errno.ENOMEM:
            raise
        raise NettriageError(
            f"the kernel has no memory for a capture ring of {options.ring_mib} MiB: ask for a smaller one"
        ) from error
