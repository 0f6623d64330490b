"""Pages of lists, with the cursor and the link of the one that follows."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final, Protocol, TypeVar

from starlette.responses import Response

from gateway.http.cursor import open_cursor, seal_cursor
from gateway.http.guard import Call
from gateway.http.parameters import limit
from gateway.http.words import json_response


class Named(Protocol):
    """What is listed by its id."""

    @property
    def id(self) -> str:
        """Its id."""
        ...


class Dated(Named, Protocol):
    """What is listed by when it was made."""

    @property
    def created_at(self) -> int:
        """Unix milliseconds."""
        ...


T = TypeVar("T")
Job = TypeVar("Job", bound=Dated)
Thing = TypeVar("Thing", bound=Named)

OFFERED: Final = frozenset({"limit", "cursor"})
_NEWEST: Final = (1 << 62, "")


def page_response(
    call: Call,
    rows: Sequence[T],
    *,
    key: Callable[[T], str],
    item: Callable[[T], object],
    bound: Sequence[str],
) -> Response:
    """One page of `rows` by `key`, each shown by `item`; the cursor is good for the same `bound` alone."""
    most = limit(call.query)
    secret = call.doors.values.cursor_key
    token = call.query.get("cursor")
    ordered = sorted(rows, key=key)
    if token is not None:
        last = str(open_cursor(secret, bound, token)[0])
        ordered = [row for row in ordered if key(row) > last]
    shown = ordered[:most]
    following = (key(shown[-1]),) if len(ordered) > most else None
    return sealed_page(call, [item(row) for row in shown], bound, following)


async def newest_first(
    call: Call, bound: Sequence[str], read: Callable[[Any, tuple[int, str], int], Sequence[Job]]
) -> tuple[Sequence[Job], tuple[int, str] | None]:
    """One page of jobs in SQL, and where the next one begins.

    `read`: those behind a time and an id, newest first, at most so many.
    """
    most, token = limit(call.query), call.query.get("cursor")
    state = _NEWEST if token is None else open_cursor(call.doors.values.cursor_key, bound, token)
    after = (int(state[0]), str(state[1]))
    found = await call.doors.database.read(lambda session: read(session, after, most + 1))
    shown = found[:most]
    return shown, (shown[-1].created_at, shown[-1].id) if len(found) > most else None


async def by_id(
    call: Call, bound: Sequence[str], read: Callable[[Any, str, int], Sequence[Thing]]
) -> tuple[Sequence[Thing], tuple[str] | None]:
    """One page of what is listed by id in SQL, and where the next one begins.

    `read`: those behind an id, at most so many.
    """
    most, token = limit(call.query), call.query.get("cursor")
    after = "" if token is None else str(open_cursor(call.doors.values.cursor_key, bound, token)[0])
    found = await call.doors.database.read(lambda session: read(session, after, most + 1))
    shown = found[:most]
    return shown, (shown[-1].id,) if len(found) > most else None


def filtered(call: Call, names: Iterable[str]) -> tuple[str, ...]:
    """The filters of a list as its cursors are bound to them: those that are given."""
    return tuple(f"{name}={call.query[name]}" for name in names if name in call.query)


def sealed_page(
    call: Call,
    items: Sequence[object],
    bound: Sequence[str],
    following: Sequence[int | str] | None,
) -> Response:
    """One page of a list; `following`: where the next one begins, None: this was the last."""
    secret = call.doors.values.cursor_key
    token = None if following is None else seal_cursor(secret, bound, following)
    headers = {}
    if token is not None:
        url = call.request.url
        given = dict(call.query) | {"cursor": token}
        headers["Link"] = f"<{url.path}?{url.include_query_params(**given).query}>; rel=next"
    return json_response({"items": list(items), "next": token}, headers=headers)
