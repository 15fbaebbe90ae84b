"""Text from the wire, made harmless where it is created."""

from __future__ import annotations

import unicodedata
from typing import NewType

SafeStr = NewType("SafeStr", str)
"""Text without control, bidirectional or zero-width characters, at most `CELLS_MAX` characters."""

CELLS_MAX = 256


def safe(raw: str | bytes, limit: int = CELLS_MAX) -> SafeStr:
    r"""Return `raw` with every dangerous character as a visible, reversible escape.

    C0, DEL, C1, bidirectional, zero-width, combining and private characters become ``\xNN`` or
    ``\u{NNNN}``; a backslash is doubled; what exceeds `limit` characters is cut and counted as ``…+N``.
    """
    text = raw.decode("utf-8", "surrogateescape") if isinstance(raw, bytes) else raw
    if not (text.isascii() and text.isprintable() and "\\" not in text):
        text = "".join(map(_visible, text[: limit + 1])) + text[limit + 1 :]
    if len(text) > limit:
        text = _cut(text, limit)
    return SafeStr(text)


def _cut(text: str, limit: int) -> str:
    return f"{text[: limit - 8]}…+{len(text) - limit + 8}"


def _visible(char: str) -> str:
    if char == "\\":
        return "\\\\"
    if char.isprintable() and not unicodedata.category(char).startswith("M"):
        return char
    code = ord(char)
    if 0xDC80 <= code <= 0xDCFF:
        code -= 0xDC00
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{{{code:04x}}}"
