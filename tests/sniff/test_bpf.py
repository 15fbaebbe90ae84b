"""Filters: what they keep of a file, and what the kernel is given."""

from __future__ import annotations

import socket
import struct

import pytest

from nettriage.model.errors import UsageError
from sniff.bpf import Sieve, attach, compile_filter, kernel_program
from tests.sniff.batches import raw_batch
from tests.sniff.taps import FAR, NEAR, QUIET, frame, make_pair, missing, namespace

ARP = b"\2" * 12 + b"\x08\x06" + bytes(46)
OTHER = b"\2" * 12 + b"\x88\xb5" + bytes(46)


def test_without_a_filter_a_batch_passes_untouched() -> None:
    """Nothing is copied and nothing compiled."""
    batch = raw_batch([ARP, OTHER])

    assert Sieve("", ())(batch) is batch


def test_every_column_keeps_the_accepted_rows() -> None:
    """Time, place and both lengths of a row stay together."""
    batch = raw_batch([OTHER, ARP, OTHER, ARP + b"x"], ts_ns=[1, 2, 3, 4], wire_len=[60, 70, 80, 90])
    kept = Sieve("arp", [1])(batch)

    assert [kept.packet(row) for row in range(len(kept))] == [ARP, ARP + b"x"]
    assert (kept.ts_ns.tolist(), kept.wire_len.tolist()) == ([2, 4], [70, 90])


def test_each_link_type_has_its_own_program() -> None:
    """The same words find the same packets behind other headers."""
    datagram = bytes.fromhex("4500001c00000000401100007f0000017f000001") + struct.pack(">HHHH", 53, 53, 8, 0)
    sieve = Sieve("udp port 53", ())

    assert len(sieve(raw_batch([datagram, b"\x60" + bytes(39)], link_type=101))) == 1
    assert len(sieve(raw_batch([b"\2" * 12 + b"\x08\x00" + datagram, ARP]))) == 1


def test_a_link_type_that_libpcap_cannot_filter_is_a_usage_error() -> None:
    """The message is libpcap's."""
    with pytest.raises(UsageError, match="filter `tcp port 80`"):
        compile_filter("tcp port 80", 54_321)


def test_a_filter_is_shown_harmless() -> None:
    """Terminal codes in a filter do not reach the terminal."""
    with pytest.raises(UsageError) as caught:
        compile_filter("\x1b[2J", 1)

    assert "\x1b" not in str(caught.value)


@pytest.mark.skipif(bool(missing()), reason=missing())
def test_an_attached_filter_is_locked() -> None:
    """The kernel applies the program from the first packet on, and nobody takes it off again."""
    with namespace():
        make_pair()
        with (
            socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0) as tap,
            socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0) as tx,
        ):
            attach(tap, kernel_program("ether proto 0x88b6", NEAR))
            tap.bind((NEAR, 3))
            tx.bind((FAR, 0))
            tx.send(frame(1))
            tx.send(frame(2, header=QUIET[:12] + b"\x88\xb6"))
            tap.settimeout(5)
            first = tap.recv(2048)
            with pytest.raises(PermissionError):
                tap.setsockopt(socket.SOL_SOCKET, 27, 0)  # SO_DETACH_FILTER

    assert first == frame(2, header=QUIET[:12] + b"\x88\xb6")


@pytest.mark.skipif(bool(missing()), reason=missing())
def test_a_long_program_is_read_back_whole() -> None:
    """More instructions than fit a small buffer."""
    ports = " or ".join(f"port {port}" for port in range(1000, 1100))
    with namespace():
        make_pair()
        program = kernel_program(ports, NEAR)

    assert len(program) > 128 * 8
    assert struct.unpack_from("=H", program, len(program) - 8)[0] == 6  # the last instruction returns
