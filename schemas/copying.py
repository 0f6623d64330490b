"""Copies of another registry's schemas: the same text under the same id, the same number in its subject.

For a gateway whose registry is elsewhere: what was agreed there is read from here. Never commits, never
changes what is there: where an id or a number stands for something else already, it refuses.
"""

from typing import Final

from sqlmodel import Session

from schemas import refusal, store
from schemas.registration import LARGEST_GIVEN_ID
from schemas.registry import Registered, draft_of
from schemas.schema import Schema
from schemas.subject import verify_subject

_MEND: Final = (
    "This database was used with another registry before: copy its schemas with their ids into the external "
    "one, or begin with a new database."
)


def keep_copy(
    session: Session, subject: str, schema: Schema, *, schema_id: int, number: int, now: int
) -> Registered:
    """Make a schema a version of a subject, under the id and the number that it has elsewhere.

    The same again changes nothing. `schema`: without references, as the schemas of contracts are.

    Raises:
        SubjectError: no subject.
        RegistryError: 42207, the id or the number stands for another schema here.
    """
    verify_subject(subject)
    if schema_id > LARGEST_GIVEN_ID:
        raise refusal.id_taken(schema_id, f"an id is a number from 1 to {LARGEST_GIVEN_ID}")
    here = store.save_schema(session, draft_of(schema), now=now, schema_id=schema_id)
    if here != schema_id:
        reason = f"this schema has the id {here} here" if here else "another schema has this id here"
        raise refusal.id_taken(schema_id, f"{reason}. {_MEND}")
    store.lock_subject(session, subject)
    places = store.load_places(session, subject)
    known = [place.number for place in places if place.schema_id == schema_id]
    if known:
        return Registered(schema_id, known[0], schema, is_new=False)
    if store.load_places(session, subject, deleted=True, number=number):
        reason = f"version {number} of {subject} is another schema here"
        raise refusal.id_taken(schema_id, f"{reason}. {_MEND}")
    store.save_version(session, subject, schema_id, now=now, number=number)
    return Registered(schema_id, number, schema, is_new=True)
