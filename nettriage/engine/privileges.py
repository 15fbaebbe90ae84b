"""Giving up what root may do, once the tap is open.

After the drop this very Python may be out of reach, in a home of somebody else: import everything first.
`setresuid` reaches all threads of a process, but `capset` and `prctl` only the calling one and those it starts later
(capabilities(7), prctl(2)): so everything here runs before the first other thread.
"""

from __future__ import annotations

import ctypes
import logging
import os
import pwd
import signal
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

_PR_SET_PDEATHSIG = 1
_PR_SET_KEEPCAPS = 8
_PR_CAPBSET_DROP = 24
_PR_SET_NO_NEW_PRIVS = 38
_PR_CAP_AMBIENT, _PR_CAP_AMBIENT_CLEAR_ALL = 47, 4
_CAP_KILL, _CAP_SETPCAP, _CAP_NET_RAW, _CAP_LAST = 5, 8, 13, 63
_CAPABILITY_VERSION_3 = 0x20080522

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Account:
    """Whom the process becomes."""

    uid: int
    gid: int


def invoking_account(environ: Mapping[str, str]) -> Account:
    """Return the user who called sudo, else ``nobody``; a SUDO_UID that is no number or is root counts as none."""
    uid, gid = environ.get("SUDO_UID", ""), environ.get("SUDO_GID", "")
    if uid.isascii() and uid.isdigit() and gid.isascii() and gid.isdigit() and int(uid) and int(gid):
        return Account(int(uid), int(gid))
    entry = pwd.getpwnam("nobody")
    return Account(entry.pw_uid, entry.pw_gid)


def drop_privileges(*, keep_net_raw: bool, keep_user: bool = False) -> None:
    """Become an ordinary user without capabilities and without a way to gain any.

    As root: no supplementary groups, then the account of `invoking_account`. Always: no_new_privs, an empty
    bounding set where it may be emptied, and no capability but CAP_NET_RAW where `keep_net_raw` asks for it (a
    live source opens its interface again when that was deleted and made anew). With `keep_user` a root without sudo
    stays the owner of its files, with no capability but CAP_KILL: screens that parse no packets write where root
    asked, and end a sensor of another user. Raises RuntimeError where other threads already run, since they would keep
    what they have, and OSError where the kernel refuses. Elsewhere than on Linux only the user changes.
    """
    account = None if keep_user and "SUDO_UID" not in os.environ else invoking_account(os.environ)
    if sys.platform != "linux":
        _become(account)
        return
    _require_single_thread()
    held = _permitted_capabilities()
    kept = held & (keep_net_raw << _CAP_NET_RAW | (account is None) << _CAP_KILL)
    if held & (1 << _CAP_SETPCAP):
        _empty_bounding_set()
    _prctl(_PR_SET_KEEPCAPS, 1)
    _become(account)
    _prctl(_PR_CAP_AMBIENT, _PR_CAP_AMBIENT_CLEAR_ALL)
    _set_capabilities(kept)
    _prctl(_PR_SET_KEEPCAPS, 0)
    _prctl(_PR_SET_NO_NEW_PRIVS, 1)
    _log.info("privileges dropped uid=%d gid=%d net_raw=%s", os.getuid(), os.getgid(), bool(kept))


def end_with_parent(parent_pid: int) -> None:
    """Have the kernel end this process when its parent `parent_pid` ends.

    Call it after `drop_privileges`: a change of user clears the wish (prctl(2)).
    """
    if sys.platform != "linux":
        return
    _prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
    if os.getppid() != parent_pid:
        os.kill(os.getpid(), signal.SIGTERM)


def _become(account: Account | None) -> None:
    if account is not None and os.geteuid() == 0:
        os.setgroups([])
        os.setresgid(account.gid, account.gid, account.gid)
        os.setresuid(account.uid, account.uid, account.uid)


def _require_single_thread() -> None:
    threads = len(list(Path("/proc/self/task").iterdir()))
    if threads != 1:
        raise RuntimeError(f"privileges must be dropped before threads start, but {threads} run")


def _permitted_capabilities() -> int:
    for line in Path("/proc/self/status").read_bytes().splitlines():
        if line.startswith(b"CapPrm:"):
            return int(line.split()[1], 16)
    return 0


def _empty_bounding_set() -> None:
    for capability in range(_CAP_LAST + 1):
        if _libc().prctl(_PR_CAPBSET_DROP, capability, 0, 0, 0):
            return  # EINVAL: the kernel knows no capability of this number


class _Header(ctypes.Structure):
    _fields_ = (("version", ctypes.c_uint32), ("pid", ctypes.c_int))


class _Sets(ctypes.Structure):
    _fields_ = (("effective", ctypes.c_uint32), ("permitted", ctypes.c_uint32), ("inheritable", ctypes.c_uint32))


def _set_capabilities(mask: int) -> None:
    """Set effective and permitted to `mask` (its low 32 bits: CAP_NET_RAW is 13), inheritable to none."""
    header = _Header(_CAPABILITY_VERSION_3, 0)
    sets = (_Sets * 2)(_Sets(mask, mask, 0), _Sets(0, 0, 0))
    _checked(_libc().capset(ctypes.byref(header), ctypes.byref(sets)), "capset")


def _prctl(option: int, value: int) -> None:
    _checked(_libc().prctl(option, value, 0, 0, 0), f"prctl({option})")


def _checked(result: int, call: str) -> None:
    if result:
        error = ctypes.get_errno()
        raise OSError(error, f"{call}: {os.strerror(error)}")


def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)
