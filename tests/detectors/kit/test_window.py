"""Sliding windows by rows."""

import numpy as np

from detectors._kit.window import SlotRing

ROWS = np.array([0, 1])


def enter(ring, *events):
    """Enter events given as (row, time)."""
    rows, times = (np.array(column) for column in zip(*events, strict=True))
    slots, stale = ring.enter(rows, times)
    return slots.tolist(), stale.tolist()


def test_events_of_one_step_share_a_slot():
    """Two events of one row in one step have one slot, which is stale only at the first."""
    ring = SlotRing(2, 3, 10)

    assert enter(ring, (1, 5), (1, 9)) == ([1, 1], [1, 1])
    assert enter(ring, (1, 7)) == ([1], [])


def test_slot_is_used_again_after_a_turn():
    """A step that falls on the slot of an older one makes it stale; an older event then gets no slot."""
    ring = SlotRing(2, 3, 10)
    enter(ring, (0, 5))

    assert enter(ring, (0, 35)) == ([0], [0])
    assert enter(ring, (0, 5)) == ([-1], [])


def test_slots_that_left_the_window_are_the_empty_line():
    """Seen from later, slots are in the order of their steps, and those of steps before the window are -1."""
    ring = SlotRing(2, 3, 10)
    enter(ring, (0, 5), (0, 15), (0, 25))

    assert ring.live(ROWS, 35).tolist() == [[2, 4, -1], [-1, -1, -1]]


def test_row_that_is_reset_has_no_past():
    """No slot of a row that was given to another key is live."""
    ring = SlotRing(2, 3, 10)
    enter(ring, (0, 5), (0, 15))
    ring.reset(np.array([0]))

    assert ring.live(np.array([0]), 15).tolist() == [[-1, -1, -1]]
