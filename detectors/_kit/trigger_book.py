"""Flows whose data makes their far end open connections: what they carried, and what was opened for them."""

from __future__ import annotations

from collections import OrderedDict, deque
from dataclasses import dataclass, field
from statistics import median

import numpy as np

from nettriage.model.columns import Rows
from nettriage.model.finding import Address, Endpoint
from nettriage.model.health import Gauge
from nettriage.model.tables import RESPONDER, Tables

from .legs import BYTES_PER_NOTED_FLOW, NotedFlow, note, volumes
from .trigger_log import Triggers

_CARRIERS_MAX, _OPENED_MAX, _TARGETS_MAX, _LAGS_MAX = 8, 64, 256, 64
_ACCOUNTS_MAX = 256
_SCAN_NS = 60_000_000_000


@dataclass(slots=True)
class TriggerAccount:
    """What one host opened because of data of one peer."""

    end: Endpoint
    """The host that opens the connections, with its port where it serves the peer."""
    peer: Endpoint
    host_key: int
    side: int
    """Side of the host in the carrying flows: `RESPONDER` where the peer connected to it."""
    key: int
    first_ns: int
    last_ns: int
    carriers: dict[int, NotedFlow] = field(default_factory=dict)
    """By serial; at most 8, the oldest give way."""
    opened: deque[NotedFlow] = field(default_factory=deque)
    """The latest ones, at most 64."""
    targets: dict[tuple[Address, int], int] = field(default_factory=dict)
    """Packet time of the latest connection to each (address, port); at most 256, then the first ones."""
    lags_ns: deque[int] = field(default_factory=lambda: deque(maxlen=_LAGS_MAX))
    count: int = 0
    tries: int = 0
    log10_chance: float = 0.0
    most_targets: int = 0
    """Most (address, port) within 60 s."""
    past_bytes: list[int] = field(default_factory=lambda: [0, 0])
    """Payload of connections that are not listed any more, to the targets and back."""
    overflow: int = 0
    changed: bool = True
    said_ns: int = 0
    said_count: int = 0

    @property
    def lag_ms(self) -> float:
        """Median time from data in to connection out."""
        return round(median(self.lags_ns) / 1e6, 3) if self.lags_ns else 0.0

    def enter(self, flow: NotedFlow, lag_ns: int, tables: Tables) -> None:
        """Take in a connection that followed data."""
        self.count += 1
        self.changed = True
        self.first_ns, self.last_ns = min(self.first_ns, flow.first_ns), max(self.last_ns, flow.first_ns)
        self.lags_ns.append(lag_ns)
        if len(self.opened) >= _OPENED_MAX:
            for way, size in enumerate(volumes(tables, self.opened.popleft())):
                self.past_bytes[way] += size
        self.opened.append(flow)
        target = (flow.ends[RESPONDER].addr, flow.ends[RESPONDER].port or 0)
        if target in self.targets or len(self.targets) < _TARGETS_MAX:
            self.targets[target] = flow.first_ns
        else:
            self.overflow += 1
        recent = sum(flow.first_ns - at <= _SCAN_NS for at in self.targets.values())
        self.most_targets = max(self.most_targets, recent)

    def carry(self, flow: NotedFlow) -> None:
        """Count a flow among those that carry."""
        self.carriers[flow.serial] = flow
        if len(self.carriers) > _CARRIERS_MAX:
            del self.carriers[next(iter(self.carriers))]

    def carried(self, tables: Tables) -> tuple[int, int]:
        """Return the payload bytes that the carriers brought into the host and took out of it."""
        sizes = [volumes(tables, flow) for flow in self.carriers.values()]
        return sum(size[1 - self.side] for size in sizes), sum(size[self.side] for size in sizes)

    def passed(self, tables: Tables) -> tuple[int, int]:
        """Return the payload bytes of the opened connections, to the targets and back."""
        sizes = [volumes(tables, flow) for flow in self.opened]
        return self.past_bytes[0] + sum(up for up, _ in sizes), self.past_bytes[1] + sum(down for _, down in sizes)

    @property
    def bytes(self) -> int:
        """Memory of the account, estimated."""
        return 2_000 + BYTES_PER_NOTED_FLOW * (len(self.carriers) + len(self.opened)) + 200 * len(self.targets)


class TriggerBook:
    """Accounts by host, peer and port, at most 256; the one that has been quiet longest gives way."""

    def __init__(self) -> None:
        """Make an empty book."""
        self.accounts: OrderedDict[int, TriggerAccount] = OrderedDict()
        self._by_lane: dict[tuple[int, int], TriggerAccount] = {}
        """By serial of the carrier and side of the host."""
        self._evicted = 0

    def gauges(self) -> dict[str, Gauge]:
        """Return how full the book is."""
        return {"tunnels": Gauge(cap=_ACCOUNTS_MAX, used=len(self.accounts), evicted=self._evicted)}

    def state_bytes(self) -> int:
        """Return the memory of the book, estimated."""
        return sum(account.bytes for account in self.accounts.values()) + 200 * len(self._by_lane)

    def known(self, serial: int, side: int) -> TriggerAccount | None:
        """Return the account that a carrier belongs to."""
        return self._by_lane.get((serial, side))

    def open(self, row: int, side: int, tables: Tables) -> TriggerAccount:
        """Return the account of the carrier in `row`, opened where there is none."""
        flow = note(tables, row)
        port = flow.ends[RESPONDER].port or 0
        key = (flow.host_keys[side] ^ flow.host_keys[1 - side] * 3 ^ (port * 2 + side) * 0x9E3779B97F4A7C15) & (
            2**64 - 1
        )
        account = self.accounts.get(key)
        if account is None:
            end = Endpoint(flow.ends[side].addr, port if side == RESPONDER else None)
            peer = Endpoint(flow.ends[1 - side].addr, None if side == RESPONDER else port)
            account = TriggerAccount(end, peer, flow.host_keys[side], side, key, flow.first_ns, flow.first_ns)
            self.accounts[key] = account
            if len(self.accounts) > _ACCOUNTS_MAX:
                self.forget(min(self.accounts.values(), key=lambda item: (item.last_ns, item.key)))
                self._evicted += 1
        account.carry(flow)
        self._by_lane = {lane: item for lane, item in self._by_lane.items() if lane[0] in item.carriers}
        self._by_lane[flow.serial, side] = account
        return account

    def forget(self, account: TriggerAccount) -> None:
        """Drop an account that is over."""
        del self.accounts[account.key]
        self._by_lane = {lane: item for lane, item in self._by_lane.items() if item is not account}


def nearest(found: Triggers) -> Rows:
    """Return the rows of `found` with the latest data before each connection, in order of the connections."""
    order = np.lexsort((found.serial, found.lag_ns, found.opened_serial))
    serial = found.opened_serial[order]
    return np.asarray(order[np.diff(serial, prepend=-1) != 0])
