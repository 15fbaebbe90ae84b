"""The word for a source means what it looks like, and what is not there is named."""

from __future__ import annotations

import os

import pytest

from nettriage.cli.arguments import RunArguments
from nettriage.cli.sourcing import choose, demo_capture
from nettriage.model.errors import CaptureError, InterfaceError, UsageError
from sniff.opening import open_source
from sniff.source import SourceOptions


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """An empty working folder."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def chosen(source, source_type="any", **more):
    """Return what a command line chooses."""
    return choose(RunArguments(source=source, source_type=source_type, **more))


def test_interfaces_are_live():
    """A word that is an interface is a live source."""
    assert chosen("lo").is_live


def test_the_demo_is_the_bundled_file():
    """`demo` is the capture that comes with the program."""
    demo = chosen("demo")

    assert (demo.name, demo.type, demo.is_live) == (str(demo_capture()), "demo", False)
    assert demo_capture().stat().st_size <= 2 << 20


def test_a_file_beside_an_interface_of_its_name(folder):
    """An interface wins over a file of its name; -r, or a slash, asks for the file."""
    (folder / "lo").write_bytes(b"")

    assert chosen("lo").is_live
    assert chosen("./lo").name == "./lo"
    assert chosen("lo", "file").name == "./lo"


@pytest.mark.skipif(os.geteuid() != 0, reason="opening an interface needs root")
def test_opening_agrees_with_choosing(folder):
    """The source that is opened is the one that was chosen."""
    (folder / "lo").write_bytes(b"")
    source = open_source(chosen("lo").name, SourceOptions(ring_mib=1))
    source.close()

    assert source.is_live


def test_files_of_any_name(folder):
    """A file that exists needs no suffix."""
    (folder / "trace").write_bytes(b"")

    assert chosen("trace").name == "./trace"


def test_what_is_missing_is_named(folder):
    """A missing file is a capture error, a misspelt interface names the nearest."""
    with pytest.raises(CaptureError, match=r"absent\.pcap: no such file"):
        chosen("absent.pcap")
    with pytest.raises(InterfaceError, match=r"did you mean lo\?"):
        chosen("l0")
    with pytest.raises(InterfaceError, match="no interface 'demo'"):
        chosen("demo", "interface")
    assert not list(folder.iterdir())


def test_interfaces_have_their_own_pace():
    """A speed for an interface is refused."""
    with pytest.raises(UsageError, match="the interface lo has its own pace"):
        chosen("lo", speed=2.0)
