"""What had leaked before a restore is ended in the data folder, before the gateway starts on it."""

import asyncio
import json
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from gateway.sequencer.published import read_shown
from partners.issuing import WantedCredential
from tests.unit.gateway.cli.conftest import Shell
from tests.world import FIRST, OPERATOR, running


@pytest.fixture
def house(shell: Shell) -> Path:
    """A data folder whose gateway is stopped, with a partner's key in force."""
    folder = shell.folder / "house"

    async def live() -> None:
        async with running(folder) as world:
            await world.apply()
            wanted = WantedCredential("acme", "partner", "erp")
            await world.parts.administration.create_credential(wanted, by=OPERATOR)
            await world.settled(FIRST + 1)
            await world.published()

    asyncio.run(live())
    return folder


def rows(folder: Path, statement: str) -> list[tuple[Any, ...]]:
    with closing(sqlite3.connect(folder / "gateway.db")) as sql:
        return sql.execute(statement).fetchall()


def restored(shell: Shell, house: Path) -> Path:
    target, back = shell.folder / "b.tar", shell.folder / "back"
    shell.run("backup", "create", "--data", str(house), "-o", str(target), "--with-master-key")
    told = shell.run("backup", "restore", str(target), "--data", str(back))
    assert told.code == 0
    for word in ("keys freeze --stopped", "credentials revoke --stopped", "holds", "init --new-operator-key"):
        assert word in told.err, told.err
    return back


def freeze(shell: Shell, folder: Path, *more: str) -> Any:
    what = ("keys", "freeze", "--stopped", "--data", str(folder), "--reason", "had leaked")
    return shell.run(*what, *more)


def test_a_key_that_had_leaked_signs_nothing_of_a_restored_gateway(house: Path, shell: Shell) -> None:
    back = restored(shell, house)
    before = {one[0]: one[1] for one in rows(back, "SELECT purpose, id FROM gateway_key")}
    assert freeze(shell, back, "--purpose", "checkpoint").code == 2, "it asks first"
    tried = freeze(shell, back, "--purpose", "checkpoint", "--dry-run")
    assert (tried.code, tried.out.startswith("Would freeze")) == (0, True)
    assert rows(back, "SELECT count(*) FROM gateway_key WHERE compromised_at IS NOT NULL") == [(0,)]
    for purpose in ("receipt", "checkpoint"):
        since = ("--since", "2026-11-20T00:00:00Z", "--kid", before[purpose])
        ended = freeze(shell, back, "--purpose", purpose, *since, "--yes")
        assert ended.code == 0, ended.err
        assert before[purpose] in ended.out
    assert freeze(shell, back, "--purpose", "receipt", "--kid", before["receipt"], "--yes").code == 5
    begun = shell.run("log", "new-epoch", "--data", str(back), "--reason", "restored", "--yes")
    assert begun.code == 0, begun.err

    async def go_on() -> tuple[set[str], dict[str, bytes]]:
        async with running(back) as world:
            await world.published()
            ring = world.parts.keys.current
            shown = await read_shown(world.parts.broker, world.parts.ground.settings.broker.checkpoint_topic)
            frozen = {key.id for purpose in ("receipt", "checkpoint") for key in ring.compromised(purpose)}
            signers = {one.key_id for some in ring.signers.values() for one in some}
            assert not frozen & signers
            return frozen, shown.notes

    frozen, notes = asyncio.run(go_on())
    assert frozen == {before["receipt"], before["checkpoint"]}
    assert len([origin for origin in notes if not origin.endswith("/1")]) == 3
    assert shell.run("log", "fsck", "--data", str(back)).code == 0
    said = rows(back, "SELECT count(*) FROM audit_entry WHERE kind = 'key.changed' AND epoch > 1")
    assert said == [(8,)], "two frozen, two made, in two logs"


def test_a_credential_that_had_leaked_opens_nothing_of_a_restored_gateway(house: Path, shell: Shell) -> None:
    back = restored(shell, house)
    ((name,),) = rows(back, "SELECT id FROM partners_credential WHERE partner = 'acme'")
    revoke = ("credentials", "revoke", "--stopped", name, "--data", str(back), "--reason", "leaked")
    assert shell.run(*revoke).code == 2, "it asks first"
    assert shell.run(*revoke, "--dry-run").code == 0
    assert rows(back, "SELECT count(*) FROM partners_credential WHERE revoked_at IS NOT NULL") == [(0,)]
    document = shell.run(*revoke, "--yes", "--json").document()
    assert (document["id"], document["state"], document["reason"]) == (name, "revoked", "leaked")
    assert shell.run(*revoke, "--yes").code == 0, "twice changes nothing"
    nobody = shell.run("credentials", "revoke", "--stopped", "crd_none", "--data", str(back), "--yes")
    assert nobody.code == 4
    ((last,),) = rows(back, "SELECT id FROM partners_credential WHERE role = 'operator'")
    refused = shell.run("credentials", "revoke", "--stopped", last, "--data", str(back), "--yes")
    assert (refused.code, "gateway init --new-operator-key" in refused.err) == (5, True)


def test_while_the_gateway_runs_it_is_asked(house: Path, shell: Shell) -> None:
    from gateway.bootstrap.ground import FolderLock  # noqa: PLC0415 - of this one test

    lock = FolderLock(house)
    ended = freeze(shell, house, "--purpose", "receipt", "--yes")
    assert (ended.code, "in use by another gateway" in ended.err) == (5, True)
    lock.release()
    for words in (("--since", "yesterday"), ("--purpose", "nothing")):
        assert freeze(shell, house, *({"--purpose": "receipt"} | dict([words])).popitem(), "--yes").code == 2
    assert freeze(shell, shell.folder / "gone", "--purpose", "receipt", "--yes").code == 5


def test_a_restored_folder_has_no_operators_key_and_gets_another_one(house: Path, shell: Shell) -> None:
    back = restored(shell, house)
    told = shell.run("init", "--data", str(back))
    assert "gateway init --new-operator-key" in told.out
    made = shell.run("init", "--data", str(back), "--new-operator-key")
    assert made.code == 0, made.err
    text = (back / "operator.key").read_text().strip()
    assert text in made.out
    assert rows(back, "SELECT count(*) FROM partners_credential WHERE role = 'operator'") == [(2,)]
    again = shell.run("init", "--data", str(back), "--new-operator-key")
    assert (again.code, "is there" in again.err) == (5, True)
    assert (back / "operator.key").read_text().strip() == text
    first = rows(back, "SELECT id FROM partners_credential WHERE role = 'operator' ORDER BY created_at")[0][0]
    revoke = ("credentials", "revoke", "--stopped", first, "--data", str(back), "--yes")
    assert shell.run(*revoke).code == 0
    assert json.loads(shell.run(*revoke, "--json").out)["state"] == "revoked"
