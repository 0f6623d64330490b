import json
from pathlib import Path
from typing import Any

import pytest

from gateway.administration.activation import make_active
from gateway.administration.desk import ContractText, Wish
from gateway.administration.standing import Seen
from gateway.errors import CallerError
from gateway.ingress.outcome import Accepted
from partners import onboarding, store
from partners.issuing import WantedCredential
from tests.world import BARE, CONTRACT, OPERATOR, ORDER, World, running

BROKEN = {**ORDER, "fields": [*ORDER["fields"], {"name": "must", "type": "string"}]}
A = {"order_id": "A-1", "qty": 1}


def sent(contract: str = CONTRACT, schema: dict[str, Any] = ORDER) -> ContractText:
    return ContractText(contract, "acme.yaml", {"order.avsc": json.dumps(schema)})


async def put(world: World, text: ContractText, wish: Wish = Wish(), slug: str = "acme") -> Any:  # noqa: B008 - immutable
    return await world.parts.administration.put_contract(slug, text, wish, by=OPERATOR)


async def refusal(world: World, text: ContractText, wish: Wish, slug: str = "acme") -> CallerError:
    with pytest.raises(CallerError) as caught:
        await put(world, text, wish, slug)
    return caught.value


def errors(error: CallerError) -> list[dict[str, Any]]:
    found = error.members["errors"]
    assert isinstance(found, list)
    return found


async def revision(world: World) -> int:
    found = await world.parts.ground.database.read(lambda session: store.partner(session, "acme"))
    return 0 if found is None else found[1]


async def test_a_contract_is_applied_once_and_the_same_again_changes_nothing(
    tmp_path: Path, database_url: str
) -> None:
    async with running(tmp_path, url=database_url) as world:
        first = await put(world, sent())
        again = await put(world, sent())
        assert (first.created, first.changed, first.revision) == (True, True, 1)
        assert (again.created, again.changed, again.revision) == (False, False, 1)
        assert isinstance((await world.send(A))[0], Accepted)


async def test_a_dry_run_changes_nothing_and_tells_what_apply_would(
    tmp_path: Path, database_url: str
) -> None:
    async with running(tmp_path, url=database_url) as world:
        dry = await put(world, sent(), Wish(dry_run=True))
        assert (dry.created, dry.revision, await revision(world)) == (True, 1, 0)
        await put(world, sent())
        blocked = await put(world, sent(schema=BROKEN), Wish(dry_run=True))
        assert blocked.blocked == ("incompatible",)
        assert "BACKWARD broken" in blocked.plan
        error = await refusal(world, sent(schema=BROKEN), Wish())
        assert error.code == "schema_incompatible"
        assert await revision(world) == 1


async def test_what_is_allowed_is_applied(tmp_path: Path, database_url: str) -> None:
    async with running(tmp_path, url=database_url) as world:
        await put(world, sent())
        await put(world, sent(schema=BROKEN), Wish(allow=frozenset({"incompatible"})))
        fewer = CONTRACT.split("receives:")[0]
        assert (await refusal(world, sent(fewer, BROKEN), Wish())).code == "change_destructive"
        done = await put(world, sent(fewer, BROKEN), Wish(allow=frozenset({"destructive"})))
        assert (done.revision, await revision(world)) == (3, 3)


async def test_an_author_who_has_not_seen_the_newest_is_refused(tmp_path: Path, database_url: str) -> None:
    async with running(tmp_path, url=database_url) as world:
        await put(world, sent())
        error = await refusal(world, sent(CONTRACT.replace("Acme GmbH", "Acme")), Wish(if_match=Seen(7)))
        assert error.code == "precondition_failed"
        assert error.members["revision"] == 1


async def test_every_problem_is_told_with_its_place(tmp_path: Path, database_url: str) -> None:
    async with running(tmp_path, url=database_url) as world:
        bad = CONTRACT.replace("id: /order_id, key", "id: /none, key")
        error = await refusal(world, sent(bad), Wish())
        assert error.code == "contract_invalid"
        (one,) = errors(error)
        assert (one["file"], one["line"], one["pointer"]) == ("acme.yaml", 5, "/sends/order.placed")
        assert "/none" in one["detail"]
        other = await refusal(world, sent(), Wish(), "globex")
        assert [each["pointer"] for each in errors(other)] == ["/partner"]


async def test_a_transitive_level_is_held_against_all_former_versions(
    tmp_path: Path, database_url: str
) -> None:
    contract = CONTRACT.replace("key: /customer}", "compatibility: BACKWARD_TRANSITIVE, accept_versions: 1}")
    grown = {**ORDER, "fields": [*ORDER["fields"], {"name": "n", "type": "int", "default": 0}]}
    strict = {**ORDER, "fields": [*ORDER["fields"], {"name": "n", "type": "int"}]}
    async with running(tmp_path, url=database_url) as world:
        await put(world, sent(contract))
        await put(world, sent(contract, grown))
        # A reader with `strict` reads what `grown` wrote, and not what the first version wrote.
        one_way = contract.split("receives:")[0]
        await put(world, sent(one_way, grown), Wish(allow=frozenset({"destructive"})))
        dry = await put(world, sent(one_way, strict), Wish(dry_run=True))
        assert dry.blocked == ("incompatible",)


async def test_a_suspended_partner_is_not_activated_by_its_topics(tmp_path: Path, database_url: str) -> None:
    async with running(tmp_path, url=database_url) as world:
        await put(world, sent())

        def suspend(session: Any) -> str:
            onboarding.set_partner_state(session, "acme", "suspended")
            make_active(session, ["acme"])
            found = store.partner(session, "acme")
            return "" if found is None else found[0].state

        assert await world.parts.ground.database.write(suspend) == "suspended"


async def test_a_dry_run_of_a_credential_is_the_real_one_rolled_back(
    tmp_path: Path, database_url: str
) -> None:
    async with running(tmp_path, url=database_url) as world:
        await put(world, sent())
        desk, database = world.parts.administration, world.parts.ground.database
        made = await desk.create_credential(WantedCredential("acme", "partner", "n"), by=OPERATOR)
        before = await database.read(store.revision), await database.read(store.all_credentials)
        dry = await desk.create_credential(
            WantedCredential("acme", "partner", "n"), by=OPERATOR, dry_run=True
        )
        gone = await desk.revoke_credential(
            made.credential.id, owner="acme", reason="", by=OPERATOR, dry_run=True
        )
        assert (dry.action, dry.text, dry.credential.name) == ("created", None, "n")
        assert (gone.action, gone.credential.revoked_at is None) == ("revoked", False)
        assert (await database.read(store.revision), await database.read(store.all_credentials)) == before


async def test_credentials_and_contracts_are_entries_with_their_author(
    tmp_path: Path, database_url: str
) -> None:
    async with running(tmp_path, url=database_url) as world:
        await put(world, sent())
        desk = world.parts.administration
        made = await desk.create_credential(WantedCredential("acme", "partner", "n"), by=OPERATOR)
        assert made.text is not None
        assert made.text not in repr(made)
        await desk.revoke_credential(made.credential.id, owner="acme", reason="leaked", by=OPERATOR)
        await desk.revoke_credential(made.credential.id, owner="acme", reason="again", by=OPERATOR)
        await world.settled(BARE + 1 + 2)
        with pytest.raises(CallerError) as caught:
            await desk.revoke_credential(made.credential.id, owner="globex", reason="", by=OPERATOR)
        assert caught.value.code == "not_found"


async def test_the_last_operators_key_stays(tmp_path: Path) -> None:
    async with running(tmp_path) as world:
        desk = world.parts.administration
        (first,) = (await world.parts.ground.database.read(store.all_credentials))[:1]
        with pytest.raises(CallerError, match="last operator's key"):
            await desk.revoke_credential(first.id, owner=None, reason="", by=OPERATOR)
        await desk.create_credential(WantedCredential(None, "operator", "second"), by=OPERATOR)
        gone = await desk.revoke_credential(first.id, owner=None, reason="", by=OPERATOR)
        assert gone.action == "revoked"
