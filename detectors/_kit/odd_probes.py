"""TCP packets that belong to no session: taken from slices, and settled when it is known what answered."""

from __future__ import annotations

from enum import IntEnum

import numpy as np
import numpy.typing as npt

from nettriage.model.batch import IpFlag, PacketBatch, TcpFlag
from nettriage.model.columns import Rows, group
from nettriage.model.health import Gauge
from nettriage.model.slices import Outcome, Slice
from nettriage.model.tables import Tables

_TCP = 6
_FIN, _SYN, _RST, _ACK = (np.uint16(bit) for bit in (TcpFlag.FIN, TcpFlag.SYN, TcpFlag.RST, TcpFlag.ACK))
_MEANT = np.uint16(0x3F)
"""The six flags of RFC 793; the others are congestion signals."""
_CAP = 16_384
_WAIT_NS = 3_000_000_000
"""How long an answer is awaited, as for contacts."""
_SENT_MAX = 4
"""Packets of one probe with its retries; a session that goes on has more."""
_NOTHING_KNOWN = int(Outcome.ATTEMPT)


class Technique(IntEnum):
    """What kind of packet a probe is; from `ACK` on ordinary leftovers of sessions look the same, one by one."""

    NULL = 0
    FIN = 1
    XMAS = 2
    SYN_FIN = 3
    ODD = 4
    """Another combination without ACK, as of nmap --scanflags."""
    TINY_FRAGMENT = 5
    ACK = 6
    """Bare ACK: nmap -sA and -sW send the same packet."""
    MAIMON = 7
    """FIN and ACK."""


TECHNIQUE_NAMES = ("NULL", "FIN", "XMAS", "SYN+FIN", "odd flags", "tiny fragment", "ACK or window", "Maimon (FIN+ACK)")
"""Names of the techniques, by value."""
AMBIGUOUS = (Technique.ACK, Technique.MAIMON)


def _by_flags() -> npt.NDArray[np.uint8]:
    kinds = np.full(64, Technique.ODD, np.uint8)
    kinds[[0, 1, 0x29, 3, 0x10, 0x11]] = (
        Technique.NULL, Technique.FIN, Technique.XMAS, Technique.SYN_FIN, Technique.ACK, Technique.MAIMON,
    )  # fmt: skip
    return kinds


_TECHNIQUE = _by_flags()
PROBE = np.dtype(
    [("ts_ns", "i8"), ("serial", "i8"), ("src_key", "u8"), ("dst_key", "u8"), ("src_hi", "u8"), ("src_lo", "u8"),
     ("dst_hi", "u8"), ("dst_lo", "u8"), ("flow", "i4"), ("host", "i4"), ("sport", "u2"), ("dport", "u2"),
     ("flags", "u2"), ("technique", "u1"), ("outcome", "u1")]
)  # fmt: skip
"""One probe: flow and serial say where its answer is to be found, `host` is the row of its sender."""
Probes = npt.NDArray[np.void]


class OddProbes:
    """Probes whose answers are awaited, at most 16,384; what exceeds is refused and counted."""

    def __init__(self) -> None:
        """Await nothing."""
        self._awaited: Probes = np.zeros(0, PROBE)
        self._refused = 0

    @property
    def gauge(self) -> Gauge:
        """How many probes are awaited."""
        return Gauge(cap=_CAP, used=len(self._awaited), evicted=0, refused=self._refused)

    @property
    def nbytes(self) -> int:
        """Memory of the probes, in bytes."""
        return self._awaited.nbytes

    def take(self, seen: Slice) -> None:
        """Note the probes of a slice, in the order of its packets."""
        at = np.concatenate((_without_session(seen.packets), _leftovers(seen), _tiny(seen.packets)))
        at = at[(seen.src[at] >= 0) & (seen.dst[at] >= 0)]
        if not len(at):
            return
        probes = _probes(seen, np.unique(at))
        room = _CAP - len(self._awaited)
        self._refused += max(0, len(probes) - room)
        self._awaited = np.concatenate((self._awaited, probes[:room]))

    def settle(self, now_ns: int, tables: Tables) -> Probes:
        """Return, once, the probes whose answer came or is overdue, without those that belong to a session."""
        probes = self._awaited
        if not len(probes):
            return probes
        settled, kept = _judge(probes, now_ns, tables)
        self._awaited = probes[~settled]
        return probes[settled & kept]


def _without_session(packets: PacketBatch) -> Rows:
    """Return rows of segments that no session has: without ACK, RST or SYN, or with SYN and FIN at once."""
    flags = packets.tcp_flags
    odd = ((flags & (_SYN | _RST | _ACK)) == 0) | ((flags & (_SYN | _FIN)) == (_SYN | _FIN))
    at = np.flatnonzero(odd & (packets.proto == _TCP))
    whole = (packets.ip_flags[at] & np.uint8(IpFlag.TINY_FRAGMENT | IpFlag.LATER_FRAGMENT)) == 0
    return np.asarray(at[whole & (packets.payload_len[at] == 0) & (packets.flaw[at] == 0) & ~packets.duplicate[at]])


def _tiny(packets: PacketBatch) -> Rows:
    """Return rows of first fragments that do not even hold the flags (RFC 1858)."""
    at = np.flatnonzero(packets.ip_flags & np.uint8(IpFlag.TINY_FRAGMENT))
    return np.asarray(at[(packets.proto[at] == _TCP) & ~packets.duplicate[at]])


def _leftovers(seen: Slice) -> Rows:
    """Return rows that begin a flow with a bare ACK or FIN and ACK towards a service."""
    flows, new = seen.tables.flows, seen.new_flows
    new = new[flows.proto[new] == _TCP]
    new = new[((flows.tcp_flags[new, 0] | flows.tcp_flags[new, 1]) & _SYN) == 0]
    if not len(new):
        return np.zeros(0, np.intp)
    packets = seen.packets
    at = np.flatnonzero(np.isin(seen.flow, new))
    if not len(at):
        return at
    at = at[group(seen.flow[at]).first]
    flags, sport, dport = packets.tcp_flags[at] & _MEANT, packets.src_port[at], packets.dst_port[at]
    # Servers speak from the lower port to an ephemeral one; a probe goes the other way.
    asks = (dport < 1_024) | ((dport < sport) & (dport < 32_768))
    kind = (flags == _ACK) | (flags == (_ACK | _FIN))
    return np.asarray(at[kind & (packets.payload_len[at] == 0) & asks])


def _probes(seen: Slice, at: Rows) -> Probes:
    packets, keys = seen.packets, seen.tables.hosts.key
    probes: Probes = np.zeros(len(at), PROBE)
    for name in ("src_hi", "src_lo", "dst_hi", "dst_lo"):
        probes[name] = getattr(packets, name)[at]
    # A stamp from the future would be awaited for ever.
    probes["ts_ns"] = np.minimum(packets.ts_ns[at], seen.now_ns)
    probes["sport"], probes["dport"] = packets.src_port[at], packets.dst_port[at]
    probes["src_key"], probes["dst_key"] = keys[seen.src[at]], keys[seen.dst[at]]
    tiny = (packets.ip_flags[at] & np.uint8(IpFlag.TINY_FRAGMENT)) != 0
    probes["flags"] = packets.tcp_flags[at] & _MEANT
    probes["technique"] = np.where(tiny, np.uint8(Technique.TINY_FRAGMENT), _TECHNIQUE[probes["flags"]])
    probes["host"], probes["flow"] = seen.src[at], np.where(tiny, -1, seen.flow[at])
    probes["serial"] = np.where(probes["flow"] >= 0, seen.tables.flows.serial[probes["flow"]], 0)
    return probes


def _judge(
    probes: Probes, now_ns: int, tables: Tables
) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.bool_]]:  # fmt: skip
    """Return which probes are settled, and which of them are probes indeed; writes their outcomes."""
    flows, rows = tables.flows, probes["flow"]
    alive = (rows >= 0) & (flows.serial[rows] == probes["serial"])
    sender = np.where(flows.host[rows, 0] == probes["host"], 0, 1)
    own, answer = flows.tcp_flags[rows, sender], flows.tcp_flags[rows, 1 - sender]
    reset = alive & ((answer & _RST) != 0)
    talks = alive & (
        flows.payload_bytes[rows].any(axis=1)
        | ((flows.packets[rows, 1 - sender] > 0) & ((answer & (_RST | _SYN | _FIN)) != _RST))
    )
    ambiguous = np.isin(probes["technique"], AMBIGUOUS)
    # Nothing but the probe itself, sent anew at most; and an answer that would have been seen.
    alone = alive & ((own & _MEANT) == probes["flags"]) & (flows.packets[rows, sender] <= _SENT_MAX)
    alone &= reset | tables.hosts.heard[probes["host"]]
    silent = np.where(rows < 0, _NOTHING_KNOWN, int(Outcome.SILENT))
    told = np.where(probes["technique"] == Technique.ACK, _NOTHING_KNOWN, int(Outcome.CLOSED))
    probes["outcome"] = np.where(reset, told, silent)
    settled = reset | talks | ~alive | (probes["ts_ns"] <= now_ns - _WAIT_NS)
    return settled, ~talks & (alone | ~ambiguous)
