"""The registry: schema texts under subjects, one global id for each distinct text, versions never renumbered.

Works in the caller's transaction, never commits. Compatibility is asked before, in `schemas.compatibility`.
Source: Confluent Schema Registry API, semantics of registration and look-up.
"""

from dataclasses import dataclass
from uuid import UUID

from sqlmodel import Session

from schemas import store
from schemas.schema import Schema, parse_schema
from schemas.subject import verify_subject


@dataclass(frozen=True, slots=True)
class Registered:
    """What a registration came to; `is_new`: the subject has a version that it did not have before."""

    id: int
    version: int
    schema: Schema
    is_new: bool


@dataclass(frozen=True, slots=True)
class SubjectVersion:
    """One version of a subject."""

    number: int
    id: int
    schema: Schema


def register(session: Session, subject: str, text: str, *, now: int) -> Registered:
    """Make a text a version of a subject; the same text again gives the same version.

    Of two callers that add versions to one subject at once, one gets the database's error for a doubled key.

    Raises:
        SubjectError: no subject.
        SchemaError: the text must not be used.
    """
    verify_subject(subject)
    schema = parse_schema(text)
    schema_id = store.save_schema(session, schema, now=now)
    known = store.load_number(session, subject, schema_id)
    number = store.save_version(session, subject, schema_id, now=now) if known is None else known
    return Registered(schema_id, number, schema, known is None)


def look_up(session: Session, subject: str, text: str) -> Registered | None:
    """The version of a subject that is exactly this text."""
    schema_id = store.load_id(session, text)
    number = None if schema_id is None else store.load_number(session, subject, schema_id)
    if schema_id is None or number is None:
        return None
    return Registered(schema_id, number, parse_schema(text), is_new=False)


def by_id(session: Session, schema_id: int) -> Schema | None:
    """The schema of a global id."""
    text = store.load_text(session, schema_id)
    return None if text is None else parse_schema(text)


def by_guid(session: Session, guid: UUID) -> Schema | None:
    """The schema of a GUID."""
    text = store.load_text_by_guid(session, guid)
    return None if text is None else parse_schema(text)


def versions(session: Session, subject: str) -> tuple[SubjectVersion, ...]:
    """The versions of a subject, newest first; none for a subject that nobody has used."""
    found = store.load_versions(session, subject)
    return tuple(SubjectVersion(number, schema_id, parse_schema(text)) for number, schema_id, text in found)


def uses(session: Session, schema_id: int) -> tuple[tuple[str, int], ...]:
    """Subject and version number of each use of a schema."""
    return tuple(store.load_uses(session, schema_id))
