"""The bytes of a packet as lines: offset, hexadecimal, and text, with one range marked."""

from __future__ import annotations

from tui.lines import Line, Span

BYTES_MAX = 4096


def bytes_per_line(width: int) -> int:
    """Return how many bytes fit on a line of `width` cells: 16, 8 or 4."""
    return next((number for number in (16, 8) if 6 + 4 * number + number // 8 <= width), 4)


def hexdump(data: bytes, width: int, marked: tuple[int, int] = (0, 0)) -> list[Line]:
    """Return the dump of at most `BYTES_MAX` bytes; bytes from `marked[0]` up to `marked[1]` stand out."""
    step = bytes_per_line(width)
    rows = [_row(data[at : at + step], at, step, marked) for at in range(0, min(len(data), BYTES_MAX), step)]
    if len(data) > BYTES_MAX:
        rows.append(((f"… {len(data) - BYTES_MAX} more bytes", "muted"),))
    return rows


def _row(chunk: bytes, at: int, step: int, marked: tuple[int, int]) -> Line:
    spans: list[Span] = [(f"{at:04x} ", "muted")]
    letters: list[Span] = []
    for place in range(step):
        inside = place < len(chunk) and marked[0] <= at + place < marked[1]
        role = "accent" if inside else "text"
        gap = " " if place % 8 == 0 and place else ""
        word = f"{chunk[place]:02x}" if place < len(chunk) else "  "
        spans.append((f"{gap} {word}", role))
        if place < len(chunk):
            letters.append((chr(chunk[place]) if 0x20 <= chunk[place] < 0x7F else ".", role))
    return (*_joined(spans), ("  ", "text"), *_joined(letters))


def _joined(spans: list[Span]) -> list[Span]:
    """Join neighbours of one role: fewer segments for the terminal."""
    joined: list[Span] = []
    for text, role in spans:
        if joined and joined[-1][1] == role:
            joined[-1] = (joined[-1][0] + text, role)
        else:
            joined.append((text, role))
    return joined
