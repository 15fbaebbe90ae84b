"""Whether a screen can be opened is known before one is."""

from __future__ import annotations

import fcntl
import os
import pty
import struct
import termios

import pytest

from nettriage.cli import terminal

XTERM = {"TERM": "xterm"}


@pytest.fixture
def tty():
    """The file descriptor of a pseudo-terminal of 80x24 cells."""
    master, slave = pty.openpty()
    resize(slave, 80, 24)
    yield slave
    os.close(master)
    os.close(slave)


def resize(fd: int, columns: int, rows: int) -> None:
    """Give the terminal another size."""
    fcntl.ioctl(fd, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))


def test_a_terminal_has_no_obstacle(tty):
    """An ordinary terminal takes the screens."""
    assert terminal.obstacle(XTERM, tty, tty) == ""


@pytest.mark.parametrize("environ", [{}, {"TERM": "dumb"}, {"TERM": "unknown"}])
def test_dumb_terminals_are_named(tty, environ):
    """A terminal that can do nothing is said to be one."""
    assert "TERM=" in terminal.obstacle(environ, tty, tty)


@pytest.mark.parametrize(("size", "fits"), [((59, 24), False), ((80, 15), False), ((60, 16), True), ((0, 0), True)])
def test_small_terminals_are_named(tty, size, fits):
    """Below 60x16 there is no room; a size that nobody knows is left to the screens."""
    resize(tty, *size)

    assert (terminal.cramped(tty) == "") is fits


def test_both_streams_must_be_a_terminal(tty):
    """Keys come from stdin and pictures go to stderr: without either there is no screen."""
    with open(os.devnull) as nowhere:
        assert terminal.obstacle(XTERM, nowhere.fileno(), tty) == "stdin is no terminal"
        assert terminal.obstacle(XTERM, tty, nowhere.fileno()) == "stderr is no terminal"


@pytest.mark.parametrize(
    ("environ", "colours"),
    [
        ({"TERM": "xterm", "COLORTERM": "truecolor"}, 1 << 24),
        ({"TERM": "tmux-256color"}, 256),
        ({"TERM": "linux"}, 16),
        ({"TERM": "dumb"}, 0),
        ({"TERM": "xterm", "COLORTERM": "truecolor", "NO_COLOR": "1"}, 0),
    ],
)
def test_colours(environ, colours):
    """The number of colours follows the same variables that the screens go by."""
    assert terminal.colours(environ) == colours


def test_utf8_by_the_strongest_variable():
    """LC_ALL decides over LANG."""
    assert terminal.utf8({"LANG": "C.UTF-8"})
    assert not terminal.utf8({"LANG": "C.UTF-8", "LC_ALL": "POSIX"})
