"""One event, wherever it stands: under the caller's own path, or some partner's."""

from typing import Annotated, Any

import typer

from gateway.cli.client import ALL, Client, listed, under
from gateway.cli.errors import ProblemError

Ref = Annotated[str, typer.Argument(help="Reference of the event, evt_...")]


def find_event(client: Client, ref: str, partner: str | None) -> tuple[str | None, dict[str, Any]]:
    """An event's timeline, and the partner under whose path it stands (None: the caller's own).

    For operators who name no partner, it is looked for in the history of all.

    Raises:
        ProblemError: `not_found`, or as the client.
    """
    if partner is not None or client.get("/v1/me").document().get("partner") is not None:
        return partner, client.get(under(partner, "history", ref)).document()
    for one in client.get(listed(ALL, "history"), {"ref": ref, "limit": 1}).document()["items"]:
        slug = str(one["partner"])
        return slug, client.get(under(slug, "history", ref)).document()
    document = {"code": "not_found", "detail": f"No partner has an event {ref}."}
    raise ProblemError(document, status=404, retry_after_seconds=None)
