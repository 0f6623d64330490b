"""An export goes on wherever it was left, and is the same in the end."""

import asyncio
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import NoReturn

import pytest
from sqlalchemy import text, update
from sqlmodel import col

from audit.errors import MissingLibraryError
from audit.manifest import Format
from audit.rows import EntryRow, NodeRow
from gateway.database import Database
from gateway.errors import CallerError, LeaseLostError, OverloadedError, StoreError
from gateway.exports import making, store, worker
from gateway.exports.job import Part, Stretch, Wish
from gateway.exports.store import MOST_OPEN
from gateway.exports.worker import Exporter
from tests.exporting import manifest_of, unpack
from tests.faults.commits import CommitTrouble, Fate
from tests.importing import KilledError
from tests.made_logs import (
    archive_of,
    begin,
    database_at,
    erase,
    grow,
    make_exporter,
    mixed,
    verify,
    work_off,
)
from tests.unit.audit.builders import AT, ORIGIN

SIZE, PART = 90, 20
FILES = 5
WRITES = {
    "lease": r"UPDATE gateway_export SET .*\bowner\b",
    "file": "INSERT INTO gateway_export_part",
    "end": r"UPDATE gateway_export SET .*\bended_at\b",
}
WISH = Wish("acme", "jsonl", has_content=False, stretches=(Stretch(ORIGIN, 0, 3),))
STEPS = {"export.2.leased": 1, "export.3.made": 3, "export.4.settled": 2, "export.5.ended": 1}


@pytest.fixture
def database(tmp_path: Path, migrated_file: Path) -> Iterator[Database]:
    opened = database_at(tmp_path, migrated_file)
    with opened.begin() as session:
        for start in range(0, SIZE, 30):
            grow(session, [mixed(number) for number in range(start, start + 30)])
    yield opened
    opened.close()


async def whole(database: Database, kind: Format = "jsonl") -> bytes:
    """What comes of an export that nothing disturbs."""
    begin(database, (ORIGIN, 0, SIZE), kind=kind, name="exp_whole")
    done = await work_off(make_exporter(database, part_entries=PART), "exp_whole")
    return await archive_of(database, done)


def killing_at(wanted: str, times: int) -> Callable[[str], None]:
    left = [times]

    def step(name: str) -> None:
        left[0] -= name == wanted
        if name == wanted and left[0] == 0:
            raise KilledError

    return step


def let_go(database: Database) -> None:
    """As if the lease of whoever was killed had run out."""
    with database.begin() as session:
        store.expire_leases(session)


async def test_exports_are_made_on_both_databases_by_several_at_once(database_url: str) -> None:
    database, beside = Database(database_url), Database(database_url)
    with database.begin() as session:
        grow(session, [mixed(number) for number in range(SIZE)])
    for name in ("exp_a", "exp_b"):
        begin(database, (ORIGIN, 0, SIZE), name=name)
    async with asyncio.TaskGroup() as tasks:
        for one, name in ((database, "exp_a"), (beside, "exp_b")):
            tasks.create_task(work_off(make_exporter(one, part_entries=PART), name))
    with database.begin() as session:
        found = [store.find(session, name) for name in ("exp_a", "exp_b")]
        assert not store.has_work(session)
    archives = [await archive_of(beside, one) for one in found if one is not None]
    assert len(set(archives)) == 1
    verify(archives[0])
    for one in (database, beside):
        one.close()


@pytest.mark.parametrize("name", STEPS)
async def test_killed_after_any_step_the_next_owner_goes_on(database: Database, name: str) -> None:
    expected = await whole(database)
    begin(database, (ORIGIN, 0, SIZE))
    killed = make_exporter(database, killing_at(name, STEPS[name]), part_entries=PART)
    with pytest.raises(BaseExceptionGroup) as raised:
        await work_off(killed)
    assert raised.group_contains(KilledError)
    let_go(database)
    done = await work_off(make_exporter(database, part_entries=PART))
    assert (done.state, done.done, done.parts) == ("done", SIZE, FILES)
    assert await archive_of(database, done) == expected
    verify(expected)


@pytest.mark.parametrize("fate", ["lost", "stored"])
@pytest.mark.parametrize("name", WRITES)
async def test_a_write_that_fails_neither_loses_nor_doubles_an_entry(
    database: Database, name: str, fate: Fate, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker, "_AGAIN_SECONDS", 0.01)
    monkeypatch.setattr(worker, "_LOOK_SECONDS", 0.05)
    expected = await whole(database)
    begin(database, (ORIGIN, 0, SIZE))
    trouble = CommitTrouble(database, WRITES[name], fate, times=2)
    exporter = make_exporter(database, part_entries=PART)
    exporter.lease_ms = 300  # a lease that was stored, though nobody was told, runs out
    done = await work_off(exporter)
    assert (done.state, done.done, done.parts) == ("done", SIZE, FILES)
    assert await archive_of(database, done) == expected
    if name != "end" or fate == "lost":
        assert trouble.left == 0
    else:
        assert trouble.left == 1, "once it has ended there is nothing to write"


async def test_making_an_export_fails_and_is_asked_for_again(database: Database) -> None:
    fates: list[tuple[str, Fate]] = [("exp_0", "lost"), ("exp_1", "stored")]
    for name, fate in fates:
        trouble = CommitTrouble(database, "INSERT INTO gateway_export ", fate)
        with pytest.raises(StoreError):
            await database.write(partial(store.create, export_id=name, wish=WISH, now=AT))
        assert trouble.left == 0
    with database.begin() as session:
        kept = [one.id for one in store.page(session, "acme", after=(1 << 62, ""), limit=9)]
    assert kept == ["exp_1"]


async def test_others_have_their_turn_after_some_files(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker, "STEPS", 1)
    for name in ("exp_a", "exp_b"):
        begin(database, (ORIGIN, 0, SIZE), name=name)
    order: list[str] = []
    exporter = make_exporter(database, part_entries=PART)
    lease = exporter._round

    async def watched() -> bool:
        found = await lease()
        with database.begin() as session:
            rows = session.execute(text("SELECT id, parts FROM gateway_export ORDER BY id"))
            order.append(" ".join(str(parts) for _, parts in rows))
        return found

    monkeypatch.setattr(Exporter, "_round", lambda _: watched())
    await work_off(exporter, "exp_b")
    assert order[:4] == ["1 0", "1 1", "2 1", "2 2"]


async def test_cancelled_it_ends_where_it_is(database: Database) -> None:
    begin(database, (ORIGIN, 0, SIZE))
    seen: list[str] = []

    def step(name: str) -> None:
        seen.append(name)
        if name == "export.3.made" and seen.count(name) == 2:
            with database.begin() as session:
                store.cancel(session, "exp_a", now=AT)

    done = await work_off(make_exporter(database, step, part_entries=PART))
    assert (done.state, done.parts) == ("cancelled", 1)


async def test_a_late_owner_is_refused(database: Database) -> None:
    begin(database, (ORIGIN, 0, SIZE))
    with database.begin() as session:
        first = store.lease(session, "one", lease_ms=10_000)
        store.expire_leases(session)
        second = store.lease(session, "two", lease_ms=10_000)
    assert first is not None
    assert second is not None
    part = Part(1, 0, 0, 20, 0, 1, bytes(32), AT, AT)
    for work in (
        lambda session: store.settle(session, first, part, lease_ms=1),
        lambda session: store.end(session, first, None, now=AT),
        lambda session: store.renew(session, first, lease_ms=1),
        lambda session: store.release(session, first),
        lambda session: store.settle(session, second, Part(2, *vars_of(part)), lease_ms=1),
    ):
        with pytest.raises(LeaseLostError), database.begin() as session:
            work(session)


def vars_of(part: Part) -> tuple[int, int, int, int, int, bytes, int | None, int | None]:
    return (
        part.stretch,
        part.first,
        part.end,
        part.erased,
        part.size,
        part.sha256,
        part.first_at,
        part.last_at,
    )


@pytest.mark.parametrize("what", ["leaf", "evidence", "unreadable", "node", "gap"])
async def test_a_log_that_is_damaged_is_not_exported(database: Database, what: str) -> None:
    with database.begin() as session:
        entry = col(EntryRow.index) == 45
        changes = {
            "leaf": update(EntryRow).where(entry).values(leaf=mixed(1).leaf()),
            "evidence": update(EntryRow).where(entry).values(evidence=mixed(45 + 24).raw),
            "unreadable": update(EntryRow).where(entry).values(evidence=b"\x01\x00no record"),
            "node": update(NodeRow).where(col(NodeRow.level) == 3).values(hash=bytes(32)),
            "gap": EntryRow.__table__.delete().where(entry),  # type: ignore[attr-defined]  # as SQLModel has it
        }
        session.execute(changes[what])
    begin(database, (ORIGIN, 0, SIZE))
    done = await work_off(make_exporter(database, part_entries=PART))
    assert done.state == "failed"
    assert done.error is not None
    assert done.error.code == "internal"
    assert "not whole" in done.error.detail


async def test_without_pyarrow_parquet_fails_in_words(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    def missing(_press: object) -> NoReturn:
        raise MissingLibraryError("Parquet needs pyarrow")

    monkeypatch.setitem(making._WRITERS, "parquet", missing)
    begin(database, (ORIGIN, 0, 10), kind="parquet")
    done = await work_off(make_exporter(database))
    assert done.error is not None
    assert (done.state, done.error.code, done.error.detail) == (
        "failed",
        "state_conflict",
        "Parquet needs pyarrow",
    )


async def test_our_own_mistake_ends_one_export_and_not_the_role(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(_press: object) -> NoReturn:
        raise ZeroDivisionError

    monkeypatch.setitem(making._WRITERS, "avro", broken)
    begin(database, (ORIGIN, 0, 10), kind="avro")
    begin(database, (ORIGIN, 0, 10), name="exp_b")
    exporter = make_exporter(database)
    done = await work_off(exporter, "exp_b")
    assert done.state == "done"
    with database.begin() as session:
        failed = store.find(session, "exp_a")
    assert failed is not None
    assert failed.error is not None
    assert (failed.state, failed.error.code) == ("failed", "internal")


async def test_what_is_erased_after_the_job_is_not_in_the_file(database: Database) -> None:
    begin(database, (ORIGIN, 0, SIZE))
    done = await work_off(make_exporter(database, part_entries=PART))
    before = await archive_of(database, done)
    with database.begin() as session:
        erase(session, 33)
    after = await archive_of(database, done)
    same = [name for name, raw in unpack(before).items() if unpack(after).get(name) == raw]
    assert len(same) == FILES - 1
    assert mixed(33).raw in before
    assert mixed(33).raw not in after
    assert [file.erased for file in manifest_of(after).sections[0].files] == [0, 1, 0, 0, 0]
    verify(after)
    with database.begin() as session:
        found = store.find(session, "exp_a")
    assert found is not None
    assert (found.erased, found.size) == (1, sum(f.size for f in manifest_of(after).sections[0].files))


async def test_a_file_ends_after_so_many_bytes(database: Database) -> None:
    begin(database, (ORIGIN, 0, SIZE))
    exporter = make_exporter(database)
    exporter.maker.part_bytes = 4_000
    done = await work_off(exporter)
    assert done.parts > FILES
    verify(await archive_of(database, done))


async def test_no_more_than_a_few_are_open_at_once_and_old_ones_are_dropped(database: Database) -> None:
    for number in range(MOST_OPEN):
        begin(database, (ORIGIN, 0, 40), name=f"exp_{number}")
    with pytest.raises(CallerError, match="not ended"):
        begin(database, (ORIGIN, 0, 40), name="exp_more")
    await work_off(make_exporter(database, part_entries=PART), f"exp_{MOST_OPEN - 1}")
    begin(database, (ORIGIN, 0, 40), name="exp_more")
    with database.begin() as session:
        assert not store.sweep(session, now=AT + 999, kept_ms=1_000)
        while store.sweep(session, now=AT + 1_001, kept_ms=1_000):
            pass
        left = [one.id for one in store.page(session, "acme", after=(1 << 62, ""), limit=9)]
        parts = session.execute(text("SELECT count(*) FROM gateway_export_part")).scalar_one()
    assert (left, parts) == (["exp_more"], 0)


async def test_few_files_are_made_at_once_and_few_may_wait(database: Database) -> None:
    begin(database, (ORIGIN, 0, SIZE))
    exporter = make_exporter(database, part_entries=PART)
    done = await work_off(exporter)
    with database.begin() as session:
        part = store.parts(session, done.id)[0]
    exporter.maker._waiting = making.MOST_WAITING
    with pytest.raises(OverloadedError, match="too many files"):
        await exporter.maker.again(done.wish, part)
    exporter.maker._waiting = 0
    async with asyncio.TaskGroup() as tasks:
        made = [tasks.create_task(exporter.maker.again(done.wish, part)) for _ in range(5)]
    assert {one.result().part.sha256 for one in made} == {part.sha256}
