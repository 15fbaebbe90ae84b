"""Tests of headless runs, as processes, because they give up privileges."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import msgspec
import pytest

from detectors._kit.forge import Scene
from detectors.registry import installed_detectors
from nettriage.engine.config import RunConfig, SiteConfig
from nettriage.engine.packet_history import Kept
from nettriage.engine.pcapng import pcapng
from nettriage.model.site import HOME_NET_DEFAULT

SCANNER = "10.0.9.1"
CODE = """
import sys, nettriage
from pathlib import Path
import msgspec
from nettriage.engine.config import RunConfig
from nettriage.engine.headless import Headless, run_headless
wishes = msgspec.json.decode(sys.argv[2], type=dict)
for name in ("alert_log", "evidence"):
    if name in wishes:
        wishes[name] = Path(wishes[name])
sys.exit(run_headless(msgspec.json.decode(sys.argv[1], type=RunConfig), Headless(**wishes)))
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a folder that anybody may write to, with a capture of a scan in it."""
    for parent in (tmp_path, *tmp_path.parents):
        if parent.owner() == Path("/tmp").owner() and parent != Path("/tmp") and str(parent).startswith("/tmp/"):
            parent.chmod(0o777)
    scene = Scene()
    scene.session("10.0.0.1", "10.0.0.2", 80)
    for port in range(1, 400):
        scene.refused(SCANNER, "10.0.0.2", port)
    frames = [(Kept(ts, frame, 1, len(frame), 0), "") for ts, frame in scene.frames()]
    (tmp_path / "scan.pcapng").write_bytes(pcapng(frames, "test"))
    return tmp_path


def command(folder: Path, wishes: dict[str, Any], **more: Any) -> list[str]:
    """Return the command line of a headless run over the capture."""
    tunings: dict[str, dict[str, int | float]] = {kind: {} for kind in installed_detectors()}
    config = RunConfig(
        source=str(folder / "scan.pcapng"), site=SiteConfig(home=HOME_NET_DEFAULT), tunings=tunings, config_digest="d"
    )  # fmt: skip
    config = msgspec.structs.replace(config, **more)
    return [sys.executable, "-P", "-c", CODE, msgspec.json.encode(config).decode(), json.dumps(wishes)]


def run(folder: Path, wishes: dict[str, Any] | None = None, **more: Any) -> tuple[int, list[dict[str, Any]], str]:
    """Run headless and return exit code, records and what was said on stderr."""
    done = subprocess.run(command(folder, wishes or {}, **more), capture_output=True, check=False, timeout=60)
    return done.returncode, [json.loads(line) for line in done.stdout.splitlines()], done.stderr.decode()


def test_every_line_is_a_record_and_the_last_is_the_summary(folder: Path) -> None:
    """Alerts come as they change, the summary counts them, and nothing is said on stderr."""
    code, records, said = run(folder)
    alerts, summary = records[:-1], records[-1]

    assert (code, said) == (0, "")
    assert {record["schema"] for record in alerts} == {"nettriage.alert/1"}
    assert any(record["subject"]["ip"] == SCANNER and record["kind"] == "vertical-scan" for record in alerts)
    assert (summary["schema"], summary["kind"], summary["exit_code"]) == ("nettriage.summary/1", "summary", 0)
    assert summary["packets"] > 800
    assert sum(summary["alerts_by_kind"].values()) == len({record["id"] for record in alerts})
    assert summary["alerts_by_kind"]["vertical-scan"] == 1


def test_final_prints_each_incident_once(folder: Path) -> None:
    """The last state of each incident, no more."""
    _, records, _ = run(folder, {"final": True})
    ids = [record["id"] for record in records[:-1]]

    assert len(ids) == len(set(ids)) > 0


def test_severity_decides_what_is_printed_and_how_it_ends(folder: Path) -> None:
    """Below the floor nothing is printed, but it still counts for the exit code that was asked for."""
    code, records, _ = run(folder, {"min_severity": "critical", "fail_on": "low"})

    assert code == 10
    assert all(record["severity"] == "critical" for record in records[:-1])
    assert records[-1]["exit_code"] == 10


def test_a_count_ends_the_run(folder: Path) -> None:
    """Exactly the asked number of packets is analysed."""
    _, records, _ = run(folder, count=100)

    assert records[-1]["packets"] == 100


def test_a_cut_capture_is_analysed_and_said(folder: Path) -> None:
    """Everything readable is analysed, the summary is printed, then the damage is named."""
    path = folder / "scan.pcapng"
    path.write_bytes(path.read_bytes()[:-30])
    code, records, said = run(folder)

    assert code == 5 == records[-1]["exit_code"]
    assert records[-1]["source"]["error"]
    assert said.startswith("nettriage: ")
    assert any(record["kind"] == "vertical-scan" for record in records[:-1])


def test_the_log_has_the_same_lines_and_the_evidence_is_a_capture(folder: Path) -> None:
    """Alert lines are appended to the log, and the kept packets are written with their incident as comment."""
    log, evidence = folder / "alerts.ndjson", folder / "evidence.pcapng"
    log.write_text("older\n")
    log.chmod(0o666)
    _, records, _ = run(folder, {"alert_log": str(log), "evidence": str(evidence)})
    lines = log.read_text().splitlines()

    assert lines[0] == "older"
    assert [json.loads(line) for line in lines[1:]] == records[:-1]
    assert evidence.read_bytes()[:4] == b"\x0a\x0d\x0d\x0a"
    assert records[0]["evidence"]["file"] == str(evidence)
    assert records[0]["id"].encode() in evidence.read_bytes()


@pytest.mark.parametrize("wish", ["alert_log", "evidence"])
def test_what_cannot_be_written_is_said_at_once(folder: Path, wish: str) -> None:
    """A log or evidence file in a folder that is not there ends the run before a packet is read."""
    done = subprocess.run(
        command(folder, {wish: str(folder / "missing" / "file")}), capture_output=True, check=False, timeout=60
    )  # fmt: skip

    assert done.returncode == 1
    assert done.stdout == b""
    assert b"cannot be written by user id" in done.stderr.splitlines()[-1]


def test_a_reader_that_leaves_ends_the_run_quietly(folder: Path) -> None:
    """As with `head -1`: the run ends by SIGPIPE's code and says nothing."""
    process = subprocess.Popen(command(folder, {}, loop=True), stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdout is not None
    assert process.stderr is not None
    assert process.stdout.readline().startswith(b"{")
    process.stdout.close()

    assert process.wait(30) == 128 + signal.SIGPIPE
    assert process.stderr.read() == b""
    process.stderr.close()


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_still_gives_the_summary(folder: Path, number: signal.Signals, code: int) -> None:
    """What was seen so far is settled and summed up before the run ends with the code of the signal."""
    process = subprocess.Popen(command(folder, {}, speed=0.001), stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdout is not None
    _wait_for_handler(process.pid, number)
    process.send_signal(number)
    out, said = process.communicate(timeout=30)

    assert process.returncode == code
    assert said == b""
    assert json.loads(out.splitlines()[-1])["exit_code"] == code


def _wait_for_handler(pid: int, number: int) -> None:
    """Wait until the process handles a signal, as the kernel says."""
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        status = dict(line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines())
        if int(status["SigCgt"], 16) >> (signal.SIGTERM - 1) & 1 and int(status["SigCgt"], 16) >> (number - 1) & 1:
            return
        os.sched_yield()
    raise TimeoutError
