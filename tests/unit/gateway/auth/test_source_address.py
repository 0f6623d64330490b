from contextlib import suppress
from ipaddress import ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.auth.proxy import Proxies
from gateway.auth.request import Shown
from gateway.auth.source_address import verify_source
from gateway.errors import CallerError

AGREED = ("203.0.113.0/24", "198.51.100.7/32", "2001:db8::/32", "fe80::/10")
PROXIES = (ip_network("10.0.0.0/8"),)
FORWARDED = (("x-forwarded-for", "203.0.113.9"),)


@pytest.mark.parametrize(
    "peer",
    [
        "203.0.113.0",
        "203.0.113.255",
        "198.51.100.7",
        "::ffff:203.0.113.9",
        "2001:db8::1",
        "2001:DB8:0:0::1",
        "2001:db8::1%eth0",
        "fe80::1%eth0",
    ],
)
def test_who_comes_from_where_was_agreed_may_come_in(peer: str) -> None:
    verify_source(peer, AGREED)


@pytest.mark.parametrize(
    ("peer", "told"),
    [
        ("203.0.114.0", "from 203.0.114.0"),
        ("198.51.100.8", "from 198.51.100.8"),
        ("::ffff:203.0.114.1", "from 203.0.114.1"),
        ("::203.0.113.9", "from ::cb00:7109"),
        ("64:ff9b::203.0.113.9", "from 64:ff9b::cb00:7109"),
        ("2001:db9::1", "from 2001:db9::1"),
        ("", "not known"),
        ("/run/gateway.sock", "not known"),
        ("203.0.113.9:443", "not known"),
        ("203.0.113.9, 10.0.0.1", "not known"),
    ],
)
def test_who_comes_from_elsewhere_is_refused_and_hears_from_where(peer: str, told: str) -> None:
    with pytest.raises(CallerError, match=told) as caught:
        verify_source(peer, AGREED)
    assert caught.value.code == "source_address_denied"
    # What was agreed is not told: whoever has stolen a key would know where to go.
    assert "203.0.113.0" not in f"{caught.value.text} {caught.value.hint}"


@pytest.mark.parametrize("peer", ["", "/run/gateway.sock", "203.0.113.9"])
def test_where_nothing_was_agreed_anybody_may_come(peer: str) -> None:
    verify_source(peer, ())


@given(st.text() | st.ip_addresses().map(str))
def test_no_address_raises_anything_else(peer: str) -> None:
    with suppress(CallerError):
        verify_source(peer, AGREED)


@pytest.mark.parametrize("peer", ["10.0.0.1", "::ffff:10.0.0.1", "203.0.113.1"])
def test_a_header_of_a_believed_proxy_counts(peer: str) -> None:
    verify_source(Proxies(PROXIES).seen(Shown(FORWARDED, peer=peer)).peer, AGREED)


@pytest.mark.parametrize("peer", ["11.0.0.1", "", "::ffff:11.0.0.1"])
def test_a_header_of_anybody_else_does_not(peer: str) -> None:
    seen = Proxies(PROXIES).seen(Shown(FORWARDED, peer=peer)).peer
    with pytest.raises(CallerError):
        verify_source(seen, AGREED)


def test_what_is_written_left_of_the_real_client_counts_for_nothing() -> None:
    headers = (("x-forwarded-for", "203.0.113.9, 192.0.2.1"),)
    seen = Proxies(PROXIES).seen(Shown(headers, peer="10.0.0.1")).peer
    with pytest.raises(CallerError, match=r"from 192\.0\.2\.1"):
        verify_source(seen, AGREED)


def test_without_believed_proxies_the_connection_alone_counts() -> None:
    assert Proxies().seen(Shown(FORWARDED, peer="192.0.2.1")).peer == "192.0.2.1"
