"""Jobs that the gateway works on: listed, watched until they end, cancelled."""

from collections.abc import Callable, Sequence
from typing import Any, Final

from gateway.cli.client import Client
from gateway.cli.command import Invocation
from gateway.cli.errors import UnreachableError
from gateway.cli.plain_text import clean

POLL_SECONDS: Final = 0.5
MOST_LOST: Final = 60
"""Looks in a row that nobody answered: a gateway that restarts goes on with the job."""

Document = dict[str, Any]


def list_jobs(call: Invocation, route: str, columns: Sequence[str], *, is_all: bool) -> None:
    """List the jobs of a route, newest first. `is_all`: of all partners."""
    with call.client() as client:
        items = list(client.pages(route))
    if call.output.as_json:
        call.output.document({"items": items, "next": None})
    else:
        call.output.partners_table(
            columns, items, lambda one: [one.get(name) for name in columns], is_all=is_all
        )


def cancel_job(call: Invocation, route: str, name: str, in_words: Callable[[Document], str]) -> None:
    """Ask, cancel, and say how far it came. `name`: its id."""
    with call.client() as client:
        if not call.dry_run:
            call.confirm(f"Cancel {name}?")
        document = client.delete(route, {"dry_run": True if call.dry_run else None}).document()
    if call.output.as_json:
        call.output.document(document)
    else:
        word = "would be cancelled" if call.dry_run else "cancelled"
        call.output.line(f"{clean(document['id'])}  {word}; {in_words(document)}")


def watch(
    call: Invocation,
    client: Client,
    document: Document,
    *,
    route: str,
    doing: str,
    hear: Callable[[Document], None] = lambda _: None,
) -> Document:
    """The job once it has ended. `doing`: what the bar says; `hear` is shown each state on the way.

    Raises:
        UnreachableError: the gateway has not answered for long; the job goes on.
    """
    lost = seen = 0
    with call.output.progress(doing, document["total"]) as bar:
        while document["ended_at"] is None:
            call.around.pause(POLL_SECONDS)
            try:
                document = client.get(route).document()
                lost = 0
            except UnreachableError:
                lost += 1
                if lost > MOST_LOST:
                    raise
            bar.advance(document["done"] - seen)
            seen = document["done"]
            hear(document)
    return document
