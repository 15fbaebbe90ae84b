"""Where TCP flows stand, and the moments at which they end."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from nettriage.model.batch import TcpFlag
from nettriage.model.columns import Rows, group
from nettriage.model.slices import Ending, FlowEnds
from nettriage.model.tables import ORIGINATOR, RESPONDER, TcpState
from sniff.flow_key import TCP
from sniff.flow_packets import FlowPackets
from sniff.flows import FlowTable

_SYN, _ACK, _RST, _FIN = (np.uint16(bit) for bit in (TcpFlag.SYN, TcpFlag.ACK, TcpFlag.RST, TcpFlag.FIN))
_TELLING, _OTHER = _SYN | _ACK | _RST | _FIN, np.uint16(TcpFlag.PSH)
"""Flags that tell the state, and the bit that stands for all others."""
_NEVER = np.iinfo(np.int64).max


def find_ends(flows: FlowTable, packets: FlowPackets, rows: Rows, side: Rows) -> tuple[FlowEnds, Rows]:
    """Return the flows that a reset or the second FIN ended, in time order, and the positions; before `count`."""
    closers = packets.marks[(packets.control[packets.marks] & (_FIN | _RST)) != 0]
    closers = closers[~flows.ended[rows[closers]]]
    if not len(closers):
        return no_ends(), closers
    groups = group(rows[closers])
    row, lane = groups.ids, np.empty(len(closers), np.intp)
    lane[groups.order] = np.repeat(np.arange(len(row)), groups.counts)
    flags, which = packets.tcp_flags[closers], side[closers]
    reset = _first(closers, lane, (flags & _RST) != 0, len(row))
    fins = [
        np.where(
            flows.tcp_flags[row, s] & _FIN, -1, _first(closers, lane, (flags & _FIN != 0) & (which == s), len(row))
        )
        for s in (ORIGINATOR, RESPONDER)
    ]
    finished = np.maximum(*fins)
    position = np.minimum(reset, finished)
    ended = np.flatnonzero(position < _NEVER)
    ended = ended[np.argsort(position[ended], kind="stable")]
    at = position[ended]
    flows.ended[row[ended]] = True
    how = np.where(reset[ended] < finished[ended], Ending.RESET, Ending.FIN).astype(np.uint8)
    return FlowEnds(packets.time_ns[at], row[ended].astype(np.int32), how), at


def no_ends() -> FlowEnds:
    """Return no ends."""
    return FlowEnds(np.zeros(0, np.int64), np.zeros(0, np.int32), np.zeros(0, np.uint8))


def _first(
    position: Rows, lane: Rows, wanted: npt.NDArray[np.bool_], lanes: int
) -> npt.NDArray[np.int64]:  # fmt: skip
    """Return the first wanted position of each lane, or a position beyond all."""
    first = np.full(lanes, _NEVER, np.int64)
    at = np.flatnonzero(wanted)[::-1]
    first[lane[at]] = position[at]
    return first


def update_states(flows: FlowTable, rows: Rows) -> None:
    """Set the state of `rows`, each given once, from what was seen of both sides.

    The state is a function of the flags and counts seen, never of the batch in which they came.
    """
    flags, seen = flows.tcp_flags[rows], flows.packets[rows]
    replied = flags[:, RESPONDER]
    case = (flags[:, ORIGINATOR] & _TELLING).astype(np.intp)
    case |= ((replied & _TELLING) | _OTHER * ((replied & ~_TELLING) != 0)).astype(np.intp) << 5
    case |= ((seen[:, ORIGINATOR] > 0) & (seen[:, RESPONDER] > 0)).astype(np.intp) << 10
    case |= (flows.payload_packets[rows, RESPONDER] == 0).astype(np.intp) << 11
    case |= (flows.proto[rows] == TCP).astype(np.intp) << 12
    flows.state[rows] = _STATE[case]


def _states() -> npt.NDArray[np.uint8]:
    """Return `u1 [8192]`, the state for each combination of what `update_states` looks at."""
    case = np.arange(1 << 13)
    asked, replied = (case & 31).astype(np.uint16), (case >> 5 & 31).astype(np.uint16)
    both, mute, tcp = (case >> 10 & 1) == 1, (case >> 11 & 1) == 1, (case >> 12 & 1) == 1
    either = asked | replied
    syn = (asked & _SYN) != 0
    # The answer to a SYN is a lone reset: no SYN, FIN or data of the responder beside it.
    refused = ((replied & _RST) != 0) & ((replied & (_SYN | _FIN)) == 0) & (syn | ((asked & _ACK) == 0)) & mute
    proceeded = syn & ((asked & _ACK) != 0)
    spoke = both & ((either & _RST) == 0) | (((replied & _SYN) != 0) & ((replied & _ACK) != 0)) | proceeded
    state = np.where(
        refused, TcpState.REFUSED,
        np.where((either & _RST) != 0, TcpState.RESET,
        np.where((asked & replied & _FIN) != 0, TcpState.CLOSED,
        np.where(spoke, TcpState.ESTABLISHED,
        np.where(syn | ((asked & _ACK) == 0) & (replied == 0), TcpState.ATTEMPT, TcpState.MIDSTREAM)))))  # fmt: skip
    state = np.where(tcp, state, np.where(both, TcpState.ESTABLISHED, TcpState.ATTEMPT))
    return state.astype(np.uint8)


_STATE = _states()
