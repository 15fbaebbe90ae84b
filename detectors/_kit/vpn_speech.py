"""VPN handshakes as both sides speak them: WireGuard, OpenVPN, IKE with ESP in UDP, L2TP, PPTP."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from nettriage.model.columns import Rows
from nettriage.model.tables import RESPONDER, Tables

from .prefix_watch import heads

UDP, TCP = 17, 6
_NATT_PORT, _OPENVPN_PORT = 4500, 1194
_WG_INITIATION, _WG_RESPONSE, _WG_COOKIE, _WG_DATA = (bytes((kind, 0, 0, 0)) for kind in (1, 2, 3, 4))
_WG_SIZES = {_WG_INITIATION: 148, _WG_RESPONSE: 92, _WG_COOKIE: 64}
_RESETS, _SERVER_RESET, _CONTROL = (7, 10), 8, (4, 5, 7, 8, 10)
"""OpenVPN opcodes: hard resets of a client (v2, v3), of a server, and those whose packets begin with a session id."""
_RESET_BYTES_MIN = 14
_IKE_VERSIONS, _IKE_EXCHANGES = (0x10, 0x20), frozenset({2, 4, 5, 6, 32, 34, 35, 36, 37})
_PPTP_MAGIC = b"\x1a\x2b\x3c\x4d"
_L2TP_START = b"\x80\x08\x00\x00\x00\x00\x00\x01"
"""The first AVP of SCCRQ: message type 1 (RFC 2661 4.4.1)."""


@dataclass(frozen=True, slots=True)
class VpnTalk:
    """A VPN that two hosts set up or use."""

    kind: str
    answered: bool
    """Whether both sides spoke it."""
    evidence: str
    """The bytes that tell, in words."""


@dataclass(frozen=True, slots=True)
class Opening:
    """The first bytes of both sides of a flow; `first` is the length of the first payload of each."""

    client: bytes
    server: bytes
    first: tuple[int, int]
    port: int

    @property
    def asked(self) -> bytes:
        """The first datagram of the client."""
        return self.client[: self.first[0]]

    @property
    def answer(self) -> bytes:
        """The first datagram of the server."""
        return self.server[: self.first[1]]

    @property
    def then(self) -> tuple[bytes, bytes]:
        """What follows the first datagram of each side; another datagram begins there."""
        return self.client[self.first[0] :], self.server[self.first[1] :]


def suspects(tables: Tables, rows: Rows, slots: Rows) -> npt.NDArray[np.bool_]:
    """Return `bool [n]`, whether the client of each flow may have begun a VPN; `slots` are those of its prefix."""
    found = np.zeros(len(rows), np.bool_)
    for proto, screen in ((TCP, _tcp_suspects), (UDP, _udp_suspects)):
        mine = np.flatnonzero(tables.flows.proto[rows] == proto)
        if len(mine):
            found[mine] = screen(tables, rows[mine], slots[mine])
    return found


def _tcp_suspects(tables: Tables, _rows: Rows, slots: Rows) -> npt.NDArray[np.bool_]:
    head = heads(tables, slots, 0, 8)
    openvpn = (head[:, 0] < 8) & ((head[:, 2] == 0x38) | (head[:, 2] == 0x50))
    return np.asarray(openvpn | ((head[:, 4] == 0x1A) & (head[:, 5] == 0x2B) & (head[:, 6] == 0x3C)))


def _udp_suspects(tables: Tables, rows: Rows, slots: Rows) -> npt.NDArray[np.bool_]:
    head = heads(tables, slots, 0, 32)
    quiet = (head[:, 1] | head[:, 2] | head[:, 3]) == 0
    found = quiet & (head[:, 0] >= 1) & (head[:, 0] <= 4)
    found |= (head[:, 0] == 0x38) | (head[:, 0] == 0x50)
    found |= (head[:, 0] == 0xC8) & (head[:, 1] == 2)
    found |= (head[:, 17] == _IKE_VERSIONS[0]) | (head[:, 17] == _IKE_VERSIONS[1])
    found |= quiet & ((head[:, 21] == _IKE_VERSIONS[0]) | (head[:, 21] == _IKE_VERSIONS[1]))
    return np.asarray(found | (tables.flows.port[rows, RESPONDER] == _NATT_PORT))


def recognised(opening: Opening, proto: int) -> VpnTalk | None:
    """Return the VPN that a flow begins, or None where it begins none."""
    if proto == TCP:
        return _openvpn_tcp(opening) or _pptp(opening)
    return _wireguard(opening) or _openvpn_udp(opening) or _ike(opening) or _esp_in_udp(opening) or _l2tp(opening)


def _wireguard(opening: Opening) -> VpnTalk | None:
    """The handshake whose response names the index of the initiation, or data of one session (whitepaper 5.4)."""
    asked, answer = opening.asked, opening.answer
    if asked[:4] == _WG_DATA:
        return _wireguard_data(opening)
    if asked[:4] != _WG_INITIATION or len(asked) != _WG_SIZES[_WG_INITIATION]:
        return None
    sender = asked[4:8]
    if not answer:
        return VpnTalk("WireGuard", False, "a handshake initiation of 148 bytes")
    named = answer[8:12] if answer[:4] == _WG_RESPONSE else answer[4:8] if answer[:4] == _WG_COOKIE else b""
    if named != sender or len(answer) != _WG_SIZES[answer[:4]]:
        return None
    return VpnTalk(
        "WireGuard", True, f"a handshake of 148 and {len(answer)} bytes; the answer names index {sender.hex()}"
    )


def _wireguard_data(opening: Opening) -> VpnTalk | None:
    sides = ((opening.asked, opening.then[0]), (opening.answer, opening.then[1]))
    told = [_next_in_session(first, after) for first, after in sides if first]
    if len(told) == 2 and all(told):
        return VpnTalk("WireGuard", True, "data packets that name one session each way and count up")
    return None


def _next_in_session(first: bytes, after: bytes) -> bool:
    """Whether two transport packets belong to one session: same receiver index, counters a few apart."""
    counters = [int.from_bytes(packet[8:16], "little") for packet in (first, after)]
    shaped = len(first) >= 32 and len(first) % 16 == 0 and len(after) >= 16 and first[:4] == after[:4] == _WG_DATA
    return shaped and first[4:8] == after[4:8] and 0 < counters[1] - counters[0] <= 1_000


def _openvpn_udp(opening: Opening) -> VpnTalk | None:
    asked, answer = opening.asked, opening.answer
    return _openvpn("OpenVPN over UDP", (asked, opening.then[0]), (answer, opening.then[1]), opening.port)


def _openvpn_tcp(opening: Opening) -> VpnTalk | None:
    client, server = _framed(opening.client), _framed(opening.server)
    if client is None or (opening.server and server is None):
        return None
    return _openvpn("OpenVPN over TCP", client, server or (b"", b""), opening.port)


def _framed(stream: bytes) -> tuple[bytes, bytes] | None:
    """Return the first packet of a TCP stream and what follows its successor's length; None where it is not whole."""
    size = int.from_bytes(stream[:2])
    packet = stream[2 : 2 + size]
    return (packet, stream[4 + size :]) if len(packet) == size >= _RESET_BYTES_MIN else None


def _openvpn(kind: str, client: tuple[bytes, bytes], server: tuple[bytes, bytes], port: int) -> VpnTalk | None:
    """Resets of both sides, and the session id of one of them in a later packet or in the other's reset."""
    reset, after = client
    session = reset[1:9]
    if len(reset) < _RESET_BYTES_MIN or reset[0] & 7 or reset[0] >> 3 not in _RESETS or not any(session):
        return None
    name = f"reset {reset[0]:02x} of session {session.hex()}"
    answer, onward = server
    if not answer:
        return VpnTalk(kind, False, f"a client's {name}") if port == _OPENVPN_PORT else None
    if len(answer) < _RESET_BYTES_MIN or answer[0] >> 3 != _SERVER_RESET:
        return None
    if session in answer[9:] or _goes_on(after, session):
        return VpnTalk(kind, True, f"{name}, which the server answered with its own")
    return VpnTalk(kind, True, f"{name}, and both sessions went on") if _goes_on(onward, answer[1:9]) else None


def _goes_on(packet: bytes, session: bytes) -> bool:
    return len(packet) >= 9 and packet[0] >> 3 in _CONTROL and packet[1:9] == session


def _ike(opening: Opening) -> VpnTalk | None:
    """IKE (RFC 2408 3.1, RFC 7296 3.1), on port 4500 behind the marker that is no SPI (RFC 3948 2.2)."""
    asked, answer = _without_marker(opening.asked), _without_marker(opening.answer)
    if not _is_ike(asked):
        return None
    if answer and not (_is_ike(answer) and answer[:8] == asked[:8]):
        return None
    return VpnTalk("IPsec IKE", bool(answer), f"IKE version {asked[17] >> 4}, initiator SPI {asked[:8].hex()}")


def _without_marker(datagram: bytes) -> bytes:
    return datagram[4:] if datagram[:4] == bytes(4) else datagram


def _is_ike(datagram: bytes) -> bool:
    return (
        len(datagram) >= 28 and any(datagram[:8]) and datagram[17] in _IKE_VERSIONS
        and datagram[18] in _IKE_EXCHANGES and int.from_bytes(datagram[24:28]) == len(datagram)
    )  # fmt: skip


def _esp_in_udp(opening: Opening) -> VpnTalk | None:
    """ESP on port 4500 (RFC 3948 2.1) whose second packet has the same SPI and the next sequence number."""
    if opening.port != _NATT_PORT:
        return None
    pairs = ((opening.asked, opening.then[0]), (opening.answer, opening.then[1]))
    told = [_next_esp(first, after) for first, after in pairs if first]
    return VpnTalk("IPsec ESP in UDP", True, "one SPI each way, counting up") if len(told) == 2 and all(told) else None


def _next_esp(first: bytes, after: bytes) -> bool:
    counters = [int.from_bytes(packet[4:8]) for packet in (first, after)]
    return any(first[:4]) and len(after) >= 8 and first[:4] == after[:4] and 0 < counters[1] - counters[0] <= 1_000


def _l2tp(opening: Opening) -> VpnTalk | None:
    """L2TP (RFC 2661 3.1): a control message whose first AVP starts a control connection, and one in answer."""
    asked, answer = opening.asked, opening.answer
    if not _is_l2tp(asked) or asked[12:20] != _L2TP_START or (answer and not _is_l2tp(answer)):
        return None
    return VpnTalk("L2TP", bool(answer), "a start of a control connection (C8 02, message type 1)")


def _is_l2tp(datagram: bytes) -> bool:
    return datagram[:2] == b"\xc8\x02" and int.from_bytes(datagram[2:4]) == len(datagram) >= 12


def _pptp(opening: Opening) -> VpnTalk | None:
    """PPTP (RFC 2637 2.1): Start-Control-Connection-Request, and the reply."""
    if not _is_pptp(opening.client, 1) or (opening.server and not _is_pptp(opening.server, 2)):
        return None
    return VpnTalk("PPTP", bool(opening.server), "a start of a control connection with the cookie 1A2B3C4D")


def _is_pptp(stream: bytes, message: int) -> bool:
    return stream[2:4] == b"\0\1" and stream[4:8] == _PPTP_MAGIC and int.from_bytes(stream[8:10]) == message
