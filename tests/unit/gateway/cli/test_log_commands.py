"""`gateway log` and `gateway backup`, as an operator types them."""

import asyncio
import sqlite3
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path

import pytest

from tests.unit.gateway.cli.conftest import Ended, Shell
from tests.world import FIRST, running

Run = Callable[..., Ended]


@pytest.fixture
def house(shell: Shell) -> Path:
    """A data folder in which something happened; its gateway is stopped."""
    folder = shell.folder / "house"

    async def live() -> None:
        async with running(folder) as world:
            await world.apply()
            await world.send({"order_id": "A-1", "qty": 1})
            await world.settled(FIRST + 1)
            await world.published()

    asyncio.run(live())
    return folder


def spoil(folder: Path, *statements: str) -> None:
    with closing(sqlite3.connect(folder / "gateway.db")) as sql:
        for statement in statements:
            sql.execute(statement)
        sql.commit()


def names(folder: Path) -> Sequence[str]:
    with closing(sqlite3.connect(folder / "gateway.db")) as sql:
        return [row[0] for row in sql.execute("SELECT DISTINCT log FROM audit_head ORDER BY log")]


def test_fsck_ends_with_0_where_all_is_well_and_with_1_where_it_is_not(house: Path, shell: Shell) -> None:
    ended = shell.run("log", "fsck", "--data", str(house))
    assert (ended.code, ended.err) == (0, "")
    assert ended.out == f"2 log(s), {FIRST + 1} entries, 0 fault(s)\n"
    spoil(house, "UPDATE audit_head SET edge = zeroblob(length(edge))")
    ended = shell.run("log", "fsck", "--data", str(house))
    assert ended.code == 1
    assert [line.split()[0] for line in ended.out.splitlines()[:-1]] == ["head_wrong"] * 2
    document = shell.run("log", "fsck", "--data", str(house), "--json", "--jobs", "2").document()
    assert (document["logs"], document["checkpoint_topic"]) == (2, "compared")
    assert [one["what"] for one in document["faults"]] == ["head_wrong"] * 2
    one_log = names(house)[0]
    for name in (one_log, one_log.rpartition("/")[2], f"{one_log}/1"):
        document = shell.run("log", "fsck", "--data", str(house), "--json", "--log", name).document()
        assert [one["origin"] for one in document["faults"]] == [f"{one_log}/1"]


def test_fsck_compares_claims_and_what_the_topic_shows(house: Path, shell: Shell) -> None:
    spoil(house, "UPDATE gateway_claim SET leaf_index = leaf_index + 7")
    ended = shell.run("log", "fsck", "--data", str(house))
    assert ended.out.startswith("claim_wrong ")
    spoil(house, "UPDATE gateway_claim SET leaf_index = NULL")
    assert shell.run("log", "fsck", "--data", str(house)).out.startswith("claim_unmarked ")
    (house / "broker.db").rename(house / "away.db")
    ended = shell.run("log", "fsck", "--data", str(house))
    assert "The checkpoint topic was not compared" in ended.err


def test_what_is_not_there_is_told(shell: Shell, house: Path) -> None:
    ended = shell.run("log", "fsck", "--data", str(shell.folder / "none"))
    assert (ended.code, "there is no database" in ended.err) == (5, True)
    ended = shell.run("log", "fsck", "--data", str(house), "--log", "nosuch")
    assert (ended.code, "there is no log" in ended.err) == (5, True)
    for command in ("rebuild", "new-epoch"):
        more = ["--reason", "x"] if command == "new-epoch" else []
        ended = shell.run("log", command, "--data", str(shell.folder / "none"), "--yes", *more)
        assert (ended.code, "there is no data folder" in ended.err) == (5, True)


def test_rebuild_makes_the_tree_anew_and_asks_first(house: Path, shell: Shell) -> None:
    spoil(house, "DELETE FROM audit_node", "UPDATE audit_head SET edge = x'', size = 0")
    assert shell.run("log", "rebuild", "--data", str(house)).code == 2
    ended = shell.run("log", "rebuild", "--data", str(house), "--dry-run")
    assert (ended.code, "Nothing was changed." in ended.err) == (0, True)
    assert shell.run("log", "fsck", "--data", str(house)).code == 1
    ended = shell.run("log", "rebuild", "--data", str(house), "--yes")
    assert (ended.code, ended.out.count("head written")) == (0, 2)
    assert shell.run("log", "fsck", "--data", str(house)).code == 0
    document = shell.run("log", "rebuild", "--data", str(house), "--yes", "--json").document()
    assert {(one["written"], one["removed"], one["head"]) for one in document} == {(0, 0, "as it was")}


def test_rebuild_refuses_what_was_not_published(house: Path, shell: Shell) -> None:
    spoil(
        house,
        "UPDATE audit_head SET checkpoint = NULL, checkpoint_size = 0",
        "DELETE FROM audit_node",
        'UPDATE audit_entry SET leaf = (SELECT max(leaf) FROM audit_entry) WHERE "index" = 0',
    )
    ended = shell.run("log", "rebuild", "--data", str(house), "--yes")
    assert ended.code == 5
    assert "another root was published" in ended.err


def test_a_new_epoch_says_what_it_follows_and_asks(house: Path, shell: Shell) -> None:
    arguments = ("log", "new-epoch", "--data", str(house), "--reason", "a key had leaked")
    assert shell.run(*arguments, "--yes").out.startswith("No log is behind")
    ended = shell.run(*arguments, "--all")
    assert ended.code == 2
    assert ended.err.count(" follows ") == 2
    assert shell.run(*arguments, "--all", "--log", "x").code == 2
    assert shell.run("log", "new-epoch", "--data", str(house), "--reason", " ", "--all").code == 2
    document = shell.run(*arguments, "--all", "--yes", "--json").document()
    assert sorted(one["origin"] for one in document["epochs"]) == sorted(f"{log}/2" for log in names(house))
    assert {one["previous"]["origin"] for one in document["epochs"]} == {f"{log}/1" for log in names(house)}
    assert shell.run("log", "fsck", "--data", str(house)).code == 0


def test_a_backup_says_what_it_lacks(house: Path, shell: Shell) -> None:
    target, back = shell.folder / "b.tar", shell.folder / "back"
    ended = shell.run("backup", "create", "--data", str(house), "-o", str(target))
    assert ended.code == 0
    assert "NOT COMPLETE: the master key" in ended.err
    assert shell.run("backup", "create", "--data", str(house), "-o", str(target)).code == 5
    ended = shell.run("backup", "restore", str(target), "--data", str(back))
    assert ended.code == 0
    assert f"put it back as {back / 'master.key'}" in ended.err
    assert "gateway log new-epoch" in ended.err
    (back / "master.key").write_bytes((house / "master.key").read_bytes())
    (back / "master.key").chmod(0o600)
    ended = shell.run("log", "new-epoch", "--data", str(back), "--reason", "restored", "--yes")
    assert (ended.code, ended.out.count(" follows ")) == (0, 3), "the anchor too"
    assert shell.run("log", "fsck", "--data", str(back)).code == 0
    assert shell.run("backup", "restore", str(target), "--data", str(back)).code == 5


def test_a_backup_with_the_master_key_is_complete(house: Path, shell: Shell) -> None:
    target, back = shell.folder / "b.tar", shell.folder / "back"
    create = ("backup", "create", "--data", str(house), "-o", str(target), "--with-master-key", "--json")
    assert shell.run(*create).document()["complete"] is True
    restore = ("backup", "restore", str(target), "--data", str(back), "--nothing-since", "--json")
    document = shell.run(*restore).document()
    assert (document["complete"], document["needs_new_epoch"]) == (True, False)
    assert (back / "master.key").read_bytes() == (house / "master.key").read_bytes()


def test_a_database_on_a_server_is_backed_up_by_its_own_tools(shell: Shell) -> None:
    shell.environ["GATEWAY_DATABASE__URL"] = "postgresql://db.example/gateway"
    ended = shell.run("backup", "create", "-o", str(shell.folder / "b.tar"))
    assert ended.code == 5
    assert "pg_basebackup" in ended.err
