"""Hosts as the packets of a stretch show them: those of packets without a flow are entered, all are seen."""

from __future__ import annotations

import numpy as np

from nettriage.model.batch import ARP, NO_PROTO
from sniff.hosts import HostTable, Sightings
from sniff.slice_parts import SliceParts
from sniff.stretch import Stretch


def enter_flowless(hosts: HostTable, parts: SliceParts, stretch: Stretch) -> None:
    """Enter the hosts of packets that belong to no flow: ARP, ND, ICMP errors, fragments, flawed packets."""
    packets = stretch.packets
    rows = np.arange(stretch.first, stretch.last + 1)
    rows = rows[(parts.flow[rows] < 0) & ~packets.duplicate[rows] & (packets.proto[rows] != NO_PROTO)]
    rows = rows[(packets.src_hi[rows] | packets.src_lo[rows]) != 0]
    if not len(rows):
        return
    high = np.concatenate((packets.src_hi[rows], packets.dst_hi[rows]))
    low = np.concatenate((packets.src_lo[rows], packets.dst_lo[rows]))
    found = hosts.locate(hosts.keys(high, low), high, low, np.tile(stretch.time_ns[rows], 2))
    parts.src[rows], parts.dst[rows] = found[: len(rows)], found[len(rows) :]


def see_sources(hosts: HostTable, parts: SliceParts, stretch: Stretch) -> None:
    """Note where sound packets came from, in the order in which they came."""
    packets, rows = stretch.packets, np.arange(stretch.first, stretch.last + 1)
    usable = stretch.sound[rows] & (parts.src[rows] >= 0)
    if not usable.all():
        rows = rows[usable]
    src = parts.src[rows].astype(np.intp)
    has_ttl = packets.ip_version[rows] > 0
    hosts.see(
        Sightings(
            src, stretch.time_ns[rows], packets.src_mac[rows], packets.vlan[rows], packets.ttl[rows], has_ttl
        )
    )  # fmt: skip
    hosts.own_mac[src[packets.proto[rows] == ARP]] = True
