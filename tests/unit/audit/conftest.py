"""A session, and what it says to the database."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from sqlalchemy import Engine, event
from sqlmodel import Session


@pytest.fixture
def session(engine: Engine) -> Iterator[Session]:
    with Session(engine) as session:
        yield session


@pytest.fixture
def plan(engine: Engine, session: Session) -> Iterator[Callable[[str], list[str]]]:
    """How the database would run again the last statement with a text in it: the planner's lines."""
    asked: list[tuple[str, Any]] = []

    def see(*arguments: Any) -> None:
        asked.append((arguments[2], arguments[3]))

    def explain(fragment: str) -> list[str]:
        query, values = next(each for each in reversed(asked) if fragment in each[0])
        run = session.connection().exec_driver_sql
        if engine.dialect.name == "sqlite":
            return [row[3] for row in run(f"EXPLAIN QUERY PLAN {query}", values)]
        run("SET LOCAL enable_seqscan = off")  # otherwise chosen for tables as small as these
        run("SET LOCAL enable_sort = off")
        return [row[0] for row in run(f"EXPLAIN {query}", values)]

    event.listen(engine, "before_cursor_execute", see)
    yield explain
    event.remove(engine, "before_cursor_execute", see)


@pytest.fixture
def statements(engine: Engine) -> Iterator[list[str]]:
    """Every statement that the database was sent, an executemany counted once."""
    seen: list[str] = []

    def see(*arguments: object) -> None:
        seen.append(str(arguments[2]))

    event.listen(engine, "before_cursor_execute", see)
    yield seen
    event.remove(engine, "before_cursor_execute", see)
