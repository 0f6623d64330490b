"""Schemas by id and by GUID, whatever subject they stand under."""

from typing import Any

from sqlmodel import Session
from starlette.responses import Response

from gateway.http.guard import Call
from gateway.http.registry import told
from gateway.http.registry.asked import Ask, plain_subject
from gateway.http.registry.shape import answer, answer_text, schema_members
from gateway.http.registry.shelf import Shelf, look
from gateway.http.shapes import ref
from schemas import refusal, store
from schemas.store import Place


@told.tells("registryShowSchema", "A schema by its id", ref("RegistrySchema"), asks=("subject", "fetchMaxId"))
async def show_schema(call: Call) -> Response:
    """A schema by its id.

    `subject` is a hint: where the schema stands under it, that version is told too, and then the id again:
    the Python client takes such an answer for a whole version, and would go on without an id.
    """
    ask = Ask(call)
    schema_id, subject = ask.schema_id(), plain_subject(ask.text("subject"))

    def work(session: Session, shelf: Shelf) -> dict[str, Any]:
        found = shelf.schema(session, schema_id)
        members = schema_members(found)
        there = [one for one in shelf.places(session, subject, deleted=True) if one.schema_id == schema_id]
        if there:
            members |= {"subject": subject, "version": there[0].number, "id": schema_id}
        if ask.flag("fetchMaxId"):
            members["maxId"] = store.load_largest_id(session) if shelf.partner is None else schema_id
        return members

    return answer(call.request, await look(call, work))


@told.tells("registryShowSchemaText", "A schema text by its id", told.OBJECT)
async def show_schema_text(call: Call) -> Response:
    """A schema text by its id."""
    schema_id = Ask(call).schema_id()
    found = await look(call, lambda session, shelf: shelf.schema(session, schema_id))
    return answer_text(call.request, found.text)


@told.tells(
    "registryListSchemaSubjects",
    "The subjects of a schema",
    told.TEXTS,
    asks=("subject", "deleted", "offset", "limit"),
)
async def list_schema_subjects(call: Call) -> Response:
    """The subjects that a schema is a version of."""
    ask = Ask(call)
    found = dict.fromkeys(one.subject for one in await _uses(ask))
    return answer(call.request, ask.page(tuple(found)))


@told.tells(
    "registryListSchemaVersions",
    "The versions that a schema is",
    ref("RegistryUses"),
    asks=("subject", "deleted", "offset", "limit"),
)
async def list_schema_versions(call: Call) -> Response:
    """The versions that a schema is."""
    ask = Ask(call)
    found = tuple({"subject": one.subject, "version": one.number} for one in await _uses(ask))
    return answer(call.request, ask.page(found))


@told.tells("registryShowSchemaByGuid", "A schema by its GUID", ref("RegistrySchema"))
async def show_schema_by_guid(call: Call) -> Response:
    """A schema by its GUID, which is the same on every registry that holds the same text."""
    guid = Ask(call).guid()

    def work(session: Session, shelf: Shelf) -> dict[str, Any]:
        found = store.load_schema_by_guid(session, guid)
        if found is None:
            raise refusal.schema_unknown()
        return schema_members(shelf.schema(session, found.id))

    return answer(call.request, await look(call, work))


@told.tells("registryListIdsOfGuid", "The ids of a GUID", told.NUMBERS)
async def list_ids_of_guid(call: Call) -> Response:
    """The ids of a GUID."""
    guid = Ask(call).guid()

    def work(session: Session, shelf: Shelf) -> list[int]:
        found = store.load_schema_by_guid(session, guid)
        if found is None:
            raise refusal.schema_unknown()
        return [shelf.schema(session, found.id).id]

    return answer(call.request, await look(call, work))


@told.tells("registryListSchemaTypes", "The kinds of schemas that are held", told.TEXTS)
async def list_schema_types(call: Call) -> Response:
    """The kinds of schemas that are held."""
    return answer(call.request, ["AVRO"])


async def _uses(ask: Ask) -> tuple[Place, ...]:
    schema_id, subject = ask.schema_id(), plain_subject(ask.text("subject"))

    def work(session: Session, shelf: Shelf) -> tuple[Place, ...]:
        found = shelf.uses(session, schema_id, deleted=ask.flag("deleted"))
        return tuple(one for one in found if subject in {"", one.subject})

    return await look(ask.call, work)
