"""Tests of the relay detector: every orientation, every proof, chains, and the look-alikes that must not alarm."""

from __future__ import annotations

import random

import pytest

from detectors._kit import forge
from nettriage.model.addresses import AddressSet
from nettriage.model.alert import Alert
from nettriage.model.site import Site
from tests.detectors.driver import SITE, Run, detector, run_frames

A, B, C, D = "10.0.1.11", "10.0.1.12", "10.0.1.13", "192.0.2.10"


def _noise(seed: int, size: int) -> bytes:
    return random.Random(seed).randbytes(size)


def _turns(seed: int = 1, size: int = 90) -> tuple[tuple[int, bytes], ...]:
    return tuple((n % 2, _noise(seed * 100 + n, size + n)) for n in range(6))


def _flipped(turns):
    return tuple((1 - side, payload) for side, payload in turns)


def _legs(*legs, site: Site = SITE, gap_ns: int = 20 * forge.MS, **knobs) -> Run:
    """Run flows that begin 2 ms apart; each is (source, destination, port, turns)."""
    frames = []
    for number, (src, dst, port, turns, *isn) in enumerate(legs):
        scene = forge.Scene(now_ns=forge.START_NS + number * 2 * forge.MS)
        scene.session(
            src, dst, port, turns, gap_ns=gap_ns, sport=41_000 + number,
            isn=isn[0] if isn else (1000 + 77 * number, 5000 + 77 * number),
        )  # fmt: skip
        frames += scene.frames()
    return run_frames(sorted(frames, key=lambda item: item[0]), detector("relay", site, **knobs), site=site)


def _path(alert: Alert) -> list[str]:
    return [party.ip for party in alert.via]


@pytest.mark.parametrize(
    ("inner", "outer"),
    [
        ((A, B, 4444, _turns()), (B, D, 443, _turns())),
        ((B, A, 4444, _flipped(_turns())), (B, D, 443, _turns())),
        ((A, B, 4444, _turns()), (D, B, 443, _flipped(_turns()))),
    ],
    ids=["in and out", "both dialled", "both accepted"],
)
def test_a_relay_is_found_whoever_opened_the_legs(inner, outer):
    """Bytes that cross at a host make it the subject, with A, B and C in order."""
    (alert,) = _legs(inner, outer).of("relay")

    assert alert.subject.ip == B
    assert _path(alert) == [A, B, D]
    assert alert.score >= 65


def test_both_legs_are_listed_with_their_volumes():
    """The legs of the record carry the payload bytes of each flow."""
    turns = _turns()
    (alert,) = _legs((A, B, 4444, turns), (B, D, 443, turns)).of("relay")

    volumes = [sum(len(payload) for side, payload in turns if side == way) for way in (0, 1)]
    assert [[leg.bytes_up, leg.bytes_down] for leg in alert.legs] == [volumes, volumes]
    assert alert.legs[1].lag_ms == pytest.approx(2, abs=1)


def test_a_chain_is_one_incident_of_its_first_relay():
    """A to B to C to D is joined; the second relay does not stand apart."""
    run = _legs((A, B, 4444, _turns()), (B, C, 5555, _turns()), (C, D, 443, _turns()))
    (alert,) = [alert for alert in run.of("relay") if alert.activity != "close"]

    assert alert.subject.ip == B
    assert _path(alert) == [A, B, C, D]
    assert len(alert.legs) == 3


def test_typing_is_enough():
    """A few dozen typed bytes, echoed one by one over both legs, prove a relay."""
    typed = tuple(
        item for n in range(40) for item in ((1, bytes((97 + n * 7 % 26,))), (0, bytes((97 + n * 7 % 26,)) * 3))
    )
    (alert,) = _legs((A, B, 4444, typed), (B, D, 443, typed)).of("relay")

    assert alert.subject.ip == B


def _hello(seed: int) -> bytes:
    body = b"\x03\x03" + _noise(seed, 32) + b"\x00\x00\x02\x13\x01\x01\x00"
    return b"\x16\x03\x01\x00\x31\x01\x00\x00\x2d" + body


def test_a_handshake_random_behind_another_prefix_is_proof():
    """The same ClientHello behind unknown framing on one leg is a relay although no other byte is equal."""
    inner = ((0, b"\x01\x99" + _noise(5, 21)), (1, _noise(6, 20)), (0, _hello(9)), (1, _noise(7, 300)))
    outer = ((0, _hello(9)), (1, _noise(8, 300)))
    (alert,) = _legs((A, B, 7000, inner), (B, D, 443, outer)).of("relay")

    assert _path(alert) == [A, B, D]
    assert "handshake random" in alert.reason


def test_the_same_random_without_a_shared_host_is_a_chain_with_a_hidden_middle():
    """A to B and C to D with one ClientHello: what lies between B and C is encrypted."""
    inner = ((0, _hello(9)), (1, _noise(7, 300)))
    (alert,) = _legs((A, B, 1080, inner), (C, D, 443, inner)).of("relay")

    assert _path(alert) == [A, B, C, D]


def test_bytes_behind_a_socks_handshake_are_compared():
    """A SOCKS handshake on the inner leg does not hide that the streams behind it are equal."""
    socks = ((0, b"\x05\x01\x00"), (1, b"\x05\x00"), (0, b"\x05\x01\x00\x01\xc0\x00\x02\x0a\x01\xbb"))
    granted = ((1, b"\x05\x00\x00\x01" + bytes(6)),)
    (alert,) = _legs((A, B, 1080, (*socks, *granted, *_turns())), (B, D, 443, _turns())).of("relay")

    assert "SOCKS5" in alert.reason


PING = tuple((n % 2, b"heartbeat-of-the-device!") for n in range(40))
QUIET = {
    "different bytes": ((A, B, 4444, _turns(1)), (B, D, 443, _turns(2))),
    "one client of two servers": ((B, C, 80, _turns()), (B, D, 80, _turns())),
    "two clients of one server": ((A, B, 80, _turns()), (C, B, 80, _turns())),
    "one connection through NAT": ((A, B, 443, _turns(), (500, 600)), (B, D, 443, _turns(), (500, 900))),
    "heartbeats": ((A, B, 8009, PING), (B, D, 8009, PING)),
    "heartbeats, one unanswered": ((A, B, 8009, PING + PING[:1]), (B, D, 8009, PING + PING[:1])),
    "a hello sent again": (
        (A, C, 443, ((0, _hello(3)), (1, b"x" * 300))), (A, D, 443, ((0, _hello(3)), (1, b"y" * 300))),
    ),
}  # fmt: skip


@pytest.mark.parametrize("habit", QUIET)
def test_look_alikes_are_silent(habit):
    """Flows that only look like legs raise nothing."""
    assert _legs(*QUIET[habit]).of("relay") == []


def test_a_reverse_proxy_by_its_looks_stays_low():
    """Web ports in and out, HTTP inside and a backend at home make a reverse proxy: shown, low, explained."""
    web = ((0, b"GET /index HTTP/1.1\r\nHost: intranet\r\n\r\n"), (1, b"HTTP/1.1 200 OK\r\n\r\n" + _noise(1, 400)))
    (alert,) = _legs((A, B, 8080, web), (B, C, 80, web)).of("relay")

    assert alert.severity == "low"
    assert "reverse proxy" in alert.reason


def test_a_declared_load_balancer_is_informational():
    """A relay that the settings list is shown at the lowest severity."""
    site = Site(load_balancers=AddressSet([B]), mixer_secret=SITE.mixer_secret)
    (alert,) = _legs((A, B, 4444, _turns()), (B, D, 443, _turns()), site=site).of("relay")

    assert alert.severity == "info"


def test_many_clients_of_one_port_lower_a_relay():
    """Five clients of one port with one kind of backend inside are a service of the house, not a hidden relay."""
    legs = []
    for client in range(6):
        legs += [(f"10.0.1.{50 + client}", B, 3306, _turns(client)), (B, C, 3306, _turns(client))]
    (alert,) = _legs(*legs).of("relay")

    assert alert.severity == "low"


def test_found_within_five_seconds_while_the_flows_live():
    """The relay is said within 5 s of its second leg's first bytes, long before the flows end."""
    run = _legs((A, B, 4444, _turns()), (B, D, 443, _turns()), gap_ns=forge.S)
    first_ns = run.said[0][0]

    assert first_ns - forge.START_NS < 5 * forge.S


def _paused(times, legs, *, lag_ms=0.6, answer_ms=None, sizes=(60, 200), framing=(0, 0)):
    """Return two flows that share no byte: at each time A speaks, B passes on, C answers, B passes back."""
    frames = []
    for number, (src, dst, port) in enumerate(legs):
        scene = forge.Scene(now_ns=forge.START_NS + number * 3 * forge.MS)
        flow = forge._Flow((src, 41_000 + number), (dst, port), [1_000 + 77 * number, 5_000 + 77 * number])
        scene.put(flow.send(0, forge.SYN), flow.send(1, forge.SYN | forge.ACK), flow.send(0, forge.ACK))
        forward = 0 if number == 0 or src == B else 1
        for turn, at_s in enumerate(times[number] if isinstance(times[0], list) else times):
            base = forge.START_NS + int(at_s * forge.S) + number * int(lag_ms * forge.MS)
            scene.now_ns = base
            scene.put(flow.send(forward, forge.PSH | forge.ACK, _noise(turn + 50 * number, sizes[0] + framing[number])))
            later_ms = answer_ms[number] if answer_ms else (4 - 2 * number) * lag_ms
            scene.now_ns = base + int(later_ms * forge.MS)
            scene.put(
                flow.send(
                    1 - forward, forge.PSH | forge.ACK, _noise(turn + 90 * number + 1, sizes[1] + framing[number])
                )
            )
        frames += scene.items
    return sorted(frames, key=lambda item: item[0])


def _pauses(seed, count=12, span=(0.4, 3.0)):
    rng, at, times = random.Random(seed), 0.5, []
    for _ in range(count):
        at += rng.uniform(*span)
        times.append(at)
    return times


def _rhythm(times, legs=((A, B, 4444), (B, D, 443)), **how) -> Run:
    return run_frames(_paused(times, legs, **how), detector("relay"))


@pytest.mark.parametrize(
    "legs",
    [((A, B, 4444), (B, D, 443)), ((A, B, 4444), (D, B, 444))],
    ids=["in and out", "both accepted"],
)
def test_a_relay_that_encrypts_one_leg_anew_is_found_by_its_rhythm(legs):
    """Legs without an equal byte that pause and speak together are a relay."""
    (alert,) = _rhythm(_pauses(1), legs).of("relay")

    assert _path(alert) == [A, B, D]
    assert "the same rhythm on both legs" in alert.reason
    assert alert.score >= 60


def test_the_rhythm_is_known_while_the_session_runs():
    """Within twenty seconds of the second leg's start, long before the end."""
    run = _rhythm(_pauses(2, count=60))
    first_ns = run.said[0][0]

    assert first_ns - forge.START_NS < 20 * forge.S
    assert run.said[-1][1].last_ns - forge.START_NS > 60 * forge.S


@pytest.mark.parametrize(("lag_ms", "found"), [(0.2, True), (3, True), (15, True), (60, True), (150, False)])
def test_the_rhythm_holds_up_to_80_ms_of_delay(lag_ms, found):
    """Delay on the outer leg is followed up to 80 ms; beyond that the rhythm is lost, as the blind spots say."""
    assert bool(_rhythm(_pauses(3, count=30, span=(1.0, 6.0)), lag_ms=lag_ms).of("relay")) is found


def test_jitter_on_one_leg_does_not_hide_the_rhythm():
    """The outer leg follows after 1 to 50 ms, never the same."""
    rng, inner = random.Random(4), _pauses(4, count=30, span=(1.0, 5.0))
    outer = [at + rng.uniform(0.001, 0.05) for at in inner]

    assert len(_rhythm([inner, outer], lag_ms=0.2, answer_ms=(60, 1)).of("relay")) == 1


def test_flows_that_pause_apart_are_no_relay():
    """Two sessions of one host with rhythms of their own are silent."""
    assert _rhythm([_pauses(5, count=60), _pauses(6, count=60)]).of("relay") == []


def test_clocks_that_tick_together_are_no_relay():
    """Heartbeats of one period meet at every beat, and prove nothing."""
    assert _rhythm([5.0 * beat for beat in range(1, 30)]).of("relay") == []


def test_chaff_on_one_leg_does_not_hide_the_rhythm_at_once():
    """A third of additional messages on the outer leg leaves more hits than chance gives."""
    inner, rng = _pauses(7, count=40, span=(0.8, 4.0)), random.Random(8)
    outer = sorted(inner + [rng.uniform(1, inner[-1]) for _ in range(13)])

    assert len(_rhythm([inner, outer], lag_ms=0.6).of("relay")) == 1


def test_a_jump_host_is_low_by_its_rhythm():
    """SSH in and SSH out inside the network, nothing equal but the rhythm: said, and low."""
    (alert,) = _rhythm(_pauses(9), ((A, B, 22), (B, C, 22))).of("relay")

    assert alert.severity == "low"
    assert "jump host" in alert.reason


def test_an_application_tier_is_low_by_its_volumes():
    """Other volumes behind a web port inside are a tier, not a relay."""
    frames = _paused(_pauses(10), ((A, B, 8080), (B, C, 5432)))
    big = _paused(_pauses(10), ((A, B, 8080), (B, C, 5432)), sizes=(60, 9_000), framing=(0, 0))
    inner = {bytes(frame[26:30]) + bytes(frame[30:34]) for _, frame in frames[:1]}
    ends = inner | {one[4:] + one[:4] for one in inner}
    mixed = [item for item in big if bytes(item[1][26:34]) in ends]
    mixed += [item for item in frames if bytes(item[1][26:34]) not in ends]
    (alert,) = run_frames(sorted(mixed, key=lambda item: item[0]), detector("relay")).of("relay")

    assert alert.severity == "low"
    assert "application tier" in alert.reason


def test_two_clients_of_one_service_are_low():
    """A broker passes messages between clients that it accepted on one port."""
    (alert,) = _rhythm(_pauses(11), ((A, B, 1883), (C, B, 1883))).of("relay")

    assert alert.severity == "low"
    assert "broker" in alert.reason


def test_one_leg_alone_says_nothing():
    """A feed that shows one leg only has no pair."""
    assert run_frames(_paused(_pauses(12), ((A, B, 4444),)), detector("relay")).of("relay") == []


def _short_sessions(port, backend, lags_ms, sizes=((150, 160), (150, 160))):
    """Return sessions of A with B, each with one of B with C that shares no byte and begins so much later."""
    frames = []
    for number, lag_ms in enumerate(lags_ms):
        start_ns = forge.START_NS + number * 1_700 * forge.MS + number * number * 90 * forge.MS
        for leg, (src, dst, at) in enumerate(((A, B, port), (B, C, backend))):
            scene = forge.Scene(now_ns=start_ns + leg * int(lag_ms * forge.MS))
            turns = [(side, _noise(number * 9 + leg * 100 + side, size)) for side, size in enumerate(sizes[leg])]
            isn = (1_000 + leg, 5_000 + 100 * leg + number)
            scene.session(src, dst, at, turns, sport=41_000 + number, gap_ns=4 * forge.MS, isn=isn)
            frames += scene.items
    return sorted(frames, key=lambda item: item[0])


def test_short_sessions_that_are_encrypted_anew_are_paired():
    """Six sessions, each with its own onward session, share nothing but when they begin, end, and what they weigh."""
    (alert,) = run_frames(_short_sessions(8443, 445, [3, 4, 2, 5, 3, 4]), detector("relay")).of("relay")

    assert _path(alert) == [A, B, C]
    assert alert.severity == "medium"
    assert "begin and end together" in alert.reason


@pytest.mark.parametrize(
    ("lags_ms", "sizes"),
    [([3, 4, 2], ((150, 160), (150, 160))), ([700, 350, 900, 500, 610, 400], ((150, 160), (150, 160))),
     ([3, 4, 2, 5, 3, 4], ((150, 160), (900, 9_000)))],
    ids=["too few", "apart", "other volumes"],
)  # fmt: skip
def test_sessions_that_only_look_paired_are_silent(lags_ms, sizes):
    """Three are too few, and sessions apart or of other volumes prove nothing."""
    assert run_frames(_short_sessions(8443, 445, lags_ms, sizes), detector("relay")).of("relay") == []


def test_web_requests_with_a_database_session_each_are_a_tier():
    """One connection to the database for each request is the shape of a relay; its role keeps it low."""
    (alert,) = run_frames(_short_sessions(8085, 5432, [3, 4, 2, 5, 3, 4]), detector("relay")).of("relay")

    assert alert.severity == "low"
    assert "application tier" in alert.reason


@pytest.mark.parametrize(("last", "severity"), [("10.0.2.31", "low"), ("10.0.2.99", "medium")])
def test_a_new_backend_raises_a_settled_relay_again(last, severity):
    """A reverse proxy that served for a quarter of an hour and now reaches another host is no habit any more."""
    frames = []
    for number in range(30):
        backend = last if number == 29 else "10.0.2.31"
        turns = (
            (0, b"GET /" + _noise(number, 90).hex().encode()),
            (1, b"HTTP/1.1 200 OK " + _noise(900 + number, 200)),
        )
        for leg, (src, dst, port) in enumerate(((A, B, 80), (B, backend, 8080))):
            scene = forge.Scene(now_ns=forge.START_NS + number * 30 * forge.S + leg * 2 * forge.MS)
            isn = (1_000 + leg, 5_000 + leg)
            scene.session(src, dst, port, turns, sport=41_000 + number, gap_ns=5 * forge.MS, isn=isn)
            frames += scene.items
    (alert,) = run_frames(sorted(frames, key=lambda item: item[0]), detector("relay")).of("relay")

    assert alert.severity == severity
    assert ("new backend 10.0.2.99" in alert.reason) is (severity == "medium")
