"""The list of interfaces: ``nettriage -D``, and what is said when no source was given."""

from __future__ import annotations

from nettriage.cli.talk import put, say
from nettriage.model.errors import ExitCode
from sniff.interface import ListedInterface, list_interfaces


def run(*, hint: bool) -> int:
    """Print the interfaces to stdout, and with `hint` how to start on stderr."""
    put(listing(list_interfaces()))
    if hint:
        say(
            "name a source:\n"
            "  nettriage IFACE           live, from one of the interfaces above\n"
            "  nettriage capture.pcap    the same screens over a file\n"
            "  nettriage demo            a bundled capture: no privileges, no network\n"
            "  nettriage --help          everything else"
        )
    return ExitCode.DONE


def listing(interfaces: list[ListedInterface]) -> str:
    """Return one line for each interface: name, state, MAC, and how many addresses it has."""
    wide = max((len(item.name) for item in interfaces), default=0)
    lines = []
    for item in interfaces:
        plural = "address" if item.addresses == 1 else "addresses"
        state = "up" if item.up else "down"
        lines.append(f"{item.name:<{wide}}  {state:<4}  {item.mac:<17}  {item.addresses} {plural}")
    return "\n".join(lines)
