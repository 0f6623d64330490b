"""A contract that is in force as it was sent costs few statements, and is told as it always was."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import event
from sqlmodel import Session

from gateway.administration.desk import ContractText, Wish
from gateway.administration.outcome import ContractOutcome
from gateway.administration.standing import Seen
from gateway.administration.unchanged import Read, find_in_force, may_be_in_force
from gateway.errors import CallerError
from partners import onboarding
from partners.contract import ContractFile
from partners.contract_file import attach_files, read_contract
from partners.directory import Account, Directory
from partners.errors import ContractFileError, Problem
from partners.partner import Partner, dedicated_topics
from tests.world import CONTRACT, OPERATOR, ORDER, World, running

FILES = {"order.avsc": json.dumps(ORDER)}
MOST_STATEMENTS = 1


def nothing_is_read() -> ContractFile:
    raise AssertionError


async def put(world: World, wish: Wish, text: str = CONTRACT) -> ContractOutcome:
    sent = ContractText(text, "acme.yaml", FILES)
    return await world.parts.administration.put_contract("acme", sent, wish, by=OPERATOR)


async def test_it_is_found_with_a_number_of_statements_that_types_do_not_change(
    tmp_path: Path, database_url: str
) -> None:
    many = CONTRACT.replace(
        "receives:",
        "".join(f"  t{n}: {{schema: s{n}.avsc, id: /order_id}}\n" for n in range(20)) + "receives:",
    )
    files = FILES | {f"s{n}.avsc": json.dumps({**ORDER, "name": f"S{n}"}) for n in range(20)}
    async with running(tmp_path, url=database_url) as world:
        await world.apply(many, files)
        seen: list[str] = []
        administration = world.parts.administration

        def known(digest: bytes) -> ContractFile | None:
            return administration.known.find(digest, nothing_is_read)

        # It was applied in this process, but by way of its texts; a plan reads them, and no plan after it.
        sent = ContractText(many, "acme.yaml", files)
        await administration.put_contract("acme", sent, Wish(dry_run=True), by=OPERATOR)

        def look(session: Session) -> object:
            def note(_connection: object, _cursor: object, statement: str, *_: object) -> None:
                seen.append(statement)

            event.listen(session.connection(), "before_cursor_execute", note)
            return find_in_force(session, "acme", (many, files), known, if_match=None, now=0)

        assert await world.parts.ground.database.read(look) is not None
    assert 0 < len(seen) <= MOST_STATEMENTS


@pytest.mark.parametrize("dry_run", [True, False])
async def test_what_this_process_has_not_heard_of_yet_is_no_change_either(
    tmp_path: Path, database_url: str, *, dry_run: bool
) -> None:
    async with running(tmp_path, url=database_url) as world:
        await world.apply()
        catalog, directory = world.parts.catalog, world.parts.catalog.current.directory
        assert may_be_in_force(directory, "acme", (CONTRACT, FILES))
        for behind in (Directory(0, (), ()), older(directory)):
            assert not may_be_in_force(behind, "acme", (CONTRACT, FILES))
            catalog.current = replace(catalog.current, directory=behind)
            done = await put(world, Wish(Seen(1), dry_run=dry_run))
            assert (done.created, done.changed, done.revision, done.previous) == (False, False, 1, 1)
            assert (done.plan, done.notes) == ("acme   contract 1: no change", ())


def older(directory: Directory) -> Directory:
    """As of another contract."""
    account = directory.account("acme")
    assert account is not None
    return Directory(directory.revision, [replace(account, sha256=b"another")], ())


def test_of_a_text_that_no_encoding_takes_nothing_is_asked() -> None:
    account = Account(Partner("acme", "log", "Acme", dedicated_topics("p.", "acme"), "active"), None, (), ())
    directory = Directory(1, [account], ())
    assert not may_be_in_force(directory, "acme", ("\ud800", {}))
    assert not may_be_in_force(directory, "acme", (CONTRACT, FILES))


@pytest.mark.parametrize("dry_run", [True, False])
async def test_it_is_no_change_whoever_has_seen_which_revision(tmp_path: Path, *, dry_run: bool) -> None:
    async with running(tmp_path) as world:
        await world.apply()
        done = await put(world, Wish(Seen(1), dry_run=dry_run))
        assert (done.created, done.changed, done.revision, done.previous) == (False, False, 1, 1)
        assert done.plan == "acme   contract 1: no change"
        with pytest.raises(CallerError) as caught:
            await put(world, Wish(Seen(7), dry_run=dry_run))
        assert caught.value.code == "precondition_failed"


async def test_what_it_promises_in_vain_is_told_again(tmp_path: Path) -> None:
    hook = "    - {name: hook, url: 'https://hooks.acme.example/in'}\n"
    text = CONTRACT + "endpoints:\n  declared:\n" + hook
    async with running(tmp_path) as world:
        await put(world, Wish(), text)
        first, again = (
            await put(world, Wish(dry_run=True), CONTRACT),
            await put(world, Wish(dry_run=True), text),
        )
    assert first.changed
    words = "? endpoint hook gets nothing until its owner is proved: gateway endpoints verify"
    assert again.notes == (words,)
    assert again.plan.splitlines()[1:] == [f"  {again.notes[0]}"]


async def test_a_closed_partner_is_told_of_it_even_so(tmp_path: Path) -> None:
    async with running(tmp_path) as world:
        await world.apply()
        database = world.parts.ground.database
        await database.write(lambda session: onboarding.set_partner_state(session, "acme", "closed"))
        with pytest.raises(CallerError) as caught:
            await put(world, Wish())
        assert caught.value.code == "state_conflict"


async def test_a_text_that_no_encoding_takes_is_not_the_one_in_force(tmp_path: Path) -> None:
    async with running(tmp_path) as world:
        await world.apply()
        with pytest.raises(CallerError) as caught:
            await put(world, Wish(), CONTRACT + "# \ud800\n")
        assert caught.value.code == "contract_invalid"


async def test_what_this_program_would_refuse_is_refused_though_an_earlier_one_let_it_pass(
    tmp_path: Path,
) -> None:
    async with running(tmp_path) as world:
        await world.apply()
        administration = world.parts.administration
        assert (await put(world, Wish(dry_run=True))).plan == "acme   contract 1: no change"

        def stricter() -> ContractFile:
            raise ContractFileError([Problem("acme.yaml", 1, "", "not_allowed", "not any more")])

        again = replace(administration, known=Read())
        assert again.known.find(b"digest", stricter) is None
        # It is asked again, and remembered only once it is right.
        whole = attach_files(read_contract(CONTRACT, name="acme.yaml"), FILES)
        assert again.known.find(b"digest", lambda: whole) is whole
        assert again.known.find(b"digest", nothing_is_read) is whole
