"""Tests of the SSH tunnel detector: roles, forwarding by shape, and what stays quiet; sizes as OpenSSH 9.2 has them."""

from __future__ import annotations

import pytest

from detectors._kit import forge
from nettriage.model.addresses import AddressSet
from nettriage.model.alert import Alert
from nettriage.model.site import Site
from tests.detectors.driver import SITE, detector, run_frames

CLIENT, SERVER, OUTSIDE = "10.0.1.11", "10.0.2.5", "192.0.2.66"
LOCAL = [(0, 92), (1, 44), (0, 116), (1, 1448), (1, 356), (0, 36), (1, 72), (0, 36)]
"""A forwarded web request: open, confirm, request, answer, end of file and close."""
REMOTE = [(1 - side, size) for side, size in LOCAL]
AES_GCM = [(0, 100), (1, 52), (0, 116), (1, 1448), (0, 36), (1, 72), (0, 36)]
TYPING = [(0, 36), (1, 36)] * 40 + [(0, 36), (1, 612), (1, 60)] * 4
NESTED = [(0, 76), (1, 76)] * 40 + [(0, 76), (1, 652)] * 4
COPY_UP = [(1, 36)] * 5 + [(0, 84), (1, 52)] * 10 + [(0, 1448)] * 60 + [(1, 68), (0, 68), (1, 76)] * 6
COPY_DOWN = [(1, 1448)] * 80 + [(0, 36)] * 6


def _packet(kind: int, body: bytes) -> bytes:
    return (len(body) + 8).to_bytes(4) + b"\x06" + bytes((kind,)) + body + bytes(6)


def _kexinit(*marks: bytes) -> bytes:
    lists = (
        b",".join((b"curve25519-sha256", *marks)),
        b"ssh-ed25519",
        *(b"aes128-ctr",) * 2,
        *(b"hmac-sha2-256",) * 2,
        b"none",
        b"none",
        b"",
        b"",
    )
    return _packet(20, bytes(16) + b"".join(len(one).to_bytes(4) + one for one in lists) + bytes(5))


def _opening(client: int = 0, software: bytes = b"OpenSSH_9.2p1") -> list[tuple[int, bytes]]:
    """Return banner, key exchange and login of a session whose SSH client stands on side `client`."""
    banner = b"SSH-2.0-" + software + b"\r\n"
    turns = [(1, banner), (0, banner), (0, _kexinit()), (1, _kexinit())]
    turns += [(client, _packet(30, bytes(36))), (1 - client, _packet(31, bytes(120)))]
    return turns + [(side, b"\x5a" * 60) for side in (0, 1)] * 6


def _alerts(sizes, *, server=SERVER, port=22, opening=None, site: Site = SITE, client=CLIENT) -> list[Alert]:
    turns = [*(opening or _opening()), *((side, b"\x5a" * size) for side, size in sizes)]
    scene = forge.Scene().session(client, server, port, turns, gap_ns=5 * forge.MS)
    scene.wait(10 * forge.S).session("10.0.9.1", "10.0.9.2", 80)
    return run_frames(scene.frames(), detector("ssh-tunnel", site), site=site).of("ssh-tunnel")


@pytest.mark.parametrize("cycle", [LOCAL, AES_GCM], ids=["chacha20", "AES-GCM"])
def test_channels_opened_by_the_client_are_local_forwarding(cycle):
    """-L and -D are told by opens that are confirmed at once; the SSH client is the subject."""
    (alert,) = _alerts(cycle * 8)

    assert alert.subject.ip == CLIENT
    assert "-L or -D" in alert.title
    assert "opened 8 channels" in alert.reason or "opened 7 channels" in alert.reason
    assert alert.severity == "medium"


def test_channels_opened_by_the_server_are_remote_forwarding():
    """-R weighs more, and its path leads from the far end to the host inside."""
    (alert,) = _alerts(REMOTE * 8, server=OUTSIDE)

    assert alert.subject.ip == CLIENT
    assert [party.ip for party in alert.via] == [OUTSIDE, CLIENT]
    assert alert.severity == "high"


@pytest.mark.parametrize(
    "sizes", [TYPING, COPY_UP, COPY_DOWN, LOCAL * 2], ids=["shell", "sftp", "download", "two only"]
)
def test_shells_and_file_copies_are_silent(sizes):
    """Keystrokes, bulk, file opens and fewer than three channels raise nothing."""
    assert _alerts(sizes) == []


def test_ssh_inside_ssh_is_low():
    """Keystrokes that are 40 bytes longer show a jump, which administrators do every day."""
    (alert,) = _alerts(NESTED)

    assert alert.severity == "low"
    assert "SSH inside SSH" in alert.title


def test_a_caller_that_serves_the_login_is_reverse_ssh():
    """Where the host that was called begins the key exchange, the caller is the subject."""
    (alert,) = _alerts(TYPING, server=OUTSIDE, opening=_opening(client=1))

    assert alert.subject.ip == CLIENT
    assert "reverse SSH" in alert.title
    assert [party.ip for party in alert.via] == [OUTSIDE, CLIENT]
    assert alert.severity in ("high", "critical")


def test_a_list_that_only_clients_send_tells_the_role():
    """ext-info-c from the called host is enough where the next message is beyond what is kept (RFC 8308)."""
    banner = b"SSH-2.0-x\r\n"
    opening = [(1, banner), (0, banner), (0, _kexinit(b"ext-info-s")), (1, _kexinit(b"ext-info-c"))]
    (alert,) = _alerts([], server=OUTSIDE, opening=opening)

    assert "reverse SSH" in alert.title


def test_an_odd_port_is_low_and_names_the_library():
    """SSH where nobody expects it is said, with software that programs speak it with."""
    (alert,) = _alerts(TYPING, port=4444, opening=_opening(software=b"Go"))

    assert alert.severity == "low"
    assert "(Go)" in alert.reason
    assert "keystrokes" in alert.reason


def test_a_declared_bastion_lowers_forwarding():
    """Forwarding through a declared bastion stays below medium."""
    site = Site(bastions=AddressSet([SERVER]), mixer_secret=SITE.mixer_secret)

    assert _alerts(LOCAL * 12, site=site)[0].severity in ("info", "low")


def test_more_flows_than_lanes_are_counted_as_given_up():
    """Banners of more flows than can be measured evict the oldest ones, visibly."""
    scene = forge.Scene(step_ns=1_000)
    for host in range(1_200):
        scene.session(f"10.1.{host // 250}.{host % 250}", SERVER, 22, ((1, b"SSH-2.0-x\r\n"),), close=False)
    kind = detector("ssh-tunnel")
    run_frames(scene.frames(), kind)

    gauge = kind.gauges()["ssh flows"]
    assert (gauge.used, gauge.cap, gauge.evicted) == (1_024, 1_024, 176)
