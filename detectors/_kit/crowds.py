"""Ambiguous probes in a window: one leftover of a session is nothing, many of one pattern at once are a scan."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from detectors._kit.odd_probes import PROBE, Probes
from nettriage.model.columns import U64, Mixer
from nettriage.model.health import Gauge

_CAP = 8_192


class Crowds:
    """The ambiguous probes of the last `window_ns`, at most 8,192; the oldest give way."""

    def __init__(self, mixer: Mixer, *, ports: int, hosts: int, window_ns: int) -> None:
        """Call `ports` ports of one host, or `hosts` hosts from one source port, a crowd."""
        self._mixer = mixer
        self._ports, self._hosts, self._window_ns = ports, hosts, window_ns
        self._probes: Probes = np.zeros(0, PROBE)
        self._told: npt.NDArray[np.bool_] = np.zeros(0, np.bool_)
        self._evicted = 0

    @property
    def gauge(self) -> Gauge:
        """How many probes are in the window."""
        return Gauge(cap=_CAP, used=len(self._probes), evicted=self._evicted, refused=0)

    @property
    def nbytes(self) -> int:
        """Memory of the window, in bytes."""
        return self._probes.nbytes + self._told.nbytes

    def add(self, probes: Probes, now_ns: int) -> Probes:
        """Take in settled probes; return, once, those that stand in a crowd."""
        recent = self._probes["ts_ns"] > now_ns - self._window_ns
        window = np.concatenate((self._probes[recent], probes))
        told = np.concatenate((self._told[recent], np.zeros(len(probes), np.bool_)))
        self._evicted += max(0, len(window) - _CAP)
        self._probes, self._told = window[-_CAP:], told[-_CAP:]
        if not len(probes):
            return probes
        crowded = self._crowded() & ~self._told
        self._told |= crowded
        return self._probes[crowded]

    def _crowded(self) -> npt.NDArray[np.bool_]:
        probes = self._probes
        same_pair = self._mixer(probes["src_key"], probes["dst_key"], probes["technique"])
        same_port = self._mixer(probes["src_key"], probes["sport"], probes["technique"])
        one = _distinct_beside(same_pair, self._mixer(probes["dport"])) >= self._ports
        return np.asarray(one | (_distinct_beside(same_port, probes["dst_key"]) >= self._hosts))


def _distinct_beside(keys: U64, items: U64) -> npt.NDArray[np.int64]:
    """Return `i8 [n]`, how many different items the key of each row has."""
    key = np.unique(keys, return_inverse=True)[1]
    item = np.unique(items, return_inverse=True)[1]
    pairs = np.unique((key.astype(np.int64) << 32) | item)
    return np.asarray(np.bincount(pairs >> 32)[key])
