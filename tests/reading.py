"""How much a database reads for something, in its own units: instructions of SQLite, pages of PostgreSQL."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

from sqlalchemy import event
from sqlmodel import Session

T = TypeVar("T")
_STEP = 50


def work_of(session: Session, ask: Callable[[Session], object]) -> int:
    """What it costs to ask, whatever else runs on the machine."""
    connection: Any = session.connection()
    driver = connection.connection.driver_connection
    if session.get_bind().dialect.name == "sqlite":
        count = [0]

        def step() -> int:
            count[0] += _STEP
            return 0

        driver.set_progress_handler(step, _STEP)
        ask(session)
        driver.set_progress_handler(None, _STEP)
        return count[0]
    with _statements(session) as asked:
        ask(session)
    return sum(_pages(plan) for plan in _plans(session, asked))


def plans_of(session: Session, ask: Callable[[Session], object]) -> list[str]:
    """How each statement is carried out, as a text of each."""
    with _statements(session) as asked:
        ask(session)
    if session.get_bind().dialect.name == "sqlite":
        run = session.connection().exec_driver_sql
        return [
            "\n".join(row[3] for row in run(f"EXPLAIN QUERY PLAN {text}", values)) for text, values in asked
        ]
    return [str(plan) for plan in _plans(session, asked)]


@contextmanager
def _statements(session: Session) -> Iterator[list[tuple[str, Any]]]:
    asked: list[tuple[str, Any]] = []

    def see(*arguments: Any) -> None:
        asked.append((arguments[2], arguments[3]))

    bind = session.get_bind()
    event.listen(bind, "before_cursor_execute", see)
    yield asked
    event.remove(bind, "before_cursor_execute", see)


def _plans(session: Session, asked: list[tuple[str, Any]]) -> list[dict[str, Any]]:
    run = session.connection().exec_driver_sql
    how = "EXPLAIN (ANALYZE, BUFFERS, TIMING OFF, FORMAT JSON)"
    return [run(f"{how} {text}", values).scalar_one()[0]["Plan"] for text, values in asked]


def _pages(plan: dict[str, Any]) -> int:
    return int(plan["Shared Hit Blocks"]) + int(plan["Shared Read Blocks"])
