"""Whose event is this? The history of all partners at once, for what an exact filter finds.

A page costs a look at one index for each partner. Without anything exact it would be all logs read beside
each other, so that is refused.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Final

from starlette.responses import Response

from audit import across
from audit.across import Found, Key, Page
from gateway.errors import CallerError
from gateway.http.cursor import open_cursor
from gateway.http.guard import Call
from gateway.http.history import PARAMETERS, names_of, read_filter
from gateway.http.pages import filtered, sealed_page
from gateway.http.parameters import limit
from gateway.http.shapes import ref
from gateway.http.timeline import exchange_item, waiting_item
from gateway.http.told import shows, tells
from gateway.ingress.unsequenced import Waiting, find_all_unsequenced

EXACT: Final = ("id", "ref", "key", "digest")
FILTERS: Final = (*EXACT, "source", "direction", "state", "type", "since", "until")
OFFERED: Final = frozenset({*FILTERS, "limit", "cursor"})

_REFUSED: Final = "refused"
_NEWEST_EPOCH: Final = 1 << 62
"""Of what has none yet: it stands before all that its log has of the same moment."""

_REF_BYTES: Final = 7
"""Of a ref, to give those of one moment an order."""


@tells(
    "listAllHistory",
    "Operator",
    "What happened to an event, whosesoever it is, newest first",
    shows(ref("HistoryPage"), "One row per event, each with its `partner`.", Link="Next page."),
    about=(
        "One of `id`, `ref`, `key` and `digest` has to be given: by these an index finds events in each "
        "partner's log. With other filters beside it a page looks at a bounded number of rows of each log, "
        "and may be short or empty and still have a `next`."
    ),
    parameters=PARAMETERS,
    errors=("cursor_invalid",),
)
async def list_all_history(call: Call) -> Response:
    """Events of all partners that something exact names; closed partners' too."""
    wanted, most = read_filter(call), limit(call.query)
    if not across.is_exact(wanted):
        text = "Events of all partners are found by something exact: give id, ref, key or digest."
        hint = "All events of one partner are in GET /v1/partners/{p}/history."
        raise CallerError("parameter_invalid", text, hint=hint)
    host = call.doors.values.log_host
    slugs = {f"{host}/log/{one.log}": one.slug for one in call.snapshot.directory.partners()}
    bound = ("history", call.slug, *filtered(call, FILTERS))
    after = _opened(call, bound)
    # What waits is read first: what gets its entry between the two is in both, and in none otherwise.
    waiting, page = await call.doors.database.read(
        lambda session: (
            find_all_unsequenced(session, wanted),
            across.find(session, slugs, wanted, after=after, limit=most),
        )
    )
    rows = _joined(page, _placed(slugs, waiting), after)
    newest = sorted(rows, reverse=True)
    shown = newest[:most]
    following = shown[-1] if len(newest) > most else page.next
    items = [_item(call, slugs[key[1]], rows[key]) for key in shown]
    return sealed_page(call, items, bound, following)


def _placed(
    slugs: Mapping[str, str], waiting: Iterable[tuple[str, Waiting]]
) -> Iterator[tuple[Key, Waiting]]:
    """What waits, each where its entry will stand; `slugs`: whose the logs are."""
    logs = {slug: log for log, slug in slugs.items()}
    for slug, one in waiting:
        # A partner that is so new that it is not known here will be in a second.
        if slug in logs:
            yield (one.at, logs[slug], _NEWEST_EPOCH, int.from_bytes(one.ref[:_REF_BYTES])), one


def _joined(
    page: Page, waiting: Iterable[tuple[Key, Waiting]], after: Key | None
) -> dict[Key, Found | Waiting]:
    """The rows of a page, with what waits and belongs among them.

    An event that waits stands for what was refused under its ref before.
    """
    entered = {one.exchange.first.ref for one in page.rows if one.exchange.state != _REFUSED}
    left = {
        key: one
        for key, one in waiting
        if one.ref not in entered
        and (after is None or key < after)
        and (page.next is None or key >= page.next)
    }
    refs = {one.ref for one in left.values()}
    return {**{one.key: one for one in page.rows if one.exchange.first.ref not in refs}, **left}


def _item(call: Call, slug: str, row: Found | Waiting) -> dict[str, object]:
    if isinstance(row, Waiting):
        return waiting_item(row, slug)
    return {**exchange_item(row.exchange, names_of(call, slug)), "partner": slug}


def _opened(call: Call, bound: tuple[str, ...]) -> Key | None:
    token = call.query.get("cursor")
    if token is None:
        return None
    at, log, epoch, index = open_cursor(call.doors.values.cursor_key, bound, token)
    return int(at), str(log), int(epoch), int(index)
