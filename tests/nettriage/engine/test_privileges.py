"""Tests of giving up privileges, each in a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from nettriage.engine.privileges import Account, invoking_account

CAP_NET_RAW = 1 << 13
AS_ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="only root has privileges to drop")
DROP = """
import os, sys, socket, numpy
from pathlib import Path
from nettriage.engine.privileges import drop_privileges, end_with_parent
drop_privileges(keep_net_raw={keep}, keep_user={user})
end_with_parent(os.getppid())
print(Path("/proc/self/status").read_text())
try:
    socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0).close()
    print("Tap:\\topen")
except PermissionError:
    print("Tap:\\trefused")
try:
    os.setuid(0)
    print("Root:\\tback")
except PermissionError:
    print("Root:\\tgone")
"""


def status_after(keep: bool, prefix: str = "", *, keep_user: bool = False, **environ: str) -> dict[str, str]:
    """Return the fields of /proc/self/status of a process that dropped its privileges."""
    plain = {name: value for name, value in os.environ.items() if not name.startswith("SUDO_")}
    code = "import nettriage\n" + prefix + DROP.format(keep=keep, user=keep_user)
    done = subprocess.run(
        [sys.executable, "-P", "-c", code], env=plain | environ, capture_output=True, text=True, check=True
    )  # fmt: skip
    return dict(line.split(":\t", 1) for line in done.stdout.splitlines() if ":\t" in line)


@AS_ROOT
def test_root_becomes_the_caller_of_sudo() -> None:
    """Nothing of root is left: neither ids, groups, capabilities nor a way back."""
    status = status_after(False, SUDO_UID="1234", SUDO_GID="2345")

    assert status["Uid"].split() == ["1234"] * 4
    assert status["Gid"].split() == ["2345"] * 4
    assert status["Groups"].split() == []
    assert status["NoNewPrivs"] == "1"
    assert [int(status[name], 16) for name in ("CapEff", "CapPrm", "CapInh", "CapAmb", "CapBnd")] == [0] * 5
    assert (status["Tap"], status["Root"]) == ("refused", "gone")


@AS_ROOT
def test_screens_of_a_plain_root_shell_keep_the_user_and_little_else() -> None:
    """Root without sudo stays the owner of its files, and can do nothing else but end its own sensor."""
    status = status_after(False, keep_user=True)

    assert status["Uid"].split() == ["0"] * 4
    assert int(status["CapEff"], 16) == 1 << 5
    assert int(status["CapBnd"], 16) == 0
    assert (status["Tap"], status["NoNewPrivs"]) == ("refused", "1")
    assert status_after(False, keep_user=True, SUDO_UID="1234", SUDO_GID="2345")["Uid"].split() == ["1234"] * 4


@AS_ROOT
def test_a_live_capture_keeps_the_right_to_open_its_interface_again() -> None:
    """Only CAP_NET_RAW is kept, without a user id that is anybody's."""
    status = status_after(True)

    assert status["Uid"].split()[0] not in ("0", "")
    assert int(status["CapEff"], 16) == int(status["CapPrm"], 16) == CAP_NET_RAW
    assert (status["Tap"], status["Root"]) == ("open", "gone")


@AS_ROOT
def test_an_ordinary_user_with_one_capability_keeps_or_loses_it() -> None:
    """A user who was lent CAP_NET_RAW stays who he is; the loan ends unless the capture is live."""
    lend = (
        "import nettriage.engine.privileges as p, os, socket, numpy\n"
        "p._prctl(8, 1); os.setgroups([]); os.setresgid(77, 77, 77); os.setresuid(77, 77, 77)\n"
        "p._set_capabilities(1 << 13)\n"
    )
    kept, lost = status_after(True, lend), status_after(False, lend)

    assert (kept["Uid"].split()[1], int(kept["CapEff"], 16), kept["Tap"]) == ("77", CAP_NET_RAW, "open")
    assert (lost["Uid"].split()[1], int(lost["CapEff"], 16), lost["Tap"]) == ("77", 0, "refused")


def test_threads_that_would_escape_are_an_error() -> None:
    """With a second thread running nothing is dropped by halves: the drop refuses."""
    code = (
        "import threading\nfrom nettriage.engine.privileges import drop_privileges\n"
        "gate = threading.Event()\nthreading.Thread(target=gate.wait).start()\n"
        "try:\n    drop_privileges(keep_net_raw=False)\nexcept RuntimeError as error:\n    print(error)\n"
        "finally:\n    gate.set()\n"
    )
    done = subprocess.run([sys.executable, "-P", "-c", code], capture_output=True, text=True, check=True)

    assert "before threads start, but 2 run" in done.stdout


def test_the_libraries_of_the_sensor_start_no_threads() -> None:
    """Importing everything that the sensor needs leaves one thread, so that privileges can be dropped after it."""
    code = "import nettriage.engine.sensor, os; print(len(os.listdir('/proc/self/task')))"
    plain = {name: value for name, value in os.environ.items() if name != "OPENBLAS_NUM_THREADS"}
    done = subprocess.run([sys.executable, "-P", "-c", code], env=plain, capture_output=True, text=True, check=True)

    assert done.stdout.split() == ["1"]


@pytest.mark.parametrize(
    "environ",
    [{}, {"SUDO_UID": "0", "SUDO_GID": "0"}, {"SUDO_UID": "x", "SUDO_GID": "5"}, {"SUDO_UID": "-1", "SUDO_GID": "5"}],
)
def test_without_a_caller_it_is_nobody(environ: dict[str, str]) -> None:
    """A variable that is missing, foreign or names root leads to nobody, never to root."""
    account = invoking_account(environ)

    assert account.uid
    assert account.gid
    assert invoking_account({"SUDO_UID": "1000", "SUDO_GID": "1001"}) == Account(1000, 1001)


@AS_ROOT
def test_a_child_ends_with_its_parent(tmp_path: Path) -> None:
    """When the parent is killed, the kernel ends the child, even after the child changed its user."""
    pid_file = tmp_path / "pid"
    child = (
        "import os, sys, nettriage\nfrom nettriage.engine.privileges import drop_privileges, end_with_parent\n"
        "drop_privileges(keep_net_raw=False)\nend_with_parent(os.getppid())\n"
        "sys.stdout.write('x'); sys.stdout.flush()\nimport signal\nsignal.pause()\n"
    )
    parent = (
        "import subprocess, sys, os, signal\n"
        f"c = subprocess.Popen([sys.executable, '-P', '-c', {child!r}], stdout=subprocess.PIPE)\n"
        f"c.stdout.read(1); open({str(pid_file)!r}, 'w').write(str(c.pid))\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    read_end, write_end = os.pipe()
    subprocess.run([sys.executable, "-P", "-c", parent], check=False, pass_fds=(write_end,), close_fds=True)
    os.close(write_end)
    os.close(read_end)
    handle = os.pidfd_open(int(pid_file.read_text())) if _alive(int(pid_file.read_text())) else None
    if handle is not None:
        import select

        ended, _, _ = select.select([handle], [], [], 5)
        os.close(handle)
        assert ended


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True
