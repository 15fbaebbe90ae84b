"""Denied flows, beyond what the examples say."""

import pytest

from detectors._kit import forge
from nettriage.model.addresses import to_text
from tests.detectors.driver import detector, run_frames

KIND = "denied-flows"


def denied(scene, target, port, *, by="10.0.0.1", code=13, source="10.0.0.5"):
    """Put a probe into the scene, and its refusal by a filter."""
    probe = forge.tcp(source, scene.sport(), target, port, forge.SYN, seq=1_000)
    return scene.put(probe, forge.icmp_unreachable(by, probe, code=code))


def findings(scene):
    """Return what the detector finally says of a scene."""
    return run_frames(scene.frames(), detector(KIND)).findings


@pytest.mark.parametrize(("targets", "fires"), [(4, False), (5, True)])
def test_five_targets_are_needed(targets, fires):
    """Four denied targets are nothing, five are an incident."""
    scene = forge.Scene()
    for host in range(1, targets + 1):
        denied(scene, f"10.0.1.{host}", 445)

    assert bool(findings(scene)) is fires


def test_five_targets_may_take_the_whole_window():
    """Five denials spread evenly over five minutes are enough; over an hour they are not."""
    runs = []
    for gap_s in (60, 900):
        scene = forge.Scene()
        for host in range(1, 6):
            denied(scene, f"10.0.1.{host}", 445).wait(gap_s * forge.S)
        runs.append(bool(findings(scene)))

    assert runs == [True, False]


def test_denier_and_code_are_named():
    """Each filter stands in the reason with its address and what it said, the busiest first."""
    scene = forge.Scene()
    for host in range(1, 9):
        denied(scene, f"10.0.1.{host}", 445)
    denied(scene, "10.0.2.1", 22, by="10.0.0.2", code=10)
    (finding,) = findings(scene)

    first, second = finding.reason.index("10.0.0.1 (ICMP code 13"), finding.reason.index("10.0.0.2 (ICMP code 10")
    assert first < second
    assert [to_text(*item.addr) for item in finding.objects[:2]] == ["10.0.0.1", "10.0.0.2"]
    assert finding.findings.blocked == 9


def test_deniers_of_another_source_are_left_out():
    """Two sources behind two filters are two incidents, each with its own filter."""
    scene = forge.Scene()
    for host in range(1, 9):
        denied(scene, f"10.0.1.{host}", 445)
        denied(scene, f"10.0.1.{host}", 445, by="10.0.9.1", source="10.0.9.5")
    by_source = {to_text(*item.subject.addr): item.reason for item in findings(scene)}

    assert "10.0.9.1" not in by_source["10.0.0.5"]
    assert "10.0.0.1 " not in by_source["10.0.9.5"]


def test_silence_alone_is_information():
    """A source that gets no answer from anybody is told as information: silence has more causes than filters."""
    scene = forge.Scene().session("10.0.0.5", "10.0.1.200", 80)
    for host in range(1, 41):
        scene.syn("10.0.0.5", f"10.0.1.{host}", 445)
    (finding,) = findings(scene)

    assert finding.score < 20
    assert "no answer" in finding.reason


def test_few_silent_targets_are_nothing():
    """Ten dead hosts are no filter."""
    scene = forge.Scene().session("10.0.0.5", "10.0.1.200", 80)
    for host in range(1, 11):
        scene.syn("10.0.0.5", f"10.0.1.{host}", 445)

    assert findings(scene) == []


def test_silence_where_answers_are_never_seen_is_nothing():
    """A feed that shows no answer to the source at all cannot tell silence from its own blindness."""
    scene = forge.Scene()
    for host in range(1, 41):
        scene.syn("10.0.0.5", f"10.0.1.{host}", 445)

    assert findings(scene) == []
