"""Addresses between columns and text."""

from __future__ import annotations

from collections.abc import Iterable
from ipaddress import IPv4Address, IPv6Address

import netaddr
import numpy as np
import numpy.typing as npt

from nettriage.model.batch import V4_PREFIX

_LOW = (1 << 64) - 1


def to_text(high: int, low: int) -> str:
    """Return the canonical text of an address given as two words."""
    if high == 0 and low >> 32 == 0xFFFF:
        return str(IPv4Address(low & 0xFFFF_FFFF))
    return str(IPv6Address((high << 64) | low))


def to_words(text: str) -> tuple[int, int]:
    """Return the two words of an address; raises ValueError for anything but one whole address."""
    try:
        address = netaddr.IPAddress(text, flags=netaddr.INET_PTON)
    except (netaddr.AddrFormatError, ValueError) as error:
        raise ValueError(f"{text!r} is not an address") from error
    value = int(address)
    return (0, V4_PREFIX | value) if address.version == 4 else (value >> 64, value & _LOW)


def mac_text(mac: int) -> str:
    """Return ``aa:bb:cc:dd:ee:ff`` for 48 bits."""
    return ":".join(f"{(mac >> shift) & 0xFF:02x}" for shift in range(40, -8, -8))


class AddressSet:
    """Networks as merged ranges; membership of whole columns by binary search.

    IPv4 is compared by its mapped form. Ranges are at most a /64 fine for IPv6 (the high word decides).
    """

    def __init__(self, networks: Iterable[str]) -> None:
        """Merge CIDR texts; raises ValueError naming the one that is not a network."""
        v4: list[tuple[int, int]] = []
        v6: list[tuple[int, int]] = []
        merged = netaddr.cidr_merge([_network(text) for text in networks])
        for network in merged:
            if network.version == 4:
                v4.append((V4_PREFIX | network.first, V4_PREFIX | network.last))
            else:
                v6.append((network.first >> 64, network.last >> 64))
        self.texts = [str(network) for network in merged]
        self._v4 = _bounds(v4)
        self._v6 = _bounds(v6)

    def __contains__(self, words: tuple[int, int]) -> bool:
        high, low = (np.array([word], np.uint64) for word in words)
        return bool(self.contains(high, low)[0])

    def contains(self, high: npt.NDArray[np.uint64], low: npt.NDArray[np.uint64]) -> npt.NDArray[np.bool_]:
        """Return `bool [n]`, whether each address lies in one of the networks."""
        is_v4 = (high == 0) & (low >> np.uint64(32) == np.uint64(0xFFFF))
        return np.where(is_v4, _inside(self._v4, low), _inside(self._v6, high))


PAIR_MARK = "<->"
"""Stands between the two networks of a pair."""


class AddressPairs:
    """Pairs of networks, whichever side is asked for first."""

    def __init__(self, pairs: Iterable[str]) -> None:
        """Read texts such as ``10.0.1.11 <-> 192.0.2.0/24``; raises ValueError naming the one that is no pair."""
        self.texts = list(pairs)
        self._pairs = [self._parsed(text) for text in self.texts]

    @staticmethod
    def _parsed(text: str) -> tuple[AddressSet, AddressSet]:
        one, mark, other = text.partition(PAIR_MARK)
        if not mark:
            raise ValueError(f"{text!r} is not a pair such as 10.0.1.11 {PAIR_MARK} 192.0.2.0/24")
        return AddressSet([one.strip()]), AddressSet([other.strip()])

    def between(self, one: tuple[int, int], other: tuple[int, int]) -> str:
        """Return the text of the first pair that joins two addresses, empty where none does."""
        for text, (left, right) in zip(self.texts, self._pairs, strict=True):
            if (one in left and other in right) or (other in left and one in right):
                return text
        return ""


def _network(text: str) -> netaddr.IPNetwork:
    try:
        return netaddr.IPNetwork(text)
    except (netaddr.AddrFormatError, ValueError) as error:
        raise ValueError(f"{text!r} is not a network") from error


def _bounds(ranges: list[tuple[int, int]]) -> tuple[npt.NDArray[np.uint64], npt.NDArray[np.uint64]]:
    ordered = sorted(ranges)
    return (
        np.array([low for low, _ in ordered], np.uint64),
        np.array([high for _, high in ordered], np.uint64),
    )


def _inside(
    bounds: tuple[npt.NDArray[np.uint64], npt.NDArray[np.uint64]], values: npt.NDArray[np.uint64]
) -> npt.NDArray[np.bool_]:
    starts, ends = bounds
    if not len(starts):
        return np.zeros(len(values), np.bool_)
    at = np.searchsorted(starts, values, side="right") - 1
    return (at >= 0) & (values <= ends[np.maximum(at, 0)])
