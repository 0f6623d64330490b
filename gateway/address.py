"""Decide whether we may connect to an address that somebody else chose.

A decision over a resolved address, never over text: a resolver takes `2130706433` and `0x7f.1` for loopback.
`ipaddress.is_global` is not the check: it lets through multicast, NAT64, 6to4 and a cloud's metadata address.
This module must never resolve or connect.

Source: IANA special-purpose address registries (RFC 6890 and updates), multicast and reserved space; Azure's
wire server 168.63.129.16.
"""

import ipaddress
from collections.abc import Iterable
from dataclasses import dataclass

from gateway.errors import SetupError

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

DENIED: tuple[tuple[str, str], ...] = (
    ("0.0.0.0/8", "this network"),
    ("10.0.0.0/8", "private use"),
    ("100.64.0.0/10", "carrier-grade NAT"),
    ("127.0.0.0/8", "loopback"),
    ("169.254.0.0/16", "link-local, cloud metadata"),
    ("172.16.0.0/12", "private use"),
    ("192.0.0.0/24", "protocol assignments"),
    ("192.0.2.0/24", "documentation"),
    ("192.31.196.0/24", "AS112"),
    ("192.52.193.0/24", "automatic multicast tunnelling"),
    ("192.88.99.0/24", "6to4 relays"),
    ("192.168.0.0/16", "private use"),
    ("192.175.48.0/24", "AS112"),
    ("198.18.0.0/15", "benchmarking"),
    ("198.51.100.0/24", "documentation"),
    ("203.0.113.0/24", "documentation"),
    ("224.0.0.0/4", "multicast"),
    ("240.0.0.0/4", "reserved"),
    ("255.255.255.255/32", "broadcast"),
    ("168.63.129.16/32", "Azure wire server"),
    ("::/96", "unspecified, loopback, IPv4-compatible"),
    ("::ffff:0:0/96", "IPv4-mapped"),
    ("64:ff9b::/96", "NAT64"),
    ("64:ff9b:1::/48", "local NAT64"),
    ("100::/64", "discard only"),
    ("2001::/23", "protocol assignments, Teredo"),
    ("2001:db8::/32", "documentation"),
    ("2002::/16", "6to4"),
    ("2620:4f:8000::/48", "AS112"),
    ("3fff::/20", "documentation"),
    ("5f00::/16", "segment routing"),
    ("fc00::/7", "unique local"),
    ("fe80::/10", "link-local"),
    ("fec0::/10", "site-local"),
    ("ff00::/8", "multicast"),
)
"""The shipped table: range and why. IPv6 is allowed inside 2000::/3 only: other rows name, not decide."""

_TABLE = tuple((ipaddress.ip_network(text), why) for text, why in DENIED)
_UNICAST = ipaddress.IPv6Network("2000::/3")
_LOOPBACK: tuple[Network, ...] = (ipaddress.ip_network("127.0.0.0/8"), ipaddress.ip_network("::1/128"))


class NetworkTextError(SetupError):
    """A network in the operator's list is not one; says how to write it."""

    code = "network_invalid"


@dataclass(frozen=True, slots=True)
class Verdict:
    """The decision, and the rule that made it: for the operator's log, never for a partner."""

    allowed: bool
    rule: str


@dataclass(frozen=True, slots=True)
class AddressPolicy:
    """What may be dialled: the operator's `deny` outweighs `allow`, which outweighs the shipped table.

    `loopback`: 127.0.0.0/8 and ::1 are allowed (a gateway that itself listens on loopback only).
    """

    allow: tuple[Network, ...] = ()
    deny: tuple[Network, ...] = ()
    loopback: bool = False

    def judge(self, address: str, *, is_own: bool = False) -> Verdict:
        """Judge a resolved address, as text of `inet_ntop`. An IPv4-mapped one is judged as the IPv4 within.

        `is_own`: it is one of this machine. What is no address is denied: nothing is raised.
        """
        try:
            found = unwrap(ipaddress.ip_address(address))
        except ValueError:
            return Verdict(allowed=False, rule="not an address")
        if rule := _within(found, self.deny):
            return Verdict(allowed=False, rule=f"the operator denies {rule}")
        if rule := _within(found, self.allow):
            return Verdict(allowed=True, rule=f"the operator allows {rule}")
        if self.loopback and (rule := _within(found, _LOOPBACK)):
            return Verdict(allowed=True, rule=f"loopback is allowed here: {rule}")
        return Verdict(allowed=False, rule="this machine's own address") if is_own else _shipped(found)


def unwrap(address: Address) -> Address:
    """The IPv4 address within an IPv4-mapped IPv6 one, else the address without its zone id."""
    if isinstance(address, ipaddress.IPv6Address):
        return address.ipv4_mapped or ipaddress.IPv6Address(int(address))
    return address


def parse_networks(texts: Iterable[str]) -> tuple[Network, ...]:
    """Read an operator's list of networks, or of single addresses.

    Raises:
        NetworkTextError: one is not a network, has host bits set, or is IPv4-mapped.
    """
    return tuple(_parse_network(text) for text in texts)


def _parse_network(text: str) -> Network:
    try:
        network = ipaddress.ip_network(text)
    except ValueError as error:
        raise NetworkTextError(f"{text!r} is not a network: {error}. Write it like 10.1.0.0/16.") from error
    if isinstance(network, ipaddress.IPv6Network) and network.network_address.ipv4_mapped:
        raise NetworkTextError(f"{text!r} is IPv4-mapped. Write the IPv4 network itself.")
    return network


def _within(address: Address, networks: Iterable[Network]) -> str | None:
    return next((str(network) for network in networks if address in network), None)


def _shipped(address: Address) -> Verdict:
    for network, why in _TABLE:
        if address in network:
            return Verdict(allowed=False, rule=f"{network} ({why})")
    if isinstance(address, ipaddress.IPv6Address) and address not in _UNICAST:
        return Verdict(allowed=False, rule="outside 2000::/3 (not global unicast)")
    return Verdict(allowed=True, rule="public")
