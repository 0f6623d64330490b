import asyncio
from pathlib import Path

import pytest

from gateway.database import Database
from gateway.sealing.rewrap import Pass, count_old
from gateway.vault import Vault, amend_master, load_master
from tests.unit.gateway.cli.conftest import Desk, Shell


async def test_keys_are_listed_without_private_halves(desk: Desk) -> None:
    shown = await desk.run("keys", "list")
    assert [word in shown.out for word in ("receipt", "checkpoint", "webhook", "signing")] == [True] * 4
    items = (await desk.run("keys", "list", "--json")).document()["items"]
    assert {one["held_in"] for one in items} == {"database"}
    assert "sealed" not in shown.out


async def test_a_rotation_says_when_the_new_one_signs_and_the_old_one_ends(desk: Desk) -> None:
    dry = await desk.run("keys", "rotate", "webhook", "--overlap", "1d", "--dry-run")
    assert (dry.code, "Would publish" in dry.out) == (0, True)
    done = await desk.run("keys", "rotate", "webhook", "--overlap", "1d", "--starts-in", "5m", "--json")
    new, (old,) = done.document()["key"], done.document()["others"]
    assert (new["state"], old["state"]) == ("published", "retiring")
    again = await desk.run("keys", "rotate", "webhook")
    assert (again.code, "is published" in again.err) == (5, True)
    withdrawn = await desk.run("keys", "retire", new["id"], "--yes")
    assert f"{old['id']} goes on." in withdrawn.out


async def test_a_freeze_asks_first_and_tells_the_successor(desk: Desk) -> None:
    words = ("keys", "freeze", "--purpose", "receipt", "--reason", "copied", "--since", "2h")
    assert (await desk.run(*words)).code == 2
    dry = await desk.run(*words, "--dry-run")
    assert "Would freeze" in dry.out
    done = await desk.run(*words, "--yes")
    assert done.code == 0, done.err
    assert "Frozen: the receipt key" in done.out
    assert "signs from now on" in done.out
    states = [one["state"] for one in (await desk.run("keys", "list", "--json")).document()["items"]]
    assert (states.count("compromised"), set(states)) == (1, {"compromised", "signing"})


async def test_who_may_not_manage_is_refused(desk: Desk) -> None:
    assert (await desk.run("keys", "list", by="acme")).code == 3
    assert (await desk.run("keys", "rotate", "moon")).code == 4


def data(desk: Desk) -> tuple[str, ...]:
    return ("--data", str(desk.house.world.parts.ground.settings.data))


async def local(desk: Desk, *words: str) -> tuple[int, str]:
    ended = await asyncio.get_running_loop().run_in_executor(
        desk.threads, lambda: desk.shell.run("keys", "rewrap", *words, *data(desk))
    )
    return ended.code, ended.out + ended.err


async def test_the_master_key_changes_while_the_gateway_runs(desk: Desk) -> None:
    ground = desk.house.world.parts.ground
    path: Path = ground.settings.keys.master_file
    made = await desk.run("endpoints", "create", "-p", "acme", "--endpoint", "https://a.example/in", "--json")
    assert made.code in {0, 2}
    assert (await local(desk, "--check"))[0] == 0
    assert "version 2" in (await local(desk, "--add-version"))[1]
    assert (await local(desk, "--check"))[0] == 5
    assert (await local(desk, "--drop-old"))[0] == 5
    assert load_master(path).has(1)
    code, words = await local(desk)
    assert code == 0, words
    await desk.house.world.parts.keys.refresh()
    assert ground.vault.newest == 2
    assert (await local(desk, "--drop-old"))[0] == 0
    assert not load_master(path).has(1)
    # It goes on, and keys of before are still known: the pepper is kept.
    assert (await desk.run("partners", "list")).code == 0
    assert (await desk.run("credentials", "create", "-p", "acme", "--role", "auditor", "--json")).code == 0


async def test_a_version_that_came_meanwhile_costs_none_that_is_needed(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = desk.house.world.parts.ground.settings.keys.master_file
    assert (await local(desk))[0] == 0

    def while_it_grows(database: Database, vault: Vault) -> Pass:
        amend_master(path, lambda master: master.with_new(b"\x02" * 32))
        return count_old(database, vault)

    monkeypatch.setattr("gateway.sealing.rewrap.count_old", while_it_grows)
    code, words = await local(desk, "--drop-old")
    assert (code, "version 2 meanwhile" in words) == (5, True)
    assert load_master(path).has(1)


@pytest.mark.parametrize("words", [("--add-version", "--check"), ("--check", "--drop-old")])
def test_one_thing_at_a_time(shell: Shell, words: tuple[str, ...]) -> None:
    assert shell.run("keys", "rewrap", *words, "--data", str(shell.folder)).code == 2


def test_without_a_database_or_a_key_file_nothing_is_made(shell: Shell) -> None:
    folder = str(shell.folder / "none")
    assert shell.run("keys", "rewrap", "--data", folder).code == 2
    assert shell.run("keys", "rewrap", "--add-version", "--data", folder).code == 5
    assert not (shell.folder / "none").exists()
