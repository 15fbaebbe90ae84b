"""From names to sources: stdin, files, pipes, interfaces, and the errors with their remedies."""

from __future__ import annotations

import os
import pty
import sys
from pathlib import Path

import pytest

import sniff.ring
from nettriage.model.errors import CaptureError, CapturePermissionError, InterfaceError, UsageError
from sniff.capture_file import FileSource
from sniff.opening import interfaces, open_source
from sniff.source import SourceOptions
from sniff.stream import StreamSource
from tests.sniff.forged_captures import drain, packets, pcap, rows


@pytest.fixture
def capture(tmp_path: Path) -> Path:
    """A small capture file."""
    path = tmp_path / "small.pcap"
    path.write_bytes(pcap(packets(3)))
    return path


def with_stdin(fd: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a descriptor be stdin."""
    monkeypatch.setattr(sys, "stdin", open(fd, closefd=False))  # noqa: SIM115  # lives as long as the patch


def test_an_existing_file_is_a_capture(capture: Path) -> None:
    """A path is read as a file, whatever its ending."""
    source = open_source(str(capture), SourceOptions())

    assert isinstance(source, FileSource)
    assert rows(drain(source)[0]) == packets(3)


def test_a_pipe_is_a_stream(tmp_path: Path) -> None:
    """A named pipe cannot be mapped and is read as it comes."""
    path = tmp_path / "pipe"
    os.mkfifo(path)
    both_ends = os.open(path, os.O_RDWR)
    os.write(both_ends, pcap(packets(3)))
    source = open_source(str(path), SourceOptions())
    os.close(both_ends)

    assert isinstance(source, StreamSource)
    assert rows(drain(source)[0]) == packets(3)
    source.close()


def test_dash_is_stdin(monkeypatch: pytest.MonkeyPatch) -> None:
    """A pipe on stdin is a stream."""
    out, into = os.pipe()
    with_stdin(out, monkeypatch)
    os.write(into, pcap(packets(3)))
    os.close(into)
    source = open_source("-", SourceOptions())

    assert source.info.type == "stream"
    assert rows(drain(source)[0]) == packets(3)
    source.close()


def test_a_file_on_stdin_is_mapped(capture: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Redirecting a file gives the same as naming it."""
    with capture.open("rb") as file:
        with_stdin(file.fileno(), monkeypatch)
        source = open_source("-", SourceOptions())

        assert source.info.type == "file"
        assert rows(drain(source)[0]) == packets(3)


def test_a_terminal_on_stdin_is_a_usage_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody types a capture."""
    master, slave = pty.openpty()
    with_stdin(slave, monkeypatch)
    with pytest.raises(UsageError, match="stdin is a terminal: pipe a capture into it"):
        open_source("-", SourceOptions())
    os.close(master)
    os.close(slave)


def test_a_folder_is_no_capture(tmp_path: Path) -> None:
    """The error says what it is."""
    with pytest.raises(CaptureError, match="is a folder, not a capture"):
        open_source(str(tmp_path), SourceOptions())


def test_anything_else_is_an_interface_that_may_not_exist() -> None:
    """The error names what exists."""
    with pytest.raises(InterfaceError, match=r"l0: no such interface, and no such file \(did you mean lo\?\).*lo"):
        open_source("l0", SourceOptions())


def test_names_are_shown_harmless() -> None:
    """A name with terminal codes in it does not reach the terminal."""
    with pytest.raises(InterfaceError) as caught:
        open_source("\x1b[2Jx", SourceOptions())

    assert "\x1b" not in str(caught.value)


def test_a_missing_permission_comes_with_the_lines_that_give_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """The user sees two commands that work."""
    monkeypatch.setattr(sniff.ring.socket, "socket", _refusing(sniff.ring.socket.socket))
    with pytest.raises(CapturePermissionError) as caught:
        open_source("lo", SourceOptions())

    assert "sudo nettriage lo" in str(caught.value)
    assert "setpriv --reuid=$USER" in str(caught.value)


def _refusing(real: type) -> object:
    """Return a socket class that refuses packet sockets, as the kernel does without CAP_NET_RAW."""

    def make(family: int = sniff.ring.socket.AF_INET, *more: int) -> object:
        if family == sniff.ring.socket.AF_PACKET:
            raise PermissionError(1, "Operation not permitted")
        return real(family, *more)

    return make


def test_interfaces_are_listed() -> None:
    """Loopback is everywhere."""
    listed = {interface.name: interface for interface in interfaces()}

    assert "lo" in listed
    assert listed["lo"].mac == ""


@pytest.mark.parametrize("options", [{"snaplen": 10}, {"ring_mib": 0}, {"ring_mib": 10**6}, {"batch_rows": 0}])
def test_options_out_of_range_are_usage_errors(options: dict[str, int]) -> None:
    """The message holds the limits."""
    with pytest.raises(UsageError, match=r"must lie between \d+ and \d+"):
        SourceOptions(**options)
