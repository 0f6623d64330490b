"""Contracts and an external registry that is made up: it writes schemas its own way, or fails midway."""

import asyncio
import json
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar
from uuid import UUID

import pytest

from gateway.administration.agreement import Agreement
from gateway.administration.desk import ContractText, Wish
from gateway.administration.standing import Seen
from gateway.errors import AwayError, CallerError
from gateway.external_registry import ExternalRegistry
from gateway.ingress.outcome import Accepted
from partners import store
from schemas.remote_answers import Agreed, RemoteAwayError, RemoteError, RemoteRefusedError
from schemas.schema import Schema, parse_schema
from tests.world import CONTRACT, OPERATOR, ORDER, World, running

T = TypeVar("T")

INBOUND = "partners.acme.inbound-com.acme.Order"
OUTBOUND = "partners.acme.outbound-com.acme.Order"


@dataclass
class Library:
    """Keeps each text with its members sorted, as some registries do. `failures`: by what is asked."""

    url: str = "http://registry.example"
    texts: dict[str, int] = field(default_factory=dict)
    subjects: dict[str, list[int]] = field(default_factory=dict)
    failures: dict[str, RemoteError] = field(default_factory=dict)
    registered: list[str] = field(default_factory=list)

    def look_up(self, subject: str, schema: Schema) -> Agreed | None:
        self._fail("look_up")
        held = parse_schema(_sorted(schema))
        schema_id = self.texts.get(held.text, 0)
        there = self.subjects.get(subject, [])
        return Agreed(schema_id, there.index(schema_id) + 1, held) if schema_id in there else None

    def register(self, subject: str, schema: Schema) -> Agreed:
        self._fail(f"register {subject}")
        schema_id = self.texts.setdefault(_sorted(schema), 700 + len(self.texts))
        self.subjects.setdefault(subject, []).append(schema_id)
        self.registered.append(subject)
        found = self.look_up(subject, schema)
        assert found is not None
        return found

    def compare(self, subject: str, schema: Schema) -> tuple[str, ...]:
        del schema
        self._fail(f"compare {subject}")
        return ()

    def by_id(self, schema_id: int) -> Schema | None:
        raise AssertionError(schema_id)

    def by_guid(self, guid: UUID) -> Schema | None:
        raise AssertionError(guid)

    def health(self) -> None:
        """All is well."""

    def within(self, seconds: float) -> AbstractContextManager[None]:
        del seconds
        return nullcontext()

    def close(self) -> None:
        """Nothing is open."""

    def _fail(self, what: str) -> None:
        if what in self.failures:
            raise self.failures[what]


def _sorted(schema: Schema) -> str:
    return json.dumps(json.loads(schema.text), sort_keys=True)


async def aside(work: Callable[[], T]) -> T:
    await asyncio.sleep(0)
    return work()


def shelve(world: World, library: Library) -> None:
    """Let the world's contracts be registered there."""
    world.parts.administration.registry = ExternalRegistry(library, aside=aside, ticks=lambda: 0.0)


async def put(world: World, contract: str = CONTRACT, schema: dict[str, Any] = ORDER, **wish: Any) -> Any:
    sent = ContractText(contract, "acme.yaml", {"order.avsc": json.dumps(schema)})
    return await world.parts.administration.put_contract("acme", sent, Wish(**wish), by=OPERATOR)


async def revision(world: World) -> int:
    found = await world.parts.ground.database.read(lambda session: store.partner(session, "acme"))
    return 0 if found is None else found[1]


async def test_a_registry_may_write_a_schema_in_its_own_way(tmp_path: Path, database_url: str) -> None:
    async with running(tmp_path, url=database_url) as world:
        library = Library()
        shelve(world, library)
        await put(world)
        again = await put(world)
        assert (again.changed, library.registered) == (False, [INBOUND, OUTBOUND])
        channel = world.parts.catalog.current.channel("acme", "order.placed", "inbound")
        assert channel is not None
        (version,) = channel.versions
        assert (version.schema_id, version.number) == (700, 1)
        assert version.schema.text == json.dumps(ORDER, sort_keys=True)
        assert isinstance((await world.send({"order_id": "A-1", "qty": 1}))[0], Accepted)


async def test_what_the_registry_has_lost_is_planned_and_registered_again(
    tmp_path: Path, database_url: str
) -> None:
    async with running(tmp_path, url=database_url) as world:
        library = Library()
        shelve(world, library)
        await put(world)
        assert (await put(world, dry_run=True)).changed is False
        del library.subjects[OUTBOUND]
        planned = await put(world, dry_run=True)
        assert planned.changed
        assert [(one.section, one.name) for one in planned.differences] == [("registry", OUTBOUND)]
        assert f"registry {OUTBOUND}" in planned.plan
        assert (await put(world)).changed
        assert library.registered == [INBOUND, OUTBOUND, OUTBOUND]
        assert (await put(world, dry_run=True)).plan == "acme   contract 1: no change"
        assert await revision(world) == 1


async def test_one_that_goes_away_midway_leaves_nothing_here_and_a_repeat_goes_on(
    tmp_path: Path, database_url: str
) -> None:
    async with running(tmp_path, url=database_url) as world:
        library = Library(failures={f"register {OUTBOUND}": RemoteAwayError("status 503")})
        shelve(world, library)
        with pytest.raises(AwayError) as caught:
            await put(world)
        assert (caught.value.code, await revision(world)) == ("registry_unavailable", 0)
        library.failures.clear()
        assert (await put(world)).revision == 1
        assert library.registered == [INBOUND, OUTBOUND]


@pytest.mark.parametrize(
    ("number", "code"),
    [(409, "schema_incompatible"), (42201, "schema_invalid"), (42205, "schema_invalid")],
)
async def test_a_refusal_is_told_in_the_registrys_words(tmp_path: Path, number: int, code: str) -> None:
    async with running(tmp_path) as world:
        status = 409 if number == 409 else 422
        library = Library(failures={f"register {INBOUND}": RemoteRefusedError(status, number, "no, says it")})
        shelve(world, library)
        with pytest.raises(CallerError, match="no, says it") as caught:
            await put(world)
        assert (caught.value.code, await revision(world)) == (code, 0)


@pytest.mark.parametrize(
    ("contract", "wish"),
    [
        (CONTRACT.replace("id: /order_id, key", "id: /none, key"), {}),
        (CONTRACT, {"if_match": Seen(7)}),
        (CONTRACT, {"dry_run": True}),
    ],
)
async def test_what_does_not_come_into_force_registers_nothing(
    tmp_path: Path, contract: str, wish: dict[str, Any]
) -> None:
    async with running(tmp_path) as world:
        library = Library()
        shelve(world, library)
        if wish.get("dry_run"):
            assert (await put(world, contract, **wish)).created
        else:
            with pytest.raises(CallerError):
                await put(world, contract, **wish)
        assert (library.registered, await revision(world)) == ([], 0)


async def test_an_id_of_another_schema_here_is_refused_and_nothing_changes(
    tmp_path: Path, database_url: str
) -> None:
    async with running(tmp_path, url=database_url) as world:
        await put(world)
        grown = {**ORDER, "fields": [*ORDER["fields"], {"name": "n", "type": "int", "default": 0}]}
        channel = world.parts.catalog.current.channel("acme", "order.placed", "inbound")
        assert channel is not None
        taken = channel.versions[0].schema_id
        shelve(world, Library(texts={_sorted(parse_schema(json.dumps(grown))): taken}))
        with pytest.raises(CallerError, match="another schema has this id here") as caught:
            await put(world, schema=grown)
        assert (caught.value.code, await revision(world)) == ("state_conflict", 1)


def test_a_schema_that_was_not_asked_for_is_never_guessed() -> None:
    schema = parse_schema(json.dumps(ORDER))
    with pytest.raises(AwayError, match="repeat the request"):
        Agreement({}, {}, is_final=True).find(INBOUND, schema)
    assert Agreement({}, {}, is_final=False).find(INBOUND, schema) is None
