import json
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from gateway.http.openapi.document import Place, Reader
from gateway.http.openapi.kept import Kept, is_known, write_down
from tests.builders import CONTRACTS, House, open_house
from tests.world import OPERATOR, ORDER

PLACE = Place("https://gw.example", "1")
ACME = Reader("partner", "/v1", "acme", 1)


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    async with open_house(tmp_path, partners=("acme", "globex")) as opened:
        yield opened


async def test_a_document_that_is_still_the_same_is_not_sent_again(house: House) -> None:
    async with house.client("acme") as client:
        first = await client.get("/v1/openapi.json")
        tag = first.headers["etag"]
        again = await client.get("/v1/openapi.json")
        known = await client.get("/v1/openapi.json", headers={"If-None-Match": f'"other", W/{tag}'})
        other = await client.get("/v1/openapi.json", headers={"If-None-Match": '"other"'})
    assert (first.status_code, known.status_code, other.status_code) == (200, 304, 200)
    assert first.content == again.content == other.content
    assert (known.content, known.headers["etag"]) == (b"", tag)
    assert first.headers["cache-control"] == "private, no-cache"


async def test_each_reader_has_its_own_and_a_contract_that_changes_makes_another(house: House) -> None:
    tags: dict[str, str] = {}
    await house.issue("auditor", "auditor", "acme")
    for name in ("acme", "globex", "auditor", "operator", "team"):
        async with house.client(name) as client:
            tags[name] = (await client.get("/v1/openapi.json")).headers["etag"]
    assert len(set(tags.values())) == len(tags)
    more = CONTRACTS.replace("{slug}", "acme").replace(
        "receives:", "  order.changed: {schema: changed.avsc, id: /order_id}\nreceives:"
    )
    files = {"order.avsc": json.dumps(ORDER), "changed.avsc": json.dumps({**ORDER, "name": "Changed"})}
    await house.world.apply(more, files)
    async with house.client("acme") as client:
        changed = await client.get("/v1/openapi.json", headers={"If-None-Match": tags["acme"]})
    assert changed.status_code == 200
    assert "/v1/events/order.changed" in changed.json()["paths"]
    async with house.client("globex") as client:
        same = await client.get("/v1/openapi.json", headers={"If-None-Match": tags["globex"]})
    assert same.status_code == 304


async def test_who_may_not_call_hears_nothing_of_what_is_kept(house: House) -> None:
    async with house.client("acme") as client:
        tag = (await client.get("/v1/openapi.json")).headers["etag"]
        await house.world.parts.administration.revoke_credential(
            house.credentials["acme"].id, owner=None, reason="", by=OPERATOR
        )
        ended = await client.get("/v1/openapi.json", headers={"If-None-Match": tag})
    assert (ended.status_code, ended.json()["code"]) == (401, "credential_revoked")


def test_what_was_made_from_something_else_is_made_anew() -> None:
    kept, written = Kept(), write_down(b"{}")
    kept.keep(PLACE, ACME, written)
    assert kept.find(PLACE, ACME) is written
    for place, reader in (
        (PLACE, replace(ACME, revision=2)),
        (PLACE, replace(ACME, role="auditor")),
        (PLACE, replace(ACME, partner="globex")),
        (PLACE, replace(ACME, base="/v1/partners/acme")),
        (replace(PLACE, origin="https://other.example"), ACME),
    ):
        assert kept.find(place, reader) is None


def test_what_is_kept_is_bounded_and_the_one_unused_for_longest_goes() -> None:
    kept = Kept(most=10)
    one, two, three = (replace(ACME, partner=name) for name in ("one", "two", "three"))
    for reader in (one, two):
        kept.keep(PLACE, reader, write_down(b"12345"))
    assert kept.find(PLACE, one) is not None
    kept.keep(PLACE, three, write_down(b"12345"))
    assert [kept.find(PLACE, reader) is not None for reader in (one, two, three)] == [True, False, True]
    kept.keep(PLACE, one, write_down(b"12345678901"))
    assert [kept.find(PLACE, reader) is not None for reader in (one, three)] == [False, True]
    kept.keep(PLACE, two, write_down(b"12345"))
    assert [kept.find(PLACE, reader) is not None for reader in (two, three)] == [True, True]


@pytest.mark.parametrize("header", ['"a"', 'W/"a"', '"b", "a"', '"b" ,W/"a"', "*"])
def test_a_tag_is_known_in_each_form(header: str) -> None:
    assert is_known(header, '"a"')


@pytest.mark.parametrize("header", ["", "a", '"b"', '"aa"', '*, "b"', "w/"])
def test_any_other_is_not(header: str) -> None:
    assert not is_known(header, '"a"')
