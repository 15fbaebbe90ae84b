"""Durable writing of what is handed over: JSON and packets, whole or not at all."""

from __future__ import annotations

import os
import re
import tempfile
from contextlib import suppress
from pathlib import Path

import msgspec

FILE_MODE = 0o600
_UNSAFE = re.compile(r"[^0-9A-Za-z]+")


def export_name(kind: str, created: str, identity: str, suffix: str) -> str:
    """Return a file name made of the kind, the RFC 3339 time and the id alone: nothing from the wire gets into it."""
    parts = (_UNSAFE.sub("", part) for part in (created.partition(".")[0], identity))
    return f"nettriage-{kind}-{'-'.join(parts)}.{suffix}"


def to_json(record: msgspec.Struct) -> bytes:
    """Return a record as indented JSON in ASCII: every other character is escaped, so no viewer can be fooled."""
    text = msgspec.json.format(msgspec.json.encode(record), indent=2).decode()
    return "".join(char if char.isascii() else _escaped(char) for char in text).encode("ascii") + b"\n"


def to_json_line(record: msgspec.Struct) -> bytes:
    """Return a record as one line of JSON in ASCII, with its line feed."""
    line = msgspec.json.encode(record)
    if not line.isascii():
        line = "".join(char if char.isascii() else _escaped(char) for char in line.decode()).encode("ascii")
    return line + b"\n"


def write_atomic(folder: Path, name: str, content: bytes) -> Path:
    """Write `content` as `name` into `folder` and return its path; on any error there is neither old damage nor a rest.

    The file is made beside its place with mode 0600, synced, renamed over an older one, and the folder is synced.
    Raises OSError where the folder is a symbolic link, is missing, is full, or may not be written.
    """
    if os.sep in name or name in ("", ".", ".."):
        raise ValueError(f"{name!r} is not a plain file name")
    if folder.is_symlink():
        raise NotADirectoryError(f"{folder} is a symbolic link; name the folder itself")
    handle, temporary = tempfile.mkstemp(prefix=".nettriage-", dir=folder)
    try:
        with open(handle, "wb") as file:
            os.fchmod(file.fileno(), FILE_MODE)
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, folder / name)
    except BaseException:
        with suppress(OSError):
            os.unlink(temporary)
        raise
    _sync_folder(folder)
    return folder / name


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _escaped(char: str) -> str:
    code = ord(char)
    if code < 0x10000:
        return f"\\u{code:04x}"
    code -= 0x10000
    return f"\\u{0xD800 | code >> 10:04x}\\u{0xDC00 | code & 0x3FF:04x}"
