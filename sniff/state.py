"""All state of the sensor: packets in, slices of packet time out."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from nettriage.model import tables
from nettriage.model.batch import Flaw, PacketBatch
from nettriage.model.columns import Mixer
from nettriage.model.health import CaptureHealth, Gauge
from nettriage.model.site import Site
from nettriage.model.slices import DnsColumns, Slice
from sniff.contact_stage import ContactKeeper
from sniff.contacts import ContactTable
from sniff.dns import dns_columns
from sniff.duplicates import DuplicateFilter
from sniff.feed_counts import FeedCounts
from sniff.flow_key import in_flow, usable
from sniff.flow_stage import FlowKeeper
from sniff.flows import FlowTable
from sniff.hosts import HostTable
from sniff.packet_clock import PacketClock
from sniff.prefixes import PrefixTable
from sniff.services import ServiceTable
from sniff.sightings import enter_flowless, see_sources
from sniff.slice_parts import SliceParts, no_packets
from sniff.stretch import Stretch, stretches
from sniff.sweep import SWEEP_NS, Sweeper
from sniff.visibility import Visibility, measure


@dataclass(frozen=True, slots=True, kw_only=True)
class Capacity:
    """Rows of the tables, powers of two; with these the state takes about 130 MB when it is full."""

    hosts: int = 1 << 17
    flows: int = 1 << 17
    contacts: int = 1 << 18
    services: int = 1 << 14
    prefixes: int = 1 << 13


DEFAULT_CAPACITY = Capacity()
MEASURE_MIN_NS = 250_000_000
"""The first measures of the feed are this far apart; later ones as far as the feed is old, so that a short capture
knows what it can see and a long one does not pay for it."""
MEASURE_MAX_NS = 10_000_000_000
"""A measure of the feed is at most this old: it reads every flow of the table."""


class StateTables:
    """All state at one moment; see `nettriage.model.tables.Tables`."""

    def __init__(
        self,
        flows: FlowTable,
        hosts: HostTable,
        services: ServiceTable,
        prefixes: PrefixTable,
        feed: FeedCounts,
        clock: PacketClock,
    ) -> None:
        self.flows: tables.FlowTable = flows
        self.hosts: tables.HostTable = hosts
        self.services: tables.ServiceTable = services
        self.prefixes: tables.PrefixTable = prefixes
        self._flow_table = flows
        self.health = CaptureHealth()
        self._feed = feed
        self._clock = clock
        self._measured = Visibility()
        self._measured_ns = self._since_ns = self._stale_ns = 0

    @property
    def one_way_share(self) -> float | None:
        """Share of TCP flows seen in one direction only, 0 to 1; None before 20 flows."""
        return self._visibility.one_way_share

    @property
    def loss_estimate(self) -> float | None:
        """Share of acknowledged data never seen, 0 to 1; None before any."""
        return self._visibility.loss_estimate

    @property
    def duplicate_share(self) -> float:
        """Share of packets delivered more than once."""
        return self._feed.duplicates / max(self._feed.received, 1)

    def measure(self) -> Visibility:
        """Measure the visibility of the feed now, over all flows, and return it."""
        now_ns = self._clock.now_ns or 0
        self._since_ns = self._since_ns or now_ns
        self._measured = measure(self._flow_table)
        self._measured_ns = now_ns
        self._stale_ns = now_ns + min(max(now_ns - self._since_ns, MEASURE_MIN_NS), MEASURE_MAX_NS)
        return self._measured

    @property
    def _visibility(self) -> Visibility:
        now_ns = self._clock.now_ns or 0
        return self._measured if self._measured_ns <= now_ns < self._stale_ns else self.measure()


class State:
    """Turns packets into slices. What it says does not depend on how the packets were cut into batches."""

    def __init__(self, site: Site, *, capacity: Capacity = DEFAULT_CAPACITY) -> None:
        """Make empty state; `capacity` bounds every table."""
        secret = site.mixer_secret
        self._feed = FeedCounts()
        self._hosts = HostTable(capacity.hosts, site)
        self._flow_table = FlowTable(capacity.flows, secret, self._hosts)
        self._services = ServiceTable(capacity.services, secret)
        self._prefixes = PrefixTable(capacity.prefixes, self._flow_table)
        self._contact_table = ContactTable(capacity.contacts, secret)
        self._clock = PacketClock()
        self.tables = StateTables(
            self._flow_table, self._hosts, self._services, self._prefixes, self._feed, self._clock
        )
        self._mixer = Mixer(secret)
        self._duplicates = DuplicateFilter(self._mixer)
        self._flows = FlowKeeper(self._flow_table, self._hosts, self._services, self._prefixes)
        self._contacts = ContactKeeper(self._contact_table, self._flows, self._flow_table, self._hosts)
        self._sweeper = Sweeper(self._flow_table, self._hosts, self._services)
        self._no_packets = no_packets()
        self._no_dns = dns_columns(self._no_packets, self._mixer)

    @property
    def now_ns(self) -> int:
        """Packet clock; 0 before the first packet."""
        return self._clock.now_ns or 0

    def push(self, packets: PacketBatch) -> Slice:
        """Take in packets; return the slice of packet time until the last of them."""
        self._sweeper.give_back()
        parts = SliceParts(packets)
        if not len(packets):
            return self._slice(parts, self._no_dns)
        self._duplicates.mark(packets)
        timed = self._clock.follow(packets.ts_ns)
        packets.flaw[timed.strange] |= np.uint32(Flaw.BAD_CLOCK)
        self._feed.count(packets)
        sound = usable(packets)
        done = 0
        for row, shift_ns in [*((step.row, step.shift_ns) for step in timed.steps), (len(packets), 0)]:
            for stretch in stretches(packets, timed.now_ns, sound, done, row):
                self._take(parts, stretch)
            if shift_ns:
                self._step(shift_ns)
            done = row
        return self._slice(parts, dns_columns(packets, self._mixer))

    def advance(self, now_ns: int) -> Slice:
        """Let packet time pass without packets: outcomes settle, idle flows end."""
        self._sweeper.give_back()
        parts = SliceParts(self._no_packets)
        if self._clock.now_ns is not None:
            self._clock.advance(now_ns)
            self._run_until(parts, self.now_ns)
        return self._slice(parts, self._no_dns)

    def settle(self) -> Slice:
        """Let the clock run on until every pending outcome is settled."""
        return self.advance(self._contact_table.pending.last_ns or self.now_ns)

    def gauges(self) -> dict[str, Gauge]:
        """Return how full each table is."""
        return {
            "hosts": self._hosts.table.gauge,
            "flows": self._flow_table.table.gauge,
            "contacts": self._contact_table.table.gauge,
            "pending": self._contact_table.pending.gauge,
            "services": self._services.table.gauge,
            "prefixes": self._prefixes.gauge,
            "duplicates": self._duplicates.gauge,
        }

    def fill_health(self, health: CaptureHealth) -> None:
        """Write what the packets themselves tell about the capture."""
        self._feed.fill(health)
        health.clock_jumps = self._clock.jumps
        visibility = self.tables.measure()
        health.one_way_share = visibility.one_way_share
        health.loss_estimate = visibility.loss_estimate

    def _slice(self, parts: SliceParts, dns: DnsColumns) -> Slice:
        return parts.slice(dns, self.tables, self.now_ns)

    def _take(self, parts: SliceParts, stretch: Stretch) -> None:
        """Take in rows between which no sweep lies."""
        self._run_until(parts, int(stretch.time_ns[stretch.first]))
        at = np.flatnonzero(in_flow(stretch.packets, stretch.sound))
        learned_ns = int(stretch.time_ns[stretch.first]) // SWEEP_NS * SWEEP_NS
        stage = self._flows.take(stretch.packets, stretch.time_ns, at, learned_ns) if len(at) else None
        if stage is not None:
            parts.add(stage)
            self._sweeper.note_services(stage.answered_services)
        if stage is None or len(stage.rows) <= stretch.last - stretch.first:
            enter_flowless(self._hosts, parts, stretch)
        see_sources(self._hosts, parts, stretch)
        parts.contacts.append(self._contacts.take(stretch, stage, self._sweeper.visibility.one_way_share))

    def _run_until(self, parts: SliceParts, now_ns: int) -> None:
        """Let the clock come to `now_ns`, sweeping at each moment due on the way."""
        sweeper = self._sweeper
        while (moment_ns := sweeper.due(now_ns)) is not None:
            parts.contacts.append(self._contacts.advance(moment_ns, sweeper.visibility.one_way_share))
            parts.ends.append(sweeper.sweep(moment_ns, now_ns))
        parts.contacts.append(self._contacts.advance(now_ns, sweeper.visibility.one_way_share))

    def _step(self, shift_ns: int) -> None:
        """Follow a step of the clock: what is remembered moves along, so that nothing expires by it."""
        for table in (self._hosts, self._flow_table, self._services, self._contact_table):
            table.shift(shift_ns)
        self._sweeper.forget_schedule()
