"""iodine's raw mode: a tunnel on UDP port 53 that does not even look like DNS."""

from __future__ import annotations

import numpy as np

from nettriage.model.addresses import to_text
from nettriage.model.alert import BenignCheck, Observation, Tool
from nettriage.model.finding import Endpoint, Finding
from nettriage.model.health import Gauge
from nettriage.model.safetext import safe
from nettriage.model.slices import Slice
from nettriage.model.tables import RESPONDER, Tables

from .legs import BYTES_PER_NOTED_FLOW, NotedFlow, leg, note, volumes
from .prefix_watch import PrefixWatch, heads
from .reasons import title

_UDP, _DNS_PORT = 17, 53
_MAGIC = np.frombuffer(b"\x10\xd1\x9e", np.uint8)
_TUNNELS_MAX = 256
_PER_TICK = 16
_IDLE_NS = 1_800_000_000_000


class RawDns:
    """Flows to port 53 that begin with the mark of iodine's raw mode; at most 256 are followed."""

    def __init__(self) -> None:
        """Follow nothing yet."""
        self._watch = PrefixWatch()
        self._tunnels: dict[int, tuple[NotedFlow, int]] = {}
        """By serial: the flow, and when it last grew."""
        self._refused = 0

    @property
    def gauge(self) -> Gauge:
        """How many tunnels are followed."""
        return Gauge(cap=_TUNNELS_MAX, used=len(self._tunnels), refused=self._refused)

    @property
    def nbytes(self) -> int:
        """Memory, in bytes."""
        return self._watch.nbytes + len(self._tunnels) * BYTES_PER_NOTED_FLOW

    def note(self, seen: Slice) -> None:
        """Mark the flows whose prefixes grew."""
        self._watch.note(seen)

    def tick(self, now_ns: int, tables: Tables) -> list[Finding]:
        """Return tunnels that are new or over."""
        rows, slots = self._watch.drain(tables, _UDP)
        to_dns = tables.flows.port[rows, RESPONDER] == _DNS_PORT
        rows, slots = rows[to_dns], slots[to_dns]
        marked = (heads(tables, slots, 0, 3) == _MAGIC).all(axis=1) if len(rows) else np.zeros(0, np.bool_)
        found = [self._enter(note(tables, int(row)), now_ns, tables) for row in rows[marked][:_PER_TICK]]
        return [item for item in found if item] + self._closed(now_ns, tables)

    def _enter(self, flow: NotedFlow, now_ns: int, tables: Tables) -> Finding | None:
        known = flow.serial in self._tunnels
        if not known and len(self._tunnels) >= _TUNNELS_MAX:
            self._refused += 1
            return None
        self._tunnels[flow.serial] = (flow, now_ns)
        return None if known else _finding(flow, tables, now_ns)

    def _closed(self, now_ns: int, tables: Tables) -> list[Finding]:
        over: list[Finding] = []
        for serial, (flow, since_ns) in list(self._tunnels.items()):
            alive = int(tables.flows.serial[flow.row]) == serial
            last_ns = int(tables.flows.last_ns[flow.row]) if alive else since_ns
            if now_ns - last_ns > _IDLE_NS and len(over) < _PER_TICK:
                over.append(_finding(flow, tables, last_ns, closed=True))
                del self._tunnels[serial]
        return over


def _finding(flow: NotedFlow, tables: Tables, last_ns: int, *, closed: bool = False) -> Finding:
    client, server = (to_text(*end.addr) for end in flow.ends)
    total = sum(volumes(tables, flow))
    because = "the payload begins with 10 D1 9E and is no DNS message"
    return Finding(
        key=flow.serial ^ (flow.host_keys[0] & ~0xFFFFFFFF), subject=flow.host(0), score=88.0, confidence=0.95,
        first_ns=flow.first_ns, last_ns=last_ns, count=1, title=title(f"iodine raw tunnel {client} → {server}"),
        reason=f"{client} sent {total:,} bytes of iodine's raw mode to port 53 of {server}: {because}.",
        objects=[flow.ends[1]], object_count=1, via=[flow.host(0), Endpoint(flow.ends[1].addr, _DNS_PORT)],
        legs=[leg(tables, flow)], flows=[flow.ref], proto=_UDP, ports=[_DNS_PORT], port_count=1,
        observations=[
            Observation(name="raw header", value=1.0, unit="flows", threshold=1.0, window_s=0.0, weight=1.0)
        ],
        tool=Tool(name="iodine", confidence=0.95, evidence=safe("payload begins with 10 D1 9E")),
        counterfactual="would not alert if the payload were DNS",
        benign_checked=[BenignCheck(hypothesis="DNS", rejected_because=because)],
        next_steps=[f"On {client}: find the process that sends to port 53 of {server}", "Block direct DNS to outside"],
        closed=closed,
    )  # fmt: skip
