import numpy as np
import pytest

from sniff.heads import gather, layout, read


@pytest.mark.parametrize("width", [1, 4, 20, 128, 300])
def test_gather_equals_slices_and_zeros_beyond_the_end(width):
    """Every offset gives the bytes that a slice gives; beyond the end of the data there are zeros."""
    data = np.random.default_rng(1).integers(1, 256, 200, dtype=np.uint8)
    at = np.array([0, 199, 7, 180, 200, 150, 100_000], np.int64)

    got = gather(data, at, width)

    expected = [bytes(data[start : start + width]).ljust(width, b"\0") for start in at.tolist()]
    assert [bytes(row) for row in got] == expected


def test_gather_of_nothing_is_empty():
    """No offsets give no rows, also on data shorter than the width."""
    assert gather(np.zeros(3, np.uint8), np.zeros(0, np.int64), 20).shape == (0, 20)


def test_read_gives_fields_in_network_order():
    """A layout names fields by format and offset."""
    head = layout(4, port=(">u2", 1), flag=("u1", 3))

    got = read(np.array([9, 9, 1, 2, 3], np.uint8), np.array([1]), head)

    assert (int(got["port"][0]), int(got["flag"][0])) == (0x0102, 3)
