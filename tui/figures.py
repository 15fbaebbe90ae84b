"""Numbers and times as short text that keeps its width."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import lru_cache

_SUFFIXES = (("T", 1e12), ("G", 1e9), ("M", 1e6), ("k", 1e3))


def count(value: float) -> str:
    """Return a count in at most five cells: ``9,999`` whole, above that ``12.3k``, ``4.1M``."""
    if abs(value) < 10_000:
        whole = float(value).is_integer()
        return f"{value:,.0f}" if whole or abs(value) >= 100 else f"{value:.1f}"
    for suffix, unit in _SUFFIXES:
        if abs(value) >= unit * 0.9995:
            scaled = value / unit
            return f"{scaled:.0f}{suffix}" if abs(scaled) >= 99.95 else f"{scaled:.1f}{suffix}"
    return f"{value:.0f}"


def bits_rate(bits_per_s: float) -> str:
    """Return a bit rate, such as ``1.84 Gb/s``."""
    for suffix, unit in _SUFFIXES:
        if bits_per_s >= unit:
            return f"{bits_per_s / unit:.2f} {suffix}b/s"
    return f"{bits_per_s:.0f} b/s"


def packet_rate(packets_per_s: float) -> str:
    """Return a packet rate, such as ``312 kpps``."""
    for suffix, unit in _SUFFIXES:
        if packets_per_s >= unit:
            return f"{packets_per_s / unit:.3g} {suffix}pps"
    return f"{packets_per_s:.0f} pps"


def size(octets: float) -> str:
    """Return a size in at most five cells, such as ``88M``."""
    if octets < 1000:
        return f"{octets:.0f}B"
    for suffix, unit in _SUFFIXES:
        if octets >= unit:
            scaled = octets / unit
            return f"{scaled:.1f}{suffix}" if scaled < 10 else f"{scaled:.0f}{suffix}"
    return f"{octets:.0f}B"


def percent(share: float) -> str:
    """Return a share of 0 to 1 in percent, with two digits where it is small."""
    value = share * 100
    if value == 0:
        return "0%"
    return f"{value:.2f}%" if value < 1 else f"{value:.0f}%"


def duration(seconds: float) -> str:
    """Return a length of time in at most four cells: ``12s``, ``41m``, ``3h``, ``9d``."""
    seconds = max(seconds, 0.0)
    for limit, unit, suffix in ((60, 1, "s"), (3600, 60, "m"), (86_400, 3600, "h")):
        if seconds < limit:
            return f"{int(seconds // unit)}{suffix}"
    return f"{min(int(seconds // 86_400), 999)}d"


def stopwatch(seconds: float) -> str:
    """Return a running time as ``00:42`` or ``1:02:03``."""
    whole = int(max(seconds, 0.0))
    hours, rest = divmod(whole, 3600)
    clock = f"{rest // 60:02d}:{rest % 60:02d}"
    return f"{hours}:{clock}" if hours else clock


@lru_cache(maxsize=8192)
def seconds_of(rfc3339: str) -> float | None:
    """Return seconds since the epoch of an RFC 3339 time; None for an empty or foreign text."""
    try:
        moment = datetime.fromisoformat(rfc3339)
    except ValueError:
        return None
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


def clock(rfc3339: str) -> str:
    """Return the time of day of an RFC 3339 UTC time, ``14:02:11Z``; a dash where there is none."""
    return f"{rfc3339[11:19]}Z" if seconds_of(rfc3339) is not None else "-"


def plural(number: int, noun: str) -> str:
    """Return ``1 host``, ``2 hosts``."""
    return f"{count(number)} {noun}" if number == 1 else f"{count(number)} {noun}s"
