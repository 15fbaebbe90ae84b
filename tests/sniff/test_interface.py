"""What is known of interfaces: state, kind, addresses, names and losses."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from sniff.interface import ARPHRD_ETHER, ARPHRD_LOOPBACK, find_link, list_interfaces, name_of, nic_drops
from tests.sniff.taps import FAR, NEAR, ip, make_pair, missing, namespace

pytestmark = pytest.mark.skipif(bool(missing()), reason=missing())


@pytest.fixture(autouse=True)
def _net() -> Iterator[None]:
    """A namespace with a pair of interfaces."""
    with namespace():
        make_pair()
        yield


def test_a_link_is_found_by_its_name() -> None:
    """State, kind and address are those that the kernel tells."""
    ip("link", "set", NEAR, "address", "02:00:00:00:00:55")
    link = find_link(NEAR)
    loopback = find_link("lo")

    assert link is not None
    assert (link.up, link.hardware, link.mac) == (True, ARPHRD_ETHER, "02:00:00:00:00:55")
    assert name_of(link.index) == NEAR
    assert loopback is not None
    assert (loopback.up, loopback.hardware, loopback.mac) == (False, ARPHRD_LOOPBACK, "")


@pytest.mark.parametrize("change", [("set", NEAR, "down"), ("set", FAR, "down")])
def test_a_link_without_carrier_is_down(change: tuple[str, ...]) -> None:
    """Switched off here or there, nothing arrives."""
    ip("link", *change)
    link = find_link(NEAR)

    assert link is not None
    assert not link.up


@pytest.mark.parametrize("name", ["", "nosuch0", "far too long for an interface", "nul\0l", NEAR + ":1"])
def test_what_is_no_interface_is_none(name: str) -> None:
    """Any text may be asked for."""
    assert find_link(name) is None


def test_a_gone_interface_has_no_name() -> None:
    """Numbers are not used again while the system runs."""
    link = find_link(NEAR)
    ip("link", "del", NEAR)

    assert link is not None
    assert name_of(link.index) == ""


def test_addresses_are_counted() -> None:
    """IPv4 and IPv6 addresses count alike; a mirror port has none."""
    ip("address", "add", "192.0.2.1/24", "dev", FAR)
    ip("address", "add", "2001:db8::1/64", "dev", FAR)
    listed = {interface.name: interface for interface in list_interfaces()}

    assert listed[FAR].addresses == 2
    assert (listed[NEAR].addresses, listed[NEAR].up) == (0, True)


def test_losses_of_another_namespace_are_not_taken_for_ours() -> None:
    """The files still show where the process came from: better no number than a wrong one."""
    link = find_link(NEAR)

    assert link is not None
    assert nic_drops(link) is None


def test_losses_are_read_where_sysfs_shows_them(tmp_path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Missed packets and overruns are added up."""
    link = find_link(NEAR)
    assert link is not None
    folder = tmp_path / NEAR / "statistics"
    folder.mkdir(parents=True)
    (tmp_path / NEAR / "ifindex").write_text(f"{link.index}\n")
    (folder / "rx_missed_errors").write_text("40\n")
    (folder / "rx_fifo_errors").write_text("2\n")
    monkeypatch.setattr("sniff.interface.SYSFS", tmp_path)

    assert nic_drops(link) == 42
