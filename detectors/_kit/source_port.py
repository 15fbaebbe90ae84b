"""Keys that stand for a source and its port, and give the port back."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from nettriage.model.columns import U64

_LOW = np.uint64(0xFFFF)


def keys_with_port(owner: U64, port: npt.NDArray[np.uint16]) -> U64:
    """Return keys of `owner` (a keyed mix) and `port`.

    48 bits name the owner. The low 16 bits are the port, turned by the owner's own bits, so that rows of a table
    stay spread by the secret of the mix.
    """
    high = owner & ~_LOW
    return np.asarray(high | (((owner >> np.uint64(16)) & _LOW) ^ port.astype(np.uint64)))


def port_of(key: int) -> int:
    """Return the port in a key of `keys_with_port`."""
    return (key ^ (key >> 16)) & 0xFFFF
