"""DNS questions over UDP as columns: names measured and hashed where they lie, never copied into Python."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
import numpy.typing as npt

from nettriage.model.batch import PacketBatch
from nettriage.model.columns import I64, U64, Mixer, Rows
from nettriage.model.slices import DnsColumns
from sniff.heads import U8, gather, layout, read

PORT, UDP = 53, 17
NAME_MAX = 254
"""Bytes of the longest name without its root label (RFC 1035 2.3.4)."""
_LABELS_MAX = 127
_LABEL_MAX = 63
_STRIDE = 32
"""Bytes of a name that are fetched at once: most names have less."""
_CASE_BIT = np.zeros(256, np.uint8)
"""`u1 [256]`, the bit that makes a capital ASCII letter a small one."""
_CASE_BIT[ord("A") : ord("Z") + 1] = 0x20

_HEADER_BYTES = 12
_HEADER = layout(_HEADER_BYTES, txid=(">u2", 0), flags=(">u2", 2), questions=(">u2", 4), answers=(">u2", 6))
_QUESTION_END = layout(5, qtype=(">u2", 1))

_SECOND_LEVEL = ("ac", "co", "com", "edu", "go", "gob", "gov", "mil", "ne", "net", "or", "org", "sch")
"""Labels under a country that registries sell names below (publicsuffix.org)."""


@dataclass(slots=True)
class _Names:
    """Question names, one a row; `[k]` each."""

    at: I64
    """Offset of the first label."""
    stop: I64
    """Offset of the root label."""
    labels: npt.NDArray[np.uint8]
    longest: npt.NDArray[np.uint8]
    tail: I64
    """`i8 [3, k]`, offsets of the last, the last but one and the last but two labels; of `at` where there are fewer."""
    sound: npt.NDArray[np.bool_]


def dns_columns(packets: PacketBatch, mixer: Mixer) -> DnsColumns:
    """Return the questions of the DNS messages of a batch; copies and flawed packets are left out.

    Left out as malformed are also: no question, a name that is cut or longer than 255 bytes, and a compression
    pointer in the first question, where there is nothing yet to point at.
    """
    data = packets.raw.data
    rows = _messages(packets)
    if not len(rows):
        return _no_messages()
    start, end = packets.payload_at[rows], (packets.payload_at + packets.payload_cap)[rows]
    head = read(data, start, _HEADER)
    names = _walk(data, start + _HEADER_BYTES, end - 5)
    good = names.sound & (head["questions"] > 0)
    rows, head, names = rows[good], head[good], _chosen(names, good)
    domain_at = _domain_at(data, names)
    hashes = _hash(data, np.concatenate((domain_at, names.at)), np.concatenate((names.stop, names.stop)), mixer)
    return DnsColumns(
        row=rows,
        txid=head["txid"].astype(np.uint16),
        is_reply=(head["flags"] & 0x8000) != 0,
        rcode=(head["flags"] & 0x000F).astype(np.uint8),
        qtype=read(data, names.stop, _QUESTION_END)["qtype"].astype(np.uint16),
        qname_at=names.at,
        qname_len=(names.stop - names.at).astype(np.uint8),
        labels=names.labels,
        longest_label=names.longest,
        domain_hash=hashes[: len(rows)],
        domain_at=domain_at,
        name_hash=hashes[len(rows) :],
        answers=head["answers"].astype(np.uint16),
    )


@cache
def _no_messages() -> DnsColumns:
    none = np.zeros(0, np.int64)
    byte, word, key = none.astype(np.uint8), none.astype(np.uint16), none.astype(np.uint64)
    return DnsColumns(
        none.astype(np.intp), word, none.astype(np.bool_), byte, word, none, byte, byte, byte, key, none, key, word
    )


def _messages(packets: PacketBatch) -> Rows:
    at_port = (packets.src_port == PORT) | (packets.dst_port == PORT)
    rows = (at_port & (packets.proto == UDP)).nonzero()[0]
    return np.asarray(
        rows[(packets.flaw[rows] == 0) & ~packets.duplicate[rows] & (packets.payload_cap[rows] >= _HEADER_BYTES)]
    )


def _walk(data: U8, at: I64, last: I64) -> _Names:
    """Walk the labels of all names in lockstep, one label of each in a turn; the root must not lie behind `last`."""
    k = len(at)
    names = _Names(
        at, at.copy(), np.zeros(k, np.uint8), np.zeros(k, np.uint8), np.tile(at, (3, 1)), np.zeros(k, np.bool_)
    )
    going = np.arange(k)
    for _ in range(_LABELS_MAX + 1):
        going = going[names.stop[going] <= np.minimum(last, at + NAME_MAX)[going]]
        if not len(going):
            break
        here = names.stop[going]
        length = gather(data, here, 1)[:, 0]
        names.sound[going[length == 0]] = True
        label = (length > 0) & (length <= _LABEL_MAX)
        going, here, length = going[label], here[label], length[label]
        names.tail[1:, going] = names.tail[:-1, going]
        names.tail[0, going] = here
        names.labels[going] += np.uint8(1)
        names.longest[going] = np.maximum(names.longest[going], length)
        names.stop[going] = here + 1 + length
    return names


def _chosen(names: _Names, rows: npt.NDArray[np.bool_]) -> _Names:
    return _Names(
        names.at[rows],
        names.stop[rows],
        names.labels[rows],
        names.longest[rows],
        names.tail[:, rows],
        names.sound[rows],
    )


def _domain_at(data: U8, names: _Names) -> I64:
    """Return where the name that somebody registered starts: the last two labels, or three below ``co.uk``."""
    top, second, third = names.tail
    country = gather(data, top, 1)[:, 0] == 2
    sold_below = (_short_label(data, second) == _SOLD_BELOW).any(axis=0)
    return np.asarray(np.where(country & sold_below, third, second))


def _short_label(data: U8, at: I64) -> npt.NDArray[np.uint32]:
    """Return `u4 [k]`, length and bytes of each label of up to three bytes in lower case, 0 for a longer one."""
    head = _lower(gather(data, at, 4))
    length = head[:, :1]
    head = np.where(np.arange(4) <= length, head, np.uint8(0))
    word = np.ascontiguousarray(head).view("<u4")[:, 0]
    return np.where(length[:, 0] <= 3, word, np.uint32(0))


_SOLD_BELOW = np.array(
    [[int.from_bytes(bytes((len(label),)) + label.encode(), "little")] for label in _SECOND_LEVEL], np.uint32
)
"""`u4 [k, 1]`, those labels in the form that `_short_label` gives them."""


def _lower(text: U8) -> U8:
    """Return bytes with ASCII letters in lower case; label lengths are below every letter and stay."""
    return text | _CASE_BIT.take(text)


def _hash(data: U8, at: I64, stop: I64, mixer: Mixer) -> U64:
    """Return `u8 [k]`, a keyed hash of the lower-case bytes from `at` to `stop`, eight bytes of each after another."""
    length = stop - at
    state = mixer(length)
    going = np.arange(len(at))
    for offset in range(0, NAME_MAX, _STRIDE):
        going = going[length[going] > offset]
        if not len(going):
            break
        left = length[going] - offset
        text = _lower(gather(data, at[going] + offset, _STRIDE))
        text *= np.arange(_STRIDE) < left[:, None]
        words = text.view("<u8")
        for index in range(_STRIDE // 8):
            more = (left > index * 8).nonzero()[0]
            if not len(more):
                break
            state[going[more]] = mixer(state[going[more]], words[more, index])
    return state
