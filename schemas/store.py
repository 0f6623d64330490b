"""Rows of the registry to values and back. Never commits, never decides.

Every function takes the caller's session and works in its transaction, on SQLite and on PostgreSQL.
"""

import hashlib
import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final
from uuid import UUID

from sqlalchemy import ColumnElement, delete, false, func, or_, select, text, true, update
from sqlmodel import Session, SQLModel, col

from schemas import statements
from schemas.rows import ReferenceRow, SchemaRow, SubjectRow, VersionRow

_TRIES: Final = 100
"""How many ids may be taken by imports that run at the same time before a registration gives up."""

_LARGEST_ID: Final = (1 << 31) - 1
"""Of the column. On the wire an id has 32 bits: PostgreSQL refuses to look for the larger half."""


@dataclass(frozen=True, slots=True)
class Link:
    """A schema that another one's text names, as it was registered."""

    name: str
    subject: str
    number: int


@dataclass(frozen=True, slots=True)
class Stored:
    """A schema as it is stored: not parsed yet."""

    id: int
    guid: UUID
    text: str = field(repr=False)
    links: tuple[Link, ...]


@dataclass(frozen=True, slots=True)
class Draft:
    """What is stored of a schema that may be new."""

    text: str = field(repr=False)
    links: tuple[Link, ...]
    guid: UUID
    name: str
    fingerprint: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Place:
    """A version of a subject: which schema it is, and when it was deleted softly, if it was."""

    subject: str
    number: int
    schema_id: int
    deleted_at: int | None


@dataclass(frozen=True, slots=True)
class SubjectTerms:
    """Level and mode of a subject, or of the whole registry; None where nothing is set."""

    level: str | None = None
    mode: str | None = None


def load_schema(session: Session, schema_id: int) -> Stored | None:
    """The schema of a global id."""
    if not 0 < schema_id <= _LARGEST_ID:
        return None
    return _load_schema(session, col(SchemaRow.id) == schema_id)


def load_schemas(session: Session, ids: Collection[int]) -> Mapping[int, Stored]:
    """The schemas of some global ids, those that there are, in one statement."""
    wanted = sorted(one for one in ids if 0 < one <= _LARGEST_ID)
    found = session.execute(statements.STORED_OF, {"ids": wanted}).all() if wanted else ()
    return {row.id: _stored_of(session, row) for row in found}


def load_schema_by_guid(session: Session, guid: UUID) -> Stored | None:
    """The schema whose GUID this is; of several with one GUID (MD5 can be forged) the first registered."""
    return _load_schema(session, col(SchemaRow.guid) == str(guid))


def load_schema_by_text(session: Session, schema_text: str, links: Sequence[Link] = ()) -> Stored | None:
    """The schema of exactly this text and these references."""
    return _load_schema(session, col(SchemaRow.text_sha256) == _digest(schema_text, links))


def save_schema(session: Session, schema: Draft, *, now: int, schema_id: int | None = None) -> int:
    """The id of a schema, new or as it was; two writers at once get the same one.

    `schema_id`: the id that it is to have where it is new; the caller compares. 0: the id is another's, or
    all ids that the database gave were.
    """
    known = _load_id(session, schema)
    return _make_schema(session, schema, now=now, schema_id=schema_id) if known is None else known


def _make_schema(session: Session, schema: Draft, *, now: int, schema_id: int | None = None) -> int:
    """As `save_schema`, of one that is not there yet, unless somebody else has made it just now."""
    values: dict[str, Any] = {
        "text_sha256": _digest(schema.text, schema.links),
        "guid": str(schema.guid),
        "name": schema.name,
        "fingerprint": schema.fingerprint,
        "text": schema.text,
        "created_at": now,
    }
    if schema_id is not None:
        values["id"] = schema_id
    made: int | None = None
    for _ in range(_TRIES if schema_id is None else 1):
        made = session.execute(statements.new_schema(_dialect(session)), values).scalar()
        made = _load_id(session, schema) if made is None else made
        if made is not None:
            break
    if made is None:
        return 0
    if schema_id is not None:
        _pass_over(session, schema_id)
    for position, link in enumerate(schema.links):
        row = {"schema_id": made, "position": position, "name": link.name, "subject": link.subject}
        _insert_new(session, ReferenceRow, {**row, "number": link.number})
    return made


def save_schemas(session: Session, schemas: Sequence[Draft], *, now: int) -> list[int]:
    """The id of each, as `save_schema`; those that are there are found in one statement."""
    digests = [_digest(one.text, one.links) for one in schemas]
    rows = session.execute(statements.IDS, {"digests": sorted(set(digests))})
    known = {bytes(row.text_sha256): int(row.id) for row in rows}
    for digest, one in zip(digests, schemas, strict=True):
        if digest not in known:
            known[digest] = _make_schema(session, one, now=now)
    return [known[digest] for digest in digests]


def load_places(
    session: Session, subject: str, *, deleted: bool = False, number: int | None = None
) -> tuple[Place, ...]:
    """The versions of a subject, newest first; `deleted`: those that were deleted softly too."""
    query = select(
        col(VersionRow.subject),
        col(VersionRow.number),
        col(VersionRow.schema_id),
        col(VersionRow.deleted_at),
    ).where(col(VersionRow.subject) == subject)
    if not deleted:
        query = query.where(col(VersionRow.deleted_at).is_(None))
    if number is not None:
        query = query.where(col(VersionRow.number) == number)
    found = session.execute(query.order_by(col(VersionRow.number).desc()))
    return tuple(Place(*row) for row in found)


def load_all_places(session: Session, subjects: Collection[str]) -> tuple[Place, ...]:
    """The versions of some subjects, softly deleted ones too, in no order."""
    return tuple(Place(*row) for row in session.execute(statements.PLACES, {"subjects": sorted(subjects)}))


def load_versions(session: Session, subject: str) -> tuple[tuple[Place, Stored], ...]:
    """The versions of a subject that are not deleted, newest first, with their schemas."""
    return tuple(
        (Place(subject, row.number, row.id, None), _stored_of(session, row))
        for row in session.execute(statements.STORED_VERSIONS, {"subject": subject}).all()
    )


def load_uses(
    session: Session, schema_id: int, prefixes: Sequence[str] = ("",), *, most: int | None = None
) -> tuple[Place, ...]:
    """Each version that has this schema, softly deleted ones too, by subject and number.

    `prefixes`: only of subjects that begin with one of them. `most`: no more than so many, if there are none.
    """
    if not 0 < schema_id <= _LARGEST_ID:
        return ()
    query = select(
        col(VersionRow.subject),
        col(VersionRow.number),
        col(VersionRow.schema_id),
        col(VersionRow.deleted_at),
    ).where(col(VersionRow.schema_id) == schema_id, _begins(prefixes))
    found = session.execute(query.order_by(col(VersionRow.subject), col(VersionRow.number)).limit(most))
    return tuple(Place(*row) for row in found if row.subject.startswith(tuple(prefixes)))


def load_largest_id(session: Session) -> int:
    """The largest id that a schema has; 0 where there is none."""
    return int(session.execute(select(func.max(col(SchemaRow.id)))).scalar() or 0)


def load_subjects(session: Session, prefix: str = "", *, deleted: bool = False) -> tuple[str, ...]:
    """Subjects with a version, by name; `deleted`: those too of which every version was deleted softly."""
    query = select(col(VersionRow.subject)).distinct().where(_begins((prefix,)))
    if not deleted:
        query = query.where(col(VersionRow.deleted_at).is_(None))
    found = session.execute(query).scalars()
    return tuple(sorted(one for one in found if one.startswith(prefix)))


def load_referrers(session: Session, subject: str, number: int, *, deleted: bool = False) -> tuple[int, ...]:
    """Ids of the schemas that name this version and are in use, smallest first.

    `deleted`: those too that are versions of subjects only where they were deleted softly.
    """
    query = (
        select(col(ReferenceRow.schema_id))
        .join(VersionRow, col(VersionRow.schema_id) == col(ReferenceRow.schema_id))
        .where(col(ReferenceRow.subject) == subject, col(ReferenceRow.number) == number)
    )
    if not deleted:
        query = query.where(col(VersionRow.deleted_at).is_(None))
    return tuple(session.execute(query.distinct().order_by(col(ReferenceRow.schema_id))).scalars())


def lock_subject(session: Session, subject: str) -> None:
    """Make other changes of a subject wait until this transaction ends."""
    lock_subjects(session, (subject,))


def lock_subjects(session: Session, subjects: Collection[str]) -> Mapping[str, int]:
    """Make other changes of some subjects wait until this transaction ends; `highest` of each.

    PostgreSQL locks their rows, in the order of their names: nobody waits in a circle. SQLite knows one
    writer at a time anyway.
    """
    wanted = sorted(set(subjects))
    locked = _locked(session, wanted)
    missing = [{"subject": one, "highest": 0} for one in wanted if one not in locked]
    if missing:
        _insert_new(session, SubjectRow, *missing)
        locked = _locked(session, wanted)
    return locked


def save_version(
    session: Session, subject: str, schema_id: int, *, now: int, number: int | None = None
) -> int:
    """Add a version; returns its number: the one given, or one more than the highest that there ever was."""
    if number is None:
        number = _load_highest(session, subject) + 1
    save_versions(session, [Place(subject, number, schema_id, None)], now=now)
    return number


def save_versions(session: Session, places: Iterable[Place], *, now: int) -> None:
    """Add versions under the numbers that they are given."""
    rows = [
        {"subject": one.subject, "number": one.number, "schema_id": one.schema_id, "created_at": now}
        for one in places
    ]
    if rows:
        session.execute(statements.NEW_VERSION, rows)


def mark_deleted(session: Session, subject: str, numbers: Iterable[int], *, now: int) -> None:
    """Delete versions softly."""
    chosen = (col(VersionRow.subject) == subject) & col(VersionRow.number).in_(tuple(numbers))
    session.execute(update(VersionRow).where(chosen).values(deleted_at=now))


def remove_versions(session: Session, subject: str, numbers: Sequence[int]) -> None:
    """Delete versions for good; their numbers stay used."""
    highest = _load_highest(session, subject)
    _save_terms(session, subject, {"highest": highest})
    chosen = (col(VersionRow.subject) == subject) & col(VersionRow.number).in_(tuple(numbers))
    session.execute(delete(VersionRow).where(chosen))


def load_terms(session: Session, subject: str) -> SubjectTerms:
    """Level and mode of a subject; of the whole registry for the empty one."""
    query = select(col(SubjectRow.level), col(SubjectRow.mode)).where(col(SubjectRow.subject) == subject)
    row = session.execute(query).one_or_none()
    return SubjectTerms() if row is None else SubjectTerms(*row)


def save_level(session: Session, subject: str, level: str | None) -> None:
    """Set the level of a subject, or of the whole registry; None: nothing is set any more."""
    _save_terms(session, subject, {"level": level})


def save_mode(session: Session, subject: str, mode: str | None) -> None:
    """Set the mode of a subject, or of the whole registry; None: nothing is set any more."""
    _save_terms(session, subject, {"mode": mode})


def _begins(prefixes: Sequence[str]) -> ColumnElement[bool]:
    """Subjects that begin with one of these, and some more: LIKE of SQLite does not tell A from a."""
    if "" in prefixes:
        return true()
    return or_(false(), *(col(VersionRow.subject).startswith(one, autoescape=True) for one in prefixes))


def _load_schema(session: Session, condition: ColumnElement[bool]) -> Stored | None:
    row = session.execute(
        statements.STORED.where(condition).order_by(col(SchemaRow.id)).limit(1)
    ).one_or_none()
    return None if row is None else _stored_of(session, row)


def _stored_of(session: Session, row: Any) -> Stored:
    return Stored(row.id, UUID(row.guid), row.text, _load_links(session, row.id) if row.has_links else ())


def _load_links(session: Session, schema_id: int) -> tuple[Link, ...]:
    query = (
        select(col(ReferenceRow.name), col(ReferenceRow.subject), col(ReferenceRow.number))
        .where(col(ReferenceRow.schema_id) == schema_id)
        .order_by(col(ReferenceRow.position))
    )
    return tuple(Link(*row) for row in session.execute(query))


def _load_id(session: Session, schema: Draft) -> int | None:
    query = select(col(SchemaRow.id)).where(col(SchemaRow.text_sha256) == _digest(schema.text, schema.links))
    return session.execute(query).scalar()


def _load_highest(session: Session, subject: str) -> int:
    """The highest version number that a subject ever had; 0 for one that never had any."""
    there = select(func.max(col(VersionRow.number))).where(col(VersionRow.subject) == subject)
    gone = select(col(SubjectRow.highest)).where(col(SubjectRow.subject) == subject)
    return max(int(session.execute(query).scalar() or 0) for query in (there, gone))


def _locked(session: Session, subjects: Sequence[str]) -> Mapping[str, int]:
    return {row.subject: row.highest for row in session.execute(statements.LOCKED, {"subjects": subjects})}


def _save_terms(session: Session, subject: str, values: Mapping[str, Any]) -> None:
    _insert_new(session, SubjectRow, {"subject": subject, "highest": 0})
    session.execute(update(SubjectRow).where(col(SubjectRow.subject) == subject).values(**values))


def _insert_new(session: Session, row: type[SQLModel], *values: Mapping[str, Any]) -> None:
    """Insert rows, each unless another stands in its way."""
    session.execute(statements.new(statements.table_of(row), _dialect(session)), values)


def _pass_over(session: Session, schema_id: int) -> None:
    """Let ids that the database gives go on behind one that it did not give; SQLite does so by itself."""
    if _dialect(session) == "postgresql":
        sequence = "pg_get_serial_sequence('schemas_schema', 'id')"
        query = f"SELECT setval({sequence}, :id) WHERE :id > COALESCE(pg_sequence_last_value({sequence}), 0)"
        session.execute(text(query), {"id": schema_id})


def _dialect(session: Session) -> str:
    return session.get_bind().dialect.name


def _digest(schema_text: str, links: Sequence[Link]) -> bytes:
    """SHA-256 of the text alone where it has no references: so the rows of earlier programs have it."""
    digest = hashlib.sha256(schema_text.encode())
    if links:
        listed = [[link.name, link.subject, link.number] for link in links]
        digest.update(b"\x00" + json.dumps(listed, separators=(",", ":")).encode())
    return digest.digest()
