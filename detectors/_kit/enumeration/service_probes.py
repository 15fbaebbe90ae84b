"""First payloads that scanners send to learn what a service is (nmap-service-probes and the NSE libraries)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from nettriage.model.columns import Rows

HEAD_BYTES = 256
_GATE_BYTES = 8
_PLAIN_GET = b"GET / HTTP/1.0\r\n\r\n"


@dataclass(frozen=True, slots=True)
class ServiceProbe:
    """One first payload."""

    name: str
    start: bytes
    telling: bool = True
    """Whether it tells a scanner alone; others also come from health checks and simple clients."""
    whole: bool = False
    """Whether nothing follows `start`."""


SERVICE_PROBES = (
    ServiceProbe("GenericLines", b"\r\n\r\n", telling=False, whole=True),
    ServiceProbe("GetRequest", _PLAIN_GET, telling=False, whole=True),
    ServiceProbe("HTTPOptions", b"OPTIONS / HTTP/1.0\r\n\r\n", telling=False, whole=True),
    ServiceProbe("RTSPRequest", b"OPTIONS / RTSP/1.0\r\n\r\n", telling=False, whole=True),
    ServiceProbe("Help", b"HELP\r\n", telling=False, whole=True),
    ServiceProbe("Help", b"help\r\n\r\n", telling=False, whole=True),
    ServiceProbe("TerminalServer", b"\x03\0\0\x0b\x06\xe0\0\0\0\0\0", telling=False, whole=True),
    ServiceProbe("DNSStatusRequest", b"\0\0\x10\0\0\0\0\0\0\0\0\0", telling=False, whole=True),
    ServiceProbe("LDAPBindReq", b"\x30\x0c\x02\x01\x01\x60\x07\x02\x01\x02\x04\0\x80\0", telling=False, whole=True),
    ServiceProbe("X11Probe", b"\x6c\0\x0b\0\0\0\0\0\0\0\0\0", telling=False, whole=True),
    ServiceProbe("RPCCheck", b"\x80\0\0\x28\x72\xfe\x1d\x13\0\0\0\0\0\0\0\x02"),
    ServiceProbe("RPCCheck", b"\x72\xfe\x1d\x13\0\0\0\0\0\0\0\x02\0\x01\x86\xa0"),
    ServiceProbe("DNSVersionBindReq", b"\0\x06\x01\0\0\x01\0\0\0\0\0\0\x07version\x04bind"),
    ServiceProbe("DNSVersionBindReqTCP", b"\0\x1e\0\x06\x01\0\0\x01\0\0\0\0\0\0\x07version\x04bind"),
    ServiceProbe("NBTStat", b"\x80\xf0\0\x10\0\x01\0\0\0\0\0\0\x20CKAAAA"),
    ServiceProbe("SSLSessionReq", b"\x16\x03\0\0S\x01\0\0O\x03\0?G\xd7\xf7\xba,\xee\xea\xb2"),
    ServiceProbe("TLSSessionReq", b"\x16\x03\0\0i\x01\0\0e\x03\x03U\x1c\xa7\xe4random1random2random3random4"),
    ServiceProbe("TerminalServerCookie", b"\x03\0\0*%\xe0\0\0\0\0\0Cookie: mstshash=nmap"),
    ServiceProbe("Kerberos", b"\0\0\0\x71\x6a\x81\x6e\x30\x81\x6b\xa1\x03\x02\x01\x05\xa2"),
    ServiceProbe("SMBProgNeg", b"\0\0\0\xa4\xffSMBr\0\0\0\0\x08\x01\x40\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x40\x06\0\0\x01"),
    ServiceProbe("FourOhFourRequest", b"GET /nice%20ports%2C/Tri%6Eity.txt%2ebak"),
    ServiceProbe("LPDString", b"\x01default\n"),
    ServiceProbe("SIPOptions", b"OPTIONS sip:nm SIP/2.0\r\n"),
    ServiceProbe("LANDesk-RC", b"TNMP\x04\0\0\0TNME\0\0\x04\0"),
    ServiceProbe("NCP", b"DmdT\0\0\0\x17\0\0\0\x01\0\0\0\0\x11\x11\0\xff\x01\xff\x13"),
    ServiceProbe("NotesRPC", b"\x3a\0\0\0\x2f\0\0\0\x02\0\0\x40\x02\x0f\0\x01\0\x3d\x05\0"),
    ServiceProbe("DistCCD", b"DIST00000001ARGC00000005ARGV00000002ccARGV00000002-cARGV00000006nmap.c"),
    ServiceProbe("Radmin", b"\x01\0\0\0\x01\0\0\0\x08\x08", whole=True),
    ServiceProbe("SNMPv1public", b"\x30\x82\0\x2f\x02\x01\0\x04\x06public\xa0\x82\0\x20\x02\x04\x4c\x33\xa7\x56"),
    ServiceProbe("NTPRequest", b"\xe3\0\x04\xfa\0\x01\0\0\0\x01" + bytes(30) + b"\xc5O#Kq\xb1R\xf3"),
    ServiceProbe("oracle-tns", b"\0Z\0\0\x01\0\0\0\x016\x01,\0\0\x08\0\x7f\xff\x7f\x08\0\0\0\x01\0\x20\0:\0\0"),
    ServiceProbe("NSE ssh-hostkey", b"SSH-2.0-Nmap-SSH2-Hostkey"),
    ServiceProbe("NSE ssh-hostkey", b"SSH-1.5-Nmap"),
    ServiceProbe("NSE http-enum", b"GET /nmaplowercheck"),
)
NOT_TELLING = frozenset(probe.name for probe in SERVICE_PROBES if not probe.telling)
"""Names of the probes that tell a scanner only in company."""
_SCRIPTS = b"Nmap Scripting Engine"
"""In the user agent of nmap's http library (nselib/http.lua)."""
_GATE = np.unique(
    np.array([np.frombuffer(probe.start[:_GATE_BYTES].ljust(_GATE_BYTES, b"\0"), "<u8")[0] for probe in SERVICE_PROBES])
)
_GET_GATE = np.frombuffer(_PLAIN_GET[:_GATE_BYTES], "<u8")[0]


def candidates(heads: npt.NDArray[np.uint8]) -> Rows:
    """Return the rows of `u1 [n, HEAD_BYTES]` that may be a scanner's payload: few of ordinary traffic."""
    first = np.ascontiguousarray(heads[:, :_GATE_BYTES]).view("<u8")[:, 0]
    gated = _GATE[np.minimum(np.searchsorted(_GATE, first), len(_GATE) - 1)] == first
    may_be = gated & ((first != _GET_GATE) | (heads[:, len(_PLAIN_GET)] == 0))
    may_be[_rows_with(heads, _SCRIPTS)] = True
    return np.flatnonzero(may_be)


def _rows_with(heads: npt.NDArray[np.uint8], text: bytes) -> list[int]:
    """Return the rows in which `text` stands, by one search over all bytes."""
    everything, rows, at = heads.tobytes(), [], -1
    while (at := everything.find(text, at + 1)) >= 0:
        if at % HEAD_BYTES + len(text) <= HEAD_BYTES:
            rows.append(at // HEAD_BYTES)
    return rows


def probe_in(payload: bytes) -> ServiceProbe | None:
    """Return the scanner's probe that a first payload is; None where it is none."""
    for probe in SERVICE_PROBES:
        if payload.startswith(probe.start) and (not probe.whole or payload == probe.start):
            return probe
    return ServiceProbe("NSE user agent", _SCRIPTS) if _SCRIPTS in payload else None
