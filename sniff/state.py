"""All state of the sensor: packets in, slices of packet time out."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from nettriage.model.batch import NO_PROTO, Flaw, PacketBatch
from nettriage.model.columns import I64, Mixer, Rows
from nettriage.model.health import CaptureHealth, Gauge
from nettriage.model.site import Site
from nettriage.model.slices import DnsColumns, Slice
from sniff.contact_stage import ContactKeeper, Stretch
from sniff.contacts import ContactTable
from sniff.dns import dns_columns
from sniff.duplicates import DuplicateFilter
from sniff.feed_counts import FeedCounts
from sniff.flow_key import in_flow, usable
from sniff.flow_packets import Bools
from sniff.flow_stage import FlowKeeper
from sniff.flows import FlowTable
from sniff.hosts import HostTable, Sightings
from sniff.packet_clock import PacketClock
from sniff.prefixes import PrefixTable
from sniff.probes import ARP_REPLY, ARP_REQUEST
from sniff.roles import learn_routers, learn_services
from sniff.services import ServiceTable
from sniff.slice_parts import SliceParts, no_packets
from sniff.sweep import SWEEP_NS, end_idle_flows
from sniff.visibility import Visibility, measure

ROUTERS_EVERY = 6
"""Sweeps between two looks for routers, which touch every host."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Capacity:
    """Rows of the tables, powers of two; with these the state takes about 130 MB when it is full."""

    hosts: int = 1 << 17
    flows: int = 1 << 17
    contacts: int = 1 << 18
    services: int = 1 << 14
    prefixes: int = 1 << 13


class StateTables:
    """All state at one moment; see `nettriage.model.tables.Tables`."""

    def __init__(self, site: Site, capacity: Capacity, feed: FeedCounts) -> None:
        self.hosts = HostTable(capacity.hosts, site)
        self.flows = FlowTable(capacity.flows, site.mixer_secret, self.hosts)
        self.services = ServiceTable(capacity.services, site.mixer_secret)
        self.prefixes = PrefixTable(capacity.prefixes, self.flows)
        self._feed = feed
        self._measured: tuple[int, Visibility] = (-1, Visibility())

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

    @property
    def _visibility(self) -> Visibility:
        if self._measured[0] != self._feed.received:
            self._measured = (self._feed.received, measure(self.flows))
        return self._measured[1]


class State:
    """Turns packets into slices. What it says does not depend on how the packets were cut into batches."""

    def __init__(self, site: Site, *, capacity: Capacity = Capacity()) -> None:  # frozen
        """Make empty state; `capacity` bounds every table."""
        self._feed = FeedCounts()
        self.tables = StateTables(site, capacity, self._feed)
        hosts, flows = self.tables.hosts, self.tables.flows
        self._mixer = Mixer(site.mixer_secret)
        self._duplicates = DuplicateFilter(self._mixer)
        self._clock = PacketClock()
        self._table = ContactTable(capacity.contacts, site.mixer_secret)
        self._flows = FlowKeeper(flows, hosts, self.tables.services, self.tables.prefixes)
        self._contacts = ContactKeeper(self._table, self._flows, flows, hosts)
        self._next_sweep_ns: int | None = None
        self._sweeps = 0
        self._visibility = Visibility()
        self._leaving: list[Rows] = []
        self._answered: list[Rows] = []
        self._no_packets = no_packets()
        self._no_dns = dns_columns(self._no_packets, self._mixer)

    @property
    def now_ns(self) -> int:
        """Packet clock; 0 before the first packet."""
        return self._clock.now_ns or 0

    def push(self, packets: PacketBatch) -> Slice:
        """Take in packets; return the slice of packet time until the last of them."""
        self._give_back()
        parts = SliceParts(packets)
        if not len(packets):
            return self._slice(parts, self._no_dns)
        self._duplicates.mark(packets)
        timed = self._clock.follow(packets.ts_ns)
        packets.flaw[timed.strange] |= np.uint32(Flaw.BAD_CLOCK)
        self._feed.count(packets)
        sound = usable(packets)
        done = 0
        for step in timed.steps:
            self._take(parts, timed.now_ns, sound, done, step.row)
            self._step(step.shift_ns)
            done = step.row
        self._take(parts, timed.now_ns, sound, done, len(packets))
        return self._slice(parts, dns_columns(packets, self._mixer))

    def advance(self, now_ns: int) -> Slice:
        """Let packet time pass without packets: outcomes settle, idle flows end."""
        self._give_back()
        parts = SliceParts(self._no_packets)
        if self._clock.now_ns is not None:
            self._clock.advance(now_ns)
            self._run_until(parts, self.now_ns)
        return self._slice(parts, self._no_dns)

    def settle(self) -> Slice:
        """Let the clock run on until every pending outcome is settled."""
        return self.advance(self._table.pending.last_ns or self.now_ns)

    def gauges(self) -> dict[str, Gauge]:
        """Return how full each table is."""
        tables = self.tables
        return {
            "hosts": tables.hosts.table.gauge,
            "flows": tables.flows.table.gauge,
            "contacts": self._table.table.gauge,
            "pending": self._table.pending.gauge,
            "services": tables.services.table.gauge,
            "prefixes": tables.prefixes.gauge,
        }

    def fill_health(self, health: CaptureHealth) -> None:
        """Write what the packets themselves tell about the capture."""
        self._feed.fill(health)
        health.clock_jumps = self._clock.jumps
        health.one_way_share = self.tables.one_way_share
        health.loss_estimate = self.tables.loss_estimate

    def _slice(self, parts: SliceParts, dns: DnsColumns) -> Slice:
        return parts.slice(dns, self.tables, self.now_ns)

    def _take(self, parts: SliceParts, time_ns: I64, sound: Bools, start: int, stop: int) -> None:
        """Take in the rows from `start` to `stop`, stretch by stretch between sweeps."""
        if start == stop:
            return
        self._run_until(parts, int(time_ns[start]))
        for first, last in _stretches(time_ns, start, stop):
            self._run_until(parts, int(time_ns[first]))
            inside = sound if (first, last) == (0, len(sound) - 1) else np.zeros_like(sound)
            if inside is not sound:
                inside[first : last + 1] = sound[first : last + 1]
            self._take_stretch(parts, Stretch(parts.packets, time_ns, inside, first, last))

    def _take_stretch(self, parts: SliceParts, stretch: Stretch) -> None:
        """Take in rows between which no sweep lies."""
        at = np.flatnonzero(in_flow(stretch.packets, stretch.sound))
        learned_ns = int(stretch.time_ns[stretch.first]) // SWEEP_NS * SWEEP_NS
        stage = self._flows.take(stretch.packets, stretch.time_ns, at, learned_ns) if len(at) else None
        if stage is not None:
            parts.add(stage)
            self._answered.append(stage.answered_services)
        if stage is None or len(stage.rows) <= stretch.last - stretch.first:
            self._see_flowless(parts, stretch)
        parts.contacts.append(self._contacts.take(stretch, stage, self._visibility.one_way_share))

    def _see_flowless(self, parts: SliceParts, stretch: Stretch) -> None:
        """Enter the hosts of packets that belong to no flow."""
        packets, hosts = stretch.packets, self.tables.hosts
        rows = np.arange(stretch.first, stretch.last + 1)
        rows = rows[(parts.flow[rows] < 0) & ~packets.duplicate[rows]]
        rows = rows[(packets.proto[rows] != NO_PROTO) & ((packets.src_hi[rows] | packets.src_lo[rows]) != 0)]
        if not len(rows):
            return
        time_ns = stretch.time_ns[rows]
        for high, low, column in (
            (packets.src_hi[rows], packets.src_lo[rows], parts.src),
            (packets.dst_hi[rows], packets.dst_lo[rows], parts.dst),
        ):
            column[rows] = hosts.locate(hosts.keys(high, low), high, low, time_ns)
        rows = rows[(parts.src[rows] >= 0) & stretch.sound[rows]]
        src = parts.src[rows].astype(np.intp)
        hosts.see(
            Sightings(src, stretch.time_ns[rows], packets.src_mac[rows], packets.vlan[rows], packets.ttl[rows])
        )  # fmt: skip
        announced = (packets.proto[rows] >= 256) & np.isin(packets.icmp_type[rows], (ARP_REQUEST, ARP_REPLY))
        hosts.own_mac[src[announced]] = True

    def _run_until(self, parts: SliceParts, now_ns: int) -> None:
        """Let the clock come to `now_ns`, sweeping at each moment due on the way."""
        if self._next_sweep_ns is None:
            self._next_sweep_ns = (now_ns // SWEEP_NS + 1) * SWEEP_NS
        while self._next_sweep_ns <= now_ns:
            parts.contacts.append(self._contacts.advance(self._next_sweep_ns, self._visibility.one_way_share))
            if self._sweep(parts, self._next_sweep_ns):
                self._next_sweep_ns = now_ns // SWEEP_NS * SWEEP_NS
            self._next_sweep_ns += SWEEP_NS
        parts.contacts.append(self._contacts.advance(now_ns, self._visibility.one_way_share))

    def _sweep(self, parts: SliceParts, moment_ns: int) -> bool:
        """End idle flows, learn roles, look how much the feed shows; return whether nothing more can end."""
        hosts, flows, services = self.tables.hosts, self.tables.flows, self.tables.services
        self._visibility = measure(flows)
        ends, leaving = end_idle_flows(flows, moment_ns)
        parts.ends.append(ends)
        self._leaving.append(leaving)
        if self._answered:
            learn_services(hosts, services, np.concatenate(self._answered))
            self._answered.clear()
        self._sweeps += 1
        if self._sweeps % ROUTERS_EVERY == 0:
            learn_routers(hosts)
        used = flows.table.rows_in_use()
        return bool(flows.retired[used].all()) and self._table.pending.next_ns is None

    def _give_back(self) -> None:
        """Free the flows that ended in the slice before: whoever reads that slice is done with it."""
        for rows in self._leaving:
            flows = self.tables.flows
            flows.free(rows[flows.retired[rows] & (flows.serial[rows] != 0)])
        self._leaving.clear()

    def _step(self, shift_ns: int) -> None:
        """Follow a step of the clock: what is remembered moves along, so that nothing expires by it."""
        self.tables.hosts.shift(shift_ns)
        self.tables.flows.shift(shift_ns)
        self.tables.services.shift(shift_ns)
        self._table.shift(shift_ns)
        self._next_sweep_ns = None


def _stretches(time_ns: I64, start: int, stop: int) -> Iterator[tuple[int, int]]:
    """Yield first and last row of each run of rows between which no sweep is due."""
    cell = time_ns[start:stop] // SWEEP_NS
    if cell[0] == cell[-1]:
        yield start, stop - 1
        return
    heads = np.append(np.flatnonzero(np.diff(cell, prepend=cell[0] - 1)), stop - start) + start
    for first, after in zip(heads[:-1].tolist(), heads[1:].tolist(), strict=True):
        yield first, after - 1
