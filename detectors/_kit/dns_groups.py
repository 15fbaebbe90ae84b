"""Long DNS questions by client and registered domain: counters of a sliding minute, and a few of the names."""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np
import numpy.typing as npt

from nettriage.model.columns import I64, U64, Rows, group
from nettriage.model.finding import Address
from nettriage.model.health import Gauge
from nettriage.model.keytable import KeyTable
from nettriage.model.slices import Slice

from .byte_rows import U8, byte_rows
from .dns_gate import DnsGate
from .dns_names import NULL, PRIVATE, TUNNEL_TYPES
from .fold import Fold

BUCKET_NS = 10_000_000_000
BUCKETS = 6
WINDOW_NS = BUCKETS * BUCKET_NS
NAME_WIDTH, DOMAIN_WIDTH = 96, 64
_NAMES_FIRST, _NAMES_LATEST = 4, 4
_SUB_BYTES_MIN = 12
"""Shorter sub-names carry next to nothing and are most of all names."""
_NAME_BYTES_MIN = _SUB_BYTES_MIN + 4
_TLD_MAX, _DOMAIN_MAX = 18, 48
"""A longer last label, or a longer registered domain, is no domain but data."""
NO_DOMAIN = 0xD0
"""Stands for the domain of names that end in no plausible top level."""
_TUNNEL_TYPE = np.zeros(0x10000, np.bool_)
_TUNNEL_TYPE[list(TUNNEL_TYPES)] = True
_UNIQUE, _SUB_BYTES, _QUERIES, _TYPED, _NULLS = range(5)


@dataclass(slots=True)
class Questions:
    """The long questions of one slice, in order of capture."""

    ts_ns: I64
    at: I64
    """`i8 [n]`, offset of the name in the packet data."""
    length: I64
    domain_at: I64
    sub_bytes: I64
    longest: npt.NDArray[np.uint8]
    qtype: npt.NDArray[np.uint16]
    client: Rows
    """`intp [n]`, host row."""
    resolver: Rows
    domain: U64
    """`u8 [n]`, hash of the registered domain, or `NO_DOMAIN`."""
    name: U64

    def rows(self, chosen: npt.NDArray[np.bool_]) -> Questions:
        """Return some of the questions."""
        return Questions(*(getattr(self, item.name)[chosen] for item in fields(self)))


@dataclass(slots=True)
class GroupView:
    """Counters of some groups over the window that ends now."""

    rows: Rows
    unique: I64
    sub_bytes: I64
    """`i8 [n]`, bytes of the different sub-names: their number times their mean length."""
    queries: I64
    typed_share: npt.NDArray[np.float64]
    """`f8 [n]`, share of question types that carry data back."""
    null_share: npt.NDArray[np.float64]
    longest: I64
    """`i8 [n]`, bytes of the longest label."""


def questions(seen: Slice) -> Questions | None:
    """Return the questions of a slice whose names could carry data, None where there are none."""
    dns, packets = seen.dns, seen.packets
    rows = np.flatnonzero(~dns.is_reply & (dns.qname_len >= _NAME_BYTES_MIN))
    rows = rows[~packets.duplicate[dns.row[rows]]]
    if not len(rows):
        return None
    at, length = dns.qname_at[rows], dns.qname_len[rows].astype(np.int64)
    domain_at = dns.domain_at[rows]
    nameless = ~_plausible(packets.raw.data, domain_at, at + length)
    sub_bytes = np.where(nameless, length, domain_at - at)
    kept = np.flatnonzero(sub_bytes >= _SUB_BYTES_MIN)
    if not len(kept):
        return None
    rows, packet = rows[kept], dns.row[rows[kept]]
    return Questions(
        ts_ns=packets.ts_ns[packet], at=at[kept], length=length[kept], domain_at=domain_at[kept],
        sub_bytes=sub_bytes[kept], longest=dns.longest_label[rows], qtype=dns.qtype[rows],
        client=seen.src[packet].astype(np.intp), resolver=seen.dst[packet].astype(np.intp),
        domain=np.where(nameless[kept], np.uint64(NO_DOMAIN), dns.domain_hash[rows]), name=dns.name_hash[rows],
    )  # fmt: skip


def _plausible(data: U8, domain_at: I64, end: I64) -> npt.NDArray[np.bool_]:
    """Whether each name ends in a plausible top level: a short last label that ends in a letter (RFC 1123 2.1)."""
    start = domain_at
    for _ in range(2):  # a registered domain has two or three labels
        after = start + 1 + data[np.minimum(start, len(data) - 1)]
        start = np.where(after < end, after, start)
    label = end - start - 1
    final = data[np.clip(end - 1, 0, len(data) - 1)] | 0x20
    letter = (final >= 0x61) & (final <= 0x7A)
    return np.asarray(letter & (label <= _TLD_MAX) & (end - domain_at <= _DOMAIN_MAX))


class DnsGroups:
    """Groups of (client, domain), and the names that each has asked for lately; both bounded."""

    def __init__(self, groups: int, names: int, fold: Fold) -> None:
        """Make empty tables."""
        self._fold = fold
        self._gate = DnsGate(8 * groups)
        self._table = KeyTable("DNS groups", groups)
        self._names = KeyTable("DNS names", names)
        self._name_ns: I64 = np.zeros(names, np.int64)
        self._counts: I64 = np.zeros((groups, BUCKETS, 5), np.int64)
        self._longest: npt.NDArray[np.uint8] = np.zeros((groups, BUCKETS), np.uint8)
        self._bucket: I64 = np.zeros((groups, BUCKETS), np.int64)
        self._total: I64 = np.zeros(groups, np.int64)
        self._life_bytes: I64 = np.zeros(groups, np.int64)
        """Sub-name bytes of all questions since the group was made."""
        self._samples: U8 = np.zeros((groups, _NAMES_FIRST + _NAMES_LATEST, NAME_WIDTH), np.uint8)
        self._domain_text: U8 = np.zeros((groups, DOMAIN_WIDTH), np.uint8)
        self._ends: U64 = np.zeros((groups, 2, 2), np.uint64)
        self._touched = np.zeros(groups, np.bool_)
        self.watched = np.zeros(groups, np.bool_)
        """Groups that are worth more samples; set by the detector."""
        self.domain: U64 = np.zeros(groups, np.uint64)
        self.client_key: U64 = np.zeros(groups, np.uint64)
        self.resolver_key: U64 = np.zeros(groups, np.uint64)
        self.first_ns: I64 = np.zeros(groups, np.int64)
        self.last_ns: I64 = np.zeros(groups, np.int64)

    @property
    def keys(self) -> U64:
        """`u8`, the key of each row, 0 where free."""
        return self._table.keys

    def gauges(self) -> dict[str, Gauge]:
        """Return how full the tables are."""
        return {"DNS groups": self._table.gauge, "DNS names": self._names.gauge}

    @property
    def nbytes(self) -> int:
        """Memory of the tables, in bytes."""
        arrays = (
            self._name_ns, self._counts, self._longest, self._bucket, self._total, self._life_bytes, self._samples,
            self._domain_text, self._ends, self._touched, self.watched, self.domain, self.client_key,
            self.resolver_key, self.first_ns, self.last_ns,
        )  # fmt: skip
        return (
            self._gate.nbytes
            + sum(array.nbytes for array in arrays)
            + 24 * (self._table.capacity + self._names.capacity)
        )

    def ends(self, row: int) -> tuple[Address, Address]:
        """Return the addresses of the client and of the resolver that it asked last."""
        client, resolver = ((int(high), int(low)) for high, low in self._ends[row])
        return client, resolver

    def domain_wire(self, row: int) -> bytes:
        """Return the registered domain as on the wire, at most `DOMAIN_WIDTH` bytes."""
        return bytes(self._domain_text[row])

    def names(self, row: int) -> list[bytes]:
        """Return some of the names as on the wire: the first ones and the latest ones."""
        return [sample.tobytes() for sample in self._samples[row] if sample[0]]

    def add(self, asked: Questions, seen: Slice) -> None:
        """Count the questions of one slice."""
        hosts = seen.tables.hosts
        apart = np.where(asked.domain == NO_DOMAIN, hosts.key[asked.resolver], 0)
        keys = self._fold.columns(hosts.key[asked.client], asked.domain, apart)
        through = self._gate.passes(keys, asked.ts_ns, _TUNNEL_TYPE[asked.qtype])
        if not through.any():
            return
        asked, keys = asked.rows(through), keys[through]
        rows = self._rows(asked, keys, seen)
        kept = np.flatnonzero(rows >= 0)
        rows = rows[kept]
        fresh = self._fresh(asked, rows, kept)
        self._count(asked, rows, kept, fresh)
        self._sample(asked, rows[fresh], kept[fresh], seen)
        self._touched[rows] = True

    def drain(self, now_ns: int, min_bytes: float) -> GroupView:
        """Return the groups touched since the last call that ever asked for so many bytes of sub-names."""
        rows = np.flatnonzero(self._touched)
        self._touched[rows] = False
        return self.view(rows[self._life_bytes[rows] >= min_bytes], now_ns)

    def view(self, rows: Rows, now_ns: int) -> GroupView:
        """Return the counters of `rows` over the window that ends now."""
        live = self._bucket[rows] > now_ns // BUCKET_NS - BUCKETS
        counts = np.where(live[:, :, None], self._counts[rows], 0).sum(axis=1)
        queries = np.maximum(counts[:, _QUERIES], 1)
        return GroupView(
            rows, counts[:, _UNIQUE], counts[:, _SUB_BYTES], counts[:, _QUERIES], counts[:, _TYPED] / queries,
            counts[:, _NULLS] / queries, np.where(live, self._longest[rows], 0).max(axis=1, initial=0).astype(np.int64),
        )  # fmt: skip

    def _rows(self, asked: Questions, keys: U64, seen: Slice) -> Rows:
        """Return the row of each question's group, made where it is new."""
        hosts = seen.tables.hosts
        client, resolver = hosts.key[asked.client], hosts.key[asked.resolver]
        found = self._table.locate(keys, asked.ts_ns)
        fresh, first = found.new_rows, found.new_first
        for array in (self._bucket, self._total, self._life_bytes, self.watched):
            array[fresh] = 0  # counters of a bucket are emptied when it begins
        self._samples[fresh, :, 0] = 0
        self.first_ns[fresh] = asked.ts_ns[first]
        self.domain[fresh], self.client_key[fresh] = asked.domain[first], client[first]
        domain_length = asked.at[first] + asked.length[first] - asked.domain_at[first]
        self._domain_text[fresh] = byte_rows(
            seen.packets.raw.data, asked.domain_at[first], domain_length, DOMAIN_WIDTH
        )  # fmt: skip
        rows, kept = found.rows[found.rows >= 0], found.rows >= 0
        self.last_ns[rows], self.resolver_key[rows] = asked.ts_ns[kept], resolver[kept]
        for side, host in enumerate((asked.client[kept], asked.resolver[kept])):
            self._ends[rows, side, 0], self._ends[rows, side, 1] = hosts.addr_hi[host], hosts.addr_lo[host]
        return found.rows

    def _fresh(self, asked: Questions, rows: Rows, kept: Rows) -> Rows:
        """Return, ascending, the questions whose name the group has not asked for within the window."""
        ts_ns = asked.ts_ns[kept]
        found = self._names.locate(self._fold.columns(self._table.keys[rows], asked.name[kept]), ts_ns)
        self._name_ns[found.new_rows] = ts_ns[found.new_first] - WINDOW_NS - 1
        first = group(found.rows[found.rows >= 0]).first
        first = np.flatnonzero(found.rows >= 0)[first]
        held = found.rows[first]
        fresh = first[ts_ns[first] - self._name_ns[held] > WINDOW_NS]
        located = found.rows >= 0
        self._name_ns[found.rows[located]] = ts_ns[located]
        return np.sort(fresh)

    def _count(self, asked: Questions, rows: Rows, kept: Rows, fresh: Rows) -> None:
        counts = np.zeros((len(rows), 5), np.int64)
        counts[fresh, _UNIQUE] = 1
        counts[fresh, _SUB_BYTES] = asked.sub_bytes[kept[fresh]]
        counts[:, _QUERIES] = 1
        np.add.at(self._life_bytes, rows, asked.sub_bytes[kept])
        qtype = asked.qtype[kept]
        counts[:, _TYPED] = _TUNNEL_TYPE[qtype]
        counts[:, _NULLS] = (qtype == NULL) | (qtype == PRIVATE)
        buckets = asked.ts_ns[kept] // BUCKET_NS
        for bucket in np.unique(buckets):  # a slice spans one bucket, seldom two
            here = buckets == bucket
            slot = int(bucket) % BUCKETS
            self._turn(rows[here], slot, int(bucket))
            np.add.at(self._counts[:, slot], rows[here], counts[here])
            np.maximum.at(self._longest[:, slot], rows[here], asked.longest[kept[here]])

    def _turn(self, rows: Rows, slot: int, bucket: int) -> None:
        """Empty the slot of the groups that begin a new bucket in it."""
        stale = rows[self._bucket[rows, slot] != bucket]
        self._bucket[stale, slot] = bucket
        self._counts[stale, slot] = 0
        self._longest[stale, slot] = 0

    def _sample(self, asked: Questions, rows: Rows, kept: Rows, seen: Slice) -> None:
        """Keep the first names of every group, and the latest ones of the watched."""
        groups = group(rows)
        turn = np.empty(len(rows), np.int64)
        turn[groups.order] = np.arange(len(rows)) - np.repeat(groups.starts, groups.counts)
        number = self._total[rows] + turn
        np.add.at(self._total, rows, np.int64(1))
        wanted = np.flatnonzero((number < _NAMES_FIRST) | self.watched[rows])
        slot = np.where(number < _NAMES_FIRST, number, _NAMES_FIRST + number % _NAMES_LATEST)[wanted]
        kept = kept[wanted]
        self._samples[rows[wanted], slot] = byte_rows(
            seen.packets.raw.data, asked.at[kept], asked.length[kept], NAME_WIDTH
        )  # fmt: skip
