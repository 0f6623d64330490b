"""How long topics must keep their records, by the contracts of all who read them."""

from dataclasses import replace

import pytest

from partners.contract import Contract
from partners.contract_file import read_contract
from partners.directory import Account, Directory
from partners.holding import asks_alike, held_seconds, longest_seconds
from partners.partner import Partner, PartnerState, dedicated_topics

DAY = 86_400


def partner(slug: str, state: PartnerState = "active") -> Partner:
    return Partner(slug, f"log-{slug}", slug, dedicated_topics("partners.", slug), state)


def contract(slug: str, hold: str | None, *, to: str | None = None) -> Contract:
    way = f", forward: {{to: {to}, as: order.received}}" if to else ""
    held = f"delivery: {{hold: {hold}}}\n" if hold else ""
    text = f"gateway: v1\npartner: {slug}\nsends:\n  order.placed: {{schema: order.avsc, id: /id{way}}}\n"
    return read_contract(text + held, name=f"{slug}.yaml").contract


def directory(*agreed: tuple[Partner, Contract | None]) -> Directory:
    return Directory(1, [Account(one, terms, (), ()) for one, terms in agreed], ())


def test_what_no_contract_asks_for_is_left_out() -> None:
    found = directory(
        (partner("acme"), contract("acme", None)),
        (partner("globex"), contract("globex", "0s")),
        (partner("initech"), None),
    )
    assert held_seconds(found) == {}
    assert longest_seconds(found) == 0


def test_a_partners_outbound_topic_keeps_as_long_as_its_contract_says() -> None:
    found = directory(
        (partner("acme"), contract("acme", "60d")), (partner("globex"), contract("globex", None))
    )
    assert held_seconds(found) == {"partners.acme.outbound": 60 * DAY}
    assert longest_seconds(found) == 60 * DAY


def test_a_topic_that_is_read_for_others_keeps_as_long_as_the_one_who_holds_longest() -> None:
    found = directory(
        (partner("acme"), contract("acme", "1d", to="globex")),
        (partner("initech"), contract("initech", None, to="acme")),
        (partner("globex"), contract("globex", "60d", to="hooli")),
    )
    assert held_seconds(found) == {
        "partners.acme.outbound": DAY,
        "partners.acme.inbound": 60 * DAY,
        "partners.globex.outbound": 60 * DAY,
        "partners.initech.inbound": DAY,
    }


@pytest.mark.parametrize("closed", ["acme", "globex"])
def test_closed_partners_ask_for_nothing(closed: str) -> None:
    agreed = [
        (partner("acme"), contract("acme", None, to="globex")),
        (partner("globex"), contract("globex", "60d")),
    ]
    gone = [(replace(one, state="closed") if one.slug == closed else one, terms) for one, terms in agreed]
    assert "partners.acme.inbound" not in held_seconds(directory(*gone))
    assert ("partners.globex.outbound" in held_seconds(directory(*gone))) == (closed == "acme")


def test_a_contract_to_come_counts_in_place_of_the_one_in_force_and_beside_the_others() -> None:
    acme, globex = partner("acme"), partner("globex")
    found = directory((acme, contract("acme", "1d")), (globex, contract("globex", "60d")))
    coming = {"acme": (acme, contract("acme", None, to="globex"))}
    assert held_seconds(found, coming) == {
        "partners.acme.inbound": 60 * DAY,
        "partners.globex.outbound": 60 * DAY,
    }
    new = {"hooli": (partner("hooli", "provisioning"), contract("hooli", "2d"))}
    assert held_seconds(found, new)["partners.hooli.outbound"] == 2 * DAY


def test_contracts_ask_alike_by_hold_and_by_whom_they_forward_to() -> None:
    plain = contract("acme", None)
    assert asks_alike(plain, replace(contract("acme", "0s"), name="other"))
    assert asks_alike(contract("acme", "1d", to="globex"), contract("acme", "24h", to="globex"))
    assert not asks_alike(plain, contract("acme", "1d"))
    assert not asks_alike(plain, contract("acme", None, to="globex"))
    assert not asks_alike(contract("acme", None, to="hooli"), contract("acme", None, to="globex"))
