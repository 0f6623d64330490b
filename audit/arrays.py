"""Columns of rows as arrays in statements of PostgreSQL, which takes many rows in one statement so.

The driver's own lists cost thrice as much (see `audit.packing`).
"""

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final, cast

from sqlalchemy import Dialect, Table
from sqlmodel import Session, SQLModel

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqlalchemy import CursorResult

    from audit.packing import Packed

_TAUGHT: Final = "packed"
"""In a connection's own notes."""


def unnested(dialect: Dialect, table: Table, names: Sequence[str]) -> str:
    """Rows of columns that are given so."""
    return f"unnest({', '.join(array_of(dialect, table, name) for name in names)})"


def array_of(dialect: Dialect, table: Table, name: str) -> str:
    """One column's values, in binary form."""
    return f"%b::{_type_of(dialect, table, name)}[]"


def uncounted_array_of(dialect: Dialect, table: Table, name: str) -> str:
    """As `array_of`, so that PostgreSQL does not see how many there are when it plans, and thinks of a few.

    For hundreds it reads the whole table, until that has some fifty rows for each of them.
    """
    return f"(SELECT {array_of(dialect, table, name)})::{_type_of(dialect, table, name)}[]"


def pack_rows(
    dialect: Dialect, table: Table, rows: Sequence[Mapping[str, Any]], names: Sequence[tuple[str, str]]
) -> tuple["Packed", ...]:
    """The values of rows, an array a column. `names`: what each is called in the rows, and its column."""
    return tuple(pack(dialect, table, column, [one[name] for one in rows]) for name, column in names)


def pack(dialect: Dialect, table: Table, column: str, values: Sequence[Any]) -> "Packed":
    """The values of one column."""
    from audit.packing import pack_column  # noqa: PLC0415 - its driver is PostgreSQL's

    return pack_column(values, _type_of(dialect, table, column))


@lru_cache(256)
def _type_of(dialect: Dialect, table: Table, column: str) -> str:
    return table.columns[column].type.compile(dialect)


def table_of(row: type[SQLModel]) -> Table:
    """The table of a row's class."""
    table: Table = row.__table__  # type: ignore[attr-defined]  # SQLModel does not type its own table
    return table


def runner(session: Session) -> "Callable[..., CursorResult[Any]]":
    """Runs statements with packed columns."""
    connection = session.connection()
    if _TAUGHT not in connection.info:
        from audit.packing import teach  # noqa: PLC0415 - its driver is PostgreSQL's

        teach(cast("Any", connection.connection.driver_connection))
        connection.info[_TAUGHT] = True
    return connection.exec_driver_sql
