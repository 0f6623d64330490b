from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import pytest

from gateway.cli.registry_import import guid_of
from gateway.cli.registry_source import Found
from schemas.schema import Reference, parse_schema
from tests.builders import House, open_house
from tests.unit.gateway.cli.conftest import Bridge, Desk, Ended
from tests.world import ORDER

SOURCE = "http://source.example/registry"
ADDRESS = '{"type":"record","name":"Address","fields":[]}'
PERSON = '{"type":"record","name":"Person","fields":[{"name":"home","type":"Address"}]}'
OTHER = '{"type":"record","name":"Other","fields":[]}'
GROWN = '{"type":"record","name":"Address","fields":[{"name":"city","type":"string","default":""}]}'


def order(**more: Any) -> dict[str, Any]:
    return {**ORDER, **more}


REMOVED = order(fields=ORDER["fields"][:2])
ADDED = order(fields=[*ORDER["fields"], {"name": "note", "type": "string"}])
OPTIONAL = order(fields=[*ORDER["fields"], {"name": "note", "type": "string", "default": ""}])


async def test_a_schema_that_fits_is_let_in(desk: Desk) -> None:
    file = str(desk.shell.write("new.avsc", OPTIONAL))
    ended = await desk.run("schemas", "check", file, "--against", "acme/order.placed")
    assert (ended.code, ended.out) == (0, "inbound order.placed  BACKWARD ok\n")


async def test_a_break_is_told_with_its_place_and_how_to_mend_it(desk: Desk) -> None:
    file = str(desk.shell.write("new.avsc", ADDED))
    ended = await desk.run("schemas", "check", file, "--against", "acme/order.placed")
    missing = "in the new schema has no default value and is missing in the old schema"
    assert ended.code == 6
    assert ended.out.splitlines() == [
        "inbound order.placed  BACKWARD broken",
        f"  /fields/3: The field 'note' {missing} (note)",
        "    give the field a default",
    ]


async def test_the_direction_of_the_type_decides_who_must_read_whom(desk: Desk) -> None:
    file = str(desk.shell.write("new.avsc", REMOVED))
    assert (await desk.run("schemas", "check", file, "--against", "acme/order.placed")).code == 0
    ended = await desk.run("schemas", "check", file, "--against", "acme/order.accepted", "--json")
    assert ended.code == 6
    (verdict,) = ended.document()["items"]
    assert (verdict["direction"], verdict["compatibility"]) == ("outbound", "FORWARD")
    assert verdict["differences"][0]["pointer"] == "/fields/2"
    assert verdict["differences"][0]["mend"] == "give the field a default"


async def test_a_partner_checks_its_own_types(desk: Desk) -> None:
    file = str(desk.shell.write("new.avsc", ADDED))
    ended = await desk.run("schemas", "check", file, "--against", "order.placed", by="acme")
    assert (ended.code, "broken" in ended.out) == (6, True)


async def test_what_cannot_be_checked_says_why(desk: Desk) -> None:
    good, bad = (
        str(desk.shell.write("good.avsc", ORDER)),
        str(desk.shell.write("bad.avsc", {"type": "record"})),
    )
    told = {
        ("none.avsc", "acme/order.placed"): (2, "cannot be read"),
        (good, "acme/order.eaten"): (4, "not_found"),
        (good, "nobody/order.placed"): (4, "not_found"),
        (good, "acme/"): (2, "--against takes"),
        (bad, "acme/order.placed"): (6, "schema_invalid: Invalid schema"),
    }
    for (file, against), (code, words) in told.items():
        ended = await desk.run("schemas", "check", file, "--against", against)
        assert (ended.code, words in ended.err) == (code, True), ended
    ended = await desk.run(
        "schemas", "check", good, "--against", "acme/order.placed", "--direction", "outbound"
    )
    assert (ended.code, "is not outbound" in ended.err) == (2, True)


async def test_a_plan_says_the_same_and_ends_with_the_same_code(desk: Desk) -> None:
    path = desk.contract()
    assert (await desk.run("apply", "-f", path, "--yes")).code == 0
    desk.shell.write("fleet/order.avsc", ADDED)
    planned = await desk.run("plan", "-f", path)
    assert planned.code == 6
    assert "! sends order.placed  BACKWARD broken: /fields/3" in " ".join(planned.out.split(" ")).replace(
        "  ! ", "! "
    )
    assert (await desk.run("apply", "-f", path, "--yes")).code == 6
    assert (await desk.run("plan", "-f", path, "--allow", "incompatible")).code == 0
    desk.shell.write("fleet/order.avsc", OPTIONAL)
    assert (await desk.run("plan", "-f", path)).code == 0


@dataclass
class Pair(httpx.BaseTransport):
    """Two gateways behind one network: ours, and the one that schemas come from."""

    ours: httpx.BaseTransport
    source: httpx.BaseTransport

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        there = self.source if request.url.host == "source.example" else self.ours
        return there.handle_request(request)


@dataclass
class Move:
    """An import from one gateway's registry into another's."""

    desk: Desk
    source: House
    keys: str

    async def register(self, subject: str, schema: str, **more: Any) -> dict[str, Any]:
        body = {"schema": schema, **more}
        return await _post(self.source, f"/registry/subjects/{quote(subject, safe='')}/versions", body)

    async def run(self, *more: str, by: str = "operator") -> Ended:
        return await self.desk.run("schemas", "import", SOURCE, "--credentials", self.keys, *more, by=by)

    async def shown(self, house: House, subject: str) -> list[dict[str, Any]]:
        async with house.client("operator") as client:
            path = f"/registry/subjects/{subject}/versions"
            answer = await client.get(path)
            numbers = answer.json() if answer.status_code == 200 else []
            return [(await client.get(f"{path}/{number}")).json() for number in numbers]


async def _post(house: House, path: str, body: dict[str, Any]) -> dict[str, Any]:
    async with house.client("operator") as client:
        answer = await client.post(path, json=body)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


@pytest.fixture
async def move(desk: Desk, tmp_path: Path) -> AsyncIterator[Move]:
    """The other registry has two subjects; one refers to the other, with ids that are not taken here."""
    async with open_house(tmp_path / "source", partners=()) as source:
        bridge = Bridge(source)
        desk.shell.transport = Pair(desk.bridge, bridge)
        keys = tmp_path / "source.key"
        keys.write_text(f"{source.keys['operator']}:\n")
        made = Move(desk, source, str(keys))
        async with source.client("operator") as client:
            await client.put("/registry/mode", json={"mode": "IMPORT"})
        await made.register("z.address", ADDRESS, id=500)
        await made.register("z.address", GROWN, id=501, version=4)
        reference = {"name": "Address", "subject": "z.address", "version": 1}
        await made.register("a/person", PERSON, id=300, references=[reference])
        yield made


async def test_an_import_keeps_ids_numbers_texts_references_and_guids_and_repeats_to_nothing(
    move: Move,
) -> None:
    dry = await move.run("--dry-run")
    assert (dry.code, dry.out) == (0, "3 versions of 2 subjects would be imported.\n")
    assert await move.shown(move.desk.house, "z.address") == []
    assert (await move.run("--prefix", "z.")).out == "2 versions of 1 subject imported.\n"
    rest = await move.run()
    assert (rest.code, rest.out) == (0, "1 version of 1 subject imported; 2 there already.\n")
    for subject in ("z.address", "a%2Fperson"):
        there = await move.shown(move.source, subject)
        assert there
        assert await move.shown(move.desk.house, subject) == there
    async with move.desk.house.client("operator") as client:
        assert (await client.get("/registry/mode/z.address")).json()["error_code"] == 40409
    again = await move.run()
    assert (again.code, again.out) == (0, "0 versions of 0 subjects imported; 3 there already.\n")
    await move.register("z.address", ADDRESS.replace("[]", '[{"name":"zip","type":"int"}]'), id=502)
    assert (await move.run("--json", by="team")).document() == {
        "imported": [{"subject": "z.address", "version": 5, "id": 502}],
        "there": 3,
        "dry_run": False,
    }


async def test_softly_deleted_versions_come_along_where_that_is_asked_for(move: Move) -> None:
    async with move.source.client("operator") as source, move.desk.house.client("operator") as here:
        for path in ("a%2Fperson", "z.address/versions/1"):
            assert (await source.delete(f"/registry/subjects/{path}")).status_code == 200
        await move.register("z.address", ADDRESS, id=500, version=9)
        assert (await move.run("--dry-run")).out == "2 versions of 1 subject would be imported.\n"
        assert (await move.run("--deleted")).out == "4 versions of 2 subjects imported.\n"
        for path in ("z.address", "a%2Fperson"):
            for query in ("", "?deleted=true"):
                there = await source.get(f"/registry/subjects/{path}/versions{query}")
                copied = await here.get(f"/registry/subjects/{path}/versions{query}")
                assert (copied.status_code, copied.json()) == (there.status_code, there.json())
        assert (await here.get("/registry/schemas/ids/300")).json()["schema"] == PERSON
    assert (await move.run("--deleted")).out == "0 versions of 0 subjects imported; 4 there already.\n"


async def test_what_clashes_is_named_and_nothing_is_imported(move: Move) -> None:
    house = move.desk.house
    first = await _post(house, "/registry/subjects/here/versions", {"schema": ADDRESS})
    second = await _post(house, "/registry/subjects/z.address/versions", {"schema": OTHER})
    await move.register("b.first", '{"type":"record","name":"Mine","fields":[]}', id=first["id"])
    await move.register("c.second", ADDRESS, id=500)
    ended = await move.run()
    assert ended.code == 5
    assert set(ended.err.splitlines()) == {
        f"b.first version 1 (id {first['id']}): here, id {first['id']} is here",
        f"c.second version 1 (id 500): here, the same schema has the id {first['id']}",
        f"z.address version 1 (id 500): here, version 1 is another schema (id {second['id']})",
        "3 clashes. Nothing was imported.",
    }
    assert await move.shown(house, "a%2Fperson") == []


async def test_an_import_stopped_midway_goes_on_and_leaves_no_mode_behind(move: Move) -> None:
    async with move.desk.house.client("operator") as client:
        await client.put("/registry/config/z.address", json={"compatibility": "NONE"})
        await client.put("/registry/mode/z.address", json={"mode": "READWRITE"})
        await client.put("/registry/mode/a%2Fperson", json={"mode": "IMPORT"})
        ended = await move.run()
        assert (ended.code, "import mode already" in ended.err) == (2, True)
        assert (await client.get("/registry/mode/z.address")).json() == {"mode": "READWRITE"}
        await client.delete("/registry/mode/a%2Fperson")
        assert (await move.run()).code == 0
        assert (await client.get("/registry/mode/z.address")).json() == {"mode": "READWRITE"}


async def test_a_registry_that_cannot_be_read_says_why(move: Move, tmp_path: Path) -> None:
    wrong = tmp_path / "wrong.key"
    wrong.write_text("gw_wrong:")
    told = {
        ("http://source.example/nowhere", move.keys): 1,
        (SOURCE, str(wrong)): 3,
        (SOURCE, str(tmp_path / "none.key")): 2,
        ("ftp://source.example", move.keys): 2,
        ("http://user:secret@source.example", move.keys): 2,
    }
    for (url, keys), code in told.items():
        ended = await move.desk.run("schemas", "import", url, "--credentials", keys)
        assert ended.code == code, ended
        assert "secret@" not in ended.err


async def test_schemas_that_are_not_held_here_are_refused_by_name(desk: Desk) -> None:
    recursive = '{"type":"record","name":"R","fields":[{"name":"r","type":["null","R"]}]}'
    answers: dict[str, object] = {
        "/subjects": ["s"],
        "/subjects/s/versions": [1, 2],
        "/subjects/s/versions/1": {
            "subject": "s",
            "version": 1,
            "id": 9,
            "schemaType": "PROTOBUF",
            "schema": "x",
        },
        "/subjects/s/versions/2": {"subject": "s", "version": 2, "id": 8, "schema": recursive},
    }
    desk.shell.transport = Pair(
        desk.bridge, httpx.MockTransport(lambda request: httpx.Response(200, json=answers[request.url.path]))
    )
    ended = await desk.run("schemas", "import", "http://source.example")
    assert ended.code == 5
    assert "s version 1 (id 9) is PROTOBUF" in ended.err
    assert "s version 2 (id 8) is not admitted here: /fields/0/type/1" in ended.err


@pytest.mark.parametrize(
    "answer", [[1], {"a": 1}, "x", {"schema": 1, "subject": "s", "version": "x", "id": 1}]
)
async def test_a_strange_registry_ends_the_import(desk: Desk, answer: object) -> None:
    pages = {"/subjects": ["s"], "/subjects/s/versions": [1], "/subjects/s/versions/1": answer}
    desk.shell.transport = Pair(
        desk.bridge, httpx.MockTransport(lambda request: httpx.Response(200, json=pages[request.url.path]))
    )
    ended = await desk.run("schemas", "import", "http://source.example")
    assert (ended.code, "registry" in ended.err) == (1, True)


def test_the_guid_is_that_of_every_registry() -> None:
    address = parse_schema(ADDRESS)
    person = parse_schema(PERSON, [Reference("Address", "a", 4, address)])
    found = Found("s", 1, 7, "AVRO", ADDRESS)
    assert guid_of(found) == str(address.guid)
    assert guid_of(replace(found, text=PERSON, references=(("Address", "a", 4),))) == str(person.guid)
