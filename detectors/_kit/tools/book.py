"""The tool book: how many probes of each source fit each fingerprint, bounded, and the name that follows."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from detectors._kit.tools.crafted import HPING3, MIRAI, SCAPY
from detectors._kit.tools.desktop import ANGRY_CONNECT, ANGRY_ECHO, ANGRY_NAMES, FSCAN, NBTSCAN, NETDISCOVER
from detectors._kit.tools.fingerprint import Fingerprint
from detectors._kit.tools.internet import MASSCAN, MASSCAN_ECHO, NAABU, UNICORNSCAN, ZMAP_NEW, ZMAP_OLD
from detectors._kit.tools.nmap import NODE_STATUS, PING, RAW
from detectors._kit.tools.probes import SWEEP_READS, TCP_READS, Bools, Probes, name_probes, sweep_probes, tcp_probes
from nettriage.model.alert import Tool
from nettriage.model.columns import I64, U64, Mixer, Rows, group
from nettriage.model.finding import Address
from nettriage.model.health import Gauge
from nettriage.model.keytable import KeyTable
from nettriage.model.safetext import safe
from nettriage.model.slices import Slice

_SHARE_MIN = 0.5
"""Share of the source's odd probes that must fit, and of those that must keep the relation."""
_KNOWN_CREDIT_NS = 600 * 1_000_000_000
"""How much longer a source of several fitting probes is remembered than one of a flood."""


@dataclass(frozen=True, slots=True, eq=False)
class Family:
    """Fingerprints that look at the same probes, the most certain ones first."""

    reads: frozenset[str]
    """What `probes` reads of a slice."""
    probes: Callable[[Slice], Probes | None]
    fingerprints: tuple[Fingerprint, ...]


TCP_SCANNERS = Family(
    TCP_READS, tcp_probes, (MASSCAN, ZMAP_OLD, MIRAI, HPING3, RAW, NAABU, ANGRY_CONNECT, SCAPY, ZMAP_NEW, UNICORNSCAN)
)
"""Scanners of TCP ports."""
SWEEPERS = Family(SWEEP_READS, sweep_probes, (FSCAN, NETDISCOVER, MASSCAN_ECHO, ANGRY_ECHO, PING))
"""Seekers of hosts by ICMP and ARP."""
NAME_SCANNERS = Family(SWEEP_READS, name_probes, (NODE_STATUS, NBTSCAN, ANGRY_NAMES))
"""Seekers of NetBIOS names."""


Told = list[tuple[int, Bools, U64 | None]]
"""Number of each fingerprint that some probe fits, which ones do, and the values of its relation."""


class _Latest:
    """The last probes of each family: detectors get the same slice one after another, and compare it once."""

    def __init__(self) -> None:
        """Have nothing."""
        self._kept: dict[Family, tuple[Slice, Probes | None, Told]] = {}

    def of(self, family: Family, seen: Slice) -> tuple[Probes | None, Told]:
        """Return the probes of a slice, and which fingerprints they fit."""
        kept = self._kept.get(family)
        if kept is None or kept[0] is not seen:
            probes = family.probes(seen)
            kept = self._kept[family] = (seen, probes, [] if probes is None else _compared(family, probes))
        return kept[1], kept[2]


def _compared(family: Family, probes: Probes) -> Told:
    windows = set(np.unique(probes.window).tolist())
    told: Told = []
    for kind, fingerprint in enumerate(family.fingerprints):
        if fingerprint.windows and windows.isdisjoint(fingerprint.windows):
            continue
        fits = fingerprint.fits(probes)
        if fits.any():
            told.append((kind, fits, None if fingerprint.relation is None else fingerprint.relation(probes)))
    return told


_LATEST = _Latest()


class ToolBook:
    """Sources by address; the one longest without an odd probe gives way."""

    def __init__(self, mixer: Mixer, family: Family, sources: int = 1_024) -> None:
        """Know of no source."""
        self._mixer = mixer
        self._family = family
        kinds = len(family.fingerprints)
        self._table = KeyTable("tools", sources)
        self._seen: I64 = np.zeros(sources, np.int64)
        self._ttl: I64 = np.zeros((sources, 2), np.int64)
        self._hits: I64 = np.zeros((sources, kinds), np.int64)
        self._kept: I64 = np.zeros((sources, kinds), np.int64)
        self._value: U64 = np.zeros((sources, kinds), np.uint64)

    @property
    def gauge(self) -> Gauge:
        """How full the book is."""
        return self._table.gauge

    @property
    def nbytes(self) -> int:
        """Memory of the book, in bytes."""
        columns = (self._seen, self._ttl, self._hits, self._kept, self._value)
        return self._table.capacity * 24 + sum(column.nbytes for column in columns)

    def note(self, seen: Slice) -> None:
        """Take in the probes of a slice."""
        probes, told = _LATEST.of(self._family, seen)
        if probes is None:
            return
        located = self._table.locate(self._mixer(probes.src_hi, probes.src_lo), probes.ts_ns)
        new = located.new_rows
        for column in (self._seen, self._hits, self._kept, self._value):
            column[new] = 0
        self._ttl[new] = 255, 0
        placed = np.flatnonzero(located.rows >= 0)
        rows = located.rows[placed]
        np.add.at(self._seen, rows, np.int64(1))
        np.minimum.at(self._ttl[:, 0], rows, probes.ttl[placed])
        np.maximum.at(self._ttl[:, 1], rows, probes.ttl[placed])
        for kind, every, values in told:
            fits = every[placed]
            if fits.any():
                self._count(kind, rows[fits], None if values is None else values[placed[fits]])
        self._table.credit_ns[rows[self._hits[rows].max(axis=1) > 2]] = _KNOWN_CREDIT_NS

    def tool_of(self, source: Address) -> Tool | None:
        """Return the tool that the probes of a source tell of, with the bytes that do; None where they do not."""
        row = self._row(source)
        if row < 0:
            return None
        for kind, fingerprint in enumerate(self._family.fingerprints):
            if tool := self._verdict(row, kind, fingerprint):
                return tool
        return None

    def ttls(self, source: Address) -> tuple[int, int] | None:
        """Return the lowest and the highest TTL of the odd probes of a source, None where there were none."""
        row = self._row(source)
        return None if row < 0 else (int(self._ttl[row, 0]), int(self._ttl[row, 1]))

    def _row(self, source: Address) -> int:
        high, low = (np.array([word], np.uint64) for word in source)
        return int(self._table.find(self._mixer(high, low))[0])

    def _count(self, kind: int, rows: Rows, value: U64 | None) -> None:
        """Count fitting probes, and those among them whose value is that of the fitting probe before."""
        hits = self._hits[:, kind]
        if value is None:
            np.add.at(hits, rows, np.int64(1))
            return
        groups = group(rows)
        ordered, row = value[groups.order], rows[groups.order]
        before = np.concatenate((ordered[:1], ordered[:-1]))
        before[groups.starts] = self._value[groups.ids, kind]
        kept = ordered == before
        kept[groups.starts] &= hits[groups.ids] > 0
        np.add.at(self._kept[:, kind], row, kept)
        np.add.at(hits, row, np.int64(1))
        self._value[groups.ids, kind] = ordered[groups.starts + groups.counts - 1]

    def _verdict(self, row: int, kind: int, fingerprint: Fingerprint) -> Tool | None:
        hits, seen, kept = int(self._hits[row, kind]), int(self._seen[row]), int(self._kept[row, kind])
        if hits < fingerprint.least or hits < _SHARE_MIN * seen:
            return None
        if fingerprint.relation is not None and kept < max(_SHARE_MIN * (hits - 1), fingerprint.least - 1):
            return None
        bytes_told = fingerprint.evidence.format(value=int(self._value[row, kind]))
        return Tool(
            name=fingerprint.name,
            confidence=round(fingerprint.confidence * min(1.0, hits / seen), 3),
            evidence=safe(f"{bytes_told}; {hits:,} of {seen:,} odd probes"),
        )
