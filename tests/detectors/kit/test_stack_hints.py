"""Tests of the hints at TCP stacks: initial TTLs and the order of options."""

from __future__ import annotations

import numpy as np
import pytest

from detectors._kit.stack_hints import Stack, initial_ttl, option_orders, stacks

LINUX = "020405b40402080a00000001000000000103030a"
WINDOWS = "020405b40103030801010402"
MACOS = "020405b4010303060101080a000000010000000004020000"


def _orders(*texts: str):
    options = np.zeros((len(texts), 40), np.uint8)
    lengths = np.array([len(text) // 2 for text in texts])
    for at, text in enumerate(texts):
        options[at, : lengths[at]] = list(bytes.fromhex(text))
    return option_orders(options, lengths)


def test_ttls_are_taken_back_to_where_they_set_out():
    """A TTL is the next common start below which it lies."""
    assert initial_ttl(np.array([1, 32, 33, 64, 65, 117, 128, 250], np.uint8)).tolist() == [
        32, 32, 64, 64, 128, 128, 128, 255,
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("options", "ttl", "stack"),
    [(LINUX, 61, Stack.UNIX), (MACOS, 64, Stack.UNIX), (WINDOWS, 120, Stack.WINDOWS), (LINUX, 128, Stack.UNKNOWN),
     (WINDOWS, 64, Stack.UNKNOWN), ("020405b4", 64, Stack.UNKNOWN), ("", 64, Stack.UNKNOWN)],
)  # fmt: skip
def test_syns_are_told_apart_by_ttl_and_order_together(options, ttl, stack):
    """The order of options must fit the TTL; scanners and disguises fit neither."""
    assert stacks(np.array([ttl], np.uint8), _orders(options), answers=False).tolist() == [stack]


def test_answers_are_told_apart_by_ttl():
    """A SYN-ACK repeats what the client offered, so only its TTL speaks."""
    order = _orders("020405b40103030804020801", "020405b4", "")

    assert stacks(np.array([120, 60, 64], np.uint8), order, answers=True).tolist() == [
        Stack.WINDOWS, Stack.UNIX, Stack.UNKNOWN,
    ]  # fmt: skip


@pytest.mark.parametrize("options", ["0200", "0201", "02ff", "ff" * 40, "01" * 40, "08"])
def test_malformed_options_end_the_reading(options):
    """Lengths of 0, 1 or beyond the header neither raise nor run on."""
    assert stacks(np.array([64], np.uint8), _orders(options), answers=False).tolist() == [Stack.UNKNOWN]
