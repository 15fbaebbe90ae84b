"""The state that detectors read: tables of hosts, flows, services and payload prefixes, as arrays by row.

The arrays are owned by `sniff`; detectors never write to them. Rows are reused after eviction: compare
`serial` (flows) or `key` (hosts) before you trust a row that you noted in an earlier slice.
"""

from __future__ import annotations

from enum import IntEnum, IntFlag
from typing import Protocol

import numpy as np
import numpy.typing as npt

from nettriage.model.columns import I32, I64, U64, Rows
from nettriage.model.health import CaptureHealth
from nettriage.model.safetext import SafeStr

PREFIX_BYTES = 2_048
"""Payload bytes kept of each direction of a young flow."""
ORIGINATOR, RESPONDER = 0, 1
"""Index of the two sides of a flow; `side` of a packet says who sent it."""

U16 = npt.NDArray[np.uint16]
U8 = npt.NDArray[np.uint8]
U32 = npt.NDArray[np.uint32]


class Role(IntFlag):
    """What a host was seen to be; several may hold."""

    RESOLVER = 1
    """Answers DNS to several hosts."""
    ROUTER = 2
    """Its MAC carries packets of many addresses, or it answers for the network."""
    PROXY = 4
    """Declared as proxy in the settings."""
    SCANNER = 8
    """Declared as vulnerability scanner or monitor in the settings."""
    BASTION = 16
    """Declared as bastion in the settings."""
    DIRECTORY = 32
    """Serves LDAP, Kerberos and SMB: a domain controller."""
    DATABASE = 64
    """Serves a database port to somebody."""
    MAIL = 128
    """Serves SMTP."""
    WEB = 256
    """Serves HTTP or HTTPS to several hosts."""
    LOAD_BALANCER = 512
    """Declared, or learned from a fixed port, many clients and a stable set of backends."""


class Opened(IntEnum):
    """How the originator of a flow is known, best evidence first."""

    SYN = 0
    """Its SYN was seen (or the first datagram of a connectionless flow)."""
    SYN_ACK = 1
    """The responder's SYN-ACK was seen, the SYN was not."""
    SERVICE = 2
    """Repaired: the other side has the known service port, or served this port before."""
    LOWER_PORT = 3
    """Repaired: the other side has the lower port."""
    UNKNOWN = 4
    """First speaker, for want of better."""


class TcpState(IntEnum):
    """Where a TCP flow stands; other protocols are `ESTABLISHED` once answered, else `ATTEMPT`."""

    ATTEMPT = 0
    """SYN, no answer yet."""
    ESTABLISHED = 1
    """Both sides spoke, or one was seen to acknowledge the other."""
    REFUSED = 2
    """The SYN was answered by a reset."""
    CLOSED = 3
    """Both FINs, or an idle end."""
    RESET = 4
    """Established, then reset."""
    MIDSTREAM = 5
    """First seen after its start, one direction so far."""


class HostTable(Protocol):
    """Addresses as dense rows."""

    key: U64
    """`u8`, keyed identity of the address; 0 where the row is free. Stable over eviction."""
    addr_hi: U64
    addr_lo: U64
    first_ns: I64
    last_ns: I64
    mac: U64
    """`u8`, the source MAC last seen with this address; a router's, when the host is behind one."""
    vlan: I32
    ttl: U8
    """`u1`, TTL of its last packet."""
    roles: npt.NDArray[np.uint32]
    """`u4`, bits of `Role`."""
    home: npt.NDArray[np.bool_]
    """Whether the address lies in home_net."""
    sent_flows: U32
    """`u4`, flows it originated."""
    received_flows: U32
    """`u4`, flows it was the responder of."""
    heard: npt.NDArray[np.bool_]
    """Whether a packet *to* it was ever seen from anybody that answered it: silence around it means something."""

    def address(self, row: int) -> str:
        """Return the text of the address in `row`."""
        ...

    def find(self, high: U64, low: U64) -> Rows:
        """Return the rows of addresses, -1 where unknown."""
        ...

    def name(self, row: int) -> SafeStr | None:
        """Return the declared or learned name of the host."""
        ...


class FlowTable(Protocol):
    """Bidirectional flows as dense rows. Arrays of shape `[rows, 2]` are by side: originator, responder."""

    serial: I64
    """`i8`, number of the flow since the start, never reused; 0 where the row is free."""
    host: npt.NDArray[np.int32]
    """`i4 [rows, 2]`, host rows."""
    port: U16
    """`u2 [rows, 2]`."""
    proto: U16
    vlan: I32
    first_ns: I64
    last_ns: I64
    last_data_ns: I64
    """`i8 [rows, 2]`, last new payload of each side; 0 where none."""
    packets: U32
    """`u4 [rows, 2]`."""
    wire_bytes: U64
    """`u8 [rows, 2]`, frames."""
    payload_bytes: U64
    """`u8 [rows, 2]`, for TCP by sequence numbers (retransmissions count once, lost segments count), else the sum."""
    payload_packets: U32
    """`u4 [rows, 2]`, packets with new payload."""
    tcp_flags: U16
    """`u2 [rows, 2]`, all flags seen, or-ed."""
    state: U8
    """`u1`, a `TcpState`."""
    opened: U8
    """`u1`, an `Opened`."""
    isn: U32
    """`u4 [rows, 2]`, initial sequence number; valid where SYN is in `tcp_flags`."""
    ttl: U8
    """`u1 [rows, 2]`, TTL of the last packet."""
    window: U16
    """`u2 [rows, 2]`, TCP window of the first packet."""
    first_payload_len: U16
    """`u2 [rows, 2]`, length of the first payload of each side."""
    first_speaker: npt.NDArray[np.int8]
    """`i1`, side that sent payload first; -1 where none did."""
    resumes: U32
    """`u4 [rows, 2]`, resume events of each side."""

    def endpoints(self, row: int) -> tuple[str, int, str, int]:
        """Return originator address and port, responder address and port."""
        ...


class ServiceTable(Protocol):
    """Services seen in use: (host, protocol, port) that answered somebody."""

    def clients(self, host_key: U64, proto: U16, port: U16) -> U32:
        """Return `u4 [n]`, how many different hosts each service answered (an estimate above 16), 0 if never."""
        ...

    def since_ns(self, host_key: U64, proto: U16, port: U16) -> I64:
        """Return `i8 [n]`, when each service first answered; 0 if never."""
        ...


class PrefixTable(Protocol):
    """The first `PREFIX_BYTES` of payload of each side, for a bounded number of young flows."""

    data: U8
    """`u1 [slots, 2, PREFIX_BYTES]`, zero beyond `length`."""
    length: I32
    """`i4 [slots, 2]`, bytes valid; a gap in the stream reads as zeros."""

    def slots(self, flows: Rows) -> Rows:
        """Return the slot of each flow, -1 where its prefix is no longer (or never was) kept."""
        ...

    def payload(self, flow: int, side: int) -> bytes:
        """Return the kept payload of one side of one flow; empty when none is kept."""
        ...


class Tables(Protocol):
    """All state at one moment."""

    hosts: HostTable
    flows: FlowTable
    services: ServiceTable
    prefixes: PrefixTable
    health: CaptureHealth
    """What the source told last of packets received and dropped and of its interface; written by the engine."""

    @property
    def one_way_share(self) -> float | None:
        """Share of TCP flows seen in one direction only, 0 to 1; None before 20 flows."""
        ...

    @property
    def loss_estimate(self) -> float | None:
        """Share of acknowledged data never seen, 0 to 1; None before any."""
        ...

    @property
    def duplicate_share(self) -> float:
        """Share of packets delivered more than once."""
        ...
