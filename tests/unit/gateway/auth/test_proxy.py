import base64
from ipaddress import ip_network

import pytest

from gateway.auth.proxy import Proxies
from gateway.auth.request import Shown
from gateway.errors import CallerError
from tests.authorities import make

OWN = make("proxy", at=1_800_000_000_000).der
LEAF = make("client", at=1_800_000_000_000)
CARRIED = ("client-cert", f":{base64.b64encode(LEAF.der).decode()}:")


def proxies(counted: list[str], *networks: str) -> Proxies:
    trusted = tuple(ip_network(one) for one in networks or ("10.0.0.0/8", "::1/128"))
    return Proxies(trusted, "rfc9440", lambda: counted.append("ignored"))


@pytest.mark.parametrize("peer", ["10.1.2.3", "::1", "::ffff:10.0.0.1"])
def test_a_configured_proxy_is_believed(peer: str) -> None:
    counted: list[str] = []
    seen = proxies(counted).seen(Shown((CARRIED,), peer=peer, certificate=OWN, chain=(OWN,)))
    assert (seen.certificate, seen.chain, counted) == (LEAF.der, (), [])


@pytest.mark.parametrize("peer", ["11.0.0.1", "", "unix", "::2", "10.0.0.1.", "::ffff:11.0.0.1", "010.0.0.1"])
def test_nobody_else_is(peer: str) -> None:
    counted: list[str] = []
    shown = Shown((CARRIED, ("x-forwarded-for", "10.0.0.9")), peer=peer, certificate=OWN)
    assert proxies(counted).seen(shown) == shown
    assert counted == ["ignored"]


def test_another_spelling_from_anybody_is_counted_too() -> None:
    counted: list[str] = []
    proxies(counted).seen(Shown((("client_cert", "x"),), peer="11.0.0.1"))
    proxies(counted).seen(Shown((("x-other", "x"),), peer="11.0.0.1"))
    assert counted == ["ignored"]


def test_the_certificate_of_a_believed_proxy_is_not_the_clients() -> None:
    seen = proxies([]).seen(Shown(peer="10.1.2.3", certificate=OWN, chain=(OWN,)))
    assert (seen.certificate, seen.chain) == (None, ())
    assert Proxies((ip_network("10.0.0.0/8"),)).seen(Shown((CARRIED,), peer="10.0.0.1")).certificate is None


def test_a_believed_proxy_has_to_write_what_can_be_read() -> None:
    with pytest.raises(CallerError, match="client-cert"):
        proxies([]).seen(Shown((CARRIED, CARRIED), peer="10.1.2.3"))


@pytest.mark.parametrize(
    ("forwarded", "peer"),
    [
        ([], "10.0.0.1"),
        (["203.0.113.7"], "203.0.113.7"),
        (["203.0.113.7, 10.0.0.2"], "203.0.113.7"),
        (["198.51.100.1, 203.0.113.7,10.0.0.2 , 10.0.0.3"], "203.0.113.7"),
        (["198.51.100.1", "203.0.113.7"], "203.0.113.7"),
        (["10.9.9.9, 10.0.0.2"], "10.9.9.9"),
        (["203.0.113.7:4711"], "203.0.113.7"),
        (["[2001:db8::1]:4711"], "2001:db8::1"),
        (["2001:DB8:0::1"], "2001:db8::1"),
        (["::ffff:203.0.113.7"], "203.0.113.7"),
        (["203.0.113.7, junk"], "10.0.0.1"),
        (["203.0.113.7, junk, 10.0.0.2"], "10.0.0.2"),
        ([""], "10.0.0.1"),
        (["unknown"], "10.0.0.1"),
        (["203.0.113.7,"], "10.0.0.1"),
        (["203.0.113.7" + ", 10.0.0.2" * 31], "203.0.113.7"),
        (["203.0.113.7" + ", 10.0.0.2" * 32], "10.0.0.2"),
    ],
)
def test_the_client_is_the_rightmost_address_that_is_no_proxys(forwarded: list[str], peer: str) -> None:
    headers = tuple(("x-forwarded-for", value) for value in forwarded)
    assert proxies([]).seen(Shown(headers, peer="10.0.0.1")).peer == peer


def test_without_configured_proxies_nothing_is_looked_at() -> None:
    shown = Shown((CARRIED, ("x-forwarded-for", "203.0.113.7")), peer="127.0.0.1", certificate=OWN)
    assert Proxies().seen(shown) is shown
