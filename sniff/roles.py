"""Roles of hosts, learned from the services that they were seen to give and from whose packets their MAC carries."""

from __future__ import annotations

import numpy as np

from nettriage.model.columns import Rows
from nettriage.model.tables import Role
from sniff.flow_key import TCP, UDP
from sniff.hosts import HostTable
from sniff.services import ServiceTable

CLIENTS_MIN = 2
"""A resolver or web server has several clients; one may be a test."""
ROUTED_MIN = 4
"""Addresses behind one MAC that make it a router's: a host with a few aliases has less."""
DIRECTORY_PORTS = (88, 389, 445)
_DATABASE = (1433, 1521, 3306, 5432, 6379, 9042, 9200, 27017)
_MAIL = (25, 465, 587)
_WEB = (80, 443, 8080, 8443)


def learn_services(hosts: HostTable, services: ServiceTable, rows: Rows) -> None:
    """Give roles to the hosts of the services in `rows`, which answered somebody since the last time."""
    rows = np.unique(rows)
    host = services.host[rows].astype(np.intp)
    rows = rows[(host >= 0) & (hosts.key[host] == services.host_key[rows])]
    host, port = services.host[rows].astype(np.intp), services.port[rows]
    tcp, several = services.proto[rows] == TCP, services.clients_of(rows) >= CLIENTS_MIN
    for role, serves in (
        (Role.RESOLVER, (port == 53) & several & (tcp | (services.proto[rows] == UDP))),
        (Role.WEB, tcp & np.isin(port, _WEB) & several),
        (Role.DATABASE, tcp & np.isin(port, _DATABASE)),
        (Role.MAIL, tcp & np.isin(port, _MAIL)),
    ):
        hosts.roles[host[serves]] |= np.uint32(role)
    candidates = np.unique(host[tcp & np.isin(port, DIRECTORY_PORTS)])
    hosts.roles[candidates[_serves_all(hosts, services, candidates)]] |= np.uint32(Role.DIRECTORY)


def _serves_all(hosts: HostTable, services: ServiceTable, host: Rows) -> Rows:
    """Return which of `host` answered on every port of a domain controller."""
    serves = np.ones(len(host), np.bool_)
    proto = np.full(len(host), TCP, np.uint16)
    for port in DIRECTORY_PORTS:
        serves &= services.since_ns(hosts.key[host], proto, np.full(len(host), port, np.uint16)) > 0
    return np.flatnonzero(serves)


def learn_routers(hosts: HostTable) -> None:
    """Give the role of router to hosts that announced a MAC which carries packets of many addresses."""
    used = hosts.table.rows_in_use()
    mac = hosts.mac[used]
    known, index, count = np.unique(mac, return_inverse=True, return_counts=True)
    routed = (count >= ROUTED_MIN) & (known != 0)
    hosts.roles[used[routed[index] & hosts.own_mac[used]]] |= np.uint32(Role.ROUTER)
