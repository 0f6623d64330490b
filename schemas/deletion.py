"""Taking versions back, softly first, then for good. Schemas themselves stay: old records must decode.

Works in the caller's transaction, never commits.
Source: Confluent Schema Registry API, `DELETE` of subjects and of versions.
"""

from collections.abc import Iterable, Sequence

from sqlmodel import Session

from schemas import refusal, store
from schemas.refusal import RegistryError
from schemas.registration import verify_writable
from schemas.store import Place

_MEND = "Set permanent=true to delete permanently"


def delete_subject(session: Session, subject: str, *, permanent: bool, now: int) -> tuple[int, ...]:
    """Delete all versions of a subject; returns their numbers, smallest first.

    A subject that is deleted softly loses its level and its mode.

    Raises:
        RegistryError: 40401, there is none; 40404, it is deleted softly; 40405, it is not yet; 42205; 42206.
    """
    verify_writable(session, subject)
    store.lock_subject(session, subject)
    there = store.load_places(session, subject, deleted=True)
    active = [place for place in there if place.deleted_at is None]
    if not there:
        raise refusal.subject_unknown(subject)
    if permanent and active:
        text = f"Subject '{subject}' was not deleted first before being permanently deleted"
        raise RegistryError(40405, text)
    if not permanent and not active:
        raise RegistryError(40404, f"Subject '{subject}' was soft deleted. {_MEND}")
    chosen = there if permanent else active
    _verify_unreferenced(session, chosen, permanent=permanent)
    if not permanent:
        store.save_level(session, subject, None)
        store.save_mode(session, subject, None)
    return _delete(session, subject, chosen, permanent=permanent, now=now)


def delete_version(session: Session, subject: str, number: int | None, *, permanent: bool, now: int) -> int:
    """Delete one version of a subject (None: the newest); returns its number.

    Raises:
        RegistryError: 40401, no subject; 40402, no version; 40406, it was deleted softly; 40407, it was not
            yet; 42205; 42206.
    """
    verify_writable(session, subject)
    store.lock_subject(session, subject)
    there = store.load_places(session, subject, deleted=True)
    active = [place for place in there if place.deleted_at is None]
    if not there or (number is None and not active):
        raise refusal.subject_unknown(subject)
    number = active[0].number if number is None else number
    place = next((one for one in there if one.number == number), None)
    if place is None:
        raise refusal.version_unknown(number)
    if permanent and place.deleted_at is None:
        text = f"Subject '{subject}' Version {number} was not deleted first before being permanently deleted"
        raise RegistryError(40407, text)
    if not permanent and place.deleted_at is not None:
        raise RegistryError(40406, f"Subject '{subject}' Version {number} was soft deleted. {_MEND}")
    _verify_unreferenced(session, [place], permanent=permanent)
    _delete(session, subject, [place], permanent=permanent, now=now)
    return number


def _delete(
    session: Session, subject: str, places: Iterable[Place], *, permanent: bool, now: int
) -> tuple[int, ...]:
    numbers = sorted(place.number for place in places)
    if permanent:
        store.remove_versions(session, subject, numbers)
    else:
        store.mark_deleted(session, subject, numbers, now=now)
    return tuple(numbers)


def _verify_unreferenced(session: Session, places: Sequence[Place], *, permanent: bool) -> None:
    """What is deleted for good must not be named even by schemas that were deleted softly: they decode."""
    for place in places:
        found = store.load_referrers(session, place.subject, place.number, deleted=permanent)
        if found:
            listed = ", ".join(map(str, found[:10]))
            where = f"subject={place.subject},version={place.number}"
            text = f"One or more references exist to the schema {{{where}}}: from schemas with id {listed}"
            raise RegistryError(42206, text)
