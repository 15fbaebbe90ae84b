"""The libpcap source on real interfaces: content, silence, and interfaces that come and go."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

import sniff.pcapy_source
from nettriage.model.errors import InterfaceError, UsageError
from sniff.pcapy_source import NOTE, PcapySource
from sniff.source import SourceOptions
from tests.sniff.forged_captures import rows
from tests.sniff.taps import NEAR, QUIET, frame, hear, ip, make_pair, missing, namespace, sender

pytestmark = pytest.mark.skipif(bool(missing()), reason=missing())


@pytest.fixture(autouse=True)
def _net(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A namespace with a pair of interfaces; a lost one is tried again every 100 ms."""
    monkeypatch.setattr(sniff.pcapy_source, "REOPEN_S", (0.1,))
    with namespace():
        make_pair()
        yield


def opened(**options: object) -> PcapySource:
    """Open the near interface."""
    return PcapySource(NEAR, SourceOptions(ring_mib=4, **options))


async def test_frames_arrive_as_they_were_sent() -> None:
    """Bytes and order are the sender's; what libpcap does not tell is said."""
    source = opened()
    sent = [frame(number, 60 + number) for number in range(100)]
    with sender() as tap:
        for item in sent:
            tap.send(item)
    heard = await hear(source.batches(), 100)
    counters = source.counters()
    source.close()

    assert [data for _, data in rows(heard)] == sent
    assert all(ts % 1000 == 0 for ts, _ in rows(heard))
    assert (counters.received, counters.kernel_drops, counters.note) == (100, 0, NOTE)
    assert source.info.link_types == [1]


async def test_a_filter_is_applied() -> None:
    """Only what the filter accepts is delivered."""
    source = opened(bpf="ether proto 0x88b6")
    other = QUIET[:12] + b"\x88\xb6"
    with sender() as tap:
        tap.send(frame(1))
        tap.send(frame(2, header=other))
    heard = rows(await hear(source.batches(), 1))
    source.close()

    assert [data for _, data in heard] == [frame(2, header=other)]


async def test_silence_gives_empty_batches_and_close_ends() -> None:
    """An idle interface does not block, and a closed source is at its end."""
    source = opened()
    batches = source.batches()

    assert len(await anext(batches)) == 0
    source.close()
    source.close()
    assert await anext(batches, None) is None


async def test_a_lost_interface_is_opened_again() -> None:
    """Deleted and made anew under the same name, it is heard again."""
    source = opened()
    batches = source.batches()
    await anext(batches)
    ip("link", "del", NEAR)
    while source.counters().interface_state != "gone":
        assert len(await anext(batches)) == 0
    make_pair()
    while source.counters().interface_state != "up":
        await anext(batches)
    with sender() as tap:
        tap.send(frame(3))
    heard = rows(await hear(batches, 1))
    source.close()

    assert heard[0][1] == frame(3)
    assert source.counters().reopened == 1


def test_what_cannot_be_opened_is_named() -> None:
    """An unknown interface, one that is down, and a bad filter each have their error."""
    with pytest.raises(InterfaceError, match=rf"naer0: no such interface \(did you mean {NEAR}"):
        PcapySource("naer0", SourceOptions())
    with pytest.raises(UsageError, match="syntax error"):
        opened(bpf="prt 80")
    ip("link", "set", NEAR, "down")
    with pytest.raises(InterfaceError, match="is down"):
        opened()
