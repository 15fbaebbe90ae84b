"""A run as the user starts it: what goes to stdout, what goes to stderr, and how it ends."""

from __future__ import annotations

import fcntl
import json
import os
import pty
import shutil
import struct
import subprocess
import sys
import termios
from pathlib import Path

import pytest

from detectors._kit.forge import S, Scene

COMMAND = [sys.executable, "-P", "-m", "nettriage"]
BARE = {"HOME": str(Path(__file__).parent), "PATH": "/usr/sbin:/usr/bin:/sbin:/bin"}


def run(*words, stdin=b"", prefix=(), **environ):
    """Run the command without a terminal."""
    command = [*prefix, *COMMAND, *map(str, words)]
    return subprocess.run(command, input=stdin, capture_output=True, check=False, env=BARE | environ, timeout=60)


def records(done):
    """Return the lines of stdout."""
    return [json.loads(line) for line in done.stdout.splitlines()]


def pcap(frames) -> bytes:
    """Return a capture file in ns (draft-ietf-opsawg-pcap)."""
    head = struct.pack("<IHHiIII", 0xA1B23C4D, 2, 4, 0, 0, 65_535, 1)
    packets = (struct.pack("<IIII", *divmod(ts_ns, S), len(data), len(data)) + data for ts_ns, data in frames)
    return head + b"".join(packets)


@pytest.fixture(scope="module")
def scan(tmp_path_factory):
    """A capture of one host that knocks on 400 ports of another, a few of them open."""
    scene = Scene()
    for port in range(1, 401):
        (scene.half_open if port in (22, 80) else scene.refused)("10.1.0.66", "10.1.0.5", port)
    path = tmp_path_factory.mktemp("capture") / "scan.pcap"
    path.write_bytes(pcap(scene.frames()))
    return path


def test_a_pipe_gets_a_plain_report(scan):
    """Without a terminal a file gives a report with the scan, its reason, and the capture's health."""
    done = run(scan)
    report = done.stdout.decode()

    assert done.returncode == 0, done.stderr.decode()
    assert "vertical-scan  10.1.0.66 -> 10.1.0.5" in report
    assert "802 packets" in report
    assert "0 shed" in report


def test_headless_prints_records_and_a_summary_last(scan):
    """Every line is JSON: alert records, then one summary."""
    *alerts, summary = records(run(scan, "--headless"))

    assert "vertical-scan" in {alert["kind"] for alert in alerts}
    assert {alert["schema"] for alert in alerts} == {"nettriage.alert/1"}
    assert (summary["schema"], summary["kind"], summary["packets"]) == ("nettriage.summary/1", "summary", 802)


def test_final_prints_each_incident_once(scan):
    """With --final no id repeats."""
    alerts = records(run(scan, "--headless", "--final"))[:-1]

    assert len({alert["id"] for alert in alerts}) == len(alerts) > 0


def test_fail_on_sets_the_exit_code(scan):
    """--fail-on medium meets the scan, and the printed floor does not change that."""
    done = run(scan, "--headless", "--fail-on", "medium", "--min-severity", "critical")

    assert done.returncode == 10
    assert records(done)[-1]["exit_code"] == 10


def test_count_ends_the_run(scan):
    """-c stops after so many packets."""
    assert records(run(scan, "--headless", "-c", "10"))[-1]["packets"] == 10


def test_filter_words_choose_packets(scan):
    """Words after the source are a filter."""
    assert records(run(scan, "--headless", "tcp", "port", "22"))[-1]["packets"] == 3


def test_a_stream_is_analysed_like_a_file(scan):
    """A capture on stdin gives the same incidents as the file."""
    from_file = records(run(scan, "--headless", "--final"))
    from_stream = records(run("-", "--headless", "--final", stdin=scan.read_bytes()))

    assert [_brief(alert) for alert in from_stream[:-1]] == [_brief(alert) for alert in from_file[:-1]]


@pytest.mark.skipif(os.geteuid() != 0, reason="capturing needs root")
def test_a_live_run_says_when_it_listens_and_ends_in_order():
    """The open tap is said on stderr; SIGTERM ends with a summary and 143."""
    command = [*COMMAND, "lo", "--headless", "--ring-mib", "1"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=BARE) as child:
        said = child.stderr.readline()
        child.terminate()
        out, _ = child.communicate(timeout=30)

    assert said == b"nettriage: capturing on lo\n"
    assert child.returncode == 143
    assert json.loads(out.splitlines()[-1])["exit_code"] == 143


def _brief(alert):
    return alert["kind"], alert["subject"]["ip"], alert["first_seen"], alert["last_seen"]


def test_a_cut_file_is_analysed_and_ends_with_5(scan, tmp_path):
    """Everything readable is analysed, then the damage is said."""
    cut = tmp_path / "cut.pcap"
    cut.write_bytes(scan.read_bytes()[:-7])
    done = run(cut, "--headless", "--final")

    assert done.returncode == 5
    assert records(done)[-1]["packets"] == 801
    assert done.stderr.startswith(b"nettriage: ")


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("absent.pcap",), 5, "absent.pcap: no such file"),
        (("-i", "nosuch0"), 4, "there is no interface 'nosuch0'"),
        ((__file__, "--headless"), 5, "test_run.py"),
        (("lo",), 2, "nettriage lo --headless"),
        (("SCAN", "--headless", "-f", "tcp port"), 2, "tcp port"),
        (("SCAN", "--set", "capture.rin_mib=1"), 2, "did you mean capture.ring_mib?"),
        (("SCAN", "--home-net", "10.0.0.0/64"), 2, "--home-net: home_net '10.0.0.0/64' is not a network"),
    ],
)
def test_errors_are_plain_words_and_an_exit_code(scan, words, code, said):
    """What the user can mend ends with its code and a plain sentence, never with a traceback."""
    done = run(*(scan if word == "SCAN" else word for word in words))
    text = done.stderr.decode()

    assert done.returncode == code, text
    assert said in text
    assert "Traceback" not in text


@pytest.mark.skipif(not shutil.which("setpriv"), reason="setpriv is not installed")
def test_without_permission_the_remedy_is_said():
    """An interface without CAP_NET_RAW ends with 3 and the command lines that help."""
    prefix = ("setpriv", "--bounding-set=-net_raw") if os.geteuid() == 0 else ()
    done = run("lo", "--headless", prefix=prefix)
    text = done.stderr.decode()

    assert done.returncode == 3, text
    assert "sudo" in text
    assert "setpriv" in text


@pytest.mark.parametrize(
    ("size", "term", "code", "said"), [((50, 10), "xterm", 2, b"50x10 cells"), ((80, 24), "dumb", 0, b"TERM=dumb")]
)
def test_no_screen_opens_where_none_fits(scan, size, term, code, said):
    """A terminal that is too small or dumb gets plain words, and not one escape sequence."""
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", size[1], size[0], 0, 0))
    with subprocess.Popen(
        [*COMMAND, str(scan)], stdin=slave, stdout=slave, stderr=slave, env=BARE | {"TERM": term}
    ) as child:
        os.close(slave)
        shown = b"".join(iter(lambda: _read(master), b""))
    os.close(master)

    assert child.returncode == code
    assert said in shown
    assert b"\x1b" not in shown


def _read(fd: int) -> bytes:
    try:
        return os.read(fd, 65_536)
    except OSError:  # EIO: the last writer has closed the terminal
        return b""
