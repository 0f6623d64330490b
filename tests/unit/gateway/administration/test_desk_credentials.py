"""Certificates of a contract's file, from the plan to the partner's log."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast

import pytest
from sqlalchemy import text
from sqlmodel import Session

from audit.pressing import expand
from gateway.administration.desk import ContractText, Wish
from gateway.administration.outcome import ContractOutcome
from gateway.errors import CallerError
from partners.issuing import Narrowing, WantedCredential
from tests.certificates import certified
from tests.world import BARE, CONTRACT, OPERATOR, ORDER, World, running

LEAF, NEXT = (certified(begins=datetime(2026, 1, 1, tzinfo=UTC), days=days) for days in (2_000, 3_000))
SECTION = "authentication: {accept: [api_key, mtls], certificates: [a.pem]}\n"
ALLOWED = Wish(allow=frozenset({"destructive"}))


async def put(world: World, wish: Wish = ALLOWED, *, pem: str | None = None) -> ContractOutcome:
    contract = CONTRACT if pem is None else CONTRACT + SECTION
    files = {"order.avsc": json.dumps(ORDER), **({} if pem is None else {"a.pem": pem})}
    sent = ContractText(contract, "acme.yaml", files)
    return await world.parts.administration.put_contract("acme", sent, wish, by=OPERATOR)


async def changes(world: World) -> list[dict[str, Any]]:
    """The evidence of changes of acme's credentials, in the order of its log."""

    def read(session: Session) -> list[dict[str, Any]]:
        query = "SELECT evidence FROM audit_entry WHERE kind = 'credential.changed' ORDER BY log, \"index\""
        found = [json.loads(expand(bytes(raw))) for (raw,) in session.execute(text(query))]
        return [one for one in found if one["partner"] == "acme"]

    return await world.parts.ground.database.read(read)


async def test_a_contract_s_certificates_are_planned_made_and_revoked_each_an_entry(
    tmp_path: Path, database_url: str
) -> None:
    async with running(tmp_path, url=database_url) as world:
        dry = await put(world, Wish(dry_run=True), pem=LEAF.pem)
        assert f"+ certificate a.pem  sha256:{LEAF.sha256[:16]}..." in dry.plan
        await put(world, pem=LEAF.pem)
        directory = world.parts.catalog.current.directory
        made = directory.credential("mtls", f"sha256:{LEAF.sha256}")
        assert made is not None
        replaced = await put(world, Wish(dry_run=True), pem=NEXT.pem)
        assert replaced.blocked == ("destructive",)
        assert f"- certificate sha256:{LEAF.sha256[:16]}...  destructive: it is revoked" in replaced.plan
        with pytest.raises(CallerError) as caught:
            await put(world, Wish(), pem=NEXT.pem)
        assert caught.value.code == "change_destructive"
        await put(world, pem=NEXT.pem)
        await put(world)
        await world.settled(BARE + 3 + 4)
        told = [(one["action"], one["method"], one["reason"], one["by"]) for one in await changes(world)]
        by = {"role": "operator", "credential": None}
        ended = ("revoked", "mtls", "no longer in the contract", by)
        begun = ("created", "mtls", None, by)
        assert sorted(told, key=str) == sorted([begun, ended, begun, ended], key=str)


async def test_a_file_that_is_no_certificate_is_a_problem_of_the_contract(tmp_path: Path) -> None:
    async with running(tmp_path) as world:
        with pytest.raises(CallerError) as caught:
            await put(world, Wish(dry_run=True), pem="{}")
        assert caught.value.code == "contract_invalid"
        (problem,) = cast("list[dict[str, Any]]", caught.value.members["errors"])
        assert (problem["file"], problem["line"], problem["code"]) == ("a.pem", 1, "format")


async def test_a_change_of_a_credential_is_an_entry_with_what_it_has_now(
    tmp_path: Path, database_url: str
) -> None:
    async with running(tmp_path, url=database_url) as world:
        await put(world)
        desk = world.parts.administration
        made = (await desk.create_credential(WantedCredential("acme", "partner"), by=OPERATOR)).credential
        narrow = Narrowing("n", frozenset({"send"}), made.not_after - 1_000)
        dry = await desk.change_credential(made.id, narrow, owner="acme", by=OPERATOR, dry_run=True)
        assert dry.credential.name == "n"
        for _ in range(2):
            await desk.change_credential(made.id, narrow, owner="acme", by=OPERATOR)
        await desk.revoke_credential(made.id, owner="acme", reason="", by=OPERATOR)
        await world.settled(BARE + 1 + 3)
        told = [
            (one["action"], one["scopes"], one["not_after"], one["reason"]) for one in await changes(world)
        ]
        end = made.not_after
        assert sorted(told, key=str) == sorted(
            [
                ("created", sorted(made.scopes), end, None),
                ("changed", ["send"], end - 1_000, None),
                ("revoked", ["send"], end - 1_000, None),
            ],
            key=str,
        )
