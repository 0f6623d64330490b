"""Both edges of every denied range, and the addresses just outside. Decisions only: nothing is dialled."""

import ipaddress

import pytest

from gateway.address import DENIED, AddressPolicy, Network, parse_networks
from gateway.dialler import Dialler, Outgoing

NETWORKS = tuple(ipaddress.ip_network(text) for text, _ in DENIED)
UNICAST = ipaddress.ip_network("2000::/3")
SHIPPED = AddressPolicy()

REQUIRED = {
    "0.0.0.0/8",
    "10.0.0.0/8",
    "100.64.0.0/10",
    "127.0.0.0/8",
    "169.254.0.0/16",
    "172.16.0.0/12",
    "192.0.0.0/24",
    "192.0.2.0/24",
    "192.31.196.0/24",
    "192.52.193.0/24",
    "192.88.99.0/24",
    "192.168.0.0/16",
    "192.175.48.0/24",
    "198.18.0.0/15",
    "198.51.100.0/24",
    "203.0.113.0/24",
    "224.0.0.0/4",
    "240.0.0.0/4",
    "255.255.255.255/32",
    "168.63.129.16/32",
    "2001::/23",
    "2001:db8::/32",
    "2002::/16",
    "2620:4f:8000::/48",
    "3fff::/20",
    "::/96",
    "::ffff:0:0/96",
    "64:ff9b::/96",
    "64:ff9b:1::/48",
    "100::/64",
    "5f00::/16",
    "fc00::/7",
    "fe80::/10",
    "fec0::/10",
    "ff00::/8",
}


def is_denied_elsewhere(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> bool:
    outside = isinstance(address, ipaddress.IPv6Address) and address not in UNICAST
    return outside or any(address in network for network in NETWORKS)


def test_this_machine_is_not_dialled_under_a_public_address_either() -> None:
    public = "93.184.216.34"
    assert SHIPPED.judge(public).allowed
    assert not SHIPPED.judge(public, is_own=True).allowed
    named = AddressPolicy(allow=parse_networks(["93.184.216.0/24"]))
    assert named.judge(public, is_own=True).allowed
    assert AddressPolicy(loopback=True).judge("127.0.0.1", is_own=True).allowed


def test_no_row_of_the_reference_is_missing() -> None:
    assert {text for text, _ in DENIED} == REQUIRED


@pytest.mark.parametrize("network", NETWORKS, ids=str)
def test_first_middle_and_last_address_of_each_range_are_denied(network: Network) -> None:
    middle = network.network_address + network.num_addresses // 2
    for address in (network.network_address, middle, network.broadcast_address):
        if network == ipaddress.ip_network("::ffff:0:0/96"):
            continue  # unwrapped: its middle is a public IPv4 address
        assert not SHIPPED.judge(str(address)).allowed, address


@pytest.mark.parametrize("network", NETWORKS, ids=str)
def test_the_neighbours_of_each_range_are_judged_by_the_other_rows_alone(network: Network) -> None:
    edges = (int(network.network_address) - 1, int(network.broadcast_address) + 1)
    for edge in edges:
        if not 0 <= edge < 2**network.max_prefixlen:
            continue
        make = ipaddress.IPv4Address if network.version == 4 else ipaddress.IPv6Address
        neighbour = make(edge)
        assert SHIPPED.judge(str(neighbour)).allowed is not is_denied_elsewhere(neighbour), neighbour


@pytest.mark.parametrize(
    "text",
    [
        "224.0.0.1",
        "192.0.0.192",
        "192.88.99.1",
        "168.63.129.16",
        "::127.0.0.1",
        "64:ff9b::7f00:1",
        "64:ff9b:1::1",
        "2002:7f00:1::",
        "fec0::1",
        "ff02::1",
        "3fff::1",
        "5f00::1",
        "2001:0:53aa:64c::1",
        "fd00:ec2::254",
        "::ffff:169.254.169.254",
        "::",
        "0.0.0.1",
        "255.255.255.255",
    ],
)
def test_what_other_checks_let_through_is_denied(text: str) -> None:
    assert not SHIPPED.judge(text).allowed


@pytest.mark.parametrize(
    "host",
    [
        "2130706433",
        "0x7f000001",
        "017700000001",
        "127.1",
        "0177.0.0.1",
        "0",
        "[::1]",
        "[::ffff:127.0.0.1]",
        "10.0.0.1",
        "169.254.169.254",
        "localhost",
        "127.0.0.1.",
    ],
)
async def test_a_spelling_of_an_inner_address_is_denied_by_the_dialler(host: str) -> None:
    async with Dialler(SHIPPED, timeout_ms=2_000) as dialler:
        answer = await dialler.send(Outgoing(f"https://{host}/", (), b"x"))
    assert answer.status == 0
    assert answer.failure in {"address_denied", "dns_failed"}


@pytest.mark.parametrize(
    "url",
    [
        "http://hooks.example/",
        "https://user@hooks.example/",
        "https://u:p@hooks.example/",
        "https://hooks.example/#f",
        "https://①②⑦.0.0.1/",
        "https://%31%32%37.0.0.1/",
        "https://[fe80::1%25eth0]/",
        "ftp://hooks.example/",
        "https:///x",
        "https://hooks.example:99999/",
        "file:///etc/passwd",
        "",
        "https://" + "a" * 254 + "/",
    ],
)
async def test_a_url_outside_the_rules_is_denied_before_anything_is_asked(url: str) -> None:
    asked: list[str] = []

    async def lookup(host: str, _port: int) -> list[str]:
        asked.append(host)
        return ["93.184.215.14"]

    async with Dialler(SHIPPED, timeout_ms=2_000, lookup=lookup) as dialler:
        answer = await dialler.send(Outgoing(url, (), b"x"))
    assert (answer.status, answer.failure, asked) == (0, "address_denied", [])


async def test_one_denied_answer_refuses_all() -> None:
    async def lookup(_host: str, _port: int) -> list[str]:
        return ["93.184.215.14", "127.0.0.1"]

    async with Dialler(SHIPPED, timeout_ms=2_000, lookup=lookup) as dialler:
        answer = await dialler.send(Outgoing("https://hooks.example/", (), b"x"))
    assert answer.failure == "address_denied"


async def test_a_port_outside_the_list_is_denied() -> None:
    async with Dialler(AddressPolicy(loopback=True), timeout_ms=2_000, ports=frozenset({443})) as dialler:
        answer = await dialler.send(Outgoing("https://127.0.0.1:8443/", (), b"x"))
    assert answer.failure == "address_denied"
