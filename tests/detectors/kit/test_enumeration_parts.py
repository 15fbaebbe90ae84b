"""The parts of service enumeration: parsing of questions, comparison of payloads, and budgets."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from detectors._kit import forge
from detectors._kit.enumeration.discovery import is_group, service_types
from detectors._kit.enumeration.service_probes import HEAD_BYTES, SERVICE_PROBES, candidates, probe_in
from detectors._kit.enumeration.signs import PerSecond, Sign, SignBook, SignKind
from nettriage.model.addresses import to_words


def test_service_types_are_read_through_pointers():
    """A compressed name is the same service as one written out, and counts once."""
    query = forge.dns_query("_ipp._tcp.local", 12, 0)
    message = query[:5] + b"\x03" + query[6:] + b"\xc0\x0c\0\x0c\0\x01" + b"\x07printer\xc0\x0c\0\x21\0\x01"

    assert service_types(message) == ["_ipp._tcp"]


@pytest.mark.parametrize(
    ("name", "types"),
    [
        ("_services._dns-sd._udp.local", ["_services._dns-sd._udp"]),
        ("_SSH._TCP.Local", ["_ssh._tcp"]),
        ("ws1.local", []),
        ("_ssh._tcp.example.com", []),
        ("_tcp.local", []),
    ],
)
def test_only_service_types_of_the_link_count(name, types):
    """Host names and other domains ask for no service type."""
    assert service_types(forge.dns_query(name, 12, 0)) == types


def test_answers_ask_nothing():
    """A response with a question section is no question."""
    assert service_types(forge.dns_reply(forge.dns_query("_ssh._tcp.local", 12, 0))) == []


def test_pointer_loops_end():
    """A name that points at itself is broken, and costs no more than its budget."""
    head = b"\0\0\0\0\0\x01\0\0\0\0\0\0"

    assert service_types(head + b"\xc0\x0c\0\x0c\0\x01") == []


@given(st.binary(max_size=200))
def test_no_bytes_break_the_parser(message):
    """Whatever the bytes, the result is a list of harmless texts."""
    assert all(text.isprintable() for text in service_types(message))


@pytest.mark.parametrize("probe", SERVICE_PROBES, ids=lambda probe: f"{probe.name}-{len(probe.start)}")
def test_each_probe_passes_the_gate_and_is_named(probe):
    """The gate lets every probe through, and the comparison finds it again."""
    head = np.zeros((1, HEAD_BYTES), np.uint8)
    head[0, : len(probe.start)] = np.frombuffer(probe.start, np.uint8)

    assert candidates(head).tolist() == [0]
    assert probe_in(probe.start).name == probe.name


def test_payload_that_goes_on_is_another_request():
    """A plain request with a header more is an ordinary client."""
    assert probe_in(b"GET / HTTP/1.0\r\n\r\n").name == "GetRequest"
    assert probe_in(b"GET / HTTP/1.0\r\nHost: a\r\n\r\n") is None


@pytest.mark.parametrize(
    ("address", "group"),
    [("224.0.0.251", True), ("255.255.255.255", True), ("ff02::fb", True), ("10.0.0.1", False), ("fe80::1", False)],
)
def test_groups_are_told_from_hosts(address, group):
    """Multicast and broadcast addresses of both families are groups."""
    assert is_group(to_words(address)) is group


def test_budget_is_spent_by_the_second_whatever_the_cut():
    """The first events of each second are kept, however they arrive, and the rest is counted."""
    ts_ns = np.repeat(np.arange(3), 5).astype(np.int64) * 1_000_000_000
    whole, cut = PerSecond(2), PerSecond(2)
    kept = whole.take(ts_ns)

    assert kept.reshape(3, 5).sum(axis=1).tolist() == [2, 2, 2]
    assert kept.tolist() == np.concatenate([cut.take(ts_ns[at : at + 4]) for at in range(0, 15, 4)]).tolist()
    assert (whole.left_out, whole.gauge.refused) == (9, 9)


def test_book_gives_up_the_quietest_and_refuses_beyond_twice_its_cap():
    """Between judgements the book grows to twice its cap; then the longest quiet sources go."""
    book = SignBook(cap=2)
    for at in range(6):
        book.note(at, (0, at), SignKind.LINK, Sign(at, "x", (0, 1), 5353), 17)

    assert (book.gauge.used, book.gauge.refused) == (4, 2)
    assert [source.key for source in book.settle(10, 1_000)] == [0, 1]
    assert (book.gauge.used, book.gauge.evicted) == (2, 2)
