"""Decodes the packet under the cursor in a child process with a time budget."""

from __future__ import annotations

import asyncio
import os
import sys
import tempfile
from pathlib import Path

import msgspec

from nettriage.model.safetext import safe
from tui.dissect_child import READY, Field

BUDGET_S = 0.25
START_BUDGET_S = 20.0
"""Loading scapy takes most of a second, and much more on a busy host; nobody waits for it."""
BYTES_MAX = 2048
_ANSWER_BYTES_MAX = 1 << 20
_DECODER = msgspec.msgpack.Decoder(list[Field])


class DissectError(Exception):
    """There is no decoded tree: the child was slow, died, or said something else."""


class Dissector:
    """One child, started when first needed, killed when it overruns its budget, and started anew."""

    def __init__(self, *command: str, budget_s: float = BUDGET_S) -> None:
        """Use the dissector of this package, or another `command` that speaks as it does."""
        self._command = command or (sys.executable, "-P", "-m", "tui.dissect_child")
        self._budget_s = budget_s
        self._child: asyncio.subprocess.Process | None = None
        self._cache: tempfile.TemporaryDirectory[str] | None = None
        self._turn = asyncio.Lock()

    async def start(self) -> None:
        """Have a child that is ready; raises DissectError."""
        async with self._turn:
            await self._ready()

    async def dissect(self, link_type: int, data: bytes) -> list[Field]:
        """Return the fields of a packet, of its first `BYTES_MAX` bytes; raises DissectError."""
        async with self._turn:
            child = await self._ready()
            try:
                body = await asyncio.wait_for(_exchange(child, link_type, data[:BYTES_MAX]), self._budget_s)
                fields = _DECODER.decode(body)
            except TimeoutError:
                await self._kill()
                raise DissectError(f"dissector timed out after {self._budget_s * 1000:.0f} ms") from None
            except (OSError, EOFError, msgspec.DecodeError) as error:
                await self._kill()
                raise DissectError(f"dissector failed: {type(error).__name__}") from error
        return [Field(each.depth, safe(each.label), safe(each.value), each.start, each.end) for each in fields]

    async def close(self) -> None:
        """End the child and remove what it wrote."""
        async with self._turn:
            await self._kill()
            if self._cache is not None:
                self._cache.cleanup()
                self._cache = None

    async def _ready(self) -> asyncio.subprocess.Process:
        if self._child is not None and self._child.returncode is None:
            return self._child
        if self._cache is None:
            self._cache = tempfile.TemporaryDirectory(prefix="nettriage-")
        self._child = await asyncio.create_subprocess_exec(
            *self._command, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL, env=_environment(self._cache.name), cwd=self._cache.name,
        )  # fmt: skip
        assert self._child.stdout is not None
        try:
            said = await asyncio.wait_for(self._child.stdout.readline(), START_BUDGET_S)
        except TimeoutError:
            said = b""
        if said != READY:
            await self._kill()
            raise DissectError("dissector did not start")
        return self._child

    async def _kill(self) -> None:
        child, self._child = self._child, None
        if child is None:
            return
        if child.returncode is None:
            child.kill()
        await child.communicate()


async def _exchange(child: asyncio.subprocess.Process, link_type: int, data: bytes) -> bytes:
    assert child.stdin is not None
    assert child.stdout is not None
    child.stdin.write(len(data).to_bytes(4, "big") + link_type.to_bytes(2, "big") + data)
    await child.stdin.drain()
    size = int.from_bytes(await child.stdout.readexactly(4), "big")
    if size > _ANSWER_BYTES_MAX:
        raise EOFError("too long an answer")
    return await child.stdout.readexactly(size)


def _environment(cache: str) -> dict[str, str]:
    """Return a bare environment: scapy writes to its cache and reads its configuration only in our own folder."""
    roots = [str(Path(__file__).parent.parent)]
    kept = {name: os.environ[name] for name in ("PATH", "LANG", "LC_ALL") if name in os.environ}
    return {
        **kept, "PYTHONPATH": os.pathsep.join(roots), "HOME": cache, "XDG_CACHE_HOME": cache, "XDG_CONFIG_HOME": cache,
    }  # fmt: skip
