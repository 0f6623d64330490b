"""The registry: schemas under subjects, one global id for each distinct schema, versions never renumbered.

Works in the caller's transaction, never commits. Here are its answers, and the registration of a contract's
schemas, which nothing refuses; what anybody else registers passes `schemas.registration`.
Source: Confluent Schema Registry API, semantics of registration and look-up.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from uuid import UUID

from sqlmodel import Session

from schemas import refusal, store
from schemas.errors import SchemaError
from schemas.remembered import parse_alone
from schemas.schema import MOST_REFERENCES, Reference, Schema, parse_schema
from schemas.store import Draft, Link, Place, Stored
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

    Raises:
        SubjectError: no subject.
        SchemaError: the text must not be used.
    """
    verify_subject(subject)
    (made,) = register_all(session, [(subject, parse_alone(text))], now=now)
    return made


def register_all(
    session: Session, wanted: Sequence[tuple[str, Schema]], *, now: int
) -> tuple[Registered, ...]:
    """Make each schema a version of its subject, as `register`, with few statements however many there are.

    Raises:
        SubjectError: no subject.
    """
    if not wanted:
        return ()
    subjects = {subject for subject, _ in wanted}
    ids = identify_all(session, wanted, now=now)
    highest = dict(store.lock_subjects(session, subjects))
    numbers: dict[tuple[str, int], int] = {}
    for place in store.load_all_places(session, subjects):
        highest[place.subject] = max(highest[place.subject], place.number)
        if place.deleted_at is None:
            numbers[place.subject, place.schema_id] = place.number
    new: dict[tuple[str, int], Place] = {}
    for (subject, _), schema_id in zip(wanted, ids, strict=True):
        if (subject, schema_id) not in numbers:
            highest[subject] += 1
            numbers[subject, schema_id] = highest[subject]
            new[subject, schema_id] = Place(subject, highest[subject], schema_id, None)
    store.save_versions(session, new.values(), now=now)
    return tuple(
        Registered(schema_id, numbers[subject, schema_id], schema, (subject, schema_id) in new)
        for (subject, schema), schema_id in zip(wanted, ids, strict=True)
    )


def identify_all(session: Session, wanted: Sequence[tuple[str, Schema]], *, now: int) -> tuple[int, ...]:
    """The id of each schema, a new one where it has none; it becomes a version of no subject.

    Raises:
        SubjectError: no subject.
    """
    for subject in {subject for subject, _ in wanted}:
        verify_subject(subject)
    ids = store.save_schemas(session, [draft_of(schema) for _, schema in wanted], now=now)
    if 0 in ids:
        raise refusal.id_taken(0, "an import takes all ids just now; try again")
    return tuple(ids)


def look_up(session: Session, subject: str, text: str) -> Registered | None:
    """The version of a subject that is exactly this text."""
    stored = store.load_schema_by_text(session, text)
    number = None if stored is None else _number_of(session, subject, stored.id)
    if stored is None or number is None:
        return None
    return Registered(stored.id, number, parse_stored(session, stored), is_new=False)


def by_id(session: Session, schema_id: int) -> Schema | None:
    """The schema of a global id, whether or not it is still a version of any subject."""
    stored = store.load_schema(session, schema_id)
    return None if stored is None else parse_stored(session, stored)


def by_ids(session: Session, ids: Collection[int]) -> Mapping[int, Schema]:
    """The schemas of some global ids, those that there are, as `by_id`."""
    return {key: parse_stored(session, one) for key, one in store.load_schemas(session, ids).items()}


def by_guid(session: Session, guid: UUID) -> Schema | None:
    """The schema of a GUID, whether or not it is still a version of any subject."""
    stored = store.load_schema_by_guid(session, guid)
    return None if stored is None else parse_stored(session, stored)


def versions(session: Session, subject: str) -> tuple[SubjectVersion, ...]:
    """The versions of a subject that are not deleted, newest first; none for one that nobody has used."""
    return tuple(
        SubjectVersion(place.number, place.schema_id, parse_stored(session, stored))
        for place, stored in store.load_versions(session, subject)
    )


def numbers(session: Session, subjects: Collection[str]) -> Mapping[tuple[str, int], int]:
    """The version that each schema is or was in each of these subjects, by subject and schema id."""
    places = sorted(store.load_all_places(session, subjects), key=lambda one: one.number)
    return {(one.subject, one.schema_id): one.number for one in places}


def uses(session: Session, schema_id: int) -> tuple[tuple[str, int], ...]:
    """Subject and version number of each use of a schema, those that were deleted softly too."""
    return tuple((place.subject, place.number) for place in store.load_uses(session, schema_id))


def parse_stored(session: Session, stored: Stored) -> Schema:
    """The schema of what is stored, with what it refers to."""
    if not stored.links:
        return parse_alone(stored.text)
    return parse_schema(stored.text, resolve(session, stored.links, deleted=True))


def resolve(session: Session, links: Sequence[Link], *, deleted: bool = False) -> tuple[Reference, ...]:
    """The schemas that links lead to, with all that those refer to in turn.

    `deleted`: versions that were deleted softly may be named too, as schemas registered before then do.

    Raises:
        SchemaError: rule `reference`: there is no such version, or one schema leans on too many.
    """
    resolver = _Resolver(session)
    return tuple(
        Reference(one.name, one.subject, one.number, resolver.schema(one, at, deleted=deleted))
        for at, one in enumerate(links)
    )


def draft_of(schema: Schema) -> Draft:
    """What is stored of a schema."""
    links = tuple(Link(one.name, one.subject, one.version) for one in schema.references)
    return Draft(schema.text, links, schema.guid, schema.name[:255], schema.fingerprint)


class _Resolver:
    """Reads each version once, however many refer to it."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._known: dict[tuple[str, int], Schema] = {}

    def schema(self, link: Link, at: int, *, deleted: bool) -> Schema:
        """The schema that a link leads to. `at`: the place of the reference that began it."""
        key = (link.subject, link.number)
        if key not in self._known:
            if len(self._known) >= MOST_REFERENCES:
                text = f"leans on more than {MOST_REFERENCES} schemas; keep more types in one"
                raise SchemaError("reference", text, f"/references/{at}")
            stored = self._stored(link, at, deleted=deleted)
            references = tuple(
                Reference(one.name, one.subject, one.number, self.schema(one, at, deleted=True))
                for one in stored.links
            )
            self._known[key] = parse_schema(stored.text, references)
        return self._known[key]

    def _stored(self, link: Link, at: int, *, deleted: bool) -> Stored:
        places = store.load_places(self._session, link.subject, deleted=deleted, number=link.number)
        stored = store.load_schema(self._session, places[0].schema_id) if places else None
        if stored is None:
            text = f"{link.subject} has no version {link.number}; register what is referred to first"
            raise SchemaError("reference", text, f"/references/{at}")
        return stored


def _number_of(session: Session, subject: str, schema_id: int) -> int | None:
    """The version of a subject that a schema is, if it is one that is not deleted."""
    places: Mapping[int, int] = {
        place.schema_id: place.number for place in store.load_places(session, subject)
    }
    return places.get(schema_id)
