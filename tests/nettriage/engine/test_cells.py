"""Tests of the cells of packet time."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nettriage.engine.cells import CELL_MAX_NS, FAIR_NS, FAIR_PACKETS, FULL_PACKETS, GRID_NS, IDLE_SHARE, CellClock

S = 1_000_000_000
START = 1_700_000_000 * S


def ends_of(ts_ns: list[int], size: int | None = None) -> list[tuple[int, int]]:
    """Return (packets before, end) of every cell end, the packets cut into batches of `size`."""
    cells, seen = CellClock(), []
    step = size or max(len(ts_ns), 1)
    for at in range(0, len(ts_ns), step):
        part = np.array(ts_ns[at : at + step], np.int64)
        for row, ends in cells.split(part):
            seen += [(at + row, end) for end in ends]
    return seen


def test_a_busy_cell_ends_at_the_next_grid_line() -> None:
    """A cell with enough packets ends at the first multiple of 250 ms after them, before the next packet."""
    busy = [START + n for n in range(FULL_PACKETS)]

    assert ends_of([*busy, START + GRID_NS + 5]) == [(FULL_PACKETS, START + GRID_NS)]
    assert ends_of([*busy[1:], START + GRID_NS + 5]) == []


def test_a_fair_cell_ends_after_a_second() -> None:
    """Fewer packets wait for a second, or for the grid line after the packet that made them enough."""
    early = [START + n for n in range(FAIR_PACKETS)]
    late = [START, *(START + 5 * GRID_NS + n for n in range(FAIR_PACKETS - 1))]

    assert ends_of([*early, START + 9 * GRID_NS])[0] == (FAIR_PACKETS, START + FAIR_NS)
    assert ends_of([*late, START + 7 * GRID_NS])[0] == (FAIR_PACKETS, START + 6 * GRID_NS)


def test_a_thin_cell_ends_after_its_longest_time() -> None:
    """Few packets are judged together, but never later than the longest cell."""
    ts_ns = [START + n * GRID_NS for n in range(20)]

    assert ends_of(ts_ns) == [
        (CELL_MAX_NS // GRID_NS, START + CELL_MAX_NS),
        (2 * CELL_MAX_NS // GRID_NS, START + 2 * CELL_MAX_NS),
    ]


@given(
    st.lists(st.integers(-2 * S, 20 * S), min_size=1, max_size=300),
    st.sampled_from([1, 7, 64]),
    st.booleans(),
)
def test_the_cut_of_batches_moves_no_cell(gaps: list[int], size: int, dense: bool) -> None:
    """Disorder, gaps and batch sizes change neither where cells end nor which packets lie before."""
    ts_ns = (START + np.cumsum(np.array(gaps) // (1000 if dense else 1))).tolist()

    assert ends_of(ts_ns, size) == ends_of(ts_ns)


@pytest.mark.parametrize("size", [1, 7, 64, 100])
@pytest.mark.parametrize("gap_ns", [100_000, 12_000_000, 17_000_000, 40_000_000])
def test_cells_count_on_across_batches(size: int, gap_ns: int) -> None:
    """A cell that goes on in the next batch holds the packets of both."""
    ts_ns = [START + n * gap_ns for n in range(5_000)]

    assert ends_of(ts_ns, size) == ends_of(ts_ns)


def test_silence_is_judged_ever_more_rarely() -> None:
    """A day of silence costs some hundred judgements, the last at the packet that ends it."""
    ends = [end for _, end in ends_of([START, START + 3_000 * S])]
    steps = np.diff(ends[:-1])

    assert len(ends) < 150
    assert ends[-1] == START + 3_000 * S
    assert (steps >= CELL_MAX_NS).all()
    assert (steps <= np.maximum(CELL_MAX_NS, (np.array(ends[:-2]) - START) // IDLE_SHARE + GRID_NS)).all()


def test_idle_time_ends_the_cells_that_packets_would() -> None:
    """Advancing without packets ends the same cells as a later packet does."""
    cells = CellClock()
    list(cells.split(np.array([START, START + 1])))
    idle = cells.advance(START + 5 * S)

    assert idle == [START + 2 * S, START + 4 * S]
    assert cells.advance(START + 5 * S) == []


@pytest.mark.parametrize("leap_ns", [400 * 24 * 3_600 * S, -400 * 24 * 3_600 * S])
def test_a_stepped_clock_is_survived(leap_ns: int) -> None:
    """After the clock leaps by a year either way, cells go on from the new time, without a storm of judgements."""
    later = [START + leap_ns + n * GRID_NS for n in range(40)]
    ends = [end for _, end in ends_of([START, START + 1, *later])]

    assert ends[-1] >= later[-1] - CELL_MAX_NS
    assert len(ends) < 500
