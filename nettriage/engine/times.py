"""Nanoseconds as RFC 3339 text."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_LAST_US = int((datetime.max.replace(tzinfo=UTC) - _EPOCH).total_seconds()) * 1_000_000


def rfc3339(ts_ns: int) -> str:
    """Return UTC text with µs and ``Z``; a time before 1970 or after year 9999 becomes the nearest that has a text."""
    moment = _EPOCH + timedelta(microseconds=min(max(ts_ns // 1_000, 0), _LAST_US))
    return moment.strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def rfc3339_or_empty(ts_ns: int | None) -> str:
    """Return the text of a time, empty where there is none."""
    return "" if ts_ns is None else rfc3339(ts_ns)
