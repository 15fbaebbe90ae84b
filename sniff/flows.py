"""Table of bidirectional flows: dense rows, counters by side, reuse of five-tuples."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from nettriage.model.batch import TcpFlag
from nettriage.model.columns import I32, I64, U64, Mixer, Rows
from nettriage.model.keytable import KeyTable
from nettriage.model.tables import U8, U16, U32
from sniff.flow_packets import Bools, FlowPackets
from sniff.generations import Past, find_generations
from sniff.hosts import HostTable
from sniff.records import Records

ANSWERED_CREDIT_NS = 600_000_000_000
"""An answered flow outlives ten minutes of one-packet flows."""
_RETIRED = np.uint64(1 << 63)
_SYN, _CLOSING = np.uint16(TcpFlag.SYN), np.uint16(TcpFlag.FIN | TcpFlag.RST)
_HANDSHAKE = np.uint16(TcpFlag.SYN | TcpFlag.ACK | TcpFlag.FIN | TcpFlag.RST)
_PAIRED = (
    "last_data_ns", "wire_bytes", "payload_bytes", "host_key", "host", "packets", "payload_packets", "isn", "resumes",
    "next_seq", "max_ack", "gap_bytes", "fill_bytes", "port", "tcp_flags", "window", "first_payload_len", "ttl",
    "seq_known",
)  # fmt: skip
"""Fields kept for each side, which change places when the originator turns out to be the other one."""
FLOW_DTYPE = np.dtype(
    [
        ("serial", "i8"), ("first_ns", "i8"), ("last_ns", "i8"), ("contact_serial", "i8"), ("last_data_ns", "i8", 2),
        ("wire_bytes", "u8", 2), ("payload_bytes", "u8", 2), ("host_key", "u8", 2), ("host", "i4", 2),
        ("packets", "u4", 2), ("payload_packets", "u4", 2), ("isn", "u4", 2), ("resumes", "u4", 2),
        ("next_seq", "u4", 2), ("max_ack", "u4", 2), ("gap_bytes", "u4", 2), ("fill_bytes", "u4", 2),
        ("vlan", "i4"), ("contact", "i4"), ("slot", "i4"), ("syn_seq", "u4"), ("port", "u2", 2),
        ("tcp_flags", "u2", 2), ("window", "u2", 2), ("first_payload_len", "u2", 2), ("proto", "u2"), ("ttl", "u1", 2),
        ("state", "u1"), ("opened", "u1"), ("first_speaker", "i1"), ("low_opened", "?"), ("seq_known", "?", 2),
        ("syn_seen", "?"), ("closing", "?"), ("ended", "?"), ("answered", "?"), ("awaiting", "?"),
        ("retired", "?"),
    ],
    align=True,
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Found:
    """The flow of each packet of a batch."""

    rows: Rows
    """`intp [n]`, flow rows; -1 where the table had no room."""
    new_rows: Rows
    """Rows that began a new flow, in time order; of their records only `retired` is valid until they `begin`."""
    new_first: Rows
    """Position of the first packet of each."""


class FlowTable:
    """Bidirectional flows; see `nettriage.model.tables.FlowTable` for the columns without a docstring."""

    serial: I64
    host: npt.NDArray[np.int32]
    host_key: U64
    port: U16
    proto: U16
    vlan: I32
    first_ns: I64
    last_ns: I64
    last_data_ns: I64
    packets: U32
    wire_bytes: U64
    payload_bytes: U64
    payload_packets: U32
    tcp_flags: U16
    state: U8
    opened: U8
    isn: U32
    ttl: U8
    window: U16
    first_payload_len: U16
    first_speaker: npt.NDArray[np.int8]
    resumes: U32
    low_opened: Bools
    """Whether the lower of the two ends (`FlowKeys.low`) is the originator."""
    next_seq: U32
    """`u4 [rows, 2]`, sequence number after the last byte seen of each side; valid where `seq_known`."""
    seq_known: Bools
    max_ack: U32
    """`u4 [rows, 2]`, last acknowledgement that each side sent; 0 where none."""
    gap_bytes: U32
    """`u4 [rows, 2]`, bytes leapt over by later sequence numbers."""
    fill_bytes: U32
    """`u4 [rows, 2]`, bytes that came below the highest sequence number: late ones and retransmissions."""
    syn_seq: U32
    """`u4`, sequence number of the last SYN; valid where `syn_seen`."""
    syn_seen: Bools
    closing: Bools
    """Whether a FIN or RST came after the last SYN."""
    ended: Bools
    answered: Bools
    """Whether the responder said anything but a reset."""
    contact: I32
    """`i4`, contact row that the flow's first probe belongs to, -1 where none; trust it by `contact_serial`."""
    contact_serial: I64
    awaiting: Bools
    """Whether the outcome of that contact may still be pending."""
    retired: Bools
    """Whether later packets of the five-tuple belong to another flow."""
    slot: I32
    """`i4`, prefix slot, -1 where none was given."""

    def __init__(self, capacity: int, secret: int, hosts: HostTable) -> None:
        """Make an empty table of `capacity` rows, a power of two."""
        self.table = KeyTable("flows", capacity)
        self.mixer = Mixer(secret ^ 0x666C6F7773)
        self.opened_total = 0
        self._records = Records(capacity, FLOW_DTYPE)
        self._hosts = hosts
        self._records.expose(self)

    def locate(self, packets: FlowPackets) -> Found:
        """Return the flow of every packet; those of new flows are to be given to `blank` and `begin`."""
        located = self.table.locate(packets.key, packets.time_ns)
        rows, new_rows, new_first = located.rows, located.new_rows, located.new_first
        self.retired[new_rows] = False
        expected = packets.key
        evicted = len(located.evicted) > 0
        suspects = self._suspects(packets, rows, new_rows, new_first)
        if len(suspects):
            found, expected, again = self._split(packets, rows, suspects)
            rows = found.rows
            new_rows, new_first = np.append(new_rows, found.new_rows), np.append(new_first, found.new_first)
            evicted |= again
        if evicted or (len(rows) and rows.min() < 0):
            rows = np.where(self.table.keys[rows] == expected, rows, -1)
            held = rows[new_first] == new_rows
            new_rows, new_first = new_rows[held], new_first[held]
        if len(suspects):
            self._rename(packets, rows, expected)
            in_time = np.argsort(new_first, kind="stable")
            new_rows, new_first = new_rows[in_time], new_first[in_time]
        return Found(rows, new_rows, new_first)

    def blank(self, rows: Rows) -> npt.NDArray[Any]:
        """Return records for the new flows in `rows`, numbered and otherwise empty, to be filled and `begin`."""
        records = self._records.blank(len(rows))
        records["serial"] = np.arange(self.opened_total + 1, self.opened_total + 1 + len(rows))
        self.opened_total += len(rows)
        records["contact"] = records["slot"] = records["first_speaker"] = -1
        records["retired"] = self.retired[rows]
        return records

    def begin(self, rows: Rows, records: npt.NDArray[Any]) -> None:
        """Write the records of new flows."""
        self._records.put(rows, records)

    def flip(self, rows: Rows) -> None:
        """Make the other side the originator of `rows`, each given once."""
        for name in _PAIRED:
            column = self._records.column(name)
            column[rows] = column[rows][:, ::-1]
        speaker = self.first_speaker[rows]
        self.first_speaker[rows] = np.where(speaker >= 0, 1 - speaker, speaker)
        self.low_opened[rows] = ~self.low_opened[rows]

    def retire(self, rows: Rows) -> None:
        """Let no later packet find `rows` (none retired yet); they stay readable until a new flow needs their place.

        Bit 63 of a key plays no part in choosing its set, so a retired key stays where it is.
        """
        self.table.keys[rows] ^= _RETIRED
        self.retired[rows] = True
        self.table.credit_ns[rows] = -ANSWERED_CREDIT_NS
        self.table.touch(rows, self.last_ns[rows])

    def free(self, rows: Rows) -> None:
        """Give back `rows` altogether."""
        self.table.drop(rows)
        self.serial[rows] = 0

    def shift(self, shift_ns: int) -> None:
        """Follow a step of the clock."""
        used = self.table.rows_in_use()
        self.first_ns[used] += shift_ns
        self.last_ns[used] += shift_ns
        said = self.last_data_ns[used]
        self.last_data_ns[used] = np.where(said != 0, said + shift_ns, 0)

    def endpoints(self, row: int) -> tuple[str, int, str, int]:
        """Return originator address and port, responder address and port."""
        one, other = (int(host) for host in self.host[row])
        first, second = (int(port) for port in self.port[row])
        return self._hosts.address(one), first, self._hosts.address(other), second

    def note_syns(self, packets: FlowPackets, rows: Rows, new_first: Rows) -> None:
        """Remember the last SYN of each flow, and whether it was closed since; a new flow begins with its first."""
        first = np.zeros(len(rows), np.bool_)
        first[new_first] = True
        marks = packets.marks[~first[packets.marks]]
        flags = packets.control[marks]
        asks = (flags & _HANDSHAKE) == _SYN
        asked = marks[asks]
        if len(asked):
            self.syn_seq[rows[asked]] = packets.seq[asked]
            self.syn_seen[rows[asked]] = True
        either = (asks | ((flags & _CLOSING) != 0)).nonzero()[0]
        if len(either):
            self.closing[rows[marks[either]]] = ~asks[either]

    def _suspects(self, packets: FlowPackets, rows: Rows, new_rows: Rows, new_first: Rows) -> Rows:
        """Return positions of SYNs that may begin a new flow on a five-tuple in use."""
        at = packets.asks()
        first = np.zeros(len(rows), np.bool_)
        first[new_first] = True
        at = at[~first[at]]
        if not len(at):
            return at
        self._records.clear(new_rows)
        row = rows[at]
        same = self.syn_seen[row] & (self.syn_seq[row] == packets.seq[at])
        return np.asarray(at[~same & (row >= 0)])

    def _split(self, packets: FlowPackets, rows: Rows, suspects: Rows) -> tuple[Found, U64, bool]:
        """Give rows of their own to later flows of a five-tuple; return also the key that each packet is held by."""
        past = Past(
            self.serial[rows] != 0, self.syn_seen[rows], self.syn_seq[rows], self.closing[rows], self.last_ns[rows]
        )
        later = find_generations(packets, rows, suspects, past)
        at = later.position
        keys = packets.key.copy()
        keys[at] ^= (later.number.astype(np.uint64) * np.uint64(0x9E3779B1)) << np.uint64(32)
        if not len(at):
            return Found(rows, at, at), keys, False
        located = self.table.locate(keys[at], packets.time_ns[at])
        rows = rows.copy()
        rows[at] = located.rows
        self._records.clear(located.new_rows)
        return Found(rows, located.new_rows, at[located.new_first]), keys, len(located.evicted) > 0

    def _rename(self, packets: FlowPackets, rows: Rows, held_by: U64) -> None:
        """Hand the key of each reused five-tuple to its last flow, and retire the flows before."""
        later = np.flatnonzero((held_by != packets.key) & (rows >= 0))
        if not len(later):
            return
        heirs_key, from_end = np.unique(packets.key[later][::-1], return_index=True)
        heirs = rows[later[::-1][from_end]]
        old = self.table.find(heirs_key)
        gone = np.union1d(old[old >= 0], np.setdiff1d(rows[later], heirs))
        self.retire(gone)
        self.table.keys[heirs] = heirs_key
