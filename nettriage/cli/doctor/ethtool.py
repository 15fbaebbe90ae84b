"""Offloads of an interface, asked of the kernel by SIOCETHTOOL (linux/ethtool.h)."""

from __future__ import annotations

import array
import fcntl
import socket
import struct

SIOCETHTOOL = 0x8946
_GETTERS = {"gro": 0x2B, "tso": 0x1E, "gso": 0x23}
"""ETHTOOL_GGRO, ETHTOOL_GTSO, ETHTOOL_GGSO."""
_GET_FLAGS = 0x25
_FLAG_LRO = 1 << 15


def offloads(interface: str) -> dict[str, bool]:
    """Return which of gro, lro, tso and gso are on; those that the driver does not know are left out."""
    found = {}
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as handle:
        for name, command in _GETTERS.items():
            if (value := _get(handle, interface, command)) is not None:
                found[name] = bool(value)
        if (flags := _get(handle, interface, _GET_FLAGS)) is not None:
            found["lro"] = bool(flags & _FLAG_LRO)
    return found


def _get(handle: socket.socket, interface: str, command: int) -> int | None:
    """Return the value of `struct ethtool_value` for a getter, None where it is refused."""
    value = array.array("I", (command, 0))
    request = struct.pack("16sP16x", interface.encode(), value.buffer_info()[0])
    try:
        fcntl.ioctl(handle, SIOCETHTOOL, request)
    except OSError:
        return None
    return value[1]
