"""Table of hosts: addresses as dense rows, with what was learned of each."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from nettriage.model.addresses import to_text
from nettriage.model.columns import I32, I64, U64, Mixer, Rows
from nettriage.model.keytable import KeyTable
from nettriage.model.safetext import SafeStr
from nettriage.model.site import Site
from nettriage.model.tables import U8, U32, Role
from sniff.records import Records

ANSWERED_CREDIT_NS = 3_600_000_000_000
"""A host that answered outlives an hour of strangers: a spoofed flood pushes out its own addresses first."""
HOST_DTYPE = np.dtype(
    [
        ("key", "u8"), ("addr_hi", "u8"), ("addr_lo", "u8"), ("first_ns", "i8"), ("last_ns", "i8"), ("mac", "u8"),
        ("heard_ns", "i8"), ("reference_ttl_ns", "i8"), ("vlan", "i4"), ("roles", "u4"), ("sent_flows", "u4"),
        ("received_flows", "u4"), ("ttl", "u1"), ("reference_ttl", "u1"), ("home", "?"), ("heard", "?"),
        ("own_mac", "?"), ("padding", "V3"),
    ]
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Sightings:
    """Packets as seen from their source host, in time order."""

    row: Rows
    """Host rows of the sources, none negative."""
    time_ns: I64
    mac: U64
    vlan: I32
    ttl: U8
    has_ttl: npt.NDArray[np.bool_]
    """Whether the packet has a TTL: ARP has none."""


class HostTable:
    """Addresses as dense rows; see `nettriage.model.tables.HostTable` for the columns."""

    key: U64
    addr_hi: U64
    addr_lo: U64
    first_ns: I64
    last_ns: I64
    mac: U64
    vlan: I32
    ttl: U8
    roles: U32
    home: npt.NDArray[np.bool_]
    sent_flows: U32
    received_flows: U32
    heard: npt.NDArray[np.bool_]
    heard_ns: I64
    """`i8`, when an answer to the host was first seen; 0 if never."""
    reference_ttl: U8
    """`u1`, TTL of the first packet of the host that was no reset; valid from `reference_ttl_ns` on."""
    reference_ttl_ns: I64
    own_mac: npt.NDArray[np.bool_]
    """Whether `mac` was announced by the host itself (ARP), so that it is not a router's."""

    def __init__(self, capacity: int, site: Site) -> None:
        """Make an empty table of `capacity` rows, a power of two."""
        self.table = KeyTable("hosts", capacity)
        self._records = Records(capacity, HOST_DTYPE)
        self._site = site
        self._mixer = Mixer(site.mixer_secret ^ 0x686F737473)
        self._records.expose(self)

    def keys(self, high: U64, low: U64) -> U64:
        """Return `u8 [n]`, the identity of each address."""
        return self._mixer(high, low)

    def find(self, high: U64, low: U64) -> Rows:
        """Return the rows of addresses, -1 where unknown."""
        return self.table.find(self.keys(high, low))

    def locate(self, keys: U64, high: U64, low: U64, time_ns: I64) -> Rows:
        """Return the row of every address, -1 where there is no room for it; new ones are entered."""
        located = self.table.locate(keys, time_ns)
        new, first = located.new_rows, located.new_first
        if len(new):
            fresh = self._records.blank(len(new))
            fresh["key"] = keys[first]
            fresh["addr_hi"], fresh["addr_lo"] = high[first], low[first]
            fresh["first_ns"] = fresh["last_ns"] = time_ns[first]
            fresh["home"] = self._site.home.contains(high[first], low[first])
            fresh["roles"] = self._declared(high[first], low[first])
            self._records.put(new, fresh)
        rows = located.rows
        if len(located.evicted) or (len(rows) and rows.min() < 0):
            rows = np.where(self.key[rows] == keys, rows, -1)
        earlier = ((self.first_ns[rows] > time_ns) & (rows >= 0)).nonzero()[0]
        if len(earlier):
            np.minimum.at(self.first_ns, rows[earlier], time_ns[earlier])
        return rows

    def see(self, seen: Sightings) -> None:
        """Take in where packets of hosts came from; the latest wins."""
        row = seen.row
        self.last_ns[row] = seen.time_ns
        self.mac[row] = seen.mac
        self.vlan[row] = seen.vlan
        if seen.has_ttl.all():
            self.ttl[row] = seen.ttl
        else:
            self.ttl[row[seen.has_ttl]] = seen.ttl[seen.has_ttl]

    def hear(self, rows: Rows, time_ns: I64) -> None:
        """Note that answers to the hosts in `rows` were seen."""
        known = rows >= 0
        rows, time_ns = rows[known], time_ns[known]
        fresh = ~self.heard[rows]
        self.heard_ns[rows[fresh]] = time_ns[fresh]
        self.heard[rows[fresh]] = True
        np.minimum.at(self.heard_ns, rows, time_ns)

    def credit(self, rows: Rows) -> None:
        """Give hosts that answered a longer life."""
        self.table.credit_ns[rows[rows >= 0]] = ANSWERED_CREDIT_NS

    def note_ttl(self, rows: Rows, ttl: U8, time_ns: I64) -> None:
        """Keep the first TTL of hosts, from packets that are no resets, in time order."""
        fresh = (rows >= 0) & (self.reference_ttl_ns[rows] == 0)
        if fresh.any():
            rows = rows[fresh][::-1]
            self.reference_ttl[rows] = ttl[fresh][::-1]
            self.reference_ttl_ns[rows] = time_ns[fresh][::-1]

    def shift(self, shift_ns: int) -> None:
        """Follow a step of the clock."""
        for column in (self.first_ns, self.last_ns):
            column[self.key != 0] += shift_ns
        for column in (self.heard_ns, self.reference_ttl_ns):
            column[column != 0] += shift_ns

    def address(self, row: int) -> str:
        """Return the text of the address in `row`."""
        return to_text(int(self.addr_hi[row]), int(self.addr_lo[row]))

    def name(self, row: int) -> SafeStr | None:  # noqa: ARG002  # the contract: no settings name hosts yet
        """Return the declared or learned name of the host."""
        return None

    def _declared(self, high: U64, low: U64) -> U32:
        roles = np.zeros(len(high), np.uint32)
        site = self._site
        for networks, role in (
            (site.scanners, Role.SCANNER),
            (site.proxies, Role.PROXY),
            (site.bastions, Role.BASTION),
            (site.load_balancers, Role.LOAD_BALANCER),
        ):
            if networks.texts:
                roles[networks.contains(high, low)] |= np.uint32(role)
        return roles
