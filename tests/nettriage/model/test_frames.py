"""Tests of the link between sensor and screens."""

from __future__ import annotations

import pytest

from nettriage.model import frames


def test_messages_survive_any_chopping() -> None:
    """A stream fed byte by byte gives the messages that were sent, in order."""
    sent = [frames.AskFlows(request=1, alert_id="a1"), frames.Stop(), frames.Finished(exit_code=5, message="cut")]
    reader = frames.FrameReader()
    stream = b"".join(map(frames.encode, sent))

    got = [message for byte in stream for message in reader.feed(bytes([byte]))]

    assert got == sent


@pytest.mark.parametrize("junk", [b"\xff\xff\xff\xff", b"\0\0\0\x03abc", b"\0\0\0\x01\xc0"])
def test_a_foreign_stream_is_refused(junk: bytes) -> None:
    """Bytes that are no message raise ValueError instead of being guessed at."""
    with pytest.raises(ValueError):  # noqa: PT011 - msgspec's own error is a ValueError with its own text
        list(frames.FrameReader().feed(junk))
