"""The dissector process: bytes of one packet in, its fields out; scapy lives here and nowhere else.

Run as ``python -m tui.dissect_child``. It says ``READY`` once scapy is loaded, then answers each request.
It is fed hostile bytes: it has no privileges, a cap on memory, and a parent that kills it when it is slow.
"""

from __future__ import annotations

import resource
import sys
from typing import Any, BinaryIO

import msgspec

from nettriage.model.safetext import safe

READY = b"READY\n"
FIELDS_MAX = 300
VALUE_CELLS = 120
MEMORY_MAX = 1 << 30


class Field(msgspec.Struct, array_like=True):
    """A line of the decoded packet."""

    depth: int
    label: str
    value: str
    start: int
    """First byte."""
    end: int
    """Byte after the last one."""


def fields_of(link_type: int, data: bytes) -> list[Field]:
    """Return the layers of a packet and their fields, at most `FIELDS_MAX`, with the bytes that hold each."""
    from scapy.all import Raw, conf

    layer: Any = conf.l2types.num2layer.get(link_type, Raw)(data)
    rows: list[Field] = []
    at = 0
    while layer is not None and layer.name != "NoPayload" and len(rows) < FIELDS_MAX:
        cached = layer.raw_packet_cache
        size = len(cached) if cached is not None else len(data) - at
        rows.append(Field(0, safe(layer.name, VALUE_CELLS), "", at, at + size))
        rows += _layer_fields(layer, at, at + size)
        at += size
        layer = layer.payload
    return rows[:FIELDS_MAX]


def _layer_fields(layer: Any, at: int, end: int) -> list[Field]:  # noqa: ANN401 - scapy has no types
    rows = []
    bits = at * 8
    for field in layer.fields_desc:
        if field.name not in layer.fields:
            continue
        value = layer.fields[field.name]
        width = _bits(field, layer, value)
        first, last = bits // 8, -(-(bits + width) // 8)
        bits += width
        text = safe(str(field.i2repr(layer, value)), VALUE_CELLS)
        rows.append(Field(1, safe(field.name, VALUE_CELLS), text, min(first, end), min(max(last, first), end)))
    return rows


def _bits(field: Any, layer: Any, value: Any) -> int:  # noqa: ANN401 - scapy has no types
    """Return the width of a field on the wire."""
    if (size := getattr(field, "size", None)) is not None and hasattr(field, "rev"):
        return abs(int(size))
    return 8 * len(field.addfield(layer, b"", value))


def answer(link_type: int, data: bytes) -> bytes:
    """Return the encoded fields; for bytes that scapy stumbles over, one line that says so."""
    try:
        rows = fields_of(link_type, data)
    except Exception as error:  # noqa: BLE001 - third-party dissectors raise anything on hostile bytes
        rows = [Field(0, "not dissected", safe(f"{type(error).__name__}: {error}", VALUE_CELLS), 0, len(data))]
    return msgspec.msgpack.encode(rows)


def serve(asked: BinaryIO, answered: BinaryIO) -> None:
    """Answer requests (length, link type, bytes) until there are no more."""
    while len(head := asked.read(6)) == 6:
        size, link_type = int.from_bytes(head[:4], "big"), int.from_bytes(head[4:], "big")
        body = answer(link_type, asked.read(size))
        answered.write(len(body).to_bytes(4, "big") + body)
        answered.flush()


def main() -> None:
    """Load scapy, say so, and serve."""
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_MAX, MEMORY_MAX))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    import scapy.all  # noqa: F401 - loading takes most of a second: before the first request

    sys.stdout.buffer.write(READY)
    sys.stdout.buffer.flush()
    serve(sys.stdin.buffer, sys.stdout.buffer)


if __name__ == "__main__":
    main()
