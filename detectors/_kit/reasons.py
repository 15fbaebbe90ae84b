"""Words for reasons: numbers, durations, port lists and names as an operator reads them."""

from __future__ import annotations

from collections.abc import Iterable

PROTOCOL_NAMES = {1: "icmp", 6: "tcp", 17: "udp", 58: "icmpv6", 132: "sctp", 0x0806: "arp"}
"""IP protocol numbers (and the ARP ethertype) that stand in sentences by name."""
TITLE_CELLS_MAX = 60
"""Cells that a title may fill."""


def protocol_name(proto: int) -> str:
    """Return the lower-case name of a protocol number."""
    return PROTOCOL_NAMES.get(proto, f"ip-{proto}")


def counted(number: int, singular: str, plural: str | None = None) -> str:
    """Return a number and its noun: ``1 port``, ``1,204 ports``."""
    return f"{number:,} {singular if number == 1 else plural or singular + 's'}"


def duration(ns: int) -> str:
    """Return a span of packet time with its natural unit: ``80 ms``, ``4.2 s``, ``12 min``, ``3.1 h``."""
    seconds = max(ns, 0) / 1e9
    for limit, divisor, unit in ((1, 1e-3, "ms"), (120, 1, "s"), (7200, 60, "min")):
        if seconds < limit:
            return f"{seconds / divisor:.3g} {unit}"
    return f"{seconds / 3600:.3g} h"


def rate(count: int, ns: int) -> str:
    """Return events over packet time as a rate: ``820/s`` or ``4/min``; one event has none."""
    if count < 2 or ns <= 0:
        return "one at a time"
    per_second = (count - 1) * 1e9 / ns
    if per_second < 1:
        return f"{per_second * 60:.3g}/min"
    return f"{per_second:,.0f}/s" if per_second >= 10 else f"{per_second:.2g}/s"


def listed(items: Iterable[object], total: int | None = None, limit: int = 6) -> str:
    """Return the first items of a list and how many more there are: ``22, 80, 443 and 17 more``."""
    texts = [str(item) for item in items]
    rest = (len(texts) if total is None else total) - min(len(texts), limit)
    shown = ", ".join(texts[:limit])
    return f"{shown} and {rest:,} more" if rest > 0 else shown


def port_ranges(ports: Iterable[int], limit: int = 6) -> str:
    """Return ports as ranges: ``20-25, 80, 443``."""
    ranges: list[tuple[int, int]] = []
    for port in sorted(set(ports)):
        if ranges and port == ranges[-1][1] + 1:
            ranges[-1] = (ranges[-1][0], port)
        else:
            ranges.append((port, port))
    return listed([f"{low}-{high}" if high > low else f"{low}" for low, high in ranges], limit=limit)


def title(text: str) -> str:
    """Return `text` cut to the cells of a title, with an ellipsis where something was cut."""
    return text if len(text) <= TITLE_CELLS_MAX else text[: TITLE_CELLS_MAX - 1] + "…"
