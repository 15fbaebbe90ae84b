"""Tests of one slice of packet time."""

from __future__ import annotations

from detectors._kit.forge import Scene
from nettriage.model.site import Site
from sniff.decode import decode
from sniff.state import State
from tests.detectors.driver import raw_batch

SECOND_NS = 1_000_000_000


def test_a_slice_is_quiet_only_when_nothing_happened() -> None:
    """Packets, a contact that settles and a flow that ends each make a slice worth looking at; time alone does not."""
    state = State(Site())
    frames = Scene().syn("10.0.0.1", "10.0.0.2", 80).frames()
    start_ns = frames[0][0]

    asked = state.push(decode(raw_batch(frames)))
    before = state.advance(start_ns + SECOND_NS)
    silent = state.advance(start_ns + 4 * SECOND_NS)
    ended = state.advance(start_ns + 60 * SECOND_NS)
    after = state.advance(start_ns + 61 * SECOND_NS)

    assert [one.is_quiet for one in (asked, before, silent, ended, after)] == [False, True, False, False, True]
