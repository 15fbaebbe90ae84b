"""ICMP errors: which contact they are about, and who refuses it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from nettriage.model.batch import PacketBatch
from nettriage.model.columns import I64, Rows
from nettriage.model.slices import Outcome
from nettriage.model.tables import ORIGINATOR
from sniff.contacts import Attempts, ContactTable
from sniff.flow_key import ICMP, ICMP6, SCTP, TCP, UDP, flow_keys
from sniff.flow_packets import Bools
from sniff.flows import FlowTable
from sniff.hosts import HostTable
from sniff.outcomes import Evidence, Probes

_PORT, _PROHIBITED, _NOBODY = 1, 2, 3
_MEANING: npt.NDArray[np.uint8] = np.zeros((2, 256), np.uint8)
_MEANING[0, 3] = _PORT
_MEANING[0, [2, 9, 10, 13]] = _PROHIBITED
_MEANING[0, [0, 1]] = _NOBODY
_MEANING[1, 4] = _PORT
_MEANING[1, [1, 5, 6]] = _PROHIBITED
_MEANING[1, [0, 3]] = _NOBODY
"""By ICMP (0) or ICMPv6 (1) and the code of a destination-unreachable (RFC 1812 5.2.7.1, RFC 4443 3.1)."""
UNREACHABLE = {ICMP: 3, ICMP6: 1}


@dataclass(frozen=True, slots=True)
class Errors:
    """Destination-unreachables that quote a probe."""

    index: Rows
    """Index into `PacketBatch.quoted`."""
    row: Rows
    """Row of the batch."""
    meaning: npt.NDArray[np.uint8]
    flow: Rows
    """Flow of the quoted packet, -1 where it is not known."""

    def __len__(self) -> int:
        return len(self.row)


def no_errors() -> Errors:
    """Return no errors."""
    none = np.zeros(0, np.intp)
    return Errors(none, none, none.astype(np.uint8), none)


def find_errors(
    packets: PacketBatch, quoted: Rows, sound: Bools, flows: FlowTable, turn: Callable[[Rows], None],
    begun: tuple[Rows, Rows],
) -> Errors:  # fmt: skip
    """Return the errors among the indices `quoted` that say something about a probe.

    Whoever is told of an error is the originator: a flow taken the wrong way round is handed to `turn`. An
    answer may be refused as well, when its asker is gone; that is no probe of the server, and left out.
    `begun` are the flows that began in this stretch with the row of each: an error knows none that came later.
    """
    row = packets.quoted.row[quoted]
    six = packets.proto[row] == ICMP6
    kind = np.where(six, UNREACHABLE[ICMP6], UNREACHABLE[ICMP])
    meaning = _MEANING[six.astype(np.intp), packets.icmp_code[row]]
    told = sound[row] & ((packets.proto[row] == ICMP) | six) & (packets.icmp_type[row] == kind) & (meaning > 0)
    told &= np.isin(packets.quoted.proto[quoted], (TCP, UDP, SCTP, ICMP, ICMP6))
    index, row, meaning = quoted[told], row[told].astype(np.intp), meaning[told]
    if not len(index):
        return Errors(index, row, meaning, index)
    inner = packets.quoted
    src_port, dst_port = inner.src_port[index], inner.dst_port[index]
    keys = flow_keys(
        flows.mixer,
        (inner.src_hi[index], inner.src_lo[index], src_port),
        (inner.dst_hi[index], inner.dst_lo[index], dst_port),
        inner.proto[index],
    )
    flow = flows.table.find(keys.key)
    new, since = begun
    later = np.zeros(flows.table.capacity, np.int64)
    later[new] = since
    flow = np.where(later[flow] > row, -1, flow)
    backwards = (flow >= 0) & (flows.low_opened[flow] != keys.low)
    unheard = backwards & (flows.packets[flow, ORIGINATOR] == 0)
    turn(np.unique(flow[unheard]))
    answer = (backwards & ~unheard) | ((flow < 0) & (src_port < 1024) & (dst_port >= 1024))
    kept = np.flatnonzero(~answer)
    return Errors(index[kept], row[kept], meaning[kept], flow[kept])


def from_errors(packets: PacketBatch, errors: Errors, flows: FlowTable, hosts: HostTable, time_ns: I64) -> Attempts:
    """Return the probes that errors quote, as attempts."""
    quoted, index, row = packets.quoted, errors.index, errors.row
    src = quoted.src_hi[index], quoted.src_lo[index]
    dst = quoted.dst_hi[index], quoted.dst_lo[index]
    src_key, dst_key = hosts.keys(*src), hosts.keys(*dst)
    flags = np.where(errors.flow >= 0, flows.tcp_flags[errors.flow, ORIGINATOR], 0)
    return Attempts(
        row=row,
        time_ns=time_ns[row],
        src=hosts.locate(src_key, *src, time_ns[row]).astype(np.int32),
        dst=hosts.locate(dst_key, *dst, time_ns[row]).astype(np.int32),
        src_key=src_key,
        dst_key=dst_key,
        src_hi=src[0],
        src_lo=src[1],
        dst_hi=dst[0],
        dst_lo=dst[1],
        proto=quoted.proto[index],
        port=quoted.dst_port[index],
        sport=quoted.src_port[index],
        flow=errors.flow.astype(np.int32),
        probe_flags=flags.astype(np.uint16),
        probe_len=np.zeros(len(row), np.uint16),
        seq=np.zeros(len(row), np.uint32),
        sure=np.zeros(len(row), np.bool_),
        asks=np.ones(len(row), np.bool_),
    )


def judge_errors(
    packets: PacketBatch, errors: Errors, attempts: Attempts, contacts: ContactTable, rows: Rows
) -> tuple[Evidence, Probes]:  # fmt: skip
    """Return what errors settle, and what they only confirm (that nobody is there); `rows` are their contacts.

    A port-unreachable that does not come from the asked host itself is a filter's (the default of iptables REJECT).
    """
    pending = (rows >= 0) & (contacts.outcome[rows] == Outcome.ATTEMPT)
    own = (packets.src_hi[errors.row] == attempts.dst_hi) & (packets.src_lo[errors.row] == attempts.dst_lo)
    told = np.flatnonzero(pending & (errors.meaning != _NOBODY))
    blocked = ~((errors.meaning == _PORT) & own)[told]
    at = errors.row[told]
    evidence = Evidence(
        at,
        rows[told],
        np.where(blocked, Outcome.BLOCKED, Outcome.CLOSED).astype(np.uint8),
        np.where(blocked, packets.src_hi[at], 0).astype(np.uint64),
        np.where(blocked, packets.src_lo[at], 0).astype(np.uint64),
    )
    absent = np.flatnonzero(pending & (errors.meaning == _NOBODY))
    return evidence, Probes(
        errors.row[absent], rows[absent], np.zeros(len(absent), np.bool_), np.ones(len(absent), np.bool_)
    )
