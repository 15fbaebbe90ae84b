"""Hand-made incidents, updates and rows: what the fake sensor has to tell."""

from __future__ import annotations

from detectors._kit import forge
from nettriage.model.alert import (
    Alert,
    Attack,
    BenignCheck,
    Evidence,
    Findings,
    FollowUp,
    Leg,
    Observation,
    OpenService,
    Party,
    Pivots,
    Timeline,
    Tool,
    Visibility,
)
from nettriage.model.frames import FlowRow, PacketRow, Update
from nettriage.model.health import CaptureHealth, Gauge
from nettriage.model.panel import PORT_BINS, FanoutRow, Panel, VictimRow
from nettriage.model.safetext import SafeStr
from nettriage.model.snapshot import SourceInfo, WindowInfo

NOW = "2026-03-04T14:02:11.250000Z"
DAY = "2026-03-04T"
WAVE = [1, 3, 8, 14, 9, 4, 2, 5, 11, 16, 12, 6, 3, 2, 7, 13, 15, 10, 4, 1, 2, 6, 12, 14]


def alert(
    number: int = 142, kind: str = "vertical-scan", severity: str = "high", score: float = 93, *,
    src: str = "10.1.7.31", dst: tuple[str, ...] = ("10.1.9.5",),
    ports: tuple[int, ...] = (22, 80, 445), **more: object,
) -> Alert:  # fmt: skip
    """Return an incident with everything filled in; `more` sets single fields."""
    fields: dict[str, object] = {
        "id": f"A-{number:04d}",
        "kind": kind,
        "title": f"{kind} from {src}",
        "severity": severity,
        "score": score,
        "confidence": 0.93,
        "first_seen": f"{DAY}13:41:07.000000Z",
        "last_seen": f"{DAY}14:00:{number % 60:02d}.000000Z",
        "detected_at": f"{DAY}13:41:{number % 60:02d}.000000Z",
        "subject": Party(ip=src, zone="home", mac="02:00:0a:01:07:1f"),
        "objects": [Party(ip=ip) for ip in dst],
        "object_count": len(dst),
        "protocol": "tcp",
        "ports": list(ports),
        "port_count": len(ports),
        "reason": f"{src} tried 1,024 ports of {dst[0] if dst else 'nobody'} in 60 s.",
        "count": 1024,
        "timeline": Timeline(t0=f"{DAY}13:38:00.000000Z", step_s=10, counts=WAVE[number % 7 :]),
        "attack": [Attack(tactic="discovery", technique="T1046", name="Network Service Discovery")],
        "pivots": Pivots(
            bpf=f"src host {src} and dst host 10.1.9.5 and tcp[tcpflags] & (tcp-syn|tcp-ack) == tcp-syn",
            wireshark=f"ip.src == {src} && ip.dst == 10.1.9.5 && tcp.flags.syn == 1 && tcp.flags.ack == 0",
        ),
        "observations": [
            Observation(name="distinct ports", value=1024, unit="ports", threshold=100, window_s=60, weight=0.5),
            Observation(name="failed contacts", value=98, unit="%", threshold=70, window_s=60, weight=0.3),
            Observation(name="new ports", value=52, unit="1/s", threshold=5, window_s=60, weight=0.2),
            Observation(name="distinct hosts", value=1, unit="hosts", threshold=50, window_s=60, weight=0),
        ],
        "counterfactual": "would not alert if 40 of the 98 refused ports had answered",
        "findings": Findings(
            open=[
                OpenService(ip="10.1.9.5", port=port, protocol="tcp", new=port == 8080) for port in (22, 80, 445, 8080)
            ],
            open_count=4,
            closed=812,
            silent=208,
            follow_up=[FollowUp(src=src, dst="10.1.9.5", port=445, at=f"{DAY}13:44:20.000000Z")],
        ),
        "tool": Tool(name="masscan", confidence=0.9, evidence=SafeStr("TTL 255, window 1024, no options")),
        "benign_checked": [
            BenignCheck(hypothesis="approved scanner", rejected_because="10.1.7.31 is not declared as one")
        ],
        "visibility": Visibility(loss=0.0002, one_way=0.01, duplicates=0.0),
        "next_steps": ["is 10.1.7.31 an approved scanner?", "check logons on the open services 22, 80, 445"],
        "community_ids": ["1:wCb3OG7yAFWelaUydu0D+125CLM="],
        "evidence": Evidence(packets=12),
        "rules": ["PT-CR-327"],
    }
    return Alert(**{**fields, **more})  # type: ignore[arg-type]


def relay(number: int = 90) -> Alert:
    """Return a relay of two legs with the same bytes."""
    legs = [
        Leg(
            src="10.1.4.22",
            sport=50122,
            dst="10.1.9.5",
            dport=22,
            protocol="ssh",
            bytes_up=2_100_000,
            bytes_down=88_000_000,
            started=f"{DAY}13:21:00.000000Z",
        ),
        Leg(
            src="10.1.9.5",
            sport=41800,
            dst="203.0.113.9",
            dport=4444,
            protocol="tcp",
            bytes_up=2_080_000,
            bytes_down=87_000_000,
            started=f"{DAY}13:21:00.300000Z",
            lag_ms=12,
        ),
    ]
    return alert(
        number,
        "relay",
        "critical",
        97,
        src="10.1.9.5",
        dst=("203.0.113.9",),
        ports=(22, 4444),
        legs=legs,
        via=[Party(ip="10.1.4.22"), Party(ip="10.1.9.5"), Party(ip="203.0.113.9")],
        attack=[Attack(tactic="command-and-control", technique="T1090.001", name="Internal Proxy")],
        reason="10.1.9.5 passes the bytes of 10.1.4.22 on to 203.0.113.9: 88 MB each way, 12 ms later.",
    )


def busy_alerts() -> list[Alert]:
    """Return a dozen incidents of many kinds."""
    proxy = [Attack(tactic="command-and-control", technique="T1090.001", name="Internal Proxy")]
    tunnel = [Attack(tactic="command-and-control", technique="T1572", name="Protocol Tunneling")]
    hosts = tuple(f"10.1.6.{last}" for last in range(1, 31))
    return [
        relay(90),
        alert(142),
        alert(143, "horizontal-scan", "high", 91, dst=hosts, ports=(445,), object_count=254),
        alert(
            120,
            "dns-tunnel",
            "high",
            88,
            src="10.1.3.8",
            dst=("10.1.0.53",),
            ports=(53,),
            attack=tunnel,
            protocol="udp",
        ),
        alert(131, "block-scan", "medium", 63, src="10.1.2.77", dst=hosts[:12]),
        alert(125, "icmp-tunnel", "medium", 60, src="10.1.5.14", dst=("198.51.100.7",), ports=(), attack=tunnel),
        alert(101, "internal-proxy", "medium", 58, src="10.1.9.77", dst=hosts[:3], ports=(1080,), attack=proxy),
        alert(133, "horizontal-scan", "medium", 52, src="10.1.6.40", dst=hosts, ports=(22,), activity="close"),
        alert(127, "host-sweep", "low", 38, src="10.1.1.10", dst=hosts, ports=()),
        alert(135, "port-fanout", "info", 12, src="10.1.8.3", dst=hosts[:7]),
        alert(136, "capture-degraded", "low", 30, src="10.1.1.1", dst=(), ports=()),
    ]


def fanout() -> Panel:
    """Return a fan-out of ten sources."""
    rows = []
    for at, (ip, scale) in enumerate(zip(
        ("10.1.7.31", "10.1.6.40", "10.1.2.77", "10.1.1.10", "10.1.9.5", "10.1.3.8", "10.1.8.3", "10.1.5.14",
         "10.1.4.22", "2001:db8::17"), (64, 254, 2, 14, 3, 2, 1, 1, 1, 1), strict=True,
    )):  # fmt: skip
        cells = [0] * len(PORT_BINS)
        for place in range(len(PORT_BINS)):
            if at == 0 or (place * 7 + at * 3) % (3 + at) == 0:
                cells[place] = scale * (16 if at == 0 and place in (6, 13, 27) else 1)
        if at == 1:
            cells = [scale if name == "22" else 1 if name in ("80", "443") else 0 for name, _, _ in PORT_BINS]
        hosts = (612, 254, 12, 1022, 9, 6, 4, 3, 3, 2)[at]
        rows.append(FanoutRow(
            ip=ip, hosts=hosts, ports=(1024, 1, 71, 1, 6, 4, 2, 2, 1, 1)[at], cells=cells,
            rate_per_min=(3120, 231, 0.4, 51, 12, 3, 1, 1, 0.5, 0.2)[at], failed=(98, 97, 60, 6, 2, 0, 0, 0, 0, 0)[at],
            settled=100 if at < 3 else 10, open=(9, 3, 0, 368, 7, 1, 1, 0, 1, 0)[at],
            first_seen=f"{DAY}13:{10 + at}:00.000000Z", spark=WAVE[at : at + 12], name="nms-1" if at == 3 else None,
            shape=("block", "sweep", "block", "sweep", "sweep", *["narrow"] * 5)[at],
        ))  # fmt: skip
    return Panel(
        window_s=300, step_s=25, rows=rows, bin_sources=[(at * 5) % 13 for at in range(len(PORT_BINS))],
        victims=victims(),
    )  # fmt: skip


def victims() -> list[VictimRow]:
    """Return two targets, the first tried by many at an estimated number of ports."""
    return [
        VictimRow(
            ip=ip, sources=sources, ports=ports, cells=[ports // 8] * len(PORT_BINS), failed=failed, settled=failed + 2,
            open=2, first_seen=f"{DAY}13:40:00.000000Z", spark=WAVE[:12], ports_about=ports > 16,
        )
        for ip, sources, ports, failed in (("10.1.9.5", 14, 570, 498), ("10.1.9.77", 1, 9, 7))
    ]  # fmt: skip


def update(
    alerts: list[Alert], seq: int = 1, *, health: CaptureHealth | None = None, kind: str = "live",
    received: int = 4_100_000,
    state: str = "running", now: str = NOW,
) -> Update:  # fmt: skip
    """Return an update of a busy sensor."""
    return Update(
        seq=seq,
        now=now,
        source=SourceInfo(type=kind, name="eth1" if kind == "live" else "day.pcap"),
        window=WindowInfo(first_packet=f"{DAY}13:00:00.000000Z", last_packet=now),
        health=health
        or CaptureHealth(
            received=received,
            bytes=3_100_000_000,
            kernel_drops=820,
            nic_drops=0,
            duplicates=3,
            one_way_share=0.01,
            interface_state="up",
            malformed={"truncated-ip": 4},
        ),
        limits={"flows": Gauge(cap=262_144, used=48_211), "hosts": Gauge(cap=65_536, used=1_904, evicted=12)},
        packets_per_s=312_000,
        bits_per_s=1_840_000_000,
        flows=48_211,
        hosts=1_904,
        lag_s=0.3,
        fanout=fanout(),
        alerts=alerts,
        state=state,
    )


def flow_rows() -> list[FlowRow]:
    """Return a few flows of an incident."""
    return [
        FlowRow(
            serial=at + 1,
            started=f"{DAY}13:41:{at:02d}.000000Z",
            last=f"{DAY}13:41:{at + 3:02d}.000000Z",
            src="10.1.7.31",
            sport=40_000 + at,
            dst="10.1.9.5",
            dport=port,
            protocol="tcp",
            state="REJ" if at % 3 else "S1",
            bytes_up=120 * at,
            bytes_down=88_000 * at,
            packets_up=3 + at,
            packets_down=2,
            packets_kept=at % 4,
            community_id="1:wCb3OG7yAFWelaUydu0D+125CLM=",
            name="web-1.example.net" if port == 80 else "",
        )
        for at, port in enumerate((22, 80, 445, 8080, 3389, 135, 139, 1433))
    ]


def packet_rows() -> list[PacketRow]:
    """Return the packets of one probe and one DNS question."""
    frames = [
        forge.tcp("10.1.7.31", 40_000, "10.1.9.5", 80, forge.SYN, options=forge.MSS_OPTION),
        forge.tcp("10.1.9.5", 80, "10.1.7.31", 40_000, forge.SYN | forge.ACK, options=forge.MSS_OPTION),
        forge.tcp(
            "10.1.7.31", 40_000, "10.1.9.5", 80, forge.PSH | forge.ACK, payload=b"GET / HTTP/1.1\r\nHost: web-1\r\n\r\n"
        ),
        forge.udp("10.1.3.8", 5353, "10.1.0.53", 53, forge.dns_query("example.net")),
    ]
    ends = [("10.1.7.31", "10.1.9.5"), ("10.1.9.5", "10.1.7.31"), ("10.1.7.31", "10.1.9.5"), ("10.1.3.8", "10.1.0.53")]
    return [
        PacketRow(
            number=at + 1,
            ts_ns=forge.START_NS + at * 1_250_000,
            src=ends[at][0],
            dst=ends[at][1],
            protocol="udp" if at == 3 else "tcp",
            length=len(frame),
            info=("40000 → 80 [S]", "80 → 40000 [SA]", "40000 → 80 [PA] GET / HTTP/1.1", "DNS ? example.net")[at],
            data=frame,
            link_type=1,
            flow=at // 3 + 1,
        )
        for at, frame in enumerate(frames)
    ]
