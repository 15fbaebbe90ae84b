"""The contract that every detector keeps, shipped or third-party: one function a check, raising AssertionError."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import fields
from time import process_time

from detectors._kit.reasons import TITLE_CELLS_MAX
from nettriage.model.addresses import to_text
from nettriage.model.detector import Detector, Example
from nettriage.model.finding import Finding
from nettriage.model.tuning import described
from tests.detectors.contract.guard import Guarded
from tests.detectors.contract.traffic import extremes, flawed, flood, nothing
from tests.detectors.driver import SITE, Recording, Run, default, raw_batch, run_batches, run_frames

SECTIONS = ("What it measures", "Blind spots", "Common benign causes", "What to do next")
FLOOD_PACKETS = 40_000
SINGLY_MAX = 1_000
"""Frames of an example that is also pushed one by one, which costs milliseconds each."""
FLOOD_GROWTH_MAX = 6.0
"""Four times the flood may take this many times as long: linear with room for a noisy machine."""
_TECHNIQUE = re.compile(r"T\d{4}(\.\d{3})?")


def check_card_is_complete(kind: type[Detector]) -> None:
    """The card, the four sections of the docstring, the thresholds and both kinds of example are there."""
    card, text = kind.card, sys.modules[kind.__module__].__doc__ or ""

    assert card.title
    assert card.counts
    assert len(card.title) <= 40
    assert all(_TECHNIQUE.fullmatch(attack.technique) and attack.tactic and attack.name for attack in card.attack)
    assert all(re.fullmatch(r"PT-CR-\d+", rule) for rule in card.rules)
    assert [section for section in SECTIONS if f"*{section}" not in text] == []
    assert all(unit and why and lo <= value <= hi for _, value, unit, lo, hi, why in described(kind.tuning_type))
    assert {example.fires for example in kind.examples} == {True, False}
    assert all(example.subject for example in kind.examples if example.fires)


def check_kind_is_the_file_name(kind: type[Detector]) -> None:
    """The kind is the module's name with dashes, and names the thing seen, not the act of seeing."""
    assert kind.card.kind == kind.__module__.rpartition(".")[2].replace("_", "-")
    assert not kind.card.kind.startswith(("detect-", "check-", "find-"))


def check_examples_tell_the_truth(kind: type[Detector]) -> None:
    """Every example that fires names its subject; every one that must not fire is silent."""
    for example in kind.examples:
        subjects = {to_text(*finding.subject.addr) for finding in _run(kind, example).findings}

        assert subjects == ({example.subject} if example.fires else set()), example.name


def check_batch_size_is_invisible(kind: type[Detector]) -> None:
    """The same packets in batches of 1, 7, 64 or all give the same findings at the same packet times."""
    for example in kind.examples:
        whole = _run(kind, example).said
        for size in (1, 7, 64) if len(example.traffic()) <= SINGLY_MAX else (7, 64):
            assert _run(kind, example, size).said == whole, (example.name, size)


def check_reads_what_it_declares(kind: type[Detector]) -> None:
    """`push` reads no column that `reads` does not list."""
    for example in kind.examples:
        guard = _guarded(kind, example)

        assert guard.undeclared == set(), example.name


def check_state_is_bounded(kind: type[Detector]) -> None:
    """Memory stays below the declared limit in a flood of spoofed sources, and no table exceeds its cap."""
    detector = default(kind)
    _flood(detector, FLOOD_PACKETS)

    assert detector.state_bytes() <= kind.state_limit_bytes
    assert all(gauge.used <= gauge.cap for gauge in detector.gauges().values())


def check_cost_is_linear(kind: type[Detector]) -> None:
    """Four times the flood costs at most six times as much in one of six tries; a square would cost sixteen in all."""
    tries = []
    for _ in range(6):
        tries.append((_seconds(kind, FLOOD_PACKETS), _seconds(kind, 4 * FLOOD_PACKETS)))
        short, long = (min(column) for column in zip(*tries, strict=True))
        if long <= FLOOD_GROWTH_MAX * max(short, 0.005):
            return
    raise AssertionError(f"short and four times as long, in seconds: {tries}")


def check_inputs_are_left_alone(kind: type[Detector]) -> None:
    """A slice is not changed by being read, and two instances share no state."""
    for example in kind.examples:
        assert _guarded(kind, example).changed == [], example.name
    loud = next(example for example in kind.examples if example.fires)
    quiet = next(example for example in kind.examples if not example.fires)
    first, second = default(kind), default(kind)
    run_frames(loud.traffic(), first)

    assert run_frames(quiet.traffic(), second).said == []


def check_wreckage_is_silent(kind: type[Detector]) -> None:
    """Nothing, one packet, flawed packets and extreme values give no finding of note and no exception."""
    one = raw_batch(kind.examples[0].traffic()[:1])
    for batch in (nothing(), one, flawed(), extremes()):
        findings = run_batches([batch], default(kind)).findings

        assert [finding for finding in findings if finding.score >= 40] == []


def check_findings_are_well_formed(kind: type[Detector]) -> None:
    """Findings repeat from run to run, fit their places, and every observation has unit, limit and window."""
    for example in kind.examples:
        first, second = _run(kind, example), _run(kind, example)

        assert first.said == second.said
        for _, finding in first.said:
            _check_finding(finding)


def check_knobs_hold_at_their_ends(kind: type[Detector]) -> None:
    """At the lowest and highest value of each threshold state stays bounded and wreckage raises nothing."""
    for tuning in _extreme_tunings(kind):
        detector = kind(tuning, SITE)
        _flood(detector, FLOOD_PACKETS // 4)
        run_batches([nothing(), flawed(), extremes()], kind(tuning, SITE))

        assert detector.state_bytes() <= kind.state_limit_bytes, tuning


def check_import_is_light(kind: type[Detector]) -> None:
    """Importing the detector loads neither a user interface nor scapy."""
    code = f"import sys, {kind.__module__}; print(sorted({{'textual', 'rich', 'scapy', 'tui'}} & sys.modules.keys()))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)

    assert done.stdout.strip() == "[]"


CHECKS: dict[str, Callable[[type[Detector]], None]] = {
    name.removeprefix("check_"): check for name, check in list(globals().items()) if name.startswith("check_")
}
"""Every check by name, in the order of the contract."""


def _run(kind: type[Detector], example: Example, cut: int | None = None) -> Run:
    return run_frames(example.traffic(), default(kind), cut=cut)


def _guarded(kind: type[Detector], example: Example) -> Guarded:
    guard = Guarded(default(kind))
    run_frames(example.traffic(), guard)
    return guard


class _Timed(Recording):
    """Adds up the time that a detector takes."""

    seconds = 0.0

    def push(self, seen):
        """Hand on, and take the time."""
        start = process_time()
        super().push(seen)
        self.seconds += process_time() - start

    def tick(self, now_ns, tables):
        """Hand on, and take the time."""
        start = process_time()
        findings = super().tick(now_ns, tables)
        self.seconds += process_time() - start
        return findings


def _flood(detector: Detector, packets: int) -> None:
    run_batches(flood(packets), detector)


def _seconds(kind: type[Detector], packets: int) -> float:
    timed = _Timed(default(kind))
    _flood(timed, packets)
    return timed.seconds


def _extreme_tunings(kind: type[Detector]) -> Iterator[object]:
    base = kind.tuning_type()
    for item in fields(kind.tuning_type):
        for end in ("lo", "hi"):
            yield base.with_values({item.name: item.metadata[end]}, "contract")


def _check_finding(finding: Finding) -> None:
    assert 0 < len(finding.title) <= TITLE_CELLS_MAX
    assert finding.reason
    assert 0 <= finding.score <= 100
    assert 0 <= finding.confidence <= 1
    assert finding.first_ns <= finding.last_ns
    assert finding.count > 0
    assert finding.observations
    for seen in finding.observations:
        assert seen.name
        assert seen.unit
        assert seen.window_s >= 0
        assert 0 <= seen.weight <= 1
