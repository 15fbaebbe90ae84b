"""What a run is to do, as plain data that can cross the link to the sensor process."""

from __future__ import annotations

import secrets
from dataclasses import asdict

import msgspec

from nettriage.model.addresses import AddressPairs, AddressSet
from nettriage.model.detector import Detector
from nettriage.model.site import Site
from nettriage.settings.effective import Settings
from sniff.source import SourceOptions


class SiteConfig(msgspec.Struct, frozen=True, kw_only=True):
    """Declared networks and roles as text."""

    home: tuple[str, ...]
    scanners: tuple[str, ...] = ()
    ignore_scanners: tuple[str, ...] = ()
    watch: tuple[str, ...] = ()
    proxies: tuple[str, ...] = ()
    bastions: tuple[str, ...] = ()
    load_balancers: tuple[str, ...] = ()
    gateways: tuple[str, ...] = ()
    allow: tuple[str, ...] = ()
    tunnel_domains: tuple[str, ...] = ()

    def site(self, mixer_secret: int) -> Site:
        """Return the site that a pipeline goes by."""
        return Site(
            home=AddressSet(self.home),
            scanners=AddressSet(self.scanners),
            ignore_scanners=AddressSet(self.ignore_scanners),
            watch=AddressSet(self.watch),
            proxies=AddressSet(self.proxies),
            bastions=AddressSet(self.bastions),
            load_balancers=AddressSet(self.load_balancers),
            gateways=AddressSet(self.gateways),
            allow=AddressPairs(self.allow),
            tunnel_domains=frozenset(self.tunnel_domains),
            mixer_secret=mixer_secret,
        )


class RunConfig(msgspec.Struct, frozen=True, kw_only=True):
    """One run: where the packets come from, and who judges them by which thresholds."""

    source: str
    """Interface, file, or ``-``."""
    site: SiteConfig
    tunings: dict[str, dict[str, int | float]]
    """Thresholds of every enabled detector, by kind and name."""
    config_digest: str
    bpf: str = ""
    snaplen: int = 2048
    ring_mib: int = 128
    promiscuous: bool = True
    speed: float = 0.0
    """How many times faster than it was captured a file is replayed; 0 is as fast as possible."""
    loop: bool = False
    """Whether a file starts anew at its end, its time going on."""
    count: int | None = None
    """Packets after which the run ends; None for no such end."""
    source_type: str = ""
    """What `SourceInfo.type` shall say in place of what the source says of itself; empty for the latter."""
    log_file: str = ""
    """File that a sensor process logs to; empty for nowhere."""

    @property
    def options(self) -> SourceOptions:
        """The options of the source; raises UsageError for one out of range."""
        return SourceOptions(
            bpf=self.bpf, snaplen=self.snaplen, ring_mib=self.ring_mib, promiscuous=self.promiscuous
        )  # fmt: skip

    @staticmethod
    def of(settings: Settings, source: str, **more: str | float | bool | int | None) -> RunConfig:
        """Return the run that the settings ask for; `more` are fields of this class that no setting holds."""
        net, capture = settings.network, settings.capture
        base = RunConfig(
            source=source,
            site=SiteConfig(
                home=net.home_net,
                scanners=net.scanners,
                ignore_scanners=net.ignore_scanners,
                watch=net.watch,
                proxies=net.proxies,
                bastions=net.bastions,
                load_balancers=net.load_balancers,
                gateways=net.gateways,
                allow=net.allow,
                tunnel_domains=net.tunnel_domains,
            ),
            tunings={kind: asdict(tuning) for kind, tuning in settings.tunings.items()},
            config_digest=settings.digest,
            bpf=capture.filter,
            snaplen=capture.snaplen,
            ring_mib=capture.ring_mib,
            promiscuous=capture.promiscuous,
        )
        return msgspec.structs.replace(base, **more)


def build_detectors(config: RunConfig, site: Site) -> list[Detector]:
    """Return the enabled detectors with their thresholds, in order of kind."""
    from detectors.registry import installed_detectors

    return [
        detector(detector.tuning_type().with_values(config.tunings[kind], f"detectors.{kind}"), site)
        for kind, detector in installed_detectors().items()
        if kind in config.tunings
    ]


def fresh_secret() -> int:
    """Return a secret for the keyed hashes of one run."""
    return secrets.randbits(64)
