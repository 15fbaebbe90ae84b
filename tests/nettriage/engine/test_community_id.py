"""Tests of community ids against the published baseline (corelight/community-id-spec, baseline_deflt.json)."""

from __future__ import annotations

import pytest

from nettriage.engine.community_id import community_id, icmp_community_id
from nettriage.model.addresses import to_words
from nettriage.model.finding import FlowRef

V6_A, V6_B = "fe80::200:86ff:fe05:80da", "fe80::260:97ff:fe07:69ea"
PORTS = [
    (
        6,
        "2001:470:e5bf:dead:4957:2174:e82c:4887",
        "2607:f8b0:400c:c03::1a",
        63943,
        25,
        "1:/qFaeAR+gFe1KYjMzVDsMv+wgU4=",
    ),
    (132, "192.168.170.8", "192.168.170.56", 7, 7, "1:MP2EtRCAUIZvTw6MxJHLV7N7JDs="),
    (6, "128.232.110.120", "66.35.250.204", 34855, 80, "1:LQU9qZlK+B5F3KDmev6m5PMibrg="),
    (17, "192.168.1.52", "8.8.8.8", 54585, 53, "1:d/FP5EW3wiY1vCndhwleRRKHowQ="),
    (46, "10.1.12.1", "10.1.12.2", 0, 0, "1:KHlLkgoJW7ifUTyTSgyVfkFHzKw="),
]
ICMP = [
    (58, V6_A, V6_B, 135, 0, "1:dGHyGvjMfljg6Bppwm3bg0LO8TY="),
    (58, V6_B, V6_A, 136, 0, "1:dGHyGvjMfljg6Bppwm3bg0LO8TY="),
    (58, V6_B, V6_A, 135, 0, "1:zavyT/cezQr1fmImYCwYnMXbgck="),
    (58, "3ffe:501:1800:2345::2", "3ffe:507:0:1:200:86ff:fe05:80da", 3, 0, "1:2ObVBgIn28oZvibYZhZMBgh7WdQ="),
    (58, "3ffe:501:410:0:2c0:dfff:fe47:33e", "3ffe:507:0:1:200:86ff:fe05:80da", 1, 4, "1:hLZd0XGWojozrvxqE0dWB1iM6R0="),
    (58, V6_A, "ff02::2", 133, 0, "1:hO+sN4H+MG5MY/8hIrXPqc4ZQz0="),
    (58, V6_B, "ff02::1", 134, 0, "1:pkvHqCL88/tg1k4cPigmZXUtL00="),
    (1, "192.168.0.89", "192.168.0.1", 8, 0, "1:X0snYXpgwiv9TZtqg64sgzUn6Dk="),
    (1, "192.168.0.1", "192.168.0.89", 0, 0, "1:X0snYXpgwiv9TZtqg64sgzUn6Dk="),
    (1, "10.0.0.1", "10.0.0.2", 11, 0, "1:YHxtAirCG//0OzkcVAukqKQN9xM="),
]


@pytest.mark.parametrize(("proto", "src", "dst", "sport", "dport", "published"), PORTS)
def test_flows_have_the_published_id(proto: int, src: str, dst: str, sport: int, dport: int, published: str) -> None:
    """Both directions of a flow give the value of the specification's baseline."""
    there = FlowRef(to_words(src), sport, to_words(dst), dport, proto)
    back = FlowRef(to_words(dst), dport, to_words(src), sport, proto)

    assert community_id(there) == community_id(back) == published


@pytest.mark.parametrize(("proto", "src", "dst", "kind", "code", "published"), ICMP)
def test_icmp_has_the_published_id(proto: int, src: str, dst: str, kind: int, code: int, published: str) -> None:
    """Messages with a counterpart are one flow both ways; one-way messages are never reordered."""
    assert icmp_community_id(to_words(src), to_words(dst), proto, kind, code) == published


def test_an_echo_flow_stands_under_its_request_type() -> None:
    """The made-up ports of an echo flow give the id that other tools compute from type and code."""
    echo = FlowRef(to_words("192.168.0.89"), 4711, to_words("192.168.0.1"), 8 << 8, 1)
    echo6 = FlowRef(to_words("3ffe:507:0:1:200:86ff:fe05:80da"), 1, to_words("3ffe:501:0:1001::2"), 128 << 8, 58)

    assert community_id(echo) == "1:X0snYXpgwiv9TZtqg64sgzUn6Dk="
    assert community_id(echo6) == "1:+TW+HtLHvV1xnGhV1lv7XoJrqQg="
