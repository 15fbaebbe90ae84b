"""Where the records of a capture begin: many lanes walk the bytes in lockstep, exactly as one plain walk would."""

from __future__ import annotations

from typing import Protocol

import numpy as np
import numpy.typing as npt

from nettriage.model.columns import I64

SEGMENT = 131_072
"""Bytes between the places where lanes begin: more lanes cost guesses, fewer cost steps."""
PROBE = 2048
"""Bytes of each segment that are searched for a header; a longer record makes its lane join the one before."""
FOLLOW = 3
"""Headers beyond a guessed one that must look sane as well."""
LANES_MIN = 32
"""A step of fewer lanes costs more than as many steps of the plain walk."""
WARM_UP = 64
"""Records walked plainly before lanes are set up, so that damage near the start costs no guessing."""


class Framing(Protocol):
    """How one record follows another in a stretch of bytes that ends at a fixed place."""

    last: int
    """The last position at which a whole record header fits."""

    def step(self, at: I64) -> I64:
        """Return where each record ends; a record that is insane or not whole ends where it begins.

        `at` lies at or below `last`.
        """
        ...

    def step_one(self, at: int) -> int:
        """Return what `step` would for one position."""
        ...

    def candidates(self, edges: I64) -> I64:
        """Return ascending positions within `PROBE` bytes of the `edges` that look like a header at a glance."""
        ...


def find_records(framing: Framing, start: int) -> tuple[I64, int]:
    """Return `i8 [n]`, the beginning of each whole record from `start` on, and the end of the last one.

    The guessed beginnings decide only the speed: a lane counts when the lane before it, which is itself right,
    stops exactly where it began; whatever lies between is walked plainly.
    """
    head, at = _walk(framing, start, WARM_UP)
    starts = _lane_starts(framing, at) if len(head) == WARM_UP else np.zeros(0, np.int64)
    if len(starts) < LANES_MIN:
        rest, stop = _walk(framing, at)
        return np.array(head + rest, np.int64), stop
    found, stop = _join(framing, starts, *_lockstep(framing, starts))
    return np.concatenate((np.array(head, np.int64), found)), stop


def _walk(
    framing: Framing, at: int, limit: int | None = None, goals: frozenset[int] = frozenset()
) -> tuple[list[int], int]:
    """Step from record to record until one is not whole, `limit` are found, or one of the `goals` is reached."""
    found: list[int] = []
    last, step = framing.last, framing.step_one
    while at <= last and at not in goals and len(found) != limit:
        after = step(at)
        if after == at:
            break
        found.append(at)
        at = after
    return found, at


def _lane_starts(framing: Framing, start: int) -> I64:
    """Return `start`, and of each later segment the first plausible header, where there is one."""
    edges = np.arange(start + SEGMENT, framing.last - PROBE, SEGMENT, dtype=np.int64)
    if len(edges) < LANES_MIN:
        return np.array([start], np.int64)
    guesses = framing.candidates(edges)
    at = guesses
    for _ in range(FOLLOW):
        after = framing.step(at)
        sane = (after > at) & (after <= framing.last)
        guesses, at = guesses[sane], after[sane]
    _, first = np.unique((guesses - start) // SEGMENT, return_index=True)
    return np.concatenate((np.array([start]), guesses[first]))


def _lockstep(framing: Framing, starts: I64) -> tuple[list[tuple[I64, I64]], I64]:
    """Step all lanes together until each has reached the start of the next, or so few are left that it is not worth it.

    Returns the (lanes, positions) of every step, and where each lane stopped.
    """
    steps: list[tuple[I64, I64]] = []
    stops = starts.copy()
    goals = np.append(starts[1:], framing.last + 1)
    lane, at = np.arange(len(starts)), starts
    while len(lane) >= LANES_MIN:
        after = framing.step(at)
        stuck = after == at
        if stuck.any():
            stops[lane[stuck]] = at[stuck]
            going = ~stuck
            lane, at, after, goals = lane[going], at[going], after[going], goals[going]
        steps.append((lane, at))
        at = after
        arrived = at >= goals
        if arrived.any():
            stops[lane[arrived]] = at[arrived]
            going = ~arrived
            lane, at, goals = lane[going], at[going], goals[going]
    stops[lane] = at
    return steps, stops


def _join(framing: Framing, starts: I64, steps: list[tuple[I64, I64]], stops: I64) -> tuple[I64, int]:
    """Keep the lanes that are right, walk what lies between them, and return all positions and the end."""
    lane_at = {at: lane for lane, at in enumerate(starts.tolist())}
    goals = frozenset(lane_at)
    right = np.zeros(len(starts), np.bool_)
    between: list[int] = []
    at = int(starts[0])
    while at in lane_at and not right[lane_at[at]]:
        lane = lane_at[at]
        right[lane] = True
        walked, at = _walk(framing, int(stops[lane]), None, goals)
        between += walked
    walked_lanes = np.concatenate([lane for lane, _ in steps])
    found = np.concatenate([at for _, at in steps])
    if not right.all():
        found = found[right[walked_lanes]]
    found = np.concatenate((found, np.array(between, np.int64)))
    found.sort()
    return found, at


def words_at(data: npt.NDArray[np.uint8], order: str, end: int) -> npt.NDArray[np.uint32]:
    """Return a view of `data` as one 32-bit word at every byte below ``end - 3``, in byte `order` (``<`` or ``>``)."""
    return np.ndarray((max(end - 3, 0),), f"{order}u4", buffer=data, strides=(1,))


def heads_at(data: npt.NDArray[np.uint8], at: I64, order: str, words: int) -> npt.NDArray[np.uint32]:
    """Return `u4 [n, words]`, the words that stand at each of the positions `at`; all must lie in `data`."""
    width = 4 * words
    view = np.ndarray((max(len(data) - width + 1, 0),), f"V{width}", buffer=data, strides=(1,))
    return np.asarray(view[at].view(f"{order}u4").reshape(-1, words))
