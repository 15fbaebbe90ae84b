"""Keys that give the source port back."""

import numpy as np

from detectors._kit.source_port import keys_with_port, port_of
from nettriage.model.columns import Mixer


def test_port_comes_back_and_owners_stay_apart():
    """Every port of every owner has a key of its own, from which the port is read."""
    owners = Mixer(7)(np.arange(50, dtype=np.uint64))
    ports = np.array([0, 53, 1_024, 65_535], np.uint16)
    keys = [keys_with_port(owners, np.full(len(owners), port, np.uint16)) for port in ports]

    assert len({int(key) for row in keys for key in row}) == 200
    assert [[port_of(int(key)) for key in row] for row in keys] == [[int(port)] * 50 for port in ports]
