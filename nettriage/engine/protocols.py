"""Names of IP protocols, as operators and filters spell them."""

from __future__ import annotations

from nettriage.model.batch import ARP, NO_PROTO

ICMP, IGMP, TCP, UDP, GRE, ICMP6, SCTP = 1, 2, 6, 17, 47, 58, 132
PORTED = frozenset({TCP, UDP, SCTP})
"""Protocols whose ports are ports; of the others the flow ports are made up (see `PacketBatch.src_port`)."""

_NAMES = {
    ICMP: "icmp", IGMP: "igmp", 4: "ipip", TCP: "tcp", UDP: "udp", 41: "ipv6", GRE: "gre", 50: "esp", 51: "ah",
    ICMP6: "icmpv6", 89: "ospf", 103: "pim", 112: "vrrp", SCTP: "sctp", ARP: "arp", NO_PROTO: "",
}  # fmt: skip


def protocol_name(proto: int) -> str:
    """Return the name of `PacketBatch.proto`: ``tcp``, ``arp``, or ``ip-99`` for one without a name; 0 is empty."""
    if proto == 0:
        return ""
    return _NAMES.get(proto, f"ip-{proto}")
