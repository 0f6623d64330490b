"""The routes that describe all routes. They are given the table, since they stand in it."""

import asyncio
import json
from collections.abc import Callable, Sequence
from functools import lru_cache, partial
from typing import Final

from starlette.responses import Response

from gateway.event import Direction
from gateway.http.guard import Answer, Call, Gate
from gateway.http.openapi import page
from gateway.http.openapi.document import Place, Reader, compose
from gateway.http.openapi.kept import Kept, Written, is_known, write_down
from gateway.http.shapes import TEXT
from gateway.http.told import Parameter, Reply, shows, tells

Table = Callable[[], Sequence[Gate]]
"""The whole route table, asked for when it is complete."""

_CACHED: Final = {"Cache-Control": "public, max-age=300"}


def document_of(table: Table) -> Answer:
    """What answers with the document of its caller."""
    kept = Kept()

    @tells(
        "showApi",
        "Contract and types",
        "This document",
        shows({"type": "object"}, "OpenAPI 3.1, typed from the contract.", ETag="Names this very document."),
        Reply(304, "It is still the one that `If-None-Match` names.", headers={"ETag": "The same."}),
        parameters=(Parameter("If-None-Match", "The `ETag` of one that you have.", TEXT, place="header"),),
        about="Only what the caller's role may call, with a path for each event type that may be sent.",
    )
    async def show_document(call: Call) -> Response:
        place, reader = _place(call), _reader(call)
        found = kept.find(place, reader)
        if found is None:
            make = partial(_written, table(), place, reader)
            # On a thread: the schemas of a large contract take long.
            found = await asyncio.get_running_loop().run_in_executor(None, make)
            kept.keep(place, reader, found)
        headers = {"Cache-Control": "private, no-cache", "ETag": found.tag}
        if is_known(",".join(call.request.headers.getlist("if-none-match")), found.tag):
            return Response(None, 304, headers)
        return Response(found.text, 200, headers, "application/json")

    return show_document


def page_of(table: Table) -> Answer:
    """What answers with the page for people: the same for everybody."""

    @lru_cache(2)
    def made(place: Place) -> bytes:
        return page.render(compose(table(), place, Reader()))

    @tells(
        "showPage",
        "Open",
        "The API for people",
        shows(TEXT, "A page of all operations.", media="text/html"),
    )
    async def show_page(call: Call) -> Response:
        shown = await asyncio.get_running_loop().run_in_executor(None, made, _place(call))
        return Response(shown, 200, {**_CACHED, **page.SAFETY}, "text/html; charset=utf-8")

    return show_page


@tells("showPageStyle", "Open", "The page's style", shows(TEXT, "Its CSS.", media="text/css"))
async def show_style(_call: Call) -> Response:
    """The page's style."""
    return Response(page.asset("page.css"), 200, _CACHED, "text/css; charset=utf-8")


@tells("showPageScript", "Open", "The page's script", shows(TEXT, "Its JavaScript.", media="text/javascript"))
async def show_script(_call: Call) -> Response:
    """The page's script: it finds operations, and nothing else."""
    return Response(page.asset("page.js"), 200, _CACHED, "text/javascript; charset=utf-8")


def _written(gates: Sequence[Gate], place: Place, reader: Reader) -> Written:
    document = compose(gates, place, reader)
    return write_down(json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode())


def _place(call: Call) -> Place:
    values = call.doors.values
    has_registry = not values.external_registry
    return Place(values.origin, call.doors.version, has_registry=has_registry, listener=values.listener)


def _reader(call: Call) -> Reader:
    role = call.known.role
    if call.owner is None:
        return Reader(role)
    slug = call.owner.slug
    contract = call.snapshot.directory.contract(slug)
    direction: Direction = "outbound" if call.named else "inbound"
    return Reader(
        role,
        call.base,
        slug,
        None if contract is None else contract.revision,
        call.snapshot.channels(slug, direction),
    )
