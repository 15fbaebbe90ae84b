"""The command line: every option and verb, and what it means together."""

from __future__ import annotations

import argparse
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, NoReturn

from nettriage import __version__
from nettriage.model.errors import UsageError

Speed = float | Literal["max"]
VERBS = ("explain", "config", "schema", "doctor")
"""Words that are no source; `demo` is one."""
SEVERITY_WORDS = ("info", "low", "medium", "high", "critical")
SCHEMA_WORDS = ("alert", "snapshot", "config")

_EPILOG = """\
verbs: demo (a bundled capture, replayed)  explain [KIND]  config [--init|--check]
       schema [alert|snapshot|config]  doctor [IFACE]        (an interface of that name: -i demo)
exit:  0 done  1 runtime error  2 usage or settings  3 no permission to capture
       4 no such interface, or it went away  5 unreadable or truncated capture
       10 --fail-on met  130, 143 interrupted or terminated"""


@dataclass(slots=True)
class RunArguments:
    """The command line of a run, checked as far as it can be without opening anything."""

    words: list[str] = field(default_factory=list)
    """The words it was read from."""
    source: str = ""
    """Interface, file, ``-``, or ``demo``; empty when none was given."""
    source_type: Literal["any", "interface", "file"] = "any"
    """What the user said that `source` is."""
    speed: Speed | None = None
    loop: bool = False
    count: int | None = None
    write: Path | None = None
    headless: bool = False
    final: bool = False
    fail_on: str | None = None
    list_interfaces: bool = False
    config: Path | None = None
    assignments: list[str] = field(default_factory=list)
    options: dict[str, tuple[str, str]] = field(default_factory=dict)
    """Settings that an option set: path of the key to (option, text)."""


@dataclass(slots=True)
class VerbArguments:
    """The command line of a verb."""

    word: str = ""
    """KIND, SCHEMA or IFACE; empty when none was given."""
    init: bool = False
    check: bool = False
    config: Path | None = None
    assignments: list[str] = field(default_factory=list)


class _Parser(argparse.ArgumentParser):
    """A parser that raises instead of leaving the program."""

    def error(self, message: str) -> NoReturn:
        raise UsageError(f"{message}\n{self.prog} --help lists the options")


_SETTING_OPTIONS = {
    "snaplen": ("-s", "capture.snaplen"),
    "filter": ("--filter", "capture.filter"),
    "ring_mib": ("--ring-mib", "capture.ring_mib"),
    "home_net": ("--home-net", "network.home_net"),
    "theme": ("--theme", "screen.theme"),
    "min_severity": ("--min-severity", "output.min_severity"),
    "alert_log": ("--alert-log", "output.alert_log"),
    "export_dir": ("--export-dir", "output.export_dir"),
}
"""Options that are a short way to set a key."""


def parse_run(words: Sequence[str]) -> RunArguments:
    """Return the command line of a run; raises UsageError."""
    given = run_parser().parse_intermixed_args(list(words))
    source, source_type, rest = _source(given)
    if rest and given.filter:
        raise UsageError(f"two filters: -f {given.filter!r} and the words {' '.join(rest)!r}")
    given.filter = given.filter or " ".join(rest) or None
    options = {
        path: (option, str(getattr(given, name)))
        for name, (option, path) in _SETTING_OPTIONS.items()
        if getattr(given, name) is not None
    }
    run = RunArguments(
        words=list(words), source=source, source_type=source_type, speed=given.speed, loop=given.loop,
        count=given.count, write=given.write, headless=given.headless, final=given.final, fail_on=given.fail_on,
        list_interfaces=given.list_interfaces, config=given.config, assignments=given.set, options=options,
    )  # fmt: skip
    _check(run)
    return run


def parse_verb(verb: str, words: Sequence[str]) -> VerbArguments:
    """Return the command line after a verb; raises UsageError."""
    parser = _Parser(prog=f"nettriage {verb}", allow_abbrev=False, description=_DESCRIPTIONS[verb])
    if verb == "schema":
        parser.add_argument("word", nargs="?", default="alert", choices=SCHEMA_WORDS)
    elif verb == "config":
        group = parser.add_mutually_exclusive_group()
        group.add_argument("--init", action="store_true", help="print a commented template")
        group.add_argument("--check", action="store_true", help="only say whether the settings are right")
    else:
        parser.add_argument("word", nargs="?", default="", metavar={"explain": "KIND", "doctor": "IFACE"}[verb])
    if verb in ("config", "explain"):
        _add_settings(parser)
    given = vars(parser.parse_args(list(words)))
    given["assignments"] = given.pop("set", [])
    return VerbArguments(**given)


_DESCRIPTIONS = {
    "explain": "What a detector measures, its thresholds, its blind spots, and what to do next.",
    "config": "Print the effective settings with the origin of each value.",
    "schema": "Print the JSON Schema of what nettriage writes or reads.",
    "doctor": "Say whether this host can capture here, and how to mend what stands in the way.",
}


def run_parser() -> argparse.ArgumentParser:
    """Return the parser of everything but the verbs."""
    parser = _Parser(
        prog="nettriage", usage="nettriage [SOURCE] [options] [BPF filter]", allow_abbrev=False, epilog=_EPILOG,
        description="Triage at a mirror port: who scans, who relays, and what to do about it, from packets alone.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    add = parser.add_argument
    add("words", nargs="*", metavar="SOURCE", help="an interface, a capture file, - for a stream on stdin, or demo")
    add("--version", action="version", version=f"nettriage {__version__}")
    add("-n", action="store_true", help="for the habit of tcpdump: nettriage never looks a name up")
    add("-D", "--list-interfaces", action="store_true", help="list the interfaces")
    add("-i", "--interface", metavar="IFACE", help="capture from this interface, whatever its name")
    add("-r", "--read", metavar="FILE", help="read this file, whatever its name; - for stdin")
    _add_capture(parser.add_argument_group("capture"))
    _add_output(parser.add_argument_group("output"))
    _add_settings(parser)
    return parser


def _add_capture(group: argparse._ArgumentGroup) -> None:
    add = group.add_argument
    add("-f", "--filter", metavar="BPF", help="analyse only what this pcap-filter(7) expression lets through")
    add("-s", "--snaplen", metavar="BYTES", help="bytes kept of each packet of an interface")
    add("-c", "--count", metavar="N", type=_positive, help="stop after N packets")
    add("--ring-mib", metavar="MIB", help="kernel ring of an interface")
    add("--speed", metavar="X", type=_speed, help="pace of a file: a factor, or max (default; demo: 1)")
    add("--loop", action="store_true", help="start a file again when it ends")


def _add_output(group: argparse._ArgumentGroup) -> None:
    add = group.add_argument
    add("--headless", action="store_true", help="no screens: alert records as JSON lines on stdout, a summary last")
    add("--final", action="store_true", help="with --headless: each incident once, in its last state")
    add("--min-severity", metavar="SEVERITY", help="print and log incidents from this severity on")
    add("--alert-log", metavar="FILE", help="append every alert record to this file")
    add("--fail-on", metavar="SEVERITY", choices=SEVERITY_WORDS, help="exit 10 if an incident was this severe")
    add("-w", "--write", metavar="FILE", type=Path, help="write the kept packets of all incidents as pcapng at the end")
    add("--export-dir", metavar="DIR", help="folder for exports")
    add("--theme", metavar="NAME", help="colours of the screens")


def _add_settings(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument_group("settings").add_argument
    add("--config", metavar="FILE", type=Path, help="settings file, stronger than the user's and the system's")
    add("--set", metavar="KEY=VALUE", action="append", default=[], help="set one key, as in detectors.KIND.KEY=5")
    if parser.prog == "nettriage":
        add("--home-net", metavar="CIDR,...", help="the networks that are ours")


def _source(given: argparse.Namespace) -> tuple[str, Literal["any", "interface", "file"], list[str]]:
    """Return the source, what it was said to be, and the words left for the filter."""
    words = list(given.words)
    if given.interface is not None and given.read is not None:
        raise UsageError("-i and -r exclude each other: packets come from an interface or from a file")
    if given.interface is not None:
        return given.interface, "interface", words
    if given.read is not None:
        return given.read, "file", words
    if not words:
        return "", "any", []
    if words[0] in VERBS:
        raise UsageError(f"the verb stands first: nettriage {words[0]} ... (an interface of that name: -i {words[0]})")
    return words[0], "any", words[1:]


def _check(run: RunArguments) -> None:
    """Raise UsageError for options that contradict each other."""
    if run.final and not run.headless:
        raise UsageError("--final belongs to --headless: nettriage SOURCE --headless --final")
    if run.loop and run.headless:
        raise UsageError("--loop would never end without screens: leave out --loop or --headless")
    if run.source_type == "interface" and (run.loop or run.speed is not None):
        raise UsageError("--speed and --loop are for files: an interface has its own pace")


def _positive(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no count of packets")
    return int(text)


def _speed(text: str) -> Speed:
    if text == "max":
        return "max"
    try:
        factor = float(text)
    except ValueError:
        factor = math.nan
    if not 0 < factor <= 10_000:
        raise argparse.ArgumentTypeError(f"{text!r} is no speed: write a factor such as 1, 10 or 0.5, or max")
    return factor
