"""The numbers of link types: LINKTYPE_ values in files, DLT_ values inside libpcap (tcpdump.org/linktypes.html)."""

from __future__ import annotations

ETHERNET = 1
RAW_IP = 101

_LINK_TYPE_BITS = 0x03FF_FFFF
"""The bits above say whether, and how long, a frame check sequence follows each packet (libpcap, LT_LINKTYPE)."""
_DLT_RAW = 12
"""What libpcap calls raw IP on every system but OpenBSD, where it is 14."""
_RAW_ALIASES = {_DLT_RAW, 14}


def from_file(field: int) -> int:
    """Return the LINKTYPE_ of the link-type field of a file header."""
    return from_dlt(field & _LINK_TYPE_BITS)


def from_dlt(dlt: int) -> int:
    """Return the LINKTYPE_ for a number that libpcap, or a program that wrote its DLT_ into a file, uses."""
    return RAW_IP if dlt in _RAW_ALIASES else dlt


def to_dlt(link_type: int) -> int:
    """Return the DLT_ that libpcap uses for a LINKTYPE_."""
    return _DLT_RAW if link_type == RAW_IP else link_type
