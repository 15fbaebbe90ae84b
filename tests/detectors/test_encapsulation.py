"""Tests of the encapsulation detector: each kind by its bytes, the excuses that lower it, and mirrors told apart.

The captures below `data` were made by OpenVPN 2.6.14; all other traffic is synthetic, by the layouts of the references.
"""

from __future__ import annotations

import struct
from pathlib import Path

import pytest

from detectors._kit import forge
from detectors.encapsulation import carried, wireguard_session
from nettriage.model.addresses import AddressPairs, AddressSet
from nettriage.model.alert import Alert
from nettriage.model.site import Site
from tests.detectors.driver import SITE, detector, run_capture, run_frames

DATA = Path(__file__).parents[1] / "data"

HOST, PEER, OUTSIDE = "10.0.1.11", "10.0.1.12", "192.0.2.9"
SID, SID_2 = b"clientid", b"serverid"
"""Session ids of OpenVPN."""
BULK = bytes(range(200))


def _alerts(frames, site: Site = SITE) -> list[Alert]:
    quiet = forge.Scene(now_ns=frames[-1][0] + 10 * forge.S).session("10.0.9.1", "10.0.9.2", 80)
    return run_frames([*frames, *quiet.frames()], detector("encapsulation", site), site=site).of("encapsulation")


def _datagrams(port: int, turns, dst: str = OUTSIDE, sport: int = 40_001):
    scene = forge.Scene()
    for side, payload in turns:
        ends = (HOST, sport, dst, port) if side == 0 else (dst, port, HOST, sport)
        scene.put(forge.udp(*ends, payload)).wait(10 * forge.MS)
    return scene.frames()


def _carried_both_ways(proto: int, body: bytes, dst: str = OUTSIDE, rounds: int = 10):
    scene = forge.Scene()
    for _ in range(rounds):
        scene.put(forge.ip(HOST, dst, proto, body)).put(forge.ip(dst, HOST, proto, body)).wait(50 * forge.MS)
    return scene.frames()


def _tunnelled(proto: int, head: bytes, inner: tuple[str, str]):
    """Ten rounds of an inner datagram and its reply, each in its own direction of the tunnel."""
    scene = forge.Scene()
    for number in range(10):
        for src, dst, outer in ((*inner, (HOST, OUTSIDE)), (*inner[::-1], (OUTSIDE, HOST))):
            body = forge.udp(src, 4000, dst, 4000, bytes((number,)) + BULK, ident=number)[14:]
            length = struct.pack(">HH", 8 + len(body), 0) if head == TEREDO else b""
            scene.put(forge.ip(*outer, proto, head + length + body)).wait(50 * forge.MS)
    return scene.frames()


def _ike(spi: bytes, size: int = 300, marker: bytes = b"") -> bytes:
    return marker + spi + bytes(8) + bytes((33, 0x20, 34, 8)) + bytes(4) + struct.pack(">I", size) + bytes(size - 28)


def _openvpn_turns(first: int = 0x38):
    reset, answer = bytes((first,)) + SID + bytes(5), b"\x40" + SID_2 + b"\1" + bytes(4) + SID + bytes(4)
    control = b"\x20" + SID + bytes(13)
    return ((0, reset), (1, answer), (0, control + BULK), *((1, b"\x30" + BULK * 3), (0, b"\x30" + BULK * 3)) * 2)


def _openvpn_crypt_turns():
    hidden = bytes(range(45))
    turns = ((0, b"\x38" + SID + hidden), (1, b"\x40" + SID_2 + hidden), (0, b"\x28" + SID + hidden))
    return (*turns, *((1, b"\x48" + BULK * 4), (0, b"\x48" + BULK * 4)) * 2)


def _framed(turns):
    return [(side, struct.pack(">H", len(payload)) + payload) for side, payload in turns]


def _tcp(port: int, turns):
    return forge.Scene().session(HOST, OUTSIDE, port, turns, gap_ns=forge.MS).frames()


def _l2tp(message: int) -> bytes:
    body = bytes(8) + b"\x80\x08" + bytes(5) + bytes((message,)) + bytes(60)
    return b"\xc8\x02" + struct.pack(">H", 4 + len(body)) + body


def _pptp(message: int) -> bytes:
    return struct.pack(">HHIHH", 156, 1, 0x1A2B3C4D, message, 0) + bytes(144)


def _esp(counter: int) -> bytes:
    return b"\xca\xfe\0\1" + struct.pack(">I", counter) + BULK


TEREDO = struct.pack(">HH", 3544, 3544)
INSIDE, INSIDE_6 = ("172.16.0.1", "172.16.0.2"), ("2001:0:1::1", "2001:0:2::2")
KINDS = {
    "OpenVPN over UDP": _datagrams(1194, _openvpn_turns()),
    "OpenVPN over TCP": _tcp(443, _framed(_openvpn_turns(0x50))),
    "IPsec IKE": _datagrams(500, ((0, _ike(b"initiate")), (1, _ike(b"initiate", 272)), (0, BULK * 5), (1, BULK * 5))),
    "IPsec ESP in UDP": _datagrams(4500, [(turn % 2, _esp(turn // 2 + 7)) for turn in range(20)]),
    "IPsec ESP": _carried_both_ways(50, _esp(1)),
    "L2TP": _datagrams(1701, ((0, _l2tp(1)), (1, _l2tp(2)), (0, BULK * 5), (1, BULK * 5))),
    "PPTP": _tcp(1723, ((0, _pptp(1)), (1, _pptp(2)), (0, BULK * 5), (1, BULK * 5))),
    "GRE": _tunnelled(47, b"\0\0\x08\0", INSIDE),
    "IPIP": _tunnelled(4, b"", INSIDE),
    "6in4": _tunnelled(41, b"", INSIDE_6),
    "Teredo": _tunnelled(17, TEREDO, INSIDE_6),
}


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_is_found_and_named(kind):
    """A home host that carries packets to a peer outside is the subject, and the kind stands in the reason."""
    (alert,) = _alerts(KINDS[kind])

    assert alert.subject.ip == HOST
    assert [party.ip for party in alert.via] == [HOST, OUTSIDE]
    assert kind in alert.reason
    assert alert.score >= 40


def test_openvpn_with_hidden_control_is_known_by_its_session_id():
    """Under tls-crypt only opcode and session id are in clear: the id that goes on is the proof."""
    (alert,) = _alerts(_datagrams(443, _openvpn_crypt_turns()))

    assert alert.tool is not None
    assert alert.tool.name == "OpenVPN"


@pytest.mark.parametrize("name", ["openvpn_tcp", "openvpn_udp_tls_crypt"])
def test_the_real_tool_is_named_on_a_foreign_port(name):
    """OpenVPN itself, on port 443, in clear over TCP and with tls-crypt over UDP, is found with both ends."""
    (alert,) = run_capture(DATA / f"{name}.pcap", ["encapsulation"]).alerts

    assert [party.ip for party in alert.via] == [HOST, PEER]
    assert alert.tool is not None
    assert alert.tool.name == "OpenVPN"


def test_wireguard_that_began_before_the_capture_is_known_by_its_data():
    """Data packets that name one session each way and count up need no handshake."""
    (alert,) = _alerts(wireguard_session(HOST, PEER, 51_820)[2:])

    assert "name one session each way" in alert.reason
    assert alert.severity == "high"


def test_an_answer_that_names_another_index_is_no_wireguard():
    """A datagram of the right length and type that does not name the initiation is something else."""
    frames = wireguard_session(HOST, PEER, 51_820)
    (ts_ns, answer), rest = frames[1], frames[2:4]
    other = answer[:50] + b"\xff\xff\xff\xff" + answer[54:]

    assert _alerts([frames[0], (ts_ns, other), *rest]) == []


def test_an_unanswered_handshake_stays_low():
    """A question without an answer is an attempt, no tunnel."""
    (alert,) = _alerts(wireguard_session(HOST, OUTSIDE, 51_820)[:1])

    assert alert.severity == "low"


@pytest.mark.parametrize(
    ("site", "said"),
    [
        (Site(gateways=AddressSet([PEER]), mixer_secret=5), f"{PEER} is declared under network.gateways"),
        (Site(allow=AddressPairs([f"{PEER} <-> 10.0.1.0/28"]), mixer_secret=5), "is declared under network.allow"),
    ],
    ids=["gateway", "allowed pair"],
)
def test_what_the_settings_declare_is_informational_and_says_so(site, said):
    """A declared gateway or pair lowers the tunnel and is the reason."""
    (alert,) = _alerts(wireguard_session(HOST, PEER, 51_820), site)

    assert alert.severity == "info"
    assert said in alert.reason


def test_a_server_of_many_clients_is_taken_for_a_concentrator():
    """Five hosts with sessions at one home server make a service; the same at a server outside does not."""
    inside = [item for host in range(20, 26) for item in wireguard_session(f"10.0.1.{host}", PEER, 51_820)]
    outside = [item for host in range(20, 26) for item in wireguard_session(f"10.0.1.{host}", OUTSIDE, 51_820)]

    assert {alert.severity for alert in _alerts(sorted(inside, key=lambda item: item[0]))} == {"low"}
    assert {alert.severity for alert in _alerts(sorted(outside, key=lambda item: item[0]))} == {"medium"}


def test_a_protocol_scan_is_no_tunnel():
    """One or two empty packets of each protocol to a host (nmap -sO) carry nothing."""
    scene = forge.Scene()
    for proto in (4, 41, 47, 50, 51, 97, 115) * 2:
        scene.put(forge.ip(HOST, PEER, proto, b""))

    assert _alerts(scene.frames()) == []


def test_a_mirror_session_beside_a_tunnel_hides_nothing():
    """A tunnel that is seen inside of a mirror session is raised by its own endpoints; the mirror is not."""
    frames = [(ts_ns, carried(("192.0.2.1", "192.0.2.2"), frame)) for ts_ns, frame in KINDS["IPIP"]]
    by_subject = {alert.subject.ip: alert for alert in _alerts(frames)}

    assert by_subject["192.0.2.1"].severity == "info"
    assert "mirror session" in by_subject["192.0.2.1"].reason
    assert by_subject[HOST].score >= 40


def test_ipsec_between_many_servers_is_a_policy():
    """Host-to-host ESP with many peers stays low, a single pair does not."""
    frames = [item for host in range(20, 26) for item in _carried_both_ways(50, _esp(1), f"10.0.2.{host}")]

    assert {alert.severity for alert in _alerts(sorted(frames, key=lambda item: item[0]))} == {"low"}
    assert [alert.severity for alert in _alerts(_carried_both_ways(50, _esp(1), PEER))] == ["medium"]
