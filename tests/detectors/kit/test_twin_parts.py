"""Tests of the parts that relay and tunnel detectors are made of: prints, tokens, places, orders."""

from __future__ import annotations

import random

import numpy as np
import pytest

from detectors._kit.byte_rows import byte_rows
from detectors._kit.dns_names import labels, mean_entropy, tool_of
from detectors._kit.echoes import latest_before
from detectors._kit.fold import Fold
from detectors._kit.legs import neighbours, rfc3339
from detectors._kit.tokens import hidden_hello, shingles, ssh_cookie
from detectors._kit.twin_map import TwinMap
from nettriage.model.addresses import to_words
from nettriage.model.columns import Mixer

MIX = Mixer(7)
FOLD = Fold.keyed(MIX)


def _noise(seed: int, size: int) -> bytes:
    return random.Random(seed).randbytes(size)


def test_byte_rows_are_masked_and_reach_the_end_of_the_buffer():
    """Rows hold the wanted bytes, zeros behind them, also where they begin in the last bytes of the data."""
    data = np.frombuffer(b"abcdefghij", np.uint8)
    rows = byte_rows(data, np.array([0, 7, 9]), np.array([3, 3, 1]), 8)

    assert [bytes(row) for row in rows] == [b"abc" + bytes(5), b"hij" + bytes(5), b"j" + bytes(7)]


def test_prints_tell_lines_apart_that_differ_only_in_high_bits():
    """Flipping the top bit of two words changes the print: a plain sum of products would not notice."""
    line = np.zeros((2, 32), np.uint8)
    line[1, [7, 15]] = 0x80

    assert len(set(FOLD.lines(line).tolist())) == 2


def test_shingles_do_not_move_with_a_prefix():
    """The same content behind another prefix gives the same pieces; text of few letters gives none."""
    content = _noise(1, 1_500)
    plain, framed = (set(shingles(part, MIX).tolist()) for part in (content, b"\x01\x02framing" + content))

    assert len(plain) >= 8
    assert len(plain & framed) >= len(plain) - 1
    assert len(shingles(b"aaaaaaaa" * 200, MIX)) == 0


def test_tokens_are_found_behind_other_bytes():
    """ClientHello.random is found at any offset, the SSH cookie behind the version line."""
    hello = b"\x16\x03\x01\x00\x31\x01\x00\x00\x2d\x03\x03" + _noise(2, 32) + bytes(7)
    ssh = b"SSH-2.0-x\r\n" + b"\x00\x00\x01\x00\x05\x14" + _noise(3, 16) + bytes(40)

    assert hidden_hello(_noise(4, 37).replace(b"\x16", b"x") + hello) == _noise(2, 32)
    assert ssh_cookie(ssh) == _noise(3, 16)
    assert hidden_hello(hello[:30]) == ssh_cookie(ssh[:20]) == b""


def test_latest_before_finds_the_wanted_row_of_the_same_id():
    """Each row gets the latest earlier wanted row with its id, and none across ids."""
    ids = np.array([5, 9, 5, 5, 9, 5])
    wanted = np.array([True, False, False, True, True, False])

    assert latest_before(ids, wanted).tolist() == [-1, -1, 0, 0, -1, 3]


def test_twin_map_forgets_with_time_and_by_newer_keys():
    """A stored flow is met by others until its time is up; it never meets itself."""
    seen = TwinMap(8, ttl_ns=100)
    key, row, serial = np.array([3], np.uint64), np.array([1]), np.array([10])
    seen.put(key, row, serial, now_ns=0)

    assert seen.meet(key, np.array([11]), 50).flow.tolist() == [1]
    assert len(seen.meet(key, serial, 50).at) == 0
    assert len(seen.meet(key, np.array([11]), 200).at) == 0


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [("10.0.1.1", "10.0.1.200", True), ("10.0.1.1", "10.0.2.1", False), ("2001:db8::1", "2001:db8::2", True),
     ("2001:db8::1", "2001:db8:0:1::1", False), ("10.0.1.1", "2001:db8::1", False)],
)  # fmt: skip
def test_neighbours_share_a_segment(one, other, same):
    """Addresses of one /24 or one /64 are neighbours."""
    assert neighbours(to_words(one), to_words(other)) is same


def test_times_beyond_any_calendar_have_a_text():
    """A timestamp that no calendar holds becomes the nearest that has a text."""
    assert rfc3339(-1).startswith("1970-01-01")
    assert rfc3339(2**63 - 1).startswith("2262")


def test_names_are_cut_where_the_bytes_end():
    """A name that was cut keeps its whole labels and the rest of the last one."""
    assert labels(b"\x03abc\x05de") == [b"abc", b"de"]
    assert mean_entropy([]) == 0.0
    assert tool_of([[b"www", b"example", b"com"]], 0.0) is None
