"""Subjects and their versions: register, look up, list, show, delete."""

from functools import partial
from typing import Final

from sqlmodel import Session
from starlette.responses import Response

from gateway.errors import OverloadedError
from gateway.http.guard import Call
from gateway.http.registry import told
from gateway.http.registry.asked import Ask
from gateway.http.registry.governed import Rule
from gateway.http.registry.shape import answer, answer_text, schema_members, stored_of, version_members
from gateway.http.registry.shelf import Shelf, look, shelf_of, stored
from gateway.http.shapes import ref
from gateway.logs import logger
from schemas import deletion, refusal, registration, store
from schemas.registration import Submission
from schemas.registry import Registered

_TURNS: Final = 20
"""How often a registration begins again because others changed its subject meanwhile."""


@told.tells(
    "registryListSubjects",
    "The subjects",
    told.TEXTS,
    asks=("subjectPrefix", "deleted", "deletedOnly", "offset", "limit"),
)
async def list_subjects(call: Call) -> Response:
    """Names of subjects."""
    ask = Ask(call)

    def work(session: Session, shelf: Shelf) -> tuple[str, ...]:
        prefix = ask.text("subjectPrefix", "subject").removeprefix(":.:")
        only = ask.flag("deletedOnly", "deleted_only")
        return shelf.subjects(
            session, "" if prefix == ":*:" else prefix, deleted=ask.flag("deleted"), only_deleted=only
        )

    return answer(call.request, ask.page(await look(call, work)))


@told.tells(
    "registryListVersions",
    "The versions of a subject",
    told.NUMBERS,
    asks=("deleted", "deletedOnly", "offset", "limit"),
)
async def list_versions(call: Call) -> Response:
    """Numbers of a subject's versions, smallest first."""
    ask = Ask(call)
    subject = ask.subject()

    def work(session: Session, shelf: Shelf) -> tuple[int, ...]:
        only = ask.flag("deletedOnly", "deleted_only")
        there = shelf.places(session, subject, deleted=only or ask.flag("deleted"))
        if not there:
            raise refusal.subject_unknown(subject)
        return tuple(sorted(one.number for one in there if not only or one.deleted_at is not None))

    return answer(call.request, ask.page(await look(call, work)))


@told.tells("registryShowVersion", "One version of a subject", ref("RegistryVersion"), asks=("deleted",))
async def show_version(call: Call) -> Response:
    """One version of a subject with its schema."""
    ask = Ask(call)
    subject, number, deleted = ask.subject(), ask.version(), ask.flag("deleted")

    def work(session: Session, shelf: Shelf) -> dict[str, object]:
        place = shelf.place(session, subject, number, deleted=deleted)
        return version_members(place, stored(session, place.schema_id))

    return answer(call.request, await look(call, work))


@told.tells("registryShowVersionText", "The schema text of a version", told.OBJECT, asks=("deleted",))
async def show_version_text(call: Call) -> Response:
    """The schema text of one version of a subject."""
    ask = Ask(call)
    subject, number, deleted = ask.subject(), ask.version(), ask.flag("deleted")

    def work(session: Session, shelf: Shelf) -> str:
        return stored(session, shelf.place(session, subject, number, deleted=deleted).schema_id).text

    return answer_text(call.request, await look(call, work))


@told.tells(
    "registryListReferrers",
    "The ids of the schemas that refer to a version",
    told.NUMBERS,
    asks=("deleted", "offset", "limit"),
)
async def show_referrers(call: Call) -> Response:
    """Ids of the schemas that refer to one version of a subject."""
    ask = Ask(call)
    subject, number = ask.subject(), ask.version()

    def work(session: Session, shelf: Shelf) -> tuple[int, ...]:
        place = shelf.place(session, subject, number, deleted=True)
        found = store.load_referrers(session, subject, place.number, deleted=ask.flag("deleted"))
        return tuple(one for one in found if shelf.holds(session, one))

    return answer(call.request, ask.page(await look(call, work)))


@told.tells(
    "registryShowNewest", "The newest version of a subject", ref("RegistryVersion"), asks=("deleted",)
)
async def show_newest(call: Call) -> Response:
    """The newest version with all metadata asked for; since none is held, the newest, or nothing."""
    ask = Ask(call)
    subject, deleted = ask.subject(), ask.flag("deleted")

    def work(session: Session, shelf: Shelf) -> dict[str, object]:
        place = shelf.place(session, subject, None, deleted=deleted)
        if ask.text("key", "key[]"):
            raise refusal.schema_unknown()
        return version_members(place, stored(session, place.schema_id))

    return answer(call.request, await look(call, work))


@told.tells(
    "registryLookUp",
    "The version of a subject that a schema is",
    ref("RegistryVersion"),
    asks=("deleted", "normalize"),
    body=ref("RegistrySubmission"),
)
async def look_up(call: Call) -> Response:
    """The version of a subject that a schema is."""
    ask = Ask(call)
    subject, deleted = ask.subject(), ask.flag("deleted")
    wanted = await ask.submission(subject)

    def work(session: Session, shelf: Shelf) -> dict[str, object]:
        if not shelf.sees(subject):
            raise refusal.subject_unknown(subject)
        rule = shelf.rule(subject)
        if rule is not None:
            return _look_up_governed(session, shelf, rule, wanted, deleted=deleted)
        found, place = registration.look_up(session, wanted, deleted=deleted)
        return version_members(place, found)

    return answer(call.request, await look(call, work))


@told.tells(
    "registryRegister",
    "Make a schema a version of a subject",
    ref("RegistryRegistered"),
    asks=("normalize", "dry_run"),
    body=ref("RegistrySubmission"),
)
async def register(call: Call) -> Response:
    """Make a schema a version of a subject. Clients that take no news are told the id and nothing else."""
    ask = Ask(call)
    subject = ask.subject_to_write()
    wanted = await ask.submission(subject)
    rule = shelf_of(call).rule(subject)
    if rule is not None:
        found = await look(call, partial(_register_governed, rule=rule, wanted=wanted))
        return answer(call.request, found if ask.takes_news else {"id": found["id"]})
    is_strict = call.doors.values.strict_logical_types
    for _ in range(_TURNS):
        prepared = await call.doors.database.read(
            lambda session: registration.prepare(session, wanted, is_strict=is_strict)
        )
        if isinstance(prepared, Registered):
            return answer(call.request, _registered(ask, prepared))
        now = call.doors.clock()
        made = await ask.write(partial(registration.complete, prepared=prepared, now=now))
        if made is not None:
            _note(ask, "schema registered", subject=subject, version=made.version, schema_id=made.id)
            return answer(call.request, _registered(ask, made))
    raise OverloadedError(f"others register under {subject} all the time; try again")


@told.tells("registryDeleteSubject", "Delete a subject", told.NUMBERS, asks=("permanent", "dry_run"))
async def delete_subject(call: Call) -> Response:
    """Delete all versions of a subject, softly or for good."""
    ask = Ask(call)
    subject, permanent = ask.subject(), ask.flag("permanent")
    _verify_ungoverned(call, subject, "it cannot be deleted")
    now = call.doors.clock()
    gone = await ask.write(
        lambda session: deletion.delete_subject(session, subject, permanent=permanent, now=now)
    )
    _note(ask, "subject deleted", subject=subject, versions=len(gone), permanent=permanent)
    return answer(call.request, list(gone))


@told.tells(
    "registryDeleteVersion", "Delete a version of a subject", told.NUMBER, asks=("permanent", "dry_run")
)
async def delete_version(call: Call) -> Response:
    """Delete one version of a subject, softly or for good."""
    ask = Ask(call)
    subject, number, permanent = ask.subject(), ask.version(), ask.flag("permanent")
    _verify_ungoverned(call, subject, "no version of it can be deleted")
    now = call.doors.clock()
    gone = await ask.write(
        lambda session: deletion.delete_version(session, subject, number, permanent=permanent, now=now)
    )
    _note(ask, "version deleted", subject=subject, version=gone, permanent=permanent)
    return answer(call.request, gone)


def _registered(ask: Ask, made: Registered) -> dict[str, object]:
    if not ask.takes_news:
        return {"id": made.id}
    found = stored_of(made.id, made.schema)
    return {"id": made.id, "version": made.version, **schema_members(found)}


def _register_governed(
    session: Session, shelf: Shelf, *, rule: Rule, wanted: Submission
) -> dict[str, object]:
    del shelf
    found = rule.find(registration.parse_submitted(session, wanted), deleted=False)
    if found is None:
        raise rule.refuse("the schema is none of those that it accepts")
    place, schema = found
    if wanted.schema_id not in {None, place.schema_id}:
        raise rule.refuse(f"this schema has the id {place.schema_id}")
    return {
        "id": place.schema_id,
        "version": place.number,
        **schema_members(stored_of(place.schema_id, schema)),
    }


def _look_up_governed(
    session: Session, shelf: Shelf, rule: Rule, wanted: Submission, *, deleted: bool
) -> dict[str, object]:
    """Any of the contract's schemas that means the same, however it is written."""
    if not shelf.places(session, rule.subject, deleted=deleted):
        raise refusal.subject_unknown(rule.subject)
    found = rule.find(registration.parse_submitted(session, wanted), deleted=deleted or not rule.is_shared)
    if found is None:
        raise refusal.schema_unknown()
    place, schema = found
    return version_members(place, stored_of(place.schema_id, schema))


def _verify_ungoverned(call: Call, subject: str, what: str) -> None:
    rule = shelf_of(call).rule(subject)
    if rule is not None:
        raise rule.refuse(what)


def _note(ask: Ask, event: str, **fields: object) -> None:
    """Say who changed what; nothing of a schema is said."""
    by = ask.call.known
    if ask.is_dry:
        return
    logger(__name__).info(event, role=by.role, credential=by.credential.id, **fields)
