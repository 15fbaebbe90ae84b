"""Tests of addresses as columns and text."""

from __future__ import annotations

import ipaddress

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nettriage.model.addresses import AddressPairs, AddressSet, mac_text, to_text, to_words


@given(st.one_of(st.ip_addresses(v=4), st.ip_addresses(v=6).filter(lambda address: address.ipv4_mapped is None)))
def test_text_and_words_are_inverse(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> None:
    """Every address survives the way to words and back in its canonical text."""
    assert to_text(*to_words(str(address))) == str(address)


@pytest.mark.parametrize("text", ["", "10.0.0", "010.0.0.1", "10.0.0.0/8", "host", "::g"])
def test_what_is_no_address_is_refused(text: str) -> None:
    """Shortened, octal and foreign forms are errors that quote the text."""
    with pytest.raises(ValueError, match="is not an address"):
        to_words(text)


def test_membership_of_columns() -> None:
    """Addresses of both families are found in merged networks by columns, and one by one."""
    networks = AddressSet(["10.0.0.0/8", "10.1.0.0/16", "192.0.2.7/32", "2001:db8::/32"])
    texts = ["10.255.255.255", "11.0.0.0", "192.0.2.7", "192.0.2.8", "2001:db8:ffff::1", "2001:db9::"]
    high, low = (np.array(column, np.uint64) for column in zip(*map(to_words, texts), strict=True))

    assert networks.contains(high, low).tolist() == [True, False, True, False, True, False]
    assert to_words("10.1.2.3") in networks
    assert to_words("::1") not in networks
    assert networks.texts == ["10.0.0.0/8", "192.0.2.7/32", "2001:db8::/32"]


def test_an_empty_set_holds_nothing() -> None:
    """A set of no networks holds no address."""
    assert to_words("10.0.0.1") not in AddressSet(())


def test_a_wrong_network_is_named() -> None:
    """The error quotes the text that is no network."""
    with pytest.raises(ValueError, match=r"'10\.0\.0\.0/33' is not a network"):
        AddressSet(["10.0.0.0/8", "10.0.0.0/33"])


def test_mac_text() -> None:
    """A MAC is written in lower case with colons."""
    assert mac_text(0x0002_AB00_00FF) == "00:02:ab:00:00:ff"


def test_a_pair_joins_its_networks_from_either_side():
    """A declared pair is found whichever of its two networks is named first, and joins nothing else."""
    pairs = AddressPairs(["10.0.1.0/24 <-> 192.0.2.7", "fd00::/64<->fd01::/64"])
    inside, outside, other = to_words("10.0.1.9"), to_words("192.0.2.7"), to_words("192.0.2.8")

    assert pairs.between(inside, outside) == pairs.between(outside, inside) == "10.0.1.0/24 <-> 192.0.2.7"
    assert pairs.between(to_words("fd01::5"), to_words("fd00::6")) == "fd00::/64<->fd01::/64"
    assert pairs.between(inside, other) == pairs.between(inside, inside) == ""
