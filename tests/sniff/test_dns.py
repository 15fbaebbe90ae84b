import struct

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from detectors._kit import forge
from nettriage.model.columns import Mixer
from sniff.decode import decode
from sniff.dns import dns_columns
from tests.sniff.batches import raw_batch

A, B = "192.0.2.1", "198.51.100.53"
MIXER = Mixer(99)


def asked(*messages, port=53, mixer=MIXER):
    """Return the DNS columns of messages sent to `port`."""
    frames = [forge.udp(A, 5_000, B, port, message, ident=number) for number, message in enumerate(messages)]
    return dns_columns(decode(raw_batch(frames)), mixer)


def reference(message):
    """Return (name, qtype) of the first question of a message, read label by label; None where malformed."""
    if len(message) < 12 or not struct.unpack_from(">H", message, 4)[0]:
        return None
    at, labels = 12, []
    while at < len(message) and message[at]:
        if message[at] > 63:
            return None
        labels.append(message[at + 1 : at + 1 + message[at]])
        at += 1 + message[at]
    if at + 5 > len(message) or at - 12 > 254:
        return None
    return labels, struct.unpack_from(">H", message, at + 1)[0]


def assert_as_reference(messages):
    """Check every column of the messages that are well-formed, and that no other has a row."""
    seen = asked(*messages)
    expected = {row: found for row, message in enumerate(messages) if (found := reference(message))}
    assert seen.row.tolist() == list(expected)
    for at, (row, (labels, qtype)) in enumerate(expected.items()):
        txid, flags, _count, answers = struct.unpack_from(">HHHH", messages[row])
        assert seen.txid[at] == txid
        assert seen.is_reply[at] == bool(flags & 0x8000)
        assert (seen.rcode[at], seen.answers[at], seen.qtype[at]) == (flags & 15, answers, qtype)
        assert seen.labels[at] == len(labels)
        assert seen.longest_label[at] == max(map(len, labels), default=0)
        assert seen.qname_len[at] == sum(len(label) + 1 for label in labels)


def test_a_query_and_its_reply():
    """Names, types and counts of a question and of the answer to it."""
    query = forge.dns_query("www.Example.org", qtype=28, txid=7)
    reply = forge.dns_reply(query)
    refused = forge.dns_reply(query, rcode=3)

    seen = asked(query, reply, refused)

    assert seen.is_reply.tolist() == [False, True, True]
    assert (seen.rcode.tolist(), seen.answers.tolist()) == ([0, 0, 3], [0, 1, 0])
    assert (set(seen.txid.tolist()), set(seen.qtype.tolist())) == ({7}, {28})
    assert (seen.labels[0], seen.longest_label[0], seen.qname_len[0]) == (3, 7, 16)
    assert_as_reference([query, reply, refused])


def test_offsets_point_at_the_name_and_at_the_registered_domain():
    """`qname_at` and `domain_at` are where the labels lie in the batch."""
    frames = [forge.udp(A, 5_000, B, 53, forge.dns_query("a.b.example.com"))]
    packets = decode(raw_batch(frames))

    seen = dns_columns(packets, MIXER)

    end = int(seen.qname_at[0]) + int(seen.qname_len[0])
    assert packets.raw.data[seen.qname_at[0] : end].tobytes() == b"\1a\1b\7example\3com"
    assert packets.raw.data[seen.domain_at[0] : end].tobytes() == b"\7example\3com"


def test_names_are_hashed_without_case_and_with_the_key():
    """Case does not make another name, a label border does, and another key gives other hashes."""
    names = ["www.example.org", "WWW.exAMPle.ORG", "wwwx.example.org", "ww.wexample.org", "www.example.orgx"]

    seen = asked(*map(forge.dns_query, names))
    other = asked(forge.dns_query(names[0]), mixer=Mixer(98))

    assert seen.name_hash[0] == seen.name_hash[1]
    assert len(set(seen.name_hash.tolist())) == len(names) - 1
    assert seen.domain_hash[0] == seen.domain_hash[1] == seen.domain_hash[2]
    assert other.name_hash[0] != seen.name_hash[0]


def test_the_domain_is_what_was_registered():
    """Two labels, or three where a country sells names below a second level."""
    same = [("a.b.example.com", "x.example.com"), ("a.example.co.uk", "b.c.Example.CO.uk"), ("co.uk", "co.uk")]
    different = [("a.example.co.uk", "a.other.co.uk"), ("a.example.com.br", "a.other.com.br")]
    below = [("a.corp.example.co", "b.corp.example.co"), ("x.abc.de", "y.abc.de")]

    for one, other in same + below:
        hashes = asked(forge.dns_query(one), forge.dns_query(other)).domain_hash
        assert hashes[0] == hashes[1], (one, other)
    for one, other in different:
        hashes = asked(forge.dns_query(one), forge.dns_query(other)).domain_hash
        assert hashes[0] != hashes[1], (one, other)


def test_the_hash_of_a_domain_is_that_of_the_name_alone():
    """A domain found inside a long name is the domain asked for by itself."""
    seen = asked(forge.dns_query("long.sub.name.example.org"), forge.dns_query("example.org"), forge.dns_query("org"))

    assert seen.domain_hash[0] == seen.domain_hash[1] == seen.name_hash[1]
    assert seen.domain_hash[2] == seen.name_hash[2]


def test_the_root_has_no_labels():
    """A question for the root is a name of no bytes."""
    seen = asked(forge.dns_query("."))

    assert (seen.labels.tolist(), seen.qname_len.tolist(), seen.longest_label.tolist()) == ([0], [0], [0])


def test_malformed_messages_are_left_out():
    """Pointers, cut names, names too long and messages without question have no row."""
    good = forge.dns_query("example.org")
    header = good[:12]
    pointer = header + b"\xc0\x0c\0\1\0\1"
    longest = header + (b"\x3f" + b"a" * 63) * 3 + b"\x3d" + b"a" * 61 + b"\0\0\1\0\1"
    too_long = header + (b"\x3f" + b"a" * 63) * 3 + b"\x3e" + b"a" * 62 + b"\0\0\1\0\1"
    long_label = header + b"\x40" + b"a" * 64 + b"\0\0\1\0\1"
    most_labels = header + b"\1a" * 127 + b"\0\0\1\0\1"
    no_question = good[:4] + b"\0\0" + good[6:]

    assert_as_reference(
        [good, pointer, longest, too_long, long_label, most_labels, no_question, b"", header, b"\xff" * 300]
    )
    assert asked(longest, most_labels).qname_len.tolist() == [254, 254]


def test_every_truncation_is_left_out():
    """A question that is not whole is no question, whatever lies behind it in memory."""
    query = forge.dns_query("www.example.org")

    assert_as_reference([query[:size] for size in range(len(query) + 1)])


@given(st.lists(st.binary(max_size=40), min_size=1, max_size=30))
@settings(max_examples=60, deadline=None, derandomize=True)
def test_any_bytes_are_read_as_the_reference_reads_them(bodies):
    """Random questions give exactly the rows that a walk label by label gives."""
    assert_as_reference([b"\0\1\1\0\0\1\0\0\0\0\0\0" + body for body in bodies])


def test_only_usable_datagrams_of_port_53_are_read():
    """Copies, flawed packets, TCP and other ports have no row; the reply from port 53 has one."""
    query = forge.dns_query("example.org")
    frames = [
        forge.udp(A, 5_000, B, 53, query, ident=1),
        forge.udp(A, 5_000, B, 53, query, ident=1),
        forge.udp(A, 5_000, B, 5353, query),
        forge.tcp(A, 5_000, B, 53, forge.ACK, payload=query),
        forge.udp(B, 53, A, 5_000, forge.dns_reply(query)),
        forge.udp(A, 5_000, B, 53, query, ident=2),
    ]
    packets = decode(raw_batch(frames))
    packets.duplicate[1] = True
    packets.flaw[5] = 1

    assert dns_columns(packets, MIXER).row.tolist() == [0, 4]


def test_no_messages_give_empty_columns_of_the_right_types():
    """A batch without DNS has columns of no rows."""
    seen = dns_columns(decode(raw_batch([])), MIXER)

    assert len(seen) == 0
    assert (seen.name_hash.dtype, seen.qtype.dtype, seen.is_reply.dtype) == (np.uint64, np.uint16, np.bool_)
