"""Service enumeration, beyond what its examples say."""

import pytest

from detectors._kit import forge
from nettriage.model.addresses import AddressSet
from nettriage.model.site import Site
from tests.detectors.driver import SITE, detector, run_frames

SOURCE, GROUP = "10.0.0.5", "224.0.0.251"


def asked(*services, source=SOURCE, target=GROUP, scene=None):
    """Return mDNS questions for service types, one a second."""
    scene = scene or forge.Scene()
    for service in services:
        question = forge.dns_query(f"{service}.local", 12, 0)
        scene.put(forge.udp(source, 5353, target, 5353, question, ttl=255)).wait(forge.S)
    return scene


def run(scene, site=SITE, **knobs):
    """Return the findings on a scene."""
    return run_frames(scene.frames(), detector("service-enumeration", site, **knobs), site=site).findings


def test_plain_requests_tell_only_in_company():
    """Two plain requests are a health check; three kinds to one host are nmap -sV."""
    scene = forge.Scene()
    scene.session(SOURCE, "10.0.1.9", 80, turns=((0, b"GET / HTTP/1.0\r\n\r\n"), (1, b"ok")))
    scene.session(SOURCE, "10.0.1.9", 80, turns=((0, b"OPTIONS / HTTP/1.0\r\n\r\n"), (1, b"ok")))

    assert run(scene) == []

    scene.session(SOURCE, "10.0.1.9", 80, turns=((0, b"\r\n\r\n"), (1, b"?")))
    (finding,) = run(scene)

    assert finding.tool.name == "nmap -sV"
    assert finding.tool.confidence < 0.9


def test_script_is_named_by_its_user_agent():
    """One request with the user agent of the scripting engine is enough."""
    request = b"GET /x HTTP/1.1\r\nHost: a\r\nUser-Agent: Mozilla/5.0 (compatible; Nmap Scripting Engine)\r\n\r\n"
    (finding,) = run(forge.Scene().session(SOURCE, "10.0.1.9", 80, turns=((0, request), (1, b"ok"))))

    assert finding.tool.name == "nmap scripts"


def test_datagrams_are_compared_too():
    """The SNMP probe of nmap is known by its request id."""
    probe = bytes.fromhex("3082002f02010004067075626c6963a082002002044c33a756020100020100308200103082000c")
    (finding,) = run(forge.Scene().query(SOURCE, "10.0.1.9", 161, probe))

    assert "SNMPv1public" in finding.reason


def test_user_agent_in_an_answer_is_nothing():
    """What a server says does not make its client a scanner."""
    page = b"HTTP/1.1 200\r\n\r\nNmap Scripting Engine"

    assert (
        run(forge.Scene().session(SOURCE, "10.0.1.9", 80, turns=((0, b"GET /log HTTP/1.1\r\n\r\n"), (1, page)))) == []
    )


def ecn():
    """Return the probe of congestion notification, with its reserved bit."""
    frame = bytearray(forge.tcp(SOURCE, 40_001, "10.0.1.9", 22, 0xC2, window=3))
    frame[46] |= 0x08
    return bytes(frame)


def stack_probes(scene):
    """Append the probe U1, the odd ECN probe and T7."""
    scene.put(forge.udp(SOURCE, 40_000, "10.0.1.9", 44_029, b"C" * 300, ident=0x1042))
    scene.put(ecn())
    return scene.put(forge.tcp(SOURCE, 40_002, "10.0.1.9", 23, 0x29, window=65_535))


def test_stack_probes_are_nmap_os_detection():
    """Three kinds of its probes to one host name nmap -O; one kind alone may be damage."""
    (finding,) = run(stack_probes(forge.Scene()))

    assert finding.tool.name == "nmap -O"
    assert run(forge.Scene().put(ecn())) == []


def test_one_machine_on_the_link_is_one_subject():
    """IPv4 and IPv6 questions of one MAC are one incident, whose subject is the IPv4 address."""
    scene = asked("_services._dns-sd._udp")
    for ts, frame in asked("_services._dns-sd._udp", source="fe80::5", target="ff02::fb").items:
        scene.items.append((ts + 1, frame[:6] + forge.mac_of(SOURCE) + frame[12:]))
    findings = run(scene)

    assert [finding.subject.addr[1] & 0xFFFFFFFF for finding in findings] == [0x0A000005]


@pytest.mark.parametrize(("types", "fires"), [(7, False), (8, True)])
def test_many_service_types_are_an_enumeration(types, fires):
    """Seven types in a minute are a desktop, eight are not."""
    assert bool(run(asked(*(f"_kind{at}._tcp" for at in range(types))))) is fires


def test_types_over_a_day_are_a_desktop():
    """The same types, an hour apart, are ordinary use."""
    scene = forge.Scene()
    for at in range(12):
        asked(f"_kind{at}._tcp", scene=scene).wait(3600 * forge.S)

    assert run(scene) == []


def test_glance_at_all_types_is_low():
    """The question for all types alone is shown, below a call to action; with many types it is medium."""
    (glance,) = run(asked("_services._dns-sd._udp"))
    (browse,) = run(asked("_services._dns-sd._udp", *(f"_kind{at}._tcp" for at in range(5))))

    assert glance.score < 40 <= browse.score


def test_banners_alone_stay_low():
    """A monitor that opens services and listens is shown, and never calls for action."""
    scene = forge.Scene()
    for host in range(1, 30):
        scene.session(SOURCE, f"10.0.1.{host}", 22, turns=((1, b"SSH-2.0-x\r\n"),))
    (finding,) = run(scene)

    assert finding.score < 40
    assert "29 services" in finding.reason


def test_data_connections_are_no_banners():
    """Small files that a server sends over passive FTP are not greetings."""
    scene = forge.Scene()
    for port in range(50_000, 50_020):
        scene.session(SOURCE, "10.0.1.9", port, turns=((1, b"content"),))

    assert run(scene) == []


def test_declared_scanner_is_lowered_not_hidden():
    """The enumeration of a declared scanner stays, twenty-five points lower."""
    site = Site(mixer_secret=0x5EED, scanners=AddressSet((SOURCE,)))
    (plain,), (declared,) = run(stack_probes(forge.Scene())), run(stack_probes(forge.Scene()), site)

    assert declared.score == pytest.approx(plain.score - 25)


def test_names_of_answering_hosts_are_management():
    """A manager whose hosts answer is quiet; the same queries into the void are not."""
    known, void = forge.Scene(), forge.Scene().session(SOURCE, "10.0.9.9", 80)
    for host in range(1, 30):
        known.query(SOURCE, f"10.0.1.{host}", 161)
        void.query(SOURCE, f"10.0.1.{host}", 161, answer=None)

    assert run(known) == []
    assert [finding.count for finding in run(void)] == [29]


@pytest.mark.parametrize(
    ("head", "sport", "tool"),
    [
        (b"\0\x01\0\x10\0\x01\0\0\0\0\0\0", 40_000, "nbtscan"),
        (b"\x80\xf0\0\x10\0\x01\0\0\0\0\0\0", 40_000, "nmap (UDP probe)"),
        (b"\0\x01\0\0\0\x01\0\0\0\0\0\0", 137, "Angry IP Scanner"),
        (b"\0\x01\0\0\0\x01\0\0\0\0\0\0", 40_000, None),
    ],
)
def test_scanner_of_names_is_named(head, sport, tool):
    """Flags, transaction and source port of status queries tell nbtscan, nmap and Angry IP Scanner."""
    scene = forge.Scene().session(SOURCE, "10.0.9.9", 80)
    for host in range(1, 30):
        scene.put(forge.udp(SOURCE, sport, f"10.0.1.{host}", 137, head + b"\x20CK" + b"A" * 30 + b"\0\0\x21\0\x01"))
    asked = [finding for finding in run(scene) if finding.title.endswith("29 hosts")]

    assert [finding.tool and finding.tool.name for finding in asked] == [tool]


def test_incident_closes_after_half_an_hour():
    """A source that asks no more is said to be over, once."""
    scene = stack_probes(forge.Scene()).wait(1900 * forge.S).session("10.0.0.7", "10.0.1.9", 80)
    said = run_frames(scene.frames(), detector("service-enumeration")).said

    assert [finding.closed for _, finding in said] == [False, True]
