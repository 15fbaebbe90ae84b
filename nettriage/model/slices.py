"""One slice of packet time, as a detector gets it: packets, what happened to flows and contacts, and the tables."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

import numpy as np
import numpy.typing as npt

from nettriage.model.batch import PacketBatch
from nettriage.model.columns import I32, I64, U64, Rows
from nettriage.model.tables import Tables


class Outcome(IntEnum):
    """What became of a contact (facts of sequential testing: closed, blocked and silent are failures)."""

    ATTEMPT = 0
    """The contact was just made; its outcome is pending."""
    OPEN = 1
    """The destination answered as a service does: SYN-ACK, a UDP or echo reply, an ARP reply."""
    CLOSED = 2
    """Refused by the destination itself: RST, ICMP port unreachable."""
    BLOCKED = 3
    """Refused by a filter: ICMP prohibited, or a reset whose TTL is foreign to the destination."""
    SILENT = 4
    """No answer in time (TCP 3 s, UDP 5 s, ICMP 2 s, ARP and ND 1 s, SCTP 3 s of packet time)."""
    IMPLIED_OPEN = 5
    """The answer was not seen, but the asker behaves as if it came (one-way feed)."""


@dataclass(slots=True)
class ContactEvents:
    """First contacts of (source, destination, protocol, port) and their outcomes, in time order.

    A contact gives one `ATTEMPT` row and later one outcome row; repeats of a known contact give none.
    """

    ts_ns: I64
    """`i8 [k]`, packet time of the event; of a silent outcome, the deadline."""
    outcome: npt.NDArray[np.uint8]
    """`u1`, an `Outcome`."""
    src: I32
    """`i4`, host row of the asker."""
    dst: I32
    """`i4`, host row of the asked."""
    src_key: U64
    """`u8`, identity of the asker (`HostTable.key`)."""
    dst_key: U64
    src_hi: U64
    src_lo: U64
    dst_hi: U64
    dst_lo: U64
    proto: npt.NDArray[np.uint16]
    """`u2`, IP protocol, or `ARP`. Neighbour discovery is 58 with port ``135 << 8``."""
    port: npt.NDArray[np.uint16]
    """`u2`, destination port; for echo-like ICMP and ND ``type << 8``; 0 for ARP."""
    sport: npt.NDArray[np.uint16]
    """`u2`, source port of the first probe."""
    flow: I32
    """`i4`, flow row of the first probe, -1 for ARP and ND."""
    probe_flags: npt.NDArray[np.uint16]
    """`u2`, TCP flags of the first probe."""
    probe_len: npt.NDArray[np.uint16]
    """`u2`, payload bytes of the first probe."""
    tries: npt.NDArray[np.uint16]
    """`u2`, probes seen so far."""
    attempt_ns: I64
    """`i8`, packet time of the first probe."""
    multicast: npt.NDArray[np.bool_]
    """Whether the destination is a multicast or broadcast address."""
    sure: npt.NDArray[np.bool_]
    """False where the outcome is a guess: silence on a feed that may not show answers, or a repaired direction."""
    denier_hi: U64
    """`u8`, for `BLOCKED` the address that refused; else 0."""
    denier_lo: U64
    probe_row: I64
    """`i8`, of an attempt the row of `packets` that made the contact, -1 for outcomes. It is the probe itself, or,
    where the probe was not seen, what tells of it: an answer, or an error that quotes it."""

    def __len__(self) -> int:
        return len(self.ts_ns)


@dataclass(slots=True)
class Resumes:
    """Flows that spoke again: the first new payload of one side after at least 0.2 s without payload of that side."""

    ts_ns: I64
    flow: I32
    side: npt.NDArray[np.uint8]
    """`u1`, who resumed."""
    idle_ns: I64
    """`i8`, how long that side had been silent; for its very first payload, since the flow began."""

    def __len__(self) -> int:
        return len(self.ts_ns)


class Ending(IntEnum):
    """How a flow ended."""

    FIN = 0
    RESET = 1
    IDLE = 2


@dataclass(slots=True)
class FlowEnds:
    """Flows that ended in this slice."""

    ts_ns: I64
    flow: I32
    how: npt.NDArray[np.uint8]
    """`u1`, an `Ending`."""

    def __len__(self) -> int:
        return len(self.ts_ns)


@dataclass(slots=True)
class DnsColumns:
    """DNS messages over UDP (port 53, also inside tunnels) of this slice, one row each; malformed ones are left out."""

    row: Rows
    """`intp [k]`, row of the batch, ascending."""
    txid: npt.NDArray[np.uint16]
    is_reply: npt.NDArray[np.bool_]
    rcode: npt.NDArray[np.uint8]
    qtype: npt.NDArray[np.uint16]
    qname_at: I64
    """`i8`, absolute offset of the first question name in `packets.raw.data`."""
    qname_len: npt.NDArray[np.uint8]
    """`u1`, bytes of the name on the wire without the root label."""
    labels: npt.NDArray[np.uint8]
    """`u1`, labels in the name."""
    longest_label: npt.NDArray[np.uint8]
    """`u1`, bytes of the longest label."""
    domain_hash: U64
    """`u8`, keyed, case-insensitive hash of the last two labels (three if the last two are short, as in co.uk)."""
    domain_at: I64
    """`i8`, absolute offset where that domain starts."""
    name_hash: U64
    """`u8`, keyed, case-insensitive hash of the whole name."""
    answers: npt.NDArray[np.uint16]
    """`u2`, answer count of the header."""

    def __len__(self) -> int:
        return len(self.row)


@dataclass(slots=True)
class Slice:
    """Everything of one slice of packet time. Detectors read it, keep nothing of it, and change nothing."""

    packets: PacketBatch
    flow: I32
    """`i4 [n]`, flow row of each packet; -1 for ARP, ND, ICMP errors, later fragments and flawed packets."""
    side: npt.NDArray[np.uint8]
    """`u1 [n]`, who sent each packet: `ORIGINATOR` or `RESPONDER` of its flow."""
    src: I32
    """`i4 [n]`, host row of the source; -1 where there is no address."""
    dst: I32
    new_flows: I32
    """`i4 [k]`, rows of flows that began, in time order."""
    ends: FlowEnds
    contacts: ContactEvents
    resumes: Resumes
    prefixes: I32
    """`i4 [k]`, flows whose kept payload grew, each once."""
    dns: DnsColumns
    tables: Tables
    now_ns: int
    """Packet clock after this slice: no event of a later slice is older, except by the reordering of the capture."""

    @property
    def is_quiet(self) -> bool:
        """Whether time passed and nothing else: no packet came, no contact was settled, no flow ended."""
        return not (len(self.packets) or len(self.contacts) or len(self.ends))
