"""Tests of the beacon detector: rhythms, what passes them on, and the look-alikes that stay low."""

from __future__ import annotations

import numpy as np
import pytest

from detectors._kit import forge
from detectors._kit.beat_echo import echo
from detectors.beacon import relayed_calls
from nettriage.model.addresses import AddressPairs, AddressSet
from nettriage.model.alert import Alert
from nettriage.model.site import Site
from tests.detectors.driver import SITE, detector, run_frames

RELAY, TARGET = "10.0.2.23", "198.51.100.10"
SECRET = SITE.mixer_secret


def _alerts(frames, site: Site = SITE, **knobs) -> list[Alert]:
    return run_frames(frames, detector("beacon", site, **knobs), site=site).of("beacon")


def _calls(period_s: float, jitter: float, count: int = 30, seed: int = 4):
    scene, random = forge.Scene(), np.random.default_rng(seed)
    for _ in range(count):
        scene.session("10.0.1.11", TARGET, 443, ((0, b"GET /"), (1, b"no")))
        scene.wait(int(period_s * forge.S * (1 + random.uniform(-jitter, jitter))))
    return scene.frames()


def _pings(period_s: float, relay: str = RELAY, count: int = 14):
    """One long flow in which a host pings a relay that passes each ping on in a long flow of its own."""
    inward, onward = forge.Scene(step_ns=10_000), forge.Scene(step_ns=10_000)
    for scene, lag_ms in ((inward, 0), (onward, 1)):
        scene.now_ns += lag_ms * forge.MS
    random = np.random.default_rng(7)
    gaps = [int(period_s * forge.S + random.integers(-200, 200) * forge.MS) for _ in range(count)]
    for scene, ends in ((inward, ("10.0.1.11", relay, 4444)), (onward, (relay, TARGET, 443))):
        flow_port, seq = scene.sport(), 1
        scene.put(forge.tcp(ends[0], flow_port, ends[1], ends[2], forge.SYN, options=forge.MSS_OPTION))
        scene.put(
            forge.tcp(ends[1], ends[2], ends[0], flow_port, forge.SYN | forge.ACK, ack=1, options=forge.MSS_OPTION)
        )
        for gap in gaps:
            scene.now_ns += gap
            scene.put(
                forge.tcp(
                    ends[0], flow_port, ends[1], ends[2], forge.PSH | forge.ACK, seq=seq, ack=1, payload=b"ping" * 3
                )
            )
            seq += 12
    return sorted(inward.frames() + onward.frames(), key=lambda item: item[0])


def test_calls_that_a_host_passes_on_name_the_whole_path():
    """The relay is the subject, the path is caller, relay, target, and both legs are listed."""
    (alert,) = _alerts(relayed_calls(RELAY, TARGET))

    assert alert.subject.ip == RELAY
    assert [party.ip for party in alert.via] == ["10.0.1.11", RELAY, TARGET]
    assert [leg.dst for leg in alert.legs] == [RELAY, TARGET]
    assert alert.severity == "medium"


def test_several_callers_are_one_incident():
    """Callers whose calls one relay passes on to one target stand in one incident, which weighs more."""
    (alert,) = _alerts(relayed_calls(RELAY, TARGET, callers=3))

    assert {"10.0.1.11", "10.0.1.12", "10.0.1.13"} <= {party.ip for party in alert.objects}
    assert alert.severity == "high"


def test_keep_alives_inside_of_long_flows_are_followed_onward():
    """Pings in one flow that are passed on in another are a relayed rhythm without any new connection."""
    (alert,) = _alerts(_pings(30.0))

    assert [party.ip for party in alert.via] == ["10.0.1.11", RELAY, TARGET]
    assert "speaks again in one flow" in alert.reason


@pytest.mark.parametrize(
    ("site", "said"),
    [
        (Site(proxies=AddressSet([RELAY]), mixer_secret=SECRET), "network.proxies"),
        (Site(load_balancers=AddressSet([RELAY]), mixer_secret=SECRET), "network.load_balancers"),
        (Site(allow=AddressPairs([f"{RELAY} <-> {TARGET}"]), mixer_secret=SECRET), "network.allow"),
    ],
    ids=["proxy", "balancer", "pair"],
)
def test_what_is_declared_is_informational_and_says_so(site, said):
    """A declared role or pair lowers the relayed rhythm and is the reason."""
    (alert,) = _alerts(relayed_calls(RELAY, TARGET), site)

    assert alert.severity == "info"
    assert said in alert.reason


def test_a_rhythm_passed_on_to_a_host_inside_is_not_said():
    """Health checks through a balancer go to hosts inside; relays inside are another detector's."""
    assert _alerts(relayed_calls(RELAY, "10.0.2.99")) == []


@pytest.mark.parametrize(("jitter", "found"), [(0.0, 1), (0.25, 1), (0.95, 0)])
def test_a_lone_rhythm_is_low_and_random_calls_are_none(jitter, found):
    """Calls every 10 s are said, also with a quarter of jitter; calls at random are not."""
    alerts = _alerts(_calls(10.0, jitter))

    assert [alert.severity for alert in alerts] == ["low"] * found


def test_a_service_that_many_hosts_call_is_not_said():
    """A rhythm towards a target of many clients, as an update service has, gives no incident."""
    scene = forge.Scene()
    for beat in range(16):
        scene.now_ns = forge.START_NS + beat * 10 * forge.S
        for host in range(20, 24):
            scene.session(f"10.0.1.{host}", TARGET, 443, ((0, b"GET /"), (1, b"no")))

    assert _alerts(scene.frames()) == []


def test_two_clocks_that_agree_are_no_relay():
    """A host that calls outside with a period of its own, in phase but not in step, passes nothing on."""
    random = np.random.default_rng(3)
    scene = forge.Scene()
    for beat in range(20):
        scene.now_ns = forge.START_NS + beat * 10 * forge.S + int(random.integers(0, 300)) * forge.MS
        scene.session("10.0.1.11", RELAY, 8080)
        scene.now_ns = forge.START_NS + beat * 10 * forge.S + (400 + int(random.integers(0, 300))) * forge.MS
        scene.session(RELAY, TARGET, 443)

    assert [alert.via for alert in _alerts(scene.frames())] == [[]]


def test_an_echo_needs_a_lag_steadier_than_the_intervals():
    """The same number of meetings is proof with a steady lag, and none with a lag that varies like the clock."""
    random = np.random.default_rng(1)
    beats = np.cumsum(random.integers(9_000, 11_000, 20)) * 1_000_000
    steady, loose = (beats + random.integers(1, spread, 20) * 1_000_000 for spread in (4, 990))

    assert echo(beats, steady).holds(32)
    assert not echo(beats, np.sort(loose)).holds(32)
