"""Settled contacts as evidence for or against a scan: the rows that count, each with its weight."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from detectors._kit.history import TargetHistory
from detectors._kit.sequential import MICRONATS
from nettriage.model.batch import TcpFlag
from nettriage.model.columns import I32, I64, U64, Mixer, Rows
from nettriage.model.slices import ContactEvents, Outcome

TCP, UDP, SCTP = 6, 17, 132
POPULAR_SOURCES = 5
"""Sources that a service must have answered to be popular: its answer is then worth little as an alibi."""
_UDP_SERVICES = np.array(
    [7, 13, 17, 19, 53, 67, 68, 69, 88, 111, 123, 137, 138, 161, 162, 177, 389, 427, 443, 464, 500, 514, 520, 623,
     626, 1194, 1434, 1645, 1646, 1701, 1812, 1813, 1900, 2049, 3283, 3478, 3702, 4500, 5060, 5353, 5355, 5683, 11211],
    np.uint16,
)  # fmt: skip
"""UDP ports that answer a well-formed request; silence of any other port says little."""
_IS_FAILURE = np.zeros(256, np.bool_)
"""By outcome. A look-up costs a tenth of comparing a small column with members of an enumeration."""
_IS_FAILURE[[Outcome.CLOSED, Outcome.BLOCKED, Outcome.SILENT]] = True
_ATTEMPT, _SILENT = np.uint8(Outcome.ATTEMPT), np.uint8(Outcome.SILENT)
_SYN, _SYN_ACK = np.uint16(TcpFlag.SYN), np.uint16(TcpFlag.SYN | TcpFlag.ACK)
_IS_UDP_SERVICE = np.zeros(65_536, np.bool_)
_IS_UDP_SERVICE[_UDP_SERVICES] = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Weights:
    """Evidence of one settled contact, in nats: from 0.8 / 0.2 success rates (Jung et al. 2004) and a bake-off."""

    refused: float = 1.386
    """Closed or blocked: ln(0.8 / 0.2)."""
    silent: float = 1.0
    """No answer of TCP or SCTP: less than a refusal, for silence has more causes."""
    silent_udp_service: float = 0.5
    silent_udp_other: float = 0.25
    """Unanswered UDP to no known service: what peer-to-peer traffic is made of."""
    answered: float = -1.386
    answered_popular: float = -0.3
    """An answer of a service that everybody uses: stops laundering a scan with calls to the file server."""
    shared_failure: float = 0.2
    """Factor where others failed at the same target: a dead service, not a scan."""
    unsure_silence: float = 0.25
    """Factor for a SYN without an answer on a feed that may not show answers; any other unsure silence is nothing."""


@dataclass(slots=True)
class ScanContacts:
    """Columns of settled contacts in event order."""

    ts_ns: I64
    outcome: npt.NDArray[np.uint8]
    failed: npt.NDArray[np.bool_]
    weight: I64
    """`i8`, micronats."""
    src_key: U64
    dst_key: U64
    src_hi: U64
    src_lo: U64
    dst_hi: U64
    dst_lo: U64
    proto: npt.NDArray[np.uint16]
    port: npt.NDArray[np.uint16]
    flow: I32
    attempt_ns: I64
    fresh: npt.NDArray[np.bool_]
    """Whether the target answered nobody before."""
    tries: npt.NDArray[np.uint16]
    """`u2`, probes of the contact that were seen."""

    def __len__(self) -> int:
        return len(self.ts_ns)

    @property
    def targets(self) -> U64:
        """`u8 [n]`, a keyed hash of the address and port of each target."""
        return self.dst_key ^ (self.port * np.uint64(0x9E3779B97F4A7C15))


def is_failure(outcome: npt.NDArray[np.uint8]) -> npt.NDArray[np.bool_]:
    """Return `bool [n]`, whether each outcome is a refusal or a silence."""
    return np.asarray(_IS_FAILURE[outcome])


def has_ports(proto: npt.NDArray[np.uint16]) -> npt.NDArray[np.bool_]:
    """Return `bool [n]`, whether each protocol is TCP, UDP or SCTP."""
    return np.asarray((proto == TCP) | (proto == UDP) | (proto == SCTP))


def settled_rows(events: ContactEvents, wanted: npt.NDArray[np.bool_]) -> Rows:
    """Return the rows of wanted contacts between single, known hosts whose outcome came."""
    settled = wanted & (events.outcome != _ATTEMPT) & ~events.multicast & (events.src_key != 0)
    return np.flatnonzero(settled)


def contacts_at(events: ContactEvents, at: Rows) -> ScanContacts:
    """Return settled contacts as scan contacts that weigh nothing yet."""
    outcome = events.outcome[at]
    failed = is_failure(outcome)
    return ScanContacts(
        events.ts_ns[at], outcome, failed, np.zeros(len(at), np.int64),
        events.src_key[at], events.dst_key[at], events.src_hi[at], events.src_lo[at], events.dst_hi[at],
        events.dst_lo[at], events.proto[at], events.port[at], events.flow[at], events.attempt_ns[at], ~failed,
        events.tries[at],
    )  # fmt: skip


class _Latest:
    """The settled contacts of the events last asked for: every scan detector asks for those of the same slice."""

    def __init__(self) -> None:
        self._events: ContactEvents | None = None
        self._at: Rows = np.zeros(0, np.intp)
        self._contacts: ScanContacts | None = None
        self._targets: tuple[Mixer, U64] | None = None

    def of(self, events: ContactEvents) -> tuple[Rows, ScanContacts]:
        """Return the rows of the settled contacts that have ports, and these contacts, which nobody changes."""
        if self._contacts is None or self._events is not events:
            self._at = settled_rows(events, has_ports(events.proto))
            self._events, self._contacts, self._targets = events, contacts_at(events, self._at), None
        return self._at, self._contacts

    def targets(self, contacts: ScanContacts, mixer: Mixer) -> U64:
        """Return the keys of the targets of the contacts last returned."""
        if self._targets is None or self._targets[0] != mixer:
            self._targets = mixer, mixer(contacts.dst_key, contacts.proto, contacts.port)
        return self._targets[1]


_LATEST = _Latest()


class Evidence:
    """Turns contact events into weighed scan contacts; remembers targets, and how much the capture loses."""

    def __init__(self, mixer: Mixer, weights: Weights, targets: int = 32_768) -> None:
        """Start without history."""
        self._mixer = mixer
        self._weights = weights
        self.history = TargetHistory(targets)
        self.loss = 0.0
        """Share of packets lost, as of the last tick: silence of a lossy capture says less."""

    def take(self, events: ContactEvents) -> ScanContacts | None:
        """Return the settled TCP, UDP and SCTP contacts with single hosts, or None where there are none."""
        at, contacts = _LATEST.of(events)
        if not len(at):
            return None
        known = self.history.note(_LATEST.targets(contacts, self._mixer), contacts.ts_ns, contacts.failed)
        nats = np.where(known.served >= POPULAR_SOURCES, self._weights.answered_popular, self._weights.answered)
        failed = np.flatnonzero(contacts.failed)
        if len(failed):
            nats[failed] = self._nats_of_failures(events, at[failed], known.shared_failure[failed])
        weight = np.rint(nats * MICRONATS).astype(np.int64)
        return replace(contacts, weight=weight, fresh=~contacts.failed & (known.served == 0))

    def _nats_of_failures(
        self, events: ContactEvents, at: Rows, shared: npt.NDArray[np.bool_]
    ) -> npt.NDArray[np.float64]:
        weights, proto, sure = self._weights, events.proto[at], events.sure[at]
        udp = np.where(_IS_UDP_SERVICE[events.port[at]], weights.silent_udp_service, weights.silent_udp_other)
        syn = (proto == TCP) & ((events.probe_flags[at] & _SYN_ACK) == _SYN)
        trusted = np.where(sure, 1.0, syn * weights.unsure_silence) * (1 - self.loss) ** 2
        silent = np.where(proto == UDP, udp, weights.silent) * trusted
        # A reset whose SYN was not seen may be backscatter of a flood that borrowed the address.
        refused = np.where(sure, weights.refused, 0.0)
        nats = np.where(events.outcome[at] == _SILENT, silent, refused)
        return np.where(shared, nats * weights.shared_failure, nats)
