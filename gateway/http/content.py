"""An event's content as received: bytes that somebody else made, and that a browser must not run."""

import base64
import hashlib
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Final

from starlette.responses import Response

from audit import search
from audit.entry import Entry
from audit.erasure import has_expired
from audit.evidence import Kind
from audit.ref import format_ref, parse_ref
from gateway.administration.evidence import Author
from gateway.administration.looks import Look
from gateway.errors import CallerError
from gateway.event import Content
from gateway.http.guard import Call, not_found
from gateway.http.shapes import ANY
from gateway.http.told import shows, tells
from gateway.ingress import claims
from gateway.ingress.claims import Claim

CONTENT_ROUTE: Final = "GET /v1/partners/{p}/history/{ref}/content"
"""As the partner's log names it."""

_UNNAMED: Final = "application/octet-stream"
_SAFE: Final = {
    "Cache-Control": "no-store",
    # Whatever they are, they are no page of ours: not shown, not run, not put into others' pages.
    "Content-Security-Policy": "default-src 'none'; sandbox",
    "Cross-Origin-Resource-Policy": "same-origin",
}


@tells(
    "showContent",
    "History",
    "The content of an event as received",
    shows(
        ANY,
        "The very bytes, whose SHA-256 the receipt names, of their own media type and coding.",
        media="*/*",
        Content_Digest="Of these bytes (RFC 9530).",
        Content_Disposition="`attachment`.",
        Content_Encoding="`gzip` where they came so.",
    ),
    about="When our side reads it, the partner's log tells so (`content.read`) before it is given out.",
    errors=("content_erased", "content_expired", "not_found"),
)
async def show_content(call: Call) -> Response:
    """The bytes as received; by our side only once the partner's log tells of it."""
    ref = parse_ref(call.part("ref"))
    if ref is None:
        raise not_found()
    claim, entries = await _find(call, ref)
    if claim is None and not entries:
        raise not_found()
    if claim is None or claim.content is None:
        raise await _gone(call, claim, entries)
    await note_look(call, Look(CONTENT_ROUTE, ref))
    return _served(claim.content, format_ref(ref))


async def note_look(call: Call, look: Look) -> None:
    """Tell the partner's log that our side looks at its content; of a partner's own look nothing is told.

    To be awaited before anything is given out.

    Raises:
        StoreError, OverloadedError: the entry cannot be made: give nothing out.
    """
    noted = look_at(call, look)
    if noted is not None:
        await noted()


def look_at(call: Call, look: Look) -> Callable[[], Awaitable[None]] | None:
    """As `note_look`, to be done again and again, and without the call; None: nothing is to be done."""
    if not call.named:
        return None
    author = Author(call.known.role, call.known.credential.id)
    return partial(call.doors.looks.note, call.partner, look, by=author)


async def _find(call: Call, ref: bytes) -> tuple[Claim | None, tuple[Entry, ...]]:
    log_name, slug = f"{call.doors.values.log_host}/log/{call.partner.log}", call.partner.slug
    held, entries = await call.doors.database.read(
        lambda session: (claims.read(session, [ref]), search.timeline(session, log_name, ref))
    )
    claim = held.get(ref)
    return (claim if claim is not None and claim.key.partner == slug else None), entries


async def _gone(call: Call, claim: Claim | None, entries: Sequence[Entry]) -> CallerError:
    accepted = [one for one in entries if one.kind is Kind.ACCEPTED]
    bare = [one for one in accepted if one.raw is None]
    past: list[bool] = []
    if bare:
        past = await call.doors.database.read(lambda session: [has_expired(session, one) for one in bare])
    if (claim is not None and claim.state == "erased") or not all(past):
        return CallerError("content_erased", "The content was erased; the log keeps an entry that says so.")
    if claim is not None or accepted:
        return CallerError("content_expired", "The content is older than the contract keeps it.")
    # Refused, or of a topic of ours: there never was a request that we took.
    return CallerError("not_found", "No content as received is kept of this event: no request brought it in.")


def _served(content: Content, name: str) -> Response:
    media_type = content.media_type
    digest = base64.b64encode(hashlib.sha256(content.raw).digest()).decode()
    headers = {
        **_SAFE,
        "Content-Digest": f"sha-256=:{digest}:",
        "Content-Disposition": f'attachment; filename="{name}"',
        "Content-Type": media_type if media_type.isascii() and media_type.isprintable() else _UNNAMED,
    }
    if content.encoding == "gzip":
        headers["Content-Encoding"] = "gzip"
    return Response(content.raw, 200, headers)
