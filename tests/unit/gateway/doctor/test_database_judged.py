from dataclasses import replace

import pytest

from gateway.doctor.database import (
    PostgresSeen,
    RevisionSeen,
    SqliteSeen,
    judge_missing_file,
    judge_postgres,
    judge_revision,
    judge_sqlite,
)
from gateway.doctor.finding import Level
from gateway.sql_engines import POOL

GOOD = PostgresSeen(
    {
        "fsync": "on",
        "full_page_writes": "on",
        "synchronous_commit": "on",
        "synchronous_standby_names": "ANY 1 (*)",
        "max_connections": "100",
        "superuser_reserved_connections": "3",
    },
    connections=10,
    standbys=1,
)


def test_a_server_with_a_standby_is_good() -> None:
    assert {one.level for one in judge_postgres(GOOD)} == {Level.OK}


@pytest.mark.parametrize(
    ("settings", "level", "words"),
    [
        ({"fsync": "off"}, Level.FAULT, "fsync is off"),
        ({"full_page_writes": "off"}, Level.FAULT, "full_page_writes is off"),
        ({"synchronous_commit": "off"}, Level.FAULT, "what was answered 2xx can be lost"),
        ({"synchronous_commit": "local"}, Level.FAULT, "what was answered 2xx can be lost"),
        ({"synchronous_standby_names": ""}, Level.WARNING, "no synchronous standby"),
        ({"max_connections": "15"}, Level.WARNING, "2 connections are left of 12"),
    ],
)
def test_what_weakens_a_commit_is_told(settings: dict[str, str], level: Level, words: str) -> None:
    found = list(judge_postgres(replace(GOOD, settings={**GOOD.settings, **settings})))
    (one,) = [each for each in found if each.level is not Level.OK]
    assert one.level is level
    assert words in one.what
    assert one.mend


def test_there_is_room_while_one_more_process_of_ours_can_open_all_its_connections() -> None:
    def levels(connections: int) -> set[Level]:
        return {one.level for one in judge_postgres(replace(GOOD, connections=connections))}

    assert levels(97 - POOL) == {Level.OK}
    assert levels(97 - POOL + 1) == {Level.OK, Level.WARNING}


def test_a_standby_that_is_named_and_absent_holds_up_every_commit() -> None:
    (one,) = [each for each in judge_postgres(replace(GOOD, standbys=0)) if each.level is Level.FAULT]
    assert "every COMMIT waits" in one.what
    assert {each.level for each in judge_postgres(replace(GOOD, standbys=None))} == {Level.OK}


def test_a_server_in_recovery_is_a_fault() -> None:
    (one,) = [each for each in judge_postgres(replace(GOOD, is_standby=True)) if each.level is Level.FAULT]
    assert "takes no writes" in one.what


def test_a_revision_that_does_not_fit_says_which_command_mends_it() -> None:
    assert judge_revision(RevisionSeen("0004", "0004")).level is Level.OK
    assert "gateway init" in judge_revision(RevisionSeen(None, "0004")).mend
    behind = judge_revision(
        RevisionSeen("0003", "0004", "the database is behind: 3, 4: run `gateway migrate`")
    )
    assert (behind.level, behind.mend) == (Level.FAULT, "run `gateway migrate`")
    assert "written for 0004" in judge_revision(RevisionSeen("0005", "0004")).what
    assert judge_missing_file("/d/gateway.db").level is Level.WARNING


@pytest.mark.parametrize(
    ("changed", "levels"),
    [
        ({}, {Level.OK}),
        ({"check": "row 3 missing"}, {Level.FAULT}),
        ({"check": None}, {Level.NOT_ASKED}),
        ({"journal": "delete"}, {Level.OK, Level.WARNING}),
        ({"is_on_network": True}, {Level.OK, Level.WARNING}),
    ],
)
def test_a_sqlite_file_is_judged_by_its_check_its_journal_and_its_place(
    changed: dict[str, object], levels: set[Level]
) -> None:
    values: dict[str, object] = {
        "path": "/d/gateway.db", "check": "ok", "journal": "wal", "filesystem": "ext4",
        "is_on_network": False, **changed,
    }  # fmt: skip
    seen = SqliteSeen(**values)  # type: ignore[arg-type]  # given by name, as above
    assert {one.level for one in judge_sqlite(seen)} == levels
