"""Many rows in one statement: for tables that are written thousands of times a second.

A statement a row costs PostgreSQL's driver far more than the row itself. There, all rows go as one array a
column, and one statement inserts or updates them all; SQLite prepares one statement and runs it for each row.
Values go to the driver as they are: bytes, texts, whole numbers, booleans and None.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from operator import itemgetter
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import Dialect, Table
from sqlalchemy.exc import DBAPIError
from sqlmodel import Session, SQLModel

from audit.arrays import array_of, pack, pack_rows, runner, table_of, uncounted_array_of, unnested

if TYPE_CHECKING:
    from audit.packing import Packed

Rows = Sequence[Mapping[str, Any]]
"""Each with the same columns."""

Same = tuple[tuple[str, Any], ...]
"""Columns, each with the one value that it has in all rows."""

_CHUNK_ROWS: Final = 1_000
_SLICE_ROWS: Final = 250
_CHUNK_KEYS: Final = 500
"""SQLite takes 32,766 parameters, and keeps the last 128 statements prepared: few texts are better."""

_CHUNK_BYTES: Final = 64 * 2**20
"""PostgreSQL takes no array of a gigabyte."""


@dataclass(frozen=True, slots=True)
class Change:
    """Which rows change, and how.

    `match`: columns, the first of them the table's key, by whose values each row is found.
    `was`: columns that must still have a value that the row given holds under another name (that name first).
    `only`: what a row must have besides to be changed. `unset`: columns that must have no value yet.
    `same`: what every changed row gets.
    `is_shared`: others may change the same rows at the same time.
    """

    match: tuple[str, ...]
    was: tuple[tuple[str, str], ...] = ()
    only: Same = ()
    same: Same = ()
    unset: tuple[str, ...] = ()
    is_shared: bool = True

    def found_by(self) -> tuple[tuple[str, str], ...]:
        """What finds a row: a name in the rows given, and its column."""
        return (*((name, name) for name in self.match), *self.was)


def insert_rows(session: Session, row: type[SQLModel], rows: Rows) -> None:
    """Insert rows whose keys are free; some kilobytes each at most."""
    for some in _chunks(rows):
        _insert(session, row, some, "")


def insert_new_rows(session: Session, row: type[SQLModel], rows: Rows, *, are_small: bool = False) -> int:
    """Insert the rows whose keys are free, and pass over the others. Returns how many were inserted.

    Hand rows in the order of their keys: overlapping ones deadlock on PostgreSQL otherwise. They may hold
    content of any size, unless they are said to be small.
    """
    chunks = _chunks(rows) if are_small else _light(rows)
    return sum(_insert(session, row, some, _NEW) for some in chunks)


def insert_told_rows(session: Session, row: type[SQLModel], rows: Rows, key: str) -> set[Any]:
    """As `insert_new_rows`; the values of `key` of rows that were inserted for certain, in this very call.

    SQLite tells none of them: whoever has to know reads them.
    """
    if _dialect(session).name != "postgresql":
        insert_new_rows(session, row, rows)
        return set()
    told: set[Any] = set()
    for some in _light(rows):
        told.update(runner(session)(*_arrayed(session, row, some, _NEW, key)).scalars())
    return told


def update_rows(session: Session, row: type[SQLModel], rows: Rows, change: Change) -> int:
    """Change rows; those that do not match are left alone. Returns how many were changed.

    Each of `rows` holds the columns of `change.match`, no two of them alike, and those that are to change. On
    PostgreSQL shared ones are locked in the order of their keys first, as by all that write many at once.
    """
    count = 0
    for some in _chunks(rows):
        dialect, table, names = _dialect(session), table_of(row), tuple(some[0])
        connection = session.connection()
        same, only = [value for _, value in change.same], [value for _, value in change.only]
        if dialect.name == "postgresql":
            lock, update = _array_update(dialect, table, names, change)
            run, was = runner(session), dict(change.was)
            columns = pack_rows(dialect, table, some, [(one, was.get(one, one)) for one in names])
            if change.is_shared:
                run(lock, (columns[names.index(change.match[0])],))
            done = run(update, (*same, *columns, *only))
        else:
            finding = [name for name, _ in change.found_by()]
            order = [*(name for name in names if name not in finding), *finding]
            values = [(*same, *one, *only) for one in _tuples(some, order)]
            done = connection.exec_driver_sql(_row_update(dialect, table, names, change), values)
        count += done.rowcount
    return count


def find_rows(
    session: Session,
    row: type[SQLModel],
    names: Sequence[str],
    *,
    key: str,
    among: Collection[Any],
    only: Same = (),
) -> list[tuple[Any, ...]]:
    """The columns `names` of the rows whose `key` is one of these and that have the values of `only`."""
    dialect, table = _dialect(session), table_of(row)
    run = session.connection().exec_driver_sql
    wanted, rest = list(dict.fromkeys(among)), [value for _, value in only]
    found: list[tuple[Any, ...]] = []
    if dialect.name == "postgresql":
        query = _array_search(dialect, table, tuple(names), (key, only))
        keys = pack(dialect, table, key, wanted)
        return [tuple(one) for one in runner(session)(query, (keys, *rest))] if wanted else []
    for start in range(0, len(wanted), _CHUNK_KEYS):
        some = wanted[start : start + _CHUNK_KEYS]
        query = _search(dialect, table, tuple(names), f"IN ({', '.join('?' * len(some))})", (key, only))
        found += [tuple(one) for one in run(query, (*some, *rest))]
    return found


def find_rows_at(
    session: Session,
    row: type[SQLModel],
    names: Sequence[str],
    *,
    keys: Sequence[str],
    among: Collection[tuple[Any, ...]],
    are_locked: bool = False,
) -> list[tuple[Any, ...]]:
    """The columns `names` of the rows whose `keys`, two or more, are together one of these.

    Locked until the transaction ends, on PostgreSQL, if that is asked: in the order of their keys.
    """
    dialect, table = _dialect(session), table_of(row)
    wanted = list(dict.fromkeys(among))
    found: list[tuple[Any, ...]] = []
    if dialect.name == "postgresql":
        query = _array_search_at(dialect, table, tuple(names), tuple(keys), are_locked=are_locked)
        arrays = tuple(pack(dialect, table, key, [one[at] for one in wanted]) for at, key in enumerate(keys))
        return [tuple(one) for one in runner(session)(query, arrays)] if wanted else []
    most = _CHUNK_KEYS // len(keys)
    for start in range(0, len(wanted), most):
        some = wanted[start : start + most]
        query = _search_at(dialect, table, tuple(names), tuple(keys), len(some))
        values = tuple(value for one in some for value in one)
        found += [tuple(one) for one in session.connection().exec_driver_sql(query, values)]
    return found


def read_slices(
    session: Session, query: str, values: Sequence[Any], *, most: int = _SLICE_ROWS
) -> Iterator[list[tuple[Any, ...]]]:
    """Rows of a query as the driver gives them, some at a time: nothing is wrapped, a million times.

    `query`: with `?` for each of the values. A slice is small enough to be worked on while it is in the
    processor's cache, which is half of what large rows cost. Errors are SQLAlchemy's, as of other statements.
    """
    dialect = _dialect(session)
    driver: Any = session.connection().connection.driver_connection
    try:
        if dialect.name == "sqlite":
            cursor = driver.execute(query, values)
        else:
            cursor = driver.cursor(binary=True).execute(query.replace("?", "%s"), values)
        while some := cursor.fetchmany(most):
            yield some
    except dialect.loaded_dbapi.Error as error:
        raise DBAPIError.instance(query, None, error, dialect.loaded_dbapi.Error, dialect=dialect) from error


_NEW: Final = " ON CONFLICT DO NOTHING"


def _insert(session: Session, row: type[SQLModel], rows: Rows, conflict: str) -> int:
    dialect, table, names = _dialect(session), table_of(row), tuple(rows[0])
    if dialect.name == "postgresql":
        done = runner(session)(*_arrayed(session, row, rows, conflict))
    else:
        statement = _insertion(dialect, table, names, conflict)
        done = session.connection().exec_driver_sql(statement, _tuples(rows, names))
    return done.rowcount


def _arrayed(
    session: Session, row: type[SQLModel], rows: Rows, conflict: str, told: str = ""
) -> tuple[str, tuple["Packed", ...]]:
    """An insertion as PostgreSQL takes it, and its arrays. `told`: a column that it answers with."""
    dialect, table, names = _dialect(session), table_of(row), tuple(rows[0])
    statement = _insertion(dialect, table, names, conflict, told)
    return statement, pack_rows(dialect, table, rows, [(one, one) for one in names])


@lru_cache
def _insertion(dialect: Dialect, table: Table, names: Sequence[str], conflict: str, told: str = "") -> str:
    quote = dialect.identifier_preparer.quote
    conflict += f" RETURNING {quote(told)}" if told else ""
    into = f"INSERT INTO {quote(table.name)} ({', '.join(map(quote, names))})"
    if dialect.name == "postgresql":
        return f"{into} SELECT * FROM {unnested(dialect, table, names)}{conflict}"  # noqa: S608 - names of our own tables; values are parameters
    return f"{into} VALUES ({', '.join('?' * len(names))}){conflict}"


@lru_cache
def _array_update(dialect: Dialect, table: Table, names: Sequence[str], change: Change) -> tuple[str, str]:
    """Two statements: one that locks the rows in order, one that changes them."""
    quote = dialect.identifier_preparer.quote
    name, key = quote(table.name), quote(change.match[0])
    array = uncounted_array_of(dialect, table, change.match[0])
    lock = f"SELECT 1 FROM {name} WHERE {key} = ANY({array}) ORDER BY {key} FOR UPDATE"  # noqa: S608 - names of our own tables; values are parameters
    finding = dict(change.found_by())
    sets = [f"{quote(one)} = %b" for one, _ in change.same]
    sets += [f"{quote(one)} = x.{quote(one)}" for one in names if one not in finding]
    tests = [f"{name}.{quote(column)} = x.{quote(one)}" for one, column in finding.items()]
    tests += [f"{name}.{quote(one)} = %b" for one, _ in change.only]
    tests += [f"{name}.{quote(one)} IS NULL" for one in change.unset]
    arrays = ", ".join(uncounted_array_of(dialect, table, finding.get(one, one)) for one in names)
    given = f"unnest({arrays}) AS x({', '.join(map(quote, names))})"
    return lock, f"UPDATE {name} SET {', '.join(sets)} FROM {given} WHERE {' AND '.join(tests)}"  # noqa: S608 - names of our own tables; values are parameters


@lru_cache
def _row_update(dialect: Dialect, table: Table, names: Sequence[str], change: Change) -> str:
    """Parameters: the same values of all, the changed columns, those that match, and those of `only`."""
    quote = dialect.identifier_preparer.quote
    finding = dict(change.found_by())
    changed = [one for one, _ in change.same] + [one for one in names if one not in finding]
    sets = ", ".join(f"{quote(one)} = ?" for one in changed)
    tested = [*finding.values(), *(one for one, _ in change.only)]
    tests = [*(f"{quote(one)} = ?" for one in tested), *(f"{quote(one)} IS NULL" for one in change.unset)]
    return f"UPDATE {quote(table.name)} SET {sets} WHERE {' AND '.join(tests)}"  # noqa: S608 - names of our own tables; values are parameters


@lru_cache
def _search(dialect: Dialect, table: Table, names: Sequence[str], test: str, rule: tuple[str, Same]) -> str:
    quote, (key, only) = dialect.identifier_preparer.quote, rule
    tests = [f"{quote(key)} {test}", *(f"{quote(one)} = ?" for one, _ in only)]
    return f"SELECT {', '.join(map(quote, names))} FROM {quote(table.name)} WHERE {' AND '.join(tests)}"  # noqa: S608 - names of our own tables; values are parameters


@lru_cache
def _array_search(dialect: Dialect, table: Table, names: Sequence[str], rule: tuple[str, Same]) -> str:
    """Each key by itself: of one that is among many, PostgreSQL thinks that the whole table is to be read.

    That is so until it has looked at the table's statistics, and where the table is not large.
    """
    quote, (key, only) = dialect.identifier_preparer.quote, rule
    tests = [f"{quote(key)} = x.wanted", *(f"{quote(one)} = %b" for one, _ in only)]
    columns = ", ".join(map(quote, names))
    found = f"SELECT {columns} FROM {quote(table.name)} WHERE {' AND '.join(tests)} OFFSET 0"  # noqa: S608 - names of our own tables; values are parameters
    keys = f"unnest({array_of(dialect, table, key)}) AS x(wanted)"
    return f"SELECT found.* FROM {keys} CROSS JOIN LATERAL ({found}) AS found"  # noqa: S608 - as above


@lru_cache
def _search_at(dialect: Dialect, table: Table, names: Sequence[str], keys: Sequence[str], count: int) -> str:
    quote = dialect.identifier_preparer.quote
    columns, place = (", ".join(map(quote, some)) for some in (names, keys))
    one = f"({', '.join('?' * len(keys))})"
    places = ", ".join([one] * count)
    return f"SELECT {columns} FROM {quote(table.name)} WHERE ({place}) IN (VALUES {places})"  # noqa: S608 - names of our own tables; values are parameters


@lru_cache
def _array_search_at(
    dialect: Dialect, table: Table, names: Sequence[str], keys: Sequence[str], *, are_locked: bool
) -> str:
    """Each place by itself, as in `_array_search`: PostgreSQL thinks about a list of them for long."""
    quote = dialect.identifier_preparer.quote
    columns, place = (", ".join(map(quote, some)) for some in (names, keys))
    name, tests = quote(table.name), [f"{quote(table.name)}.{quote(key)} = x.{quote(key)}" for key in keys]
    found = f"SELECT {columns} FROM {name} WHERE {' AND '.join(tests)} OFFSET 0"  # noqa: S608 - names of our own tables; values are parameters
    found += " FOR UPDATE" if are_locked else ""
    given = f"SELECT * FROM {unnested(dialect, table, keys)} AS given({place}) ORDER BY {place}"  # noqa: S608 - as above
    return f"SELECT found.* FROM ({given}) AS x CROSS JOIN LATERAL ({found}) AS found"  # noqa: S608 - as above


def _tuples(rows: Rows, names: Sequence[str]) -> list[tuple[Any, ...]]:
    if len(names) == 1:
        return [(one[names[0]],) for one in rows]
    pick = itemgetter(*names)
    return [pick(one) for one in rows]


def _chunks(rows: Rows) -> Iterator[Rows]:
    for start in range(0, len(rows), _CHUNK_ROWS):
        yield rows[start : start + _CHUNK_ROWS]


def _light(rows: Rows) -> Iterator[Rows]:
    """Chunks that are no larger than a statement may be."""
    some: list[Mapping[str, Any]] = []
    size = 0
    for one in rows:
        size += sum(len(value) for value in one.values() if isinstance(value, bytes))
        some.append(one)
        if len(some) >= _CHUNK_ROWS or size >= _CHUNK_BYTES:
            yield some
            some, size = [], 0
    if some:
        yield some


def _dialect(session: Session) -> Dialect:
    return session.get_bind().dialect
