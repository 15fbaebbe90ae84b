"""How a scan went about it: the network that it covered, in which order, how fast, and how stubbornly."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address
from typing import Literal

import numpy as np
import numpy.typing as npt

from detectors._kit.incidents import TRIES_MAX, Incident
from detectors._kit.reasons import counted
from detectors._kit.results import Cells
from detectors._kit.tools.nmap import POPULAR_FIRST
from nettriage.model.alert import Coverage
from nettriage.model.batch import V4_PREFIX
from nettriage.model.columns import U64

Order = Literal["sequential", "random", "popular-first"]

HOSTS_MIN = 3
"""Fewer hosts do not say which network was meant."""
_ORDERED_MIN = 8
"""Fewer targets have an order by chance: 8 random ones ascend throughout once in 40,320 times."""
_IN_STEP = 0.9
"""Share of steps in one direction that a walk through a range keeps although its probes overtake one another."""
_POPULAR_AT_FRONT = 10
_POPULAR_SHARE = (0.8, 0.4)
"""Least share of popular ports at the front, greatest behind it."""


def coverage(incident: Incident) -> Coverage | None:
    """Return the smallest network that holds the targets, and how much of it was tried; None for a few hosts."""
    hosts = np.unique(incident.results.cells[["hi", "lo"]])
    if len(hosts) < HOSTS_MIN:
        return None
    high, low = hosts["hi"], hosts["lo"]
    v4 = (high == 0) & (low >> np.uint64(32) == np.uint64(V4_PREFIX >> 32))
    if v4.any() != v4.all():
        return None
    first, last = ((int(hosts[at]["hi"]) << 64) | int(hosts[at]["lo"]) for at in (0, -1))
    host_bits = (first ^ last).bit_length()
    base = first >> host_bits << host_bits
    network = IPv4Address(base & 0xFFFF_FFFF) if v4.all() else IPv6Address(base)
    touched = min(len(hosts) + incident.absent, 1 << host_bits)
    return Coverage(
        prefix=f"{network}/{network.max_prefixlen - host_bits}",
        touched=touched,
        share=round(touched / (1 << host_bits), 6),
    )


def order_of(incident: Incident) -> Order | None:
    """Return in which order ports or hosts were tried, whichever are more; None for too few of them."""
    cells = incident.results.cells
    tried = cells[np.argsort(cells["attempt_ns"], kind="stable")]
    ports, hosts = _in_turn(tried["port"].astype(np.uint64)), _in_turn(_host_words(tried))
    if max(len(ports), len(hosts)) < _ORDERED_MIN:
        return None
    if len(ports) >= len(hosts):
        return "popular-first" if _popular_first(ports) else _walk(ports)
    return _walk(hosts)


def pace_per_s(incident: Incident) -> float | None:
    """Return new targets a second, None for a single target or targets of a single moment."""
    tried = incident.results.cells["attempt_ns"]
    span_ns = int(tried.max() - tried.min()) if len(tried) > 1 else 0
    return float(f"{(len(tried) - 1) * 1e9 / span_ns:.4g}") if span_ns else None


def retries(incident: Incident) -> str:
    """Return how often silent targets were tried, in words; empty where none were silent since the alarm."""
    tries = incident.tries
    total = int(tries.sum())
    if not total:
        return ""
    usual = int(tries.argmax())
    share = int(tries[usual]) / total
    more = " or more" if usual == TRIES_MAX else ""
    return f"{counted(usual, 'probe')}{more} to {share:.0%} of the silent targets"


def _in_turn(values: U64) -> U64:
    """Return the distinct values in the order of their first appearance."""
    kept: U64 = values[np.sort(np.unique(values, return_index=True)[1])]
    return kept


def _host_words(cells: Cells) -> U64:
    """Return a number for each target that ascends as addresses do within one network."""
    words: U64 = np.where(cells["hi"] == 0, cells["lo"], cells["lo"] + (cells["hi"] << np.uint64(48)))
    return words


def _walk(values: U64) -> Order:
    up: npt.NDArray[np.bool_] = values[1:] > values[:-1]
    ahead = float(up.mean())
    return "sequential" if max(ahead, 1 - ahead) >= _IN_STEP else "random"


def _popular_first(ports: U64) -> bool:
    popular = np.isin(ports, list(POPULAR_FIRST))
    front, behind = popular[:_POPULAR_AT_FRONT], popular[_POPULAR_AT_FRONT:]
    least, greatest = _POPULAR_SHARE
    return len(behind) >= _ORDERED_MIN and float(front.mean()) >= least and float(behind.mean()) <= greatest
