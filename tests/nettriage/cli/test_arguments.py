"""The command line means what an operator who knows tcpdump expects, and contradictions are refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from nettriage.cli.arguments import parse_run, parse_verb
from nettriage.model.errors import UsageError


def test_source_and_filter_words():
    """The first word is the source, the rest is a filter, with options anywhere between."""
    run = parse_run(["eth1", "--headless", "tcp", "and", "not", "port", "22"])

    assert (run.source, run.source_type, run.headless) == ("eth1", "any", True)
    assert run.options["capture.filter"] == ("--filter", "tcp and not port 22")


def test_tcpdump_letters():
    """Letters that tcpdump has mean what they mean there."""
    run = parse_run(["-i", "demo", "-s", "256", "-c", "10", "-n", "-w", "kept.pcapng", "-f", "udp", "--ring-mib", "64"])

    assert (run.source, run.source_type, run.count, run.write) == ("demo", "interface", 10, Path("kept.pcapng"))
    assert {path: text for path, (_, text) in run.options.items()} == {
        "capture.snaplen": "256",
        "capture.filter": "udp",
        "capture.ring_mib": "64",
    }


@pytest.mark.parametrize(("words", "source"), [(["-"], "-"), (["-r", "-"], "-"), (["-r", "demo"], "demo")])
def test_files_and_streams(words, source):
    """A dash is stdin, and -r takes any name."""
    assert parse_run(words).source == source


@pytest.mark.parametrize(("text", "speed"), [("max", "max"), ("1", 1.0), ("0.5", 0.5), ("10", 10.0)])
def test_speeds(text, speed):
    """A speed is a factor or max."""
    assert parse_run(["demo", "--speed", text]).speed == speed


def test_no_source_is_no_error():
    """Without a source the command has something to say, so nothing is refused."""
    assert parse_run([]).source == ""


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["-i", "eth1", "-r", "x.pcap"], "-i and -r exclude each other"),
        (["eth1", "-f", "tcp", "udp"], "two filters"),
        (["eth1", "--final"], "--final belongs to --headless"),
        (["x.pcap", "--loop", "--headless"], "would never end"),
        (["-i", "eth1", "--speed", "2"], "an interface has its own pace"),
        (["x.pcap", "--speed", "nan"], "is no speed"),
        (["x.pcap", "--speed", "-1"], "is no speed"),
        (["x.pcap", "-c", "0"], "is no count of packets"),
        (["x.pcap", "--fail-on", "loud"], "invalid choice: 'loud'"),
        (["--theme", "mono", "explain"], "the verb stands first"),
        (["x.pcap", "--headles"], "unrecognized arguments: --headles"),
    ],
)
def test_contradictions_are_refused(words, said):
    """Impossible or misspelt command lines end with a usage error that says what to do."""
    with pytest.raises(UsageError) as caught:
        parse_run(words)

    assert said in str(caught.value)


def test_verbs_have_their_own_words():
    """A verb reads its own word and options."""
    assert parse_verb("explain", ["relay", "--set", "a=1"]).word == "relay"
    assert parse_verb("explain", ["relay", "--set", "a=1"]).assignments == ["a=1"]
    assert parse_verb("schema", []).word == "alert"
    assert parse_verb("config", ["--init"]).init
    assert parse_verb("doctor", ["eth1"]).word == "eth1"


def test_verbs_refuse_what_they_do_not_know():
    """--init and --check exclude each other, and a schema has one of three names."""
    with pytest.raises(UsageError, match="not allowed with"):
        parse_verb("config", ["--init", "--check"])
    with pytest.raises(UsageError, match="invalid choice"):
        parse_verb("schema", ["alerts"])
