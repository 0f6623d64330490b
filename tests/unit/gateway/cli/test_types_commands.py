import json

from tests.unit.gateway.cli.conftest import Desk
from tests.world import ORDER


async def test_types_are_listed_for_the_partner_and_for_our_side(desk: Desk) -> None:
    own = await desk.run("types", "list", by="acme")
    named = await desk.run("types", "list", "--partner", "acme")
    assert own.out == named.out
    assert "order.placed" in own.out
    assert len((await desk.run("types", "list", "--json", by="acme")).document()["items"]) == 2


async def test_a_schema_is_printed_as_it_was_written(desk: Desk) -> None:
    for by, whose in (("acme", ()), ("team", ("--partner", "acme", "--direction", "outbound"))):
        ended = await desk.run("types", "schema", "order.accepted", *whose, by=by)
        assert (ended.code, json.loads(ended.out)) == (0, ORDER)


async def test_an_unknown_type_is_not_found(desk: Desk) -> None:
    assert (await desk.run("types", "schema", "order.eaten", by="acme")).code == 4
