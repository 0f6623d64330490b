"""However many types a contract has, a plan of it asks as often; what it finds out is in the tests beside."""

import json
from collections.abc import Mapping
from pathlib import Path

import pytest
from sqlalchemy import event
from sqlmodel import Session

from gateway.administration.desk import ContractText, Wish
from gateway.administration.outcome import ContractOutcome
from tests.world import CONTRACT, OPERATOR, ORDER, World, running

MOST = {"name": 4, "schema": 8, "new": 6}
"""Statements of a plan that changes the name alone, every schema, or makes the partner."""


class UndoneError(Exception):
    """Nothing is to stay."""


def contract(types: int, name: str = "Acme") -> str:
    lines = "".join(f"  t{n}: {{schema: s{n}.avsc, id: /order_id}}\n" for n in range(types))
    return CONTRACT.replace("Acme GmbH", name).replace("receives:", f"{lines}receives:")


def files(types: int, *more: Mapping[str, object]) -> dict[str, str]:
    order = {**ORDER, "fields": [*ORDER["fields"], *more]}
    texts = {f"s{n}.avsc": json.dumps({**order, "name": f"S{n}"}) for n in range(types)}
    return {"order.avsc": json.dumps(order), **texts}


async def count(world: World, sent: ContractText, slug: str = "acme") -> tuple[int, ContractOutcome]:
    """Statements of one plan, and what came of it."""
    seen: list[str] = []
    found: list[ContractOutcome] = []
    desk = world.parts.administration

    def work(session: Session) -> None:
        def note(_connection: object, _cursor: object, statement: str, *_: object) -> None:
            seen.append(statement)

        event.listen(session.connection(), "before_cursor_execute", note)
        found.append(desk._apply(session, slug, sent, Wish(dry_run=True), OPERATOR, None))
        raise UndoneError

    with pytest.raises(UndoneError):
        await world.parts.ground.database.write(work)
    return len(seen), found[0]


async def test_a_plan_asks_as_often_however_many_types_there_are(tmp_path: Path, database_url: str) -> None:
    more = {"name": "more", "type": "long", "default": 0}
    asked: dict[tuple[str, int], int] = {}
    async with running(tmp_path, url=database_url) as world:
        for types in (1, 20):
            await world.apply(contract(types), files(types))
            wanted = {
                "name": ContractText(contract(types, "Company"), "acme.yaml", files(types)),
                "schema": ContractText(contract(types), "acme.yaml", files(types, more)),
            }
            for kind, sent in wanted.items():
                asked[kind, types], outcome = await count(world, sent)
                assert outcome.changed
            new = contract(types).replace("partner: acme", "partner: globex")
            sent = ContractText(new, "globex.yaml", files(types))
            asked["new", types], outcome = await count(world, sent, "globex")
            assert outcome.created
    assert asked["name", 1] == asked["name", 20] <= MOST["name"]
    assert asked["new", 1] == asked["new", 20] <= MOST["new"]
    # A schema that is new is written down by itself.
    assert asked["schema", 20] - asked["schema", 1] == 19
    assert asked["schema", 1] <= MOST["schema"]
