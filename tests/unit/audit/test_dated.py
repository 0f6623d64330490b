"""Rows that PostgreSQL dates itself: one time for all of them, none whose own is wrong, none twice."""

from collections.abc import Iterator

import pytest
from sqlalchemy import BigInteger, LargeBinary, create_engine, select
from sqlalchemy.exc import DBAPIError
from sqlmodel import Field, MetaData, Session, SQLModel, col

from audit.dated import Dated, insert_dated_rows
from tests.postgres_server import PostgresServer

pytestmark = pytest.mark.postgres
NOW = 1_000_000
DATED = Dated(f"{NOW}::bigint", "until", 60, "made", 5)


class LetterRow(SQLModel, table=True):
    """Of these tests."""

    __tablename__ = "test_letter"
    metadata = MetaData()

    key: bytes = Field(primary_key=True, sa_type=LargeBinary)
    until: int = Field(sa_type=BigInteger)
    order: str | None = None


@pytest.fixture
def session(postgres_server: PostgresServer) -> Iterator[Session]:
    with postgres_server.database(is_empty=True) as url:
        engine = create_engine(url.replace("postgresql:", "postgresql+psycopg:"))
        LetterRow.metadata.create_all(engine)
        with Session(engine) as made:
            yield made
        engine.dispose()


def letter(number: int, made: int = NOW, order: str | None = "first") -> dict[str, object]:
    return {"key": bytes([number]), "order": order, "made": made}


def stored(session: Session) -> list[tuple[bytes, int, str | None]]:
    rows = session.execute(select(LetterRow).order_by(col(LetterRow.key))).scalars()
    return [(one.key, one.until, one.order) for one in rows]


def test_what_is_inserted_has_the_time_and_is_told(session: Session) -> None:
    told = insert_dated_rows(session, LetterRow, [letter(1), letter(2, order=None)], "key", DATED)
    assert told == {b"\x01": NOW + 60, b"\x02": NOW + 60}
    assert stored(session) == [(b"\x01", NOW + 60, "first"), (b"\x02", NOW + 60, None)]


@pytest.mark.parametrize("sign", [1, -1])
def test_a_row_whose_own_time_is_wrong_stays_out(session: Session, sign: int) -> None:
    rows = [letter(number, NOW + sign * number) for number in range(1, 9)]
    told = insert_dated_rows(session, LetterRow, rows, "key", DATED)
    assert told.keys() == {bytes([number]) for number in range(1, 6)}
    assert [key for key, _, _ in stored(session)] == sorted(told)


def test_a_key_that_is_taken_is_passed_over(session: Session) -> None:
    insert_dated_rows(session, LetterRow, [letter(1)], "key", DATED)
    again = [letter(1, order="second"), letter(2, order="second")]
    assert insert_dated_rows(session, LetterRow, again, "key", DATED) == {b"\x02": NOW + 60}
    assert [order for _, _, order in stored(session)] == ["first", "second"]


def test_all_rows_have_one_time(session: Session) -> None:
    running = Dated("(extract(epoch FROM clock_timestamp()) * 1000000)::bigint", "until", 0, "made", 2**60)
    told = insert_dated_rows(session, LetterRow, [letter(number) for number in range(200)], "key", running)
    assert len(told) == 200
    assert len(set(told.values())) == 1


def test_an_error_is_that_of_other_statements(session: Session) -> None:
    unknown = Dated("no_such_time()", "until", 0, "made", 5)
    with pytest.raises(DBAPIError) as caught:
        insert_dated_rows(session, LetterRow, [letter(1)], "key", unknown)
    assert getattr(caught.value.orig, "sqlstate", None) == "42883"
