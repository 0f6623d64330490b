"""Operators who change one contract at the same time, and what the partner's log says of it."""

import asyncio
import hashlib
import json
import struct
from contextlib import suppress
from pathlib import Path

import pytest
from sqlalchemy import select
from sqlmodel import Session, col

from audit.evidence import Evidence, parse_evidence
from audit.pressing import expand
from audit.rows import EntryRow
from gateway.administration.desk import ContractText, Wish
from gateway.administration.outcome import ContractOutcome
from gateway.administration.standing import Seen
from gateway.errors import AwayError, CallerError
from tests.builders import make_doors
from tests.waiting import until
from tests.world import CONTRACT, OPERATOR, ORDER, World, running

FILES = {"order.avsc": json.dumps(ORDER)}
OPERATORS = 8


def named(number: int) -> str:
    return CONTRACT.replace("Acme GmbH", f"Acme {number}")


async def put(world: World, text: str, revision: int) -> ContractOutcome:
    sent = ContractText(text, "acme.yaml", FILES)
    while True:
        # On a busy machine PostgreSQL may take too long for the last in the queue: nothing was changed.
        with suppress(AwayError):
            return await world.parts.administration.put_contract(
                "acme", sent, Wish(Seen(revision)), by=OPERATOR
            )


async def entries(world: World, count: int) -> list[Evidence]:
    """The changes of contracts, once there are so many."""

    def load(session: Session) -> list[Evidence]:
        rows = session.execute(select(col(EntryRow.evidence)).order_by(col(EntryRow.index))).scalars()
        found = [parse_evidence(expand(raw)) for raw in rows if raw is not None]
        return [one for one in found if one.kind.value == "contract.changed"]

    found: list[Evidence] = []

    async def are_there() -> bool:
        found[:] = await world.parts.ground.database.read(load)
        return len(found) >= count

    await until(are_there, lambda: f"{count} changes: {found}")
    return found


@pytest.mark.parametrize("revision", [0, 1])
async def test_of_operators_who_saw_the_same_revision_one_changes_it(
    tmp_path: Path, database_url: str, revision: int
) -> None:
    async with running(tmp_path, url=database_url) as world:
        if revision:
            await put(world, CONTRACT, 0)
        tries = [put(world, named(number), revision) for number in range(OPERATORS)]
        done = await asyncio.gather(*tries, return_exceptions=True)
        won = [one for one in done if isinstance(one, ContractOutcome)]
        lost = [one for one in done if isinstance(one, CallerError)]
        assert [one.revision for one in won] == [revision + 1]
        assert [one.code for one in lost] == ["precondition_failed"] * (OPERATORS - 1)
        assert {one.members["revision"] for one in lost} == {revision + 1}
        assert f"the contract is at revision {revision + 1}, not {revision}: read it again" in str(lost[0])
        assert len(await entries(world, revision + 1)) == revision + 1


def digest(text: str) -> str:
    """Of a contract, as docs/formats.md has it in section 9."""
    fields = [text, *(part for pair in sorted(FILES.items()) for part in pair)]
    raws = [one.encode() for one in fields]
    return hashlib.sha256(
        b"gateway/contract/v1\x00" + b"".join(struct.pack(">I", len(one)) + one for one in raws)
    ).hexdigest()


async def test_every_change_is_an_entry_of_the_partners_log_with_both_digests(
    tmp_path: Path, database_url: str
) -> None:
    async with running(tmp_path, url=database_url) as world:
        for text in (CONTRACT, named(1), named(1), named(2)):
            await world.apply(text, FILES)
        partner = world.parts.catalog.current.directory.partner("acme")
        assert partner is not None
        log = f"{make_doors(world).values.log_host}/log/{partner.log}"
        found = await entries(world, 3)
    texts = (CONTRACT, named(1), named(2))
    assert [one.log for one in found] == [log] * 3
    assert [one.members["revision"] for one in found] == [1, 2, 3]
    assert [one.members["before_sha256"] for one in found] == [None, *map(digest, texts[:2])]
    assert [one.members["after_sha256"] for one in found] == list(map(digest, texts))
    assert found[0].members["by"] == {"role": "operator", "credential": None}
