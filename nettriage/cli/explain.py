"""``nettriage explain``: what a detector says about itself, as text for the terminal and as Markdown for the docs."""

from __future__ import annotations

import inspect
import re
import sys
import textwrap
from collections.abc import Iterator

from detectors.registry import installed_detectors
from nettriage.cli.arguments import VerbArguments
from nettriage.cli.installed import catalogue
from nettriage.cli.talk import put
from nettriage.model.detector import Detector
from nettriage.model.errors import ExitCode, UsageError, nearest
from nettriage.model.tuning import described
from nettriage.settings.effective import Settings
from nettriage.settings.load import load
from nettriage.settings.render import literal

SECTIONS = ("What it measures", "Blind spots", "Common benign causes", "What to do next")
WIDTH = 100


def run(arguments: VerbArguments) -> int:
    """Print the list of kinds, or one kind in full; raises UsageError for a kind that there is not."""
    detectors = installed_detectors()
    if not arguments.word:
        put(listing(detectors))
        return ExitCode.DONE
    if arguments.word not in detectors:
        raise UsageError(f"there is no kind {arguments.word!r}{nearest(arguments.word, detectors)}: nettriage explain")
    settings = load(catalogue(), config=arguments.config, assignments=arguments.assignments)
    put(explained(detectors[arguments.word], settings))
    return ExitCode.DONE


def listing(detectors: dict[str, type[Detector]]) -> str:
    """Return one line for each kind: its name, its title, and its ATT&CK techniques."""
    wide = max(map(len, detectors), default=0)
    lines = []
    for kind, detector in detectors.items():
        techniques = " ".join(dict.fromkeys(attack.technique for attack in detector.card.attack))
        lines.append(f"{kind:<{wide}}  {detector.card.title:<40}  {techniques}".rstrip())
    return "\n".join([*lines, "", "nettriage explain KIND says more."])


def explained(detector: type[Detector], settings: Settings) -> str:
    """Return all that a detector says of itself, for a terminal; thresholds as `settings` have them."""
    card = detector.card
    sections = doc_sections(detector)
    lines = [f"{card.kind}: {card.title}", "", *map(_indented, sections.pop("")), ""]
    lines += [f"ATT&CK   {attack.technique} {attack.name} ({attack.tactic})" for attack in card.attack]
    lines += [f"Rules    {', '.join(card.rules)}"] if card.rules else []
    lines += [f"Counts   {card.counts}"]
    for title, paragraphs in sections.items():
        lines += ["", title]
        lines += [_indented(paragraph) for paragraph in paragraphs]
    lines += ["", f"Thresholds, [detectors.{card.kind}]", *_thresholds(detector, settings)]
    lines += ["", "Examples, which the tests hold it to", *_examples(detector)]
    lines += ["", "References", *(_indented(reference, hang="  ") for reference in card.references)]
    return "\n".join(lines)


def doc_sections(detector: type[Detector]) -> dict[str, list[str]]:
    """Return the sections of the detector's module docstring as paragraphs, by title; the opening has the title ''."""
    text = inspect.cleandoc(sys.modules[detector.__module__].__doc__ or "")
    parts = re.split(rf"^\W*({'|'.join(SECTIONS)})\W*$", text, flags=re.MULTILINE)
    return {title: _paragraphs(body) for title, body in zip(["", *parts[1::2]], parts[::2], strict=True)}


def _paragraphs(body: str) -> list[str]:
    """Return paragraphs and list items, each on one line."""
    parts = re.split(r"\n\s*\n|\n(?=\s*[-*] )", body)
    return [" ".join(part.split()) for part in parts if part.strip()]


def _thresholds(detector: type[Detector], settings: Settings) -> Iterator[str]:
    for name, default, unit, lo, hi, why in described(detector.tuning_type):
        path = f"detectors.{detector.card.kind}.{name}"
        value = settings.values[path]
        changed = "" if value == default else f", default {literal(default)}, set by {settings.origins[path]}"
        yield f"  {name} = {literal(value)} {unit}   ({lo} to {hi}{changed})"
        yield _indented(why, indent="      ")


def _examples(detector: type[Detector]) -> Iterator[str]:
    for example in detector.examples:
        yield f"  {'fires' if example.fires else 'quiet'}   {example.name}"


def _indented(text: str, indent: str = "  ", hang: str = "") -> str:
    bullet = "  " if text.startswith(("- ", "* ")) else ""
    return textwrap.fill(text, WIDTH, initial_indent=indent, subsequent_indent=indent + bullet + hang)


def reference(detectors: dict[str, type[Detector]]) -> str:
    """Return the reference of all detectors as Markdown."""
    parts = [
        "# Detectors",
        "Made by `make docs` from the files in `detectors/`; `nettriage explain KIND` prints the same.",
    ]
    parts += ["\n".join(f"- [`{kind}`](#{kind}): {item.card.title}" for kind, item in detectors.items())]
    for detector in detectors.values():
        parts += _reference_of(detector)
    return "\n\n".join(parts) + "\n"


def _reference_of(detector: type[Detector]) -> Iterator[str]:
    card = detector.card
    yield f"## {card.kind}"
    sections = doc_sections(detector)
    yield from sections.pop("")
    facts = [f"- ATT&CK {attack.technique} {attack.name} ({attack.tactic})" for attack in card.attack]
    facts += [f"- Rules: {', '.join(card.rules)}"] if card.rules else []
    yield "\n".join([*facts, f"- `count` counts {card.counts}"])
    for title, paragraphs in sections.items():
        yield f"### {title}"
        yield from paragraphs
    yield "### Thresholds"
    rows = [
        f"| `{name}` | {literal(default)} | {unit} | {lo} to {hi} | {why} |"
        for name, default, unit, lo, hi, why in described(detector.tuning_type)
    ]
    yield "\n".join(["| key | default | unit | range | why |", "|---|--:|---|---|---|", *rows])
    yield "### Examples"
    yield "\n".join(f"- {'fires' if item.fires else 'stays quiet'}: {item.name}" for item in detector.examples)
    yield "### References"
    yield "\n".join(f"- {item}" for item in card.references)
