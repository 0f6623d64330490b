import ipaddress

import pytest

from gateway.address import DENIED, AddressPolicy, NetworkTextError, Verdict, parse_networks, unwrap

SHIPPED = AddressPolicy()


def test_a_public_address_is_allowed_and_says_so() -> None:
    assert SHIPPED.judge("93.184.215.14") == Verdict(allowed=True, rule="public")
    assert SHIPPED.judge("2606:2800:21f:cb07:6820:80da:af6b:8b2c") == Verdict(allowed=True, rule="public")


def test_the_verdict_names_its_rule() -> None:
    assert SHIPPED.judge("169.254.169.254").rule == "169.254.0.0/16 (link-local, cloud metadata)"


def test_what_is_no_address_is_denied() -> None:
    for text in (
        "",
        "localhost",
        "127.1",
        "0x7f000001",
        "2130706433",
        "1.2.3.4/32",
        "::1%lo%lo",
        "\uff11.2.3.4",
    ):
        assert not SHIPPED.judge(text).allowed, text


def test_ipv4_mapped_is_judged_as_the_ipv4_within() -> None:
    assert SHIPPED.judge("::ffff:10.0.0.1").rule.startswith("10.0.0.0/8")
    assert SHIPPED.judge("::ffff:93.184.215.14").allowed
    assert unwrap(ipaddress.ip_address("::ffff:1.2.3.4")) == ipaddress.ip_address("1.2.3.4")


def test_a_zone_id_does_not_hide_an_address() -> None:
    assert SHIPPED.judge("fe80::1%eth0").rule.startswith("fe80::/10")
    assert unwrap(ipaddress.ip_address("2606:2800::1%eth0")) == ipaddress.ip_address("2606:2800::1")


def test_ipv6_outside_global_unicast_is_denied_even_without_a_row() -> None:
    for text in ("4000::1", "1fff:ffff::1", "a000::1", "200::1"):
        assert SHIPPED.judge(text).rule == "outside 2000::/3 (not global unicast)"


def test_loopback_is_allowed_only_where_said() -> None:
    policy = AddressPolicy(loopback=True)
    assert policy.judge("127.0.0.1").allowed
    assert policy.judge("127.255.255.254").allowed
    assert policy.judge("::1").allowed
    assert policy.judge("::ffff:127.0.0.1").allowed
    assert not policy.judge("10.0.0.1").allowed
    assert not policy.judge("0.0.0.0").allowed  # noqa: S104 - judged, not bound
    assert not SHIPPED.judge("127.0.0.1").allowed


def test_the_operators_lists_outweigh_the_shipped_one_and_deny_outweighs_allow() -> None:
    policy = AddressPolicy(
        allow=parse_networks(["10.0.0.0/8"]),
        deny=parse_networks(["10.9.0.0/16", "8.8.8.8", "::1"]),
        loopback=True,
    )
    assert policy.judge("10.1.2.3").rule == "the operator allows 10.0.0.0/8"
    assert policy.judge("10.9.2.3").rule == "the operator denies 10.9.0.0/16"
    assert policy.judge("8.8.8.8").rule == "the operator denies 8.8.8.8/32"
    assert not policy.judge("::1").allowed


@pytest.mark.parametrize("text", ["10.0.0.1/8", "ten", "10.0.0.0/33", "::ffff:10.0.0.0/104", ""])
def test_a_bad_network_of_the_operator_is_refused_with_the_way_to_mend_it(text: str) -> None:
    with pytest.raises(NetworkTextError, match="Write"):
        parse_networks([text])


def test_every_row_is_a_network_in_one_spelling_with_a_reason() -> None:
    # By value: Python 3.13 began to write IPv4-mapped networks with dots.
    assert len({ipaddress.ip_network(text) for text, _ in DENIED}) == len(DENIED)
    assert all(why and text == text.lower() for text, why in DENIED)
    assert len({text for text, _ in DENIED}) == len(DENIED)
