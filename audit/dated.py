"""Rows that PostgreSQL dates as it inserts them: who needs its time for that need not ask for it before."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from sqlalchemy import Dialect, Table
from sqlalchemy.exc import DBAPIError
from sqlmodel import Session, SQLModel

from audit.arrays import pack_rows, runner, table_of, unnested


@dataclass(frozen=True, slots=True)
class Dated:
    """What is dated, and how. Times are whole numbers of one unit.

    `clock`: the time, in SQL. `column`: gets the time and `more`. Rows whose `by`, which the rows given hold
    and the table does not, is more than `within` from the time stay out.
    """

    clock: str
    column: str
    more: int
    by: str
    within: int


def insert_dated_rows(
    session: Session, row: type[SQLModel], rows: Sequence[Mapping[str, Any]], key: str, dated: Dated
) -> dict[Any, int]:
    """Insert the rows whose keys are free and whose time is right; the date of each of them, by its key.

    One statement, on PostgreSQL alone, and one time for all. Hand rows in the order of their keys:
    overlapping ones deadlock otherwise. Errors are SQLAlchemy's, as of other statements.
    """
    dialect, table = session.get_bind().dialect, table_of(row)
    names = tuple(name for name in rows[0] if name != dated.by)
    statement = _insertion(dialect, table, names, key, dated)
    columns = pack_rows(dialect, table, rows, [*((one, one) for one in names), (dated.by, dated.column)])
    runner(session)
    driver: Any = session.connection().connection.driver_connection
    try:
        # As it is: wrapped, the statement of a few rows costs as much again.
        return dict(driver.cursor().execute(statement, columns))
    except dialect.loaded_dbapi.Error as error:
        kind = dialect.loaded_dbapi.Error
        raise DBAPIError.instance(statement, None, error, kind, dialect=dialect) from error


@lru_cache
def _insertion(dialect: Dialect, table: Table, names: Sequence[str], key: str, dated: Dated) -> str:
    quote, now = dialect.identifier_preparer.quote, "(SELECT now FROM clock)"
    columns, column, by = ", ".join(map(quote, names)), quote(dated.column), quote(dated.by)
    given = f"{unnested(dialect, table, (*names, dated.column))} AS x({columns}, {by})"
    rows = (
        f"SELECT {columns}, {now} + {dated.more:d} FROM {given} WHERE abs({now} - {by}) <= {dated.within:d}"  # noqa: S608 - names of our own tables; values are parameters
    )
    into = f"INSERT INTO {quote(table.name)} ({columns}, {column}) {rows} ON CONFLICT DO NOTHING"
    return f"WITH clock AS (SELECT {dated.clock} AS now) {into} RETURNING {quote(key)}, {column}"
