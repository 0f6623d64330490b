"""Pages of lists that lie in memory, sorted by a key."""

from collections.abc import Callable, Sequence
from typing import TypeVar

from starlette.responses import Response

from gateway.http.cursor import open_cursor, seal_cursor
from gateway.http.guard import Call
from gateway.http.parameters import limit
from gateway.http.words import json_response

T = TypeVar("T")

OFFERED = frozenset({"limit", "cursor"})


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
    next_token = seal_cursor(secret, bound, (key(shown[-1]),)) if len(ordered) > most else None
    headers = {}
    if next_token is not None:
        query = f"limit={most}&cursor={next_token}"
        headers["Link"] = f"<{call.request.url.path}?{query}>; rel=next"
    return json_response({"items": [item(row) for row in shown], "next": next_token}, headers=headers)
