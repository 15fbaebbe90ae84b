"""What state says about forged traffic, in words that do not depend on rows or batches."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from nettriage.model.addresses import to_text
from nettriage.model.batch import RawBatch
from nettriage.model.site import Site
from nettriage.model.slices import ContactEvents, Ending, Outcome, Slice
from sniff.decode import decode
from sniff.state import Capacity, State
from tests.sniff.batches import raw_batch

SMALL = Capacity(hosts=1 << 12, flows=1 << 15, contacts=1 << 13, services=1 << 9, prefixes=1 << 6)
FLOW_COLUMNS = (
    "port", "proto", "first_ns", "last_ns", "last_data_ns", "packets", "wire_bytes", "payload_bytes",
    "payload_packets", "tcp_flags", "state", "opened", "isn", "ttl", "window", "first_payload_len", "first_speaker",
    "resumes",
)  # fmt: skip
HOST_COLUMNS = ("first_ns", "last_ns", "mac", "ttl", "roles", "sent_flows", "received_flows", "heard")
Frames = Sequence[tuple[int, bytes]]


@dataclass
class Told:
    """Everything that came out of a run."""

    state: State
    slices: list[Slice] = field(default_factory=list)
    packets: list[tuple[int, int, str, str]] = field(default_factory=list)
    """Flow serial (0 where none), side, source, destination of each packet."""
    new_flows: list[int] = field(default_factory=list)
    ends: list[tuple[int, int, str]] = field(default_factory=list)
    contacts: list[tuple[object, ...]] = field(default_factory=list)
    outcomes: list[tuple[str, str, int, str]] = field(default_factory=list)
    """Asker, asked, port, outcome of each contact event."""
    resumes: list[tuple[int, int, int, int]] = field(default_factory=list)

    def add(self, seen: Slice) -> None:
        """Take in a slice, while its rows are valid."""
        serial = self.state.tables.flows.serial
        flow = np.where(seen.flow >= 0, serial[seen.flow], 0).tolist()
        self.packets += zip(flow, seen.side.tolist(), self._names(seen.src), self._names(seen.dst), strict=True)
        self.new_flows += serial[seen.new_flows].tolist()
        ends = seen.ends
        self.ends += zip(
            ends.ts_ns.tolist(), serial[ends.flow].tolist(), [Ending(how).name for how in ends.how], strict=True
        )
        resumes = seen.resumes
        self.resumes += zip(
            resumes.ts_ns.tolist(), serial[resumes.flow].tolist(), resumes.side.tolist(), resumes.idle_ns.tolist(),
            strict=True,
        )  # fmt: skip
        self._add_contacts(seen.contacts)

    def flows(self) -> list[tuple[object, ...]]:
        """Return the flows held now with their payload, by serial."""
        flows, prefixes = self.state.tables.flows, self.state.tables.prefixes
        rows = np.flatnonzero(flows.serial)
        told: list[tuple[object, ...]] = []
        for row in rows[np.argsort(flows.serial[rows])].tolist():
            columns = [getattr(flows, name)[row].tolist() for name in FLOW_COLUMNS]
            payload = prefixes.payload(row, 0), prefixes.payload(row, 1)
            told.append((int(flows.serial[row]), flows.endpoints(row), *columns, *payload))
        return told

    def hosts(self) -> list[tuple[object, ...]]:
        """Return the hosts held now."""
        hosts = self.state.tables.hosts
        rows = np.flatnonzero(hosts.key)
        return sorted(
            (hosts.address(row), *(getattr(hosts, name)[row].item() for name in HOST_COLUMNS)) for row in rows
        )

    def only_flow(self) -> int:
        """Return the row of the one flow there is."""
        rows = np.flatnonzero(self.state.tables.flows.serial)
        assert len(rows) == 1
        return int(rows[0])

    def said(self) -> tuple[object, ...]:
        """Return all of it, for comparison."""
        return (
            self.packets, self.new_flows, self.ends, self.contacts, self.resumes, self.flows(), self.hosts(),
            self.state.tables.one_way_share, self.state.tables.loss_estimate,
        )  # fmt: skip

    def _names(self, rows: np.ndarray[tuple[int], np.dtype[np.int32]]) -> list[str]:
        return ["" if row < 0 else self.state.tables.hosts.address(row) for row in rows.tolist()]

    def _add_contacts(self, events: ContactEvents) -> None:
        src = [to_text(*words) for words in zip(events.src_hi.tolist(), events.src_lo.tolist(), strict=True)]
        dst = [to_text(*words) for words in zip(events.dst_hi.tolist(), events.dst_lo.tolist(), strict=True)]
        names = [Outcome(outcome).name for outcome in events.outcome]
        self.outcomes += zip(src, dst, events.port.tolist(), names, strict=True)
        kept = (
            "ts_ns", "proto", "sport", "probe_flags", "probe_len", "tries", "attempt_ns", "multicast", "sure",
            "denier_hi", "denier_lo",
        )  # fmt: skip
        columns = [getattr(events, name).tolist() for name in kept]
        self.contacts += zip(src, dst, events.port.tolist(), names, *columns, strict=True)


def run_raw(raw: RawBatch, size: int | None = None, *, capacity: Capacity = SMALL, settle: bool = True) -> Told:
    """Return what state says about `raw`, pushed in batches of `size` rows."""
    told = Told(State(Site(mixer_secret=7), capacity=capacity))
    step = size or max(len(raw), 1)
    for at in range(0, len(raw), step):
        told.slices.append(told.state.push(decode(raw.rows(slice(at, at + step)))))
        told.add(told.slices[-1])
    if settle:
        told.slices.append(told.state.settle())
        told.add(told.slices[-1])
    return told


def run(frames: Frames, size: int | None = None, *, capacity: Capacity = SMALL, settle: bool = True) -> Told:
    """Return what state says about `frames`, pushed in batches of `size` rows."""
    raw = raw_batch([frame for _, frame in frames], ts_ns=[ts for ts, _ in frames])
    return run_raw(raw, size, capacity=capacity, settle=settle)
