import json
from pathlib import Path

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


async def test_a_type_is_shown_in_words_and_as_the_gateway_gives_it(desk: Desk) -> None:
    shown = await desk.run("types", "show", "order.placed", by="acme")
    assert shown.code == 0
    assert shown.out.splitlines()[0] == "order.placed"
    assert ["id", "/order_id"] in [line.split() for line in shown.out.splitlines()]
    document = (await desk.run("types", "show", "order.placed", "--json", by="acme")).document()
    assert document["directions"][0]["links"]["sample"] == "/v1/types/order.placed/sample?direction=inbound"


async def test_a_schema_is_had_as_json_schema_on_the_terminal_or_in_a_file(
    desk: Desk, tmp_path: Path
) -> None:
    printed = await desk.run("types", "schema", "order.placed", "--as", "jsonschema", by="acme")
    file = tmp_path / "order.json"
    saved = await desk.run(
        "types", "schema", "order.placed", "--as", "jsonschema", "-o", str(file), by="acme"
    )
    assert printed.document()["required"] == ["order_id", "qty"]
    assert (saved.code, saved.out, file.read_text()) == (0, "", printed.out)


async def test_a_form_that_no_schema_has_is_told_of_the_option(desk: Desk) -> None:
    ended = await desk.run("types", "schema", "order.placed", "--as", "xsd", by="acme")
    assert ended.code == 2
    assert "--as must be one of avro, jsonschema" in ended.err


async def test_a_sample_is_sent_as_it_was_printed(desk: Desk) -> None:
    for by, whose, kind in (("acme", (), "order.placed"), ("team", ("acme",), "order.accepted")):
        option = ("--partner", *whose) if whose else ()
        sample = await desk.run("types", "sample", kind, *option, by=by)
        assert sample.code == 0
        sent = await desk.run("send", *whose, kind, "-", by=by, stdin=sample.out.encode())
        assert sent.code == 0, sent.err


async def test_of_a_direction_that_a_type_has_not_there_is_no_sample(desk: Desk) -> None:
    ended = await desk.run("types", "sample", "order.placed", "--direction", "outbound", by="acme")
    assert ended.code == 4
