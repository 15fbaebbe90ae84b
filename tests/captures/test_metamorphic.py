"""Captures and forged scans, changed in ways that change nothing of what happened: what must still be said of them.

* Doubled, tagged or tunnelled packets: the same loud incidents with the same counts.
* Lost packets, a late start, packets that overtake one another, time that runs faster or slower: every host that
  was loud is still told, by some of its kinds, at severity low at least.
* One direction only: nothing is promised but silence about everybody else.
* Whatever was done: nobody becomes loud who did nothing, and ordinary traffic stays quiet.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import pytest

from detectors._kit import forge
from nettriage.model.alert import Alert
from nettriage.model.detector import Frames
from tests.captures import transforms
from tests.captures.truth import LOUD, SHARED, involved
from tests.detectors.driver import detector, run_frames

KINDS = (
    "vertical-scan", "horizontal-scan", "block-scan", "host-sweep", "service-list-scan", "stealth-scan",
    "fixed-source-port-scan", "refused-connections", "denied-flows", "flood",
)  # fmt: skip
SCANNER, OTHER_SCANNER = "10.0.0.5", "10.0.3.77"
Change = Callable[[Frames], Frames]
SAME: dict[str, Change] = {
    "doubled": transforms.doubled, "tagged": transforms.tagged, "tunnelled": transforms.tunnelled
}  # fmt: skip
WEAKER: dict[str, Change] = {
    "a fifth lost": transforms.thinned,
    "first third missing": transforms.beheaded,
    "shuffled within 10 ms": transforms.shuffled,
    "100 times faster": lambda frames: transforms.scaled(frames, 0.01),
    "100 times slower": lambda frames: transforms.scaled(frames, 100),
}
ONE_WAY: dict[str, Change] = {
    "only the clients": lambda frames: transforms.one_side(frames, client=True),
    "only the servers": lambda frames: transforms.one_side(frames, client=False),
}
SCANS = (
    "scan_syn_top1000", "scan_connect_top1000", "scan_block", "scan_filtered", "scan_ptcr326", "scan_ipv6",
    "scan_stealth_flags", "scan_srcport53", "scan_distributed", "scan_slow_t1", "scan_udp_top100",
    "scan_from_db1_postgres", "sweep_445", "sweep_arpscan", "sweep_ping_local_arp",
)  # fmt: skip
QUIET = ("benign_admin_jump", "benign_dns_ntp", "benign_ldap_auth", "benign_monitoring", "benign_nat_gateway")
NOT_PROMISED = {
    (
        "scan_slow_t1",
        "a fifth lost",
    ): "sixteen silent ports are few, and silence on a lossy feed says little",
    ("scan_slow_t1", "shuffled within 10 ms"): "half of the resets come before their SYN and speak for nobody",
    ("scan_slow_t1", "100 times slower"): "one probe in 25 minutes: about an hour and a half is the limit of refusals",
}
UNTOLD = {
    ("scan_block", "first third missing"): {"10.20.2.1"},
}
"""A router that asks for 28 hosts whose SYNs are all cut away looks as a sweep does."""


def _forged(kind: str) -> Frames:
    scene = forge.Scene()
    for client in range(10, 40):
        scene.session(f"10.0.0.{client}", "10.0.1.200", 443, turns=((0, b"GET /"), (1, b"x" * 900)))
    for at in range(120):
        target, port = {"ports": (9, 1000 + at), "hosts": (at + 1, 445), "block": (at % 10, 20 + at)}[kind]
        scene.refused(SCANNER, f"10.0.1.{target}", port).wait(4 * forge.MS)
    return scene.frames()


FORGED = ("ports", "hosts", "block")


@cache
def frames_of(name: str) -> Frames:
    """Return the frames of a capture, or of a forged scan."""
    return _forged(name) if name in FORGED else transforms.frames_of(SHARED / f"{name}.pcap")


def told(frames: Frames) -> list[Alert]:
    """Return the incidents of some frames above severity info."""
    run = run_frames(frames, [detector(kind) for kind in KINDS], cut=8192)
    return [alert for alert in run.alerts if alert.severity != "info"]


def loud(frames: Frames) -> list[Alert]:
    """Return the loud incidents of some frames."""
    return [alert for alert in told(frames) if alert.severity in LOUD]


@cache
def unchanged(name: str) -> tuple[Alert, ...]:
    """Return the loud incidents of a capture as it is."""
    return tuple(loud(frames_of(name)))


def hosts(alerts: list[Alert] | tuple[Alert, ...]) -> set[str]:
    """Return the subjects of incidents."""
    return {alert.subject.ip for alert in alerts}


def actors(name: str) -> set[str]:
    """Return who may be loud in a capture."""
    return {SCANNER} if name in FORGED else set(involved(SHARED / f"{name}.pcap"))


def present(names: tuple[str, ...]) -> list[object]:
    """Return the names as parameters, those of captures skipped where these are missing."""
    missing = pytest.mark.skipif(not SHARED.is_dir(), reason="the shared captures are not beside this checkout")
    return [pytest.param(name, marks=() if name in FORGED else missing) for name in names]


@pytest.mark.parametrize("change", SAME)
@pytest.mark.parametrize("name", present((*FORGED, *SCANS)))
def test_copies_and_wrappings_change_nothing(name: str, change: str) -> None:
    """The same loud incidents with the same counts."""
    after = loud(SAME[change](frames_of(name)))

    before, now = ([(one.kind, one.subject.ip, one.count) for one in some] for some in (unchanged(name), after))
    assert sorted(before) == sorted(now) != []


@pytest.mark.parametrize("change", WEAKER)
@pytest.mark.parametrize("name", present((*FORGED, *SCANS)))
def test_poorer_captures_tell_of_the_same_hosts(name: str, change: str) -> None:
    """Who was loud is still told, unless the promise ends there; nobody else becomes loud."""
    if NOT_PROMISED.get((name, change)) and "slower" in change:
        pytest.skip(NOT_PROMISED[name, change])
    after = told(WEAKER[change](frames_of(name)))
    accused = {alert.subject.ip for alert in after if alert.severity in LOUD}

    assert accused - actors(name) <= UNTOLD.get((name, change), set())
    assert (name, change) in NOT_PROMISED or hosts(unchanged(name)) <= hosts(after)


@pytest.mark.parametrize("change", ONE_WAY)
@pytest.mark.parametrize("name", present((*FORGED, *SCANS)))
def test_one_direction_accuses_nobody_else(name: str, change: str) -> None:
    """Half of the packets promise less, and no false incident: servers that answer are no scanners."""
    assert hosts(loud(ONE_WAY[change](frames_of(name)))) <= actors(name)


@pytest.mark.parametrize("change", [change for change in {**SAME, **WEAKER, **ONE_WAY} if "slower" not in change])
@pytest.mark.parametrize("name", present(QUIET))
def test_ordinary_traffic_stays_quiet(name: str, change: str) -> None:
    """Nothing of medium or above, whatever was done to the capture."""
    wrong = loud({**SAME, **WEAKER, **ONE_WAY}[change](frames_of(name)))

    assert [f"{alert.kind} {alert.subject.ip}: {alert.reason}" for alert in wrong] == []


def _other_scan() -> Frames:
    scene = forge.Scene()
    for port in range(3000, 3120):
        scene.refused(OTHER_SCANNER, "10.0.1.44", port).wait(35 * forge.MS)
    return scene.frames()


def test_interleaved_scans_stay_apart() -> None:
    """Two scanners at the same time are two incidents, each with the counts that it has alone."""
    together = loud(transforms.interleaved(frames_of("ports"), _other_scan()))

    assert {(alert.kind, alert.subject.ip, alert.count) for alert in together if alert.kind == "vertical-scan"} == {
        ("vertical-scan", SCANNER, 120), ("vertical-scan", OTHER_SCANNER, 120),
    }  # fmt: skip


@pytest.mark.skipif(not SHARED.is_dir(), reason="the shared captures are not beside this checkout")
def test_interleaved_captures_stay_apart() -> None:
    """A SYN scan and a connect scan by two hosts at the same time: both told, with what each found alone."""
    names = ("scan_syn_top1000", "scan_connect_top1000")
    apart = {(alert.kind, alert.subject.ip, alert.count) for name in names for alert in unchanged(name)}
    together = loud(transforms.interleaved(*map(frames_of, names)))

    assert {(alert.kind, alert.subject.ip, alert.count) for alert in together} == apart


def test_a_flood_does_not_hide_a_scan() -> None:
    """A flood from random sources beside a scan of 400 ports: one flood, and the scan with all of its ports."""
    scene = forge.Scene(step_ns=20_000)
    for at in range(8_000):
        scene.syn(f"{at % 199 + 11}.{at // 7 % 251}.{at // 31 % 253}.{at % 241 + 1}", "10.0.1.80", 80)
        if at % 20 == 0:
            scene.refused(SCANNER, "10.0.1.9", 1000 + at // 20)
    seen = loud(scene.frames())

    assert [alert.kind for alert in seen].count("flood") == 1
    assert [(alert.subject.ip, alert.count) for alert in seen if alert.kind == "vertical-scan"] == [(SCANNER, 400)]
    assert {alert.kind for alert in seen} <= {"flood", "vertical-scan"}
