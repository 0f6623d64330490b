"""What anybody registers: look-up, modes, compatibility, given ids. In two steps, so that nothing waits long.

`prepare` parses and compares in a transaction that only reads, and may take its time; `complete` writes, and
does so only where the subject is still as it was compared with. Never commits.
Source: Confluent Schema Registry API, `POST /subjects/{subject}` and `/subjects/{subject}/versions`.
"""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final

from sqlmodel import Session

from schemas import refusal, store
from schemas.compatibility import check_levels
from schemas.levels import Level, Mode, effective_level, effective_mode
from schemas.normal_text import normal_text
from schemas.registry import Registered, draft_of, parse_stored, resolve
from schemas.schema import Schema, parse_schema
from schemas.store import Link, Place, Stored
from schemas.subject import verify_subject

WHOLE: Final = ""
"""Stands for the whole registry where a subject is asked for."""

LARGEST_GIVEN_ID: Final = 2_000_000_000
"""Of a schema that is imported: the ids behind it are left for those that the database gives."""


@dataclass(frozen=True, slots=True)
class Submission:
    """A schema for a subject. `number` of a link: 0 for the newest version.

    `schema_id`, `number`: what it is to have, for imports; None: the next.
    """

    subject: str
    text: str = field(repr=False)
    links: tuple[Link, ...] = ()
    normalize: bool = False
    schema_id: int | None = None
    number: int | None = None


@dataclass(frozen=True, slots=True)
class Prepared:
    """A schema that may be registered, as long as the subject's versions are still these."""

    wanted: Submission
    schema: Schema
    places: tuple[Place, ...]


def prepare(session: Session, wanted: Submission, *, is_strict: bool) -> Registered | Prepared:
    """Find the schema under its subject, or find out whether it may become a version of it.

    `is_strict`: changed logical types are incompatible.

    Raises:
        SubjectError: no subject.
        SchemaError: the schema must not be used.
        RegistryError: the mode or the level does not let it in.
    """
    verify_subject(wanted.subject)
    schema = parse_submitted(session, wanted)
    places = store.load_places(session, wanted.subject)
    known = _find(session, schema, places)
    if known is not None and wanted.schema_id in {None, known.id}:
        if wanted.number not in {None, known.version}:
            raise refusal.not_permitted(f"This schema is version {known.version} of {wanted.subject}")
        return known
    mode = mode_of(session, wanted.subject)
    _verify_mode(wanted, mode)
    if mode != "IMPORT":
        level = level_of(session, wanted.subject)
        messages = compare(session, schema, places, level, is_strict=is_strict)
        if messages:
            raise refusal.incompatible(wanted.subject, messages)
    return Prepared(wanted, schema, places)


def complete(session: Session, prepared: Prepared, *, now: int) -> Registered | None:
    """Register what was prepared; None where the subject has changed since: prepare it again.

    Raises:
        RegistryError: the mode has changed, or the id or the number is another's.
    """
    wanted, schema = prepared.wanted, prepared.schema
    draft = draft_of(schema)
    schema_id = store.save_schema(session, draft, now=now, schema_id=wanted.schema_id)
    store.lock_subject(session, wanted.subject)
    _verify_mode(wanted, mode_of(session, wanted.subject))
    if store.load_places(session, wanted.subject) != prepared.places:
        return None
    if wanted.schema_id is not None and schema_id != wanted.schema_id:
        reason = "another schema has this id" if not schema_id else f"this schema has the id {schema_id}"
        raise refusal.id_taken(wanted.schema_id, reason)
    if schema_id == 0:
        return None
    if wanted.number is not None and store.load_places(
        session, wanted.subject, deleted=True, number=wanted.number
    ):
        raise refusal.not_permitted(f"Version {wanted.number} of {wanted.subject} is another schema")
    number = store.save_version(session, wanted.subject, schema_id, now=now, number=wanted.number)
    return Registered(schema_id, number, schema, is_new=True)


def look_up(session: Session, wanted: Submission, *, deleted: bool = False) -> tuple[Stored, Place]:
    """The version of a subject that this schema is.

    Raises:
        SubjectError: no subject.
        SchemaError: the schema must not be used.
        RegistryError: 40401, the subject has no version; 40403, none of them is this schema.
    """
    verify_subject(wanted.subject)
    places = store.load_places(session, wanted.subject, deleted=deleted)
    if not places:
        raise refusal.subject_unknown(wanted.subject)
    schema = parse_submitted(session, wanted)
    for stored, place in _same(session, schema, places):
        return stored, place
    raise refusal.schema_unknown()


def parse_submitted(session: Session, wanted: Submission) -> Schema:
    """The schema of a submission, with what it refers to; in normal form where that is asked for.

    An import may refer to what was deleted softly, as the registry that it comes from does.

    Raises:
        SchemaError: it must not be used, or refers to what is not there.
    """
    links = tuple(_numbered(session, link) for link in wanted.links)
    references = resolve(session, links, deleted=wanted.schema_id is not None)
    schema = parse_schema(wanted.text, references)
    return parse_schema(normal_text(schema.text), references) if wanted.normalize else schema


def compare(
    session: Session, schema: Schema, places: Sequence[Place], level: Level, *, is_strict: bool
) -> tuple[str, ...]:
    """Why a schema breaks the level against versions (newest first); empty where it does not."""
    if level == "NONE":
        return ()
    for place in places if level.endswith("_TRANSITIVE") else places[:1]:
        stored = store.load_schema(session, place.schema_id)
        if stored is None:
            continue
        found = check_levels(schema, [parse_stored(session, stored)], level, is_strict=is_strict)
        if found:
            about = f"{{oldSchemaVersion: {place.number}}}", f"{{oldSchema: '{stored.text}'}}"
            return (*(one.message() for one in found), *about, f"{{compatibility: '{level}'}}")
    return ()


def level_of(session: Session, subject: str) -> Level:
    """The level that counts for a subject."""
    return effective_level(store.load_terms(session, subject).level, store.load_terms(session, WHOLE).level)


def mode_of(session: Session, subject: str) -> Mode:
    """The mode that counts for a subject."""
    return effective_mode(store.load_terms(session, subject).mode, store.load_terms(session, WHOLE).mode)


def verify_writable(session: Session, subject: str) -> None:
    """Refuse where the mode forbids changes.

    Raises:
        RegistryError: 42205.
    """
    if mode_of(session, subject).startswith("READONLY"):
        raise refusal.not_permitted(f"Subject {subject} is in read-only mode")


def _verify_mode(wanted: Submission, mode: Mode) -> None:
    if mode.startswith("READONLY"):
        raise refusal.not_permitted(f"Subject {wanted.subject} is in read-only mode")
    if mode == "IMPORT" and wanted.schema_id is None:
        raise refusal.not_permitted(f"Subject {wanted.subject} is in import mode: give the schema its id")
    if mode != "IMPORT" and (wanted.schema_id is not None or wanted.number is not None):
        raise refusal.not_permitted(
            f"Subject {wanted.subject} is not in import mode: give no id and no version"
        )
    if wanted.schema_id is not None and not 0 < wanted.schema_id <= LARGEST_GIVEN_ID:
        raise refusal.id_taken(wanted.schema_id, f"an id is a number from 1 to {LARGEST_GIVEN_ID}")


def _find(session: Session, schema: Schema, places: Sequence[Place]) -> Registered | None:
    for stored, place in _same(session, schema, places):
        return Registered(stored.id, place.number, parse_stored(session, stored), is_new=False)
    return None


def _same(session: Session, schema: Schema, places: Sequence[Place]) -> Iterator[tuple[Stored, Place]]:
    """Versions that are this schema: exactly, else but for white space and the order of members."""
    exact = store.load_schema_by_text(session, schema.text, draft_of(schema).links)
    yield from ((exact, place) for place in places if exact is not None and place.schema_id == exact.id)
    wanted = _document(schema.text), draft_of(schema).links
    for place in places:
        stored = store.load_schema(session, place.schema_id)
        if stored is not None and (_document(stored.text), stored.links) == wanted:
            yield stored, place


def _document(text: str) -> str:
    """A schema text without what JSON does not care about."""
    return json.dumps(json.loads(text), sort_keys=True)


def _numbered(session: Session, link: Link) -> Link:
    """A link whose number says which version is meant by the newest."""
    if link.number > 0:
        return link
    places = store.load_places(session, link.subject)
    return Link(link.name, link.subject, places[0].number if places else 1)
