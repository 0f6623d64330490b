"""What a driver's error means to us: one table, by the driver's codes.

Never says of a COMMIT whose outcome is open that it failed, and never passes on values of a row.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from sqlalchemy.exc import DataError, DBAPIError, NotSupportedError, ProgrammingError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from gateway.errors import BugError, GatewayError, StoreDamagedError, StoreError, StoreUnknownError

_FULL_CODES: Final = frozenset({"SQLITE_FULL", "SQLITE_IOERR_SHMSIZE", "53100"})
_DAMAGE_CODES: Final = ("SQLITE_CORRUPT", "SQLITE_NOTADB")
_BUG_CODES: Final = ("SQLITE_ERROR", "SQLITE_CONSTRAINT", "SQLITE_MISMATCH", "SQLITE_MISUSE", "SQLITE_RANGE")
_HARMLESS_CODES: Final = ("SQLITE_BUSY", "SQLITE_LOCKED", "SQLITE_FULL", *_BUG_CODES)
"""Certainly not committed, and the connection is as good as before."""
_BUG_CLASSES: Final = ("22", "23", "42", "0A")
_UNCERTAIN_CLASSES: Final = ("08", "57", "58", "XX", "40003")
_TELLING_CLASSES: Final = ("22", "23")
"""PostgreSQL's text of these errors holds values of the row."""


def translate(error: SQLAlchemyError, *, at_commit: bool = False, has_file: bool = False) -> GatewayError:
    """What a driver's error means to us, by its code. At COMMIT, what is not certain is unknown.

    `has_file`: SQLite's file is there, so that failing to open it is no matter of a missing folder.
    """
    if isinstance(error, PoolTimeoutError):
        return StoreError("store_unavailable", "no database connection came free in time")
    if not isinstance(error, DBAPIError):
        return BugError(f"SQL used wrongly: {type(error).__name__}")
    code = _code(error)
    if at_commit and not _is_certain(code):
        return StoreUnknownError(f"the database did not answer a COMMIT ({code or 'no code'})")
    words = getattr(error.orig, "words", "")
    if words:
        return StoreError("store_unavailable", words)
    if not code and isinstance(error, DataError | NotSupportedError | ProgrammingError):
        return BugError(f"the driver refused a statement or its values ({type(error).__name__})")
    if has_file and code.startswith("SQLITE_CANTOPEN"):
        return StoreDamagedError(
            "the database file cannot be opened: give this user the right to read and write it and its "
            "folder, or restore a backup"
        )
    return _refusal(code)


@contextmanager
def translated(file: Path | None) -> Iterator[None]:
    """Raise what errors of SQL mean to us. `file`: SQLite's."""
    try:
        yield
    except SQLAlchemyError as error:
        raise translate(error, has_file=file is not None and file.exists()) from without_values(error)


def without_values(error: SQLAlchemyError) -> SQLAlchemyError:
    """The error as the log may have it: PostgreSQL quotes the offending row."""
    origin = error.orig if isinstance(error, DBAPIError) else None
    if not isinstance(error, DBAPIError) or origin is None or not _code(error).startswith(_TELLING_CLASSES):
        return error
    told = getattr(origin, "diag", None)
    places = [getattr(told, name, None) for name in ("table_name", "column_name", "constraint_name")]
    text = " ".join([_code(error), *(place for place in places if place)])
    shown = DBAPIError(error.statement, None, type(origin)(text), hide_parameters=True)
    return shown.with_traceback(error.__traceback__)


def spoils(error: BaseException) -> bool:
    """Whether the connection may be broken after it."""
    return isinstance(error, DBAPIError) and not _code(error).startswith(_HARMLESS_CODES)


def is_silence(error: GatewayError) -> bool:
    """Whether it took long to find out that the server does not answer."""
    cause = error.__cause__
    return isinstance(cause, DBAPIError) and bool(getattr(cause.orig, "is_silence", False))


def _refusal(code: str) -> GatewayError:
    if code.startswith(_DAMAGE_CODES):
        return StoreDamagedError(f"the database file is damaged: restore a backup ({code})")
    if code in _FULL_CODES:
        return StoreError(
            "storage_full", "the database's disk is full: free some space, no restart is needed"
        )
    if code.startswith(_BUG_CODES) or (not code.startswith("SQLITE") and code[:2] in _BUG_CLASSES):
        return BugError(f"the database refused a statement ({code})")
    return StoreError("store_unavailable", f"the database is away or busy ({code or 'no code'})")


def _code(error: DBAPIError) -> str:
    origin = error.orig
    name = getattr(origin, "sqlite_errorname", None) or getattr(origin, "sqlstate", None)
    return str(name or "")


def _is_certain(code: str) -> bool:
    if code.startswith("SQLITE"):
        # A commit frame may be in the WAL although an fsync or the growth of its index failed.
        return code.startswith(_HARMLESS_CODES)
    return bool(code) and not code.startswith(_UNCERTAIN_CLASSES)
