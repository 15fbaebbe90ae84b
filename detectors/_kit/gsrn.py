"""GSRN, the relay protocol of the Global Socket toolkit (hackerschoice/gsocket include/gsocket/gsocket.h)."""

from __future__ import annotations

from dataclasses import dataclass

HELLO_BYTES = 128
"""The first message of a client, padded with zeros."""
MESSAGE_BYTES = 32
_LISTEN, _CONNECT = 1, 2
_PING, _PONG, _START, _ACCEPT, _STATUS = 3, 4, 5, 6, 7
_INTERACTIVE = 0x08
_STATUS_CODES = {2: "refused", 3: "idle too long", 42: "update needed"}
_ADDRESS = slice(32, 48)


@dataclass(frozen=True, slots=True)
class Gsrn:
    """What a client of the relay said, and how it was answered."""

    listens: bool
    """Whether it waits for its peer (a planted backdoor) rather than calls it."""
    interactive: bool
    """Whether it asked for low latency, as a shell does."""
    letter: str
    """First label of the relay's name: it follows from the address (lib/gsocket-util.c)."""
    pings: int
    """Keepalives of the client that are known."""
    answered: bool
    """Whether the relay answered in its protocol."""
    started: bool
    """Whether the relay joined it with its peer."""
    status: str


def parse(client: bytes, server: bytes) -> Gsrn | None:
    """Return what a client said to a relay, or None where its first message has another shape.

    Version bytes may change from release to release, so the zeros tell it, and an address that is no constant.
    """
    hello = client[:HELLO_BYTES]
    if len(hello) < HELLO_BYTES or hello[0] not in (_LISTEN, _CONNECT) or any(hello[4:16]) or any(hello[48:]):
        return None
    listens = hello[0] == _LISTEN
    if (not listens and any(hello[16:32])) or len(set(hello[_ADDRESS])) < 8 or hello[2] > 16 or hello[1] > 16:
        return None
    answers = _messages(server)
    if answers is None:
        return None
    pings = [kind for kind, _ in _messages(client[HELLO_BYTES:]) or ()].count(_PING)
    codes = [code for kind, code in answers if kind == _STATUS]
    return Gsrn(
        listens=listens, interactive=bool(hello[3] & _INTERACTIVE), letter=letter(hello[_ADDRESS]), pings=pings,
        answered=bool(answers), started=any(kind == _START for kind, _ in answers),
        status=_STATUS_CODES.get(codes[0], f"code {codes[0]}") if codes else "",
    )  # fmt: skip


def letter(address: bytes) -> str:
    """Return the first label of ``x.gs.thc.org`` that belongs to an address of 16 bytes."""
    return chr(ord("a") + sum(address) % 26)


def _messages(stream: bytes) -> list[tuple[int, int]] | None:
    """Return (type, code) of the relay's messages up to START; None where the stream begins with something else."""
    found: list[tuple[int, int]] = []
    for at in range(0, len(stream), MESSAGE_BYTES):
        message = stream[at : at + MESSAGE_BYTES]
        if not _PING <= message[0] <= _STATUS or (message[0] in (_PING, _PONG) and any(message[1:])):
            return found or None
        found.append((message[0], message[1] if len(message) > 1 else 0))
        if message[0] in (_START, _ACCEPT):
            break
    return found
