"""Many rows in one statement, on both databases: inserted, passed over, changed, in an order that is safe."""

from collections.abc import Iterator
from dataclasses import replace
from threading import Thread
from typing import Any

import pytest
from sqlalchemy import BigInteger, Engine, LargeBinary, event, select
from sqlalchemy.exc import DBAPIError
from sqlmodel import Field, MetaData, Session, SQLModel, col

from audit import bulk
from audit.bulk import (
    Change,
    find_rows,
    find_rows_at,
    insert_new_rows,
    insert_rows,
    insert_told_rows,
    read_slices,
    update_rows,
)


class ParcelRow(SQLModel, table=True):
    """Of these tests. `order`: a word of SQL's own, since column names are quoted."""

    __tablename__ = "test_parcel"
    metadata = MetaData()

    key: bytes = Field(primary_key=True, sa_type=LargeBinary)
    owner: str
    order: int | None = Field(default=None, sa_type=BigInteger)
    is_open: bool
    body: bytes | None = Field(default=None, sa_type=LargeBinary)


@pytest.fixture
def session(engine: Engine) -> Iterator[Session]:
    ParcelRow.metadata.create_all(engine)
    with Session(engine) as made:
        yield made
    ParcelRow.metadata.drop_all(engine)


def parcel(number: int, owner: str = "acme") -> dict[str, object]:
    return {
        "key": number.to_bytes(4),
        "owner": owner,
        "order": None if number % 2 else 1 << 40,
        "is_open": number % 3 == 0,
        "body": None if number % 5 == 0 else bytes([0, number % 256]),
    }


def stored(session: Session) -> list[dict[str, object]]:
    rows = session.execute(select(ParcelRow).order_by(col(ParcelRow.key))).scalars()
    return [one.model_dump() for one in rows]


@pytest.mark.parametrize("count", [0, 1, 2, bulk._CHUNK_ROWS, bulk._CHUNK_ROWS + 1])
def test_rows_are_stored_as_they_are(session: Session, count: int) -> None:
    rows = [parcel(number) for number in range(count)]
    insert_rows(session, ParcelRow, rows)
    assert stored(session) == rows


@pytest.mark.parametrize(
    "owner", ["", "Zoë 🙂", 'a,b"c\\d{e}', "NULL", "'; DROP TABLE test_parcel; --", "%b"]
)
def test_texts_that_mean_something_elsewhere_are_texts(session: Session, owner: str) -> None:
    insert_rows(session, ParcelRow, [parcel(1, owner)])
    assert stored(session) == [parcel(1, owner)]


def test_a_column_of_nothing_but_none_is_stored(session: Session) -> None:
    rows = [{**parcel(number), "order": None, "body": None} for number in (1, 2)]
    insert_rows(session, ParcelRow, rows)
    assert stored(session) == rows


def test_a_key_that_is_taken_fails_all_rows(session: Session) -> None:
    insert_rows(session, ParcelRow, [parcel(2)])
    session.commit()
    with pytest.raises(DBAPIError):
        insert_rows(session, ParcelRow, [parcel(1), parcel(2, "bolt"), parcel(3)])
    session.rollback()
    assert stored(session) == [parcel(2)]


def test_the_first_row_of_a_key_stays_whoever_brings_the_second(session: Session) -> None:
    insert_rows(session, ParcelRow, [parcel(2)])
    insert_new_rows(session, ParcelRow, [parcel(1), parcel(1, "bolt"), parcel(2, "bolt"), parcel(3)])
    assert stored(session) == [parcel(1), parcel(2), parcel(3)]


@pytest.mark.parametrize("count", [0, 1, bulk._CHUNK_ROWS + 1])
def test_what_is_told_to_be_inserted_was_not_there(session: Session, count: int) -> None:
    insert_rows(session, ParcelRow, [parcel(9_999)])
    rows = [parcel(number) for number in range(count)]
    told = insert_told_rows(session, ParcelRow, [*rows, parcel(9_999, "bolt")], "key")
    assert stored(session) == [*rows, parcel(9_999)]
    is_telling = session.get_bind().dialect.name == "postgresql"
    assert told == ({one["key"] for one in rows} if is_telling else set())


def test_only_rows_that_match_in_everything_change(session: Session) -> None:
    insert_rows(session, ParcelRow, [{**parcel(number), "is_open": number != 3} for number in range(6)])
    change = Change(
        match=("key", "owner"), only=(("is_open", True),), same=(("body", None), ("is_open", False))
    )
    wanted = [
        {"key": parcel(5)["key"], "owner": "acme", "order": 55},
        {"key": parcel(1)["key"], "owner": "acme", "order": 11},
        {"key": parcel(2)["key"], "owner": "bolt", "order": 22},
        {"key": parcel(3)["key"], "owner": "acme", "order": 33},
        {"key": parcel(9)["key"], "owner": "acme", "order": 99},
    ]
    update_rows(session, ParcelRow, wanted, change)
    changed = {1: 11, 5: 55}
    assert stored(session) == [
        {**parcel(number), "is_open": False, "body": None, "order": changed[number]}
        if number in changed
        else {**parcel(number), "is_open": number != 3}
        for number in range(6)
    ]


def test_changes_of_the_same_rows_in_opposite_orders_wait_for_each_other(
    session: Session, engine: Engine
) -> None:
    count = 400
    insert_rows(session, ParcelRow, [parcel(number) for number in range(count)])
    session.commit()
    change = Change(match=("key",))
    failed: list[Exception] = []

    def work(step: int) -> None:
        rows = [{"key": number.to_bytes(4), "order": step} for number in range(count)[::step]]
        try:
            for _ in range(10):
                with Session(engine) as own, own.begin():
                    update_rows(own, ParcelRow, rows, change)
        except DBAPIError as error:
            failed.append(error)

    threads = [Thread(target=work, args=(step,)) for step in (1, -1)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    assert failed == []


@pytest.mark.parametrize("count", [0, 1, 700])
def test_rows_are_found_by_their_keys(session: Session, count: int) -> None:
    insert_rows(
        session, ParcelRow, [parcel(number, "acme" if number % 2 else "bolt") for number in range(900)]
    )
    keys = [number.to_bytes(4) for number in range(500, 500 + count)]
    found = find_rows(session, ParcelRow, ["order", "key"], key="key", among=keys, only=(("owner", "bolt"),))
    there = [number for number in range(500, min(500 + count, 900)) if number % 2 == 0]
    assert sorted(found, key=lambda one: one[1]) == [(1 << 40, number.to_bytes(4)) for number in there]


def test_large_rows_go_in_several_statements(session: Session) -> None:
    size = bulk._CHUNK_BYTES // 2
    rows = [{**parcel(number), "body": bytes(size)} for number in range(3)]
    assert [len(some) for some in bulk._light(rows)] == [2, 1]
    insert_new_rows(session, ParcelRow, rows[:1])
    assert stored(session) == rows[:1]


STILL = Change(("key", "owner"), was=(("old", "order"),), same=(("is_open", True),))


@pytest.mark.parametrize("change", [STILL, replace(STILL, is_shared=False)], ids=["shared", "alone"])
def test_rows_change_only_where_their_old_value_still_stands(session: Session, change: Change) -> None:
    insert_rows(session, ParcelRow, [parcel(number) for number in range(4)])
    rows = [
        {"key": number.to_bytes(4), "owner": owner, "old": old, "order": 7}
        for number, owner, old in (
            (0, "acme", 1 << 40),
            (1, "acme", 1),
            (2, "globex", 1 << 40),
            (9, "acme", 1),
        )
    ]
    assert update_rows(session, ParcelRow, rows, change) == 1
    assert stored(session) == [{**parcel(0), "order": 7, "is_open": True}, *map(parcel, range(1, 4))]


def test_what_was_changed_is_counted_over_chunks(session: Session) -> None:
    count = bulk._CHUNK_ROWS + 7
    insert_rows(session, ParcelRow, [parcel(number) for number in range(count)])
    rows = [{"key": number.to_bytes(4), "body": b"x"} for number in range(count + 5)]
    assert update_rows(session, ParcelRow, rows, Change(("key",))) == count
    assert update_rows(session, ParcelRow, [], Change(("key",))) == 0


def test_rows_come_in_slices_and_errors_as_those_of_other_statements(session: Session) -> None:
    query = "SELECT ? + 1 UNION ALL SELECT 5 UNION ALL SELECT 6"
    assert list(read_slices(session, query, (1,), most=2)) == [[(2,), (5,)], [(6,)]]
    with pytest.raises(DBAPIError, match="no_such_table"):
        list(read_slices(session, "SELECT 1 FROM no_such_table", ()))


def test_rows_are_found_by_their_index_in_a_table_that_no_planner_knows_yet(session: Session) -> None:
    run = session.connection().exec_driver_sql
    run("CREATE INDEX test_parcel_owner ON test_parcel (owner)")
    insert_rows(session, ParcelRow, [parcel(number, f"owner-{number}") for number in range(10_000)])
    asked: list[tuple[str, Any]] = []
    event.listen(
        session.connection(), "before_cursor_execute", lambda *seen: asked.append((seen[2], seen[3]))
    )
    owners = [f"owner-{number}" for number in range(1_000)]
    found = find_rows(session, ParcelRow, ["key", "owner"], key="owner", among=owners)
    assert sorted(found) == [(number.to_bytes(4), f"owner-{number}") for number in range(1_000)]
    query, values = asked[0]
    how = "EXPLAIN QUERY PLAN" if session.get_bind().dialect.name == "sqlite" else "EXPLAIN"
    lines = [str(tuple(row)) for row in run(f"{how} {query}", values)]
    assert any("test_parcel_owner" in one for one in lines), lines


@pytest.mark.parametrize("looks", [(), ("ANALYZE test_parcel",)])
def test_rows_are_changed_by_their_index_however_many_they_are(
    session: Session, looks: tuple[str, ...]
) -> None:
    run = session.connection().exec_driver_sql
    insert_rows(session, ParcelRow, [parcel(number) for number in range(10_000)])
    for one in looks:
        run(one)
    asked: list[tuple[str, Any]] = []
    event.listen(
        session.connection(), "before_cursor_execute", lambda *seen: asked.append((seen[2], seen[3]))
    )
    rows = [{"key": number.to_bytes(4), "order": number} for number in range(1_000)]
    assert update_rows(session, ParcelRow, rows, Change(match=("key",), only=(("owner", "acme"),))) == 1_000
    if session.get_bind().dialect.name == "postgresql":
        for query, values in asked[:2]:
            lines = [row[0] for row in run(f"EXPLAIN {query}", values)]
            assert not any("Seq Scan" in one for one in lines), lines


@pytest.mark.parametrize("are_locked", [False, True])
@pytest.mark.parametrize("count", [0, 1, 700])
def test_rows_are_found_by_two_keys_together(session: Session, count: int, *, are_locked: bool) -> None:
    insert_rows(session, ParcelRow, [parcel(number, f"owner-{number % 7}") for number in range(900)])
    places = [(f"owner-{number % 7}", number.to_bytes(4)) for number in range(500, 500 + count)]
    others = [("owner-1", (0).to_bytes(4)), ("nobody", (1).to_bytes(4))]
    found = find_rows_at(
        session,
        ParcelRow,
        ["order", "key"],
        keys=("owner", "key"),
        among=[*places, *others, *places],
        are_locked=are_locked,
    )
    there = list(range(500, min(500 + count, 900)))
    wanted = [(None if number % 2 else 1 << 40, number.to_bytes(4)) for number in there]
    assert sorted(found, key=lambda one: one[1]) == wanted


def test_rows_that_are_locked_as_they_are_found_wait_for_nobody_in_a_circle(engine: Engine) -> None:
    if engine.dialect.name == "sqlite":
        return  # it has one writer
    ParcelRow.metadata.create_all(engine)
    with Session(engine) as made:
        insert_rows(made, ParcelRow, [parcel(number) for number in range(200)])
        made.commit()
    places = [("acme", number.to_bytes(4)) for number in range(200)]
    failed: list[Exception] = []

    def lock(among: list[tuple[str, bytes]]) -> None:
        try:
            for _ in range(20):
                with Session(engine) as made:
                    keys = ("key", "owner")
                    turned = [(key, owner) for owner, key in among]
                    found = find_rows_at(made, ParcelRow, ["key"], keys=keys, among=turned, are_locked=True)
                    assert len(found) == len(places)
        except Exception as error:  # noqa: BLE001 - of another thread
            failed.append(error)

    threads = [Thread(target=lock, args=(some,)) for some in (places, places[::-1])]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    ParcelRow.metadata.drop_all(engine)
    assert failed == []


def test_a_key_that_is_asked_for_twice_is_found_once(session: Session) -> None:
    insert_rows(session, ParcelRow, [parcel(1), parcel(2)])
    key = (1).to_bytes(4)
    assert find_rows(session, ParcelRow, ["key"], key="key", among=[key, key]) == [(key,)]


@pytest.mark.parametrize("size", [0, 1, 4_095, 4_096, 70_000])
def test_a_value_of_any_length_is_stored_as_it_is(session: Session, size: int) -> None:
    rows = [{**parcel(1, "o" * size), "body": bytes(size), "order": -(1 << 63)}]
    insert_rows(session, ParcelRow, rows)
    assert stored(session) == rows
    assert find_rows(session, ParcelRow, ["owner"], key="owner", among=["o" * size, "p"]) == [("o" * size,)]
