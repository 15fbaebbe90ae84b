"""iodine's raw mode: a tunnel on UDP port 53 that does not even look like DNS."""

from __future__ import annotations

import numpy as np

from nettriage.model.addresses import to_text
from nettriage.model.alert import BenignCheck, Observation, Tool
from nettriage.model.finding import Endpoint, Finding
from nettriage.model.health import Gauge
from nettriage.model.safetext import safe
from nettriage.model.slices import Slice
from nettriage.model.tables import Tables

from .legs import BYTES_PER_NOTED_FLOW, NotedFlow, leg, note, volumes
from .reasons import title

_UDP, _DNS_PORT = 17, 53
_MAGIC = b"\x10\xd1\x9e"
_TUNNELS_MAX = 256
_PER_TICK = 16
_IDLE_NS = 1_800_000_000_000


class RawDns:
    """Flows to port 53 that begin with the mark of iodine's raw mode; at most 256 are followed."""

    def __init__(self) -> None:
        """Follow nothing yet."""
        self._marked: dict[int, int] = {}
        """Flows that showed the mark since the last tick: row by serial."""
        self._tunnels: dict[int, tuple[NotedFlow, int]] = {}
        """By serial: the flow, and when it last showed the mark."""
        self._refused = 0

    @property
    def gauge(self) -> Gauge:
        """How many tunnels are followed."""
        return Gauge(cap=_TUNNELS_MAX, used=len(self._tunnels), refused=self._refused)

    @property
    def nbytes(self) -> int:
        """Memory, in bytes."""
        return 100 * len(self._marked) + len(self._tunnels) * BYTES_PER_NOTED_FLOW

    def note(self, seen: Slice) -> None:
        """Mark the flows with a datagram to port 53 that begins like iodine's raw mode.

        A DNS message cannot: its third byte would make a question a reply with an unassigned opcode.
        """
        packets, data = seen.packets, seen.packets.raw.data
        rows = np.flatnonzero((packets.dst_port == _DNS_PORT) & (packets.proto == _UDP))
        rows = rows[(packets.payload_cap[rows] >= len(_MAGIC)) & (seen.flow[rows] >= 0)]
        for place, byte in enumerate(_MAGIC):
            if not len(rows):
                return
            rows = rows[data[packets.payload_at[rows] + place] == byte]
        for row in np.unique(seen.flow[rows]).tolist():
            if len(self._marked) < _TUNNELS_MAX:
                self._marked[int(seen.tables.flows.serial[row])] = row
            else:
                self._refused += 1

    def tick(self, now_ns: int, tables: Tables) -> list[Finding]:
        """Return tunnels that are new or over."""
        found: list[Finding] = []
        for serial, row in sorted(self._marked.items()):
            if int(tables.flows.serial[row]) == serial and len(found) < _PER_TICK:
                new = self._enter(note(tables, row), now_ns, tables)
                found += [new] if new else []
        self._marked.clear()
        return found + self._closed(now_ns, tables)

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
