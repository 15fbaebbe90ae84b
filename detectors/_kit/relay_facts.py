"""What is known of a relay, gathered from its account, its path and the settings, for the verdict on it."""

from __future__ import annotations

from nettriage.model.addresses import to_text
from nettriage.model.site import Site
from nettriage.model.tables import RESPONDER

from .declared import allowed_path, declared_role
from .echo_table import Likeness
from .legs import neighbours
from .relay_book import RelayAccount
from .relay_finding import Hops
from .relay_role import RelayFacts
from .twin_check import Pair, Proof

_SETTLED_PAIRS, _SETTLED_NS = 20, 600_000_000_000
"""A relay that worked so often and so long has backends and clients that are its habit."""
_NEWS_NS = 1_800_000_000_000


def note_news(relay: RelayAccount, pair: Pair, site: Site) -> None:
    """Note, before the pair is entered, a backend or a class of clients that a settled relay never had."""
    now_ns = pair.outer.first_ns
    if relay.count < _SETTLED_PAIRS or now_ns - relay.first_ns < _SETTLED_NS or relay.proxied:
        return
    backend = pair.outer.ends[1 - pair.outer_side]
    port = (backend.port or 0) if pair.outer_side == 0 else 0
    client = pair.inner.ends[1 - pair.inner_side].addr
    if (backend.addr, port) not in relay.backends:
        relay.news, relay.news_ns = f"new backend {to_text(*backend.addr)}, port {port}", now_ns
    elif client not in site.home and all(known in site.home for known in relay.clients):
        relay.news, relay.news_ns = f"first client from outside, {to_text(*client)}", now_ns


def relay_facts(relay: RelayAccount, hops: Hops, site: Site, many_clients: int) -> RelayFacts:
    """Return the facts of a relay whose longest chain is `hops`."""
    addr, home, path = relay.end.addr, site.home, [end.addr for end in hops.via]
    proofs, backends = set(relay.proofs), list(relay.backends)
    return RelayFacts(
        declared=declared_role(site, addr) or allowed_path(site, path), home=addr in home, clients=len(relay.clients),
        neighbour_clients=sum(neighbours(client, addr) for client in relay.clients),
        outside_clients=sum(client not in home for client in relay.clients), backends=len(backends),
        outside_backends=max(sum(backend not in home for backend, _ in backends), int(path[-1] not in home)),
        front_port=relay.end.port or 0, back_ports=frozenset(port for _, port in backends),
        readable=relay.readable == relay.count, proxied=relay.proxied, many_clients=many_clients,
        hops=len(hops.pairs), hidden=any(pair.hidden for pair in hops.pairs), only_volume=proofs == {Proof.VOLUME},
        rhythm=_rhythm(relay), same_service=any(_same_service(pair) for pair in hops.pairs),
        outside_ends=sum(end not in home for end in (path[0], path[-1])),
        news=relay.news if relay.last_ns - relay.news_ns <= _NEWS_NS else "",
    )  # fmt: skip


def _rhythm(relay: RelayAccount) -> Likeness | None:
    """Return how the volumes compare where time alone shows the relay, None where content or exact volume does."""
    if not set(relay.proofs) <= {Proof.ECHO, Proof.SESSIONS}:
        return None
    return relay.echo.likeness if relay.echo else Likeness.REFRAMED


def _same_service(pair: Pair) -> bool:
    """Whether both legs were accepted on one port of the relay: two clients of one service."""
    ends = (pair.inner.ends[pair.inner_side], pair.outer.ends[pair.outer_side])
    return pair.inner_side == pair.outer_side == RESPONDER and ends[0].port == ends[1].port
