"""Tests of the DNS tunnel detector: tools by their marks, shape without marks, resolvers, and ordinary long names."""

from __future__ import annotations

import random

import numpy as np
import pytest

from detectors._kit import forge
from detectors._kit.dns_gate import DnsGate
from nettriage.model.alert import Alert
from nettriage.model.site import Site
from tests.detectors.driver import SITE, detector, run_frames

CLIENT, RESOLVER, AUTHORITY = "10.0.1.11", "10.0.2.11", "192.0.2.53"
LETTERS = "abcdefghijklmnopqrstuvwxyz0123456789"


def _label(seed: int, size: int, letters: str = LETTERS) -> str:
    return "".join(random.Random(seed).choices(letters, k=size))


def _alerts(names, qtype: int = 1, *, legs=((CLIENT, RESOLVER),), site: Site = SITE) -> list[Alert]:
    scene = forge.Scene()
    for number, name in enumerate(names):
        ask = forge.dns_query(name, qtype=qtype, txid=number)
        for client, server in legs:
            scene.query(client, server, 53, ask, forge.dns_reply(ask))
        scene.wait(100 * forge.MS)
    return run_frames(scene.frames(), detector("dns-tunnel", site), site=site).of("dns-tunnel")


def _data(count: int = 80, size: int = 60) -> list[str]:
    return [f"{_label(n, size)}.t.example.com" for n in range(count)]


def test_unnamed_tunnel_is_seen_by_its_shape():
    """Many long, different names below one domain are a tunnel whatever the tool."""
    (alert,) = _alerts(_data(), qtype=16)

    assert alert.subject.ip == CLIENT
    assert alert.tool is None
    assert "example.com" in alert.title


@pytest.mark.parametrize(
    ("tool", "names", "qtype"),
    [
        ("iodine", ["vaaaakatsrq.t.example.com", *_data(20)], 10),
        ("dns2tcp", ["AAAAAqjQA.=auth.t.example.com", *_data(20)], 16),
        (
            "dnscat2",
            [f"0a{n:02x}01beef{n:04x}{_label(n, 40, '0123456789abcdef')}.t.example.com" for n in range(30)],
            15,
        ),
    ],
)
def test_tools_are_named_by_their_bytes(tool, names, qtype):
    """The marks of a known tool name it, below the volume of an unnamed one."""
    (alert,) = _alerts(names, qtype)

    assert alert.tool.name == tool


def test_names_without_a_domain_are_grouped_by_resolver():
    """dnscat2 without a domain changes its last labels all the time, and is still one incident."""
    names = [f"dnscat.{_label(n, 60, '0123456789abcdef')}.{_label(n + 500, 60, '0123456789abcdef')}" for n in range(40)]
    (alert,) = _alerts(names, qtype=15)

    assert alert.tool.name == "dnscat2"
    assert alert.subject.ip == CLIENT


def test_the_resolver_that_passes_questions_on_is_not_the_subject():
    """Both legs visible: one incident, of the client, with the resolver and its server on the way."""
    (alert,) = _alerts(_data(), 16, legs=((CLIENT, RESOLVER), (RESOLVER, AUTHORITY)))

    assert alert.subject.ip == CLIENT
    assert [party.ip for party in alert.via] == [CLIENT, RESOLVER, AUTHORITY]


def test_raw_mode_of_iodine_is_seen_although_it_is_no_dns():
    """Datagrams to port 53 that begin with iodine's raw header are a tunnel."""
    scene = forge.Scene().query(CLIENT, AUTHORITY, 53, b"\x10\xd1\x9e\x20" + bytes(60), b"\x10\xd1\x9e\x20" + bytes(60))
    (alert,) = run_frames(scene.frames(), detector("dns-tunnel")).of("dns-tunnel")

    assert (alert.subject.ip, alert.tool.name) == (CLIENT, "iodine")


ORDINARY = {
    "reverse look-ups": ([f"{n}.{n % 7}.0.10.in-addr.arpa" for n in range(200)], 12),
    "IPv6 reverse look-ups": (
        [".".join(f"{n:032x}"[::-1]) + ".ip6.arpa" for n in range(60)], 12,
    ),
    "directory records": ([f"_ldap._tcp.site{n % 9}._sites.dc._msdcs.corp.example" for n in range(300)], 33),
    "block lists": ([f"{n % 250}.{n % 251}.0.192.zen.blocklist.example" for n in range(200)], 1),
    "content network": ([f"r{n % 12}---sn-4g5e6nsz.video.example" for n in range(300)], 1),
    "reputation digests": ([f"{_label(n, 40, '0123456789abcdef')}.av.example" for n in range(110)], 1),
    "one long name again and again": ([_data(1)[0]] * 300, 16),
}  # fmt: skip


@pytest.mark.parametrize("habit", ORDINARY)
def test_ordinary_long_names_are_silent(habit):
    """Names that are long or many for a good reason raise nothing."""
    names, qtype = ORDINARY[habit]

    assert _alerts(names, qtype) == []


def test_a_declared_domain_is_informational():
    """A domain that the settings list is shown at the lowest severity."""
    site = Site(tunnel_domains=frozenset({"example.com"}), mixer_secret=SITE.mixer_secret)
    (alert,) = _alerts(_data(), 16, site=site)

    assert alert.severity == "info"


def test_the_gate_lets_the_third_question_through_however_the_traffic_is_cut():
    """Two questions a minute of one client below one domain are let go, the third passes, a tunnel's type at once."""
    key, ts_ns = np.full(6, 77, np.uint64), np.arange(6) * 1_000_000_000
    ts_ns[5] = 120_000_000_000
    typed = np.array([False, True, False, False, False, False])
    whole, cut = DnsGate(1_024), DnsGate(1_024)
    one_by_one = [bool(cut.passes(key[at : at + 1], ts_ns[at : at + 1], typed[at : at + 1])[0]) for at in range(6)]

    assert one_by_one == whole.passes(key, ts_ns, typed).tolist() == [False, True, True, True, True, False]
