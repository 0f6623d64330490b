"""What one caller sees of the registry: our side everything, a partner the subjects of its own topics.

What is another's is answered as what does not exist.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import TypeVar

from sqlmodel import Session

from gateway.catalog import Snapshot
from gateway.http.guard import Call
from gateway.http.registry.governed import Rule, rule_of, shared_subjects
from schemas import refusal, store
from schemas.store import Place, Stored

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Shelf:
    """The registry as one caller sees it. `partner`: whose caller it is; None for our side."""

    snapshot: Snapshot = field(repr=False)
    partner: str | None

    def rule(self, subject: str) -> Rule | None:
        """What a contract says of a subject."""
        return rule_of(self.snapshot, subject)

    def sees(self, subject: str) -> bool:
        """Whether a subject is the caller's to know of."""
        if self.partner is None:
            return True
        rule = self.rule(subject)
        return rule is not None and rule.partner == self.partner

    def subjects(
        self, session: Session, prefix: str, *, deleted: bool, only_deleted: bool
    ) -> tuple[str, ...]:
        """The subjects with a version, by name."""
        shared = {one for one in shared_subjects(self.snapshot, self.partner) if one.startswith(prefix)}
        active = {*shared, *self._load(session, prefix, deleted=False)}
        if not deleted and not only_deleted:
            return tuple(sorted(active))
        every = set(self._load(session, prefix, deleted=True))
        return tuple(sorted(every - active if only_deleted else every | active))

    def places(self, session: Session, subject: str, *, deleted: bool = False) -> tuple[Place, ...]:
        """The versions of a subject, newest first; none where it is not the caller's."""
        if not self.sees(subject):
            return ()
        rule = self.rule(subject)
        if rule is not None and rule.is_shared:
            return _by_number(place for place, _ in rule.versions(deleted=deleted))
        return store.load_places(session, subject, deleted=deleted)

    def place(self, session: Session, subject: str, number: int | None, *, deleted: bool = False) -> Place:
        """One version of a subject; None: the newest, of a contract's subject the newest that is accepted.

        Raises:
            RegistryError: 40401, 40402.
        """
        there = self.places(session, subject, deleted=deleted)
        if not there:
            raise refusal.subject_unknown(subject)
        if number is None:
            rule = self.rule(subject)
            newest = None if rule is None else rule.newest()
            return newest or there[0]
        for place in there:
            if place.number == number:
                return place
        raise refusal.version_unknown(number)

    def uses(self, session: Session, schema_id: int, *, deleted: bool) -> tuple[Place, ...]:
        """Where a schema is a version, by subject and number.

        Raises:
            RegistryError: 40403, nowhere that the caller may see, not even deleted softly.
        """
        there = store.load_uses(session, schema_id, self._prefixes())
        if not there:
            raise refusal.schema_unknown()
        return tuple(one for one in there if deleted or one.deleted_at is None)

    def schema(self, session: Session, schema_id: int) -> Stored:
        """A schema by its id, deleted softly or not: old records must decode.

        Raises:
            RegistryError: 40403.
        """
        if not self.holds(session, schema_id):
            raise refusal.schema_unknown()
        return stored(session, schema_id)

    def holds(self, session: Session, schema_id: int) -> bool:
        """Whether a schema is a version anywhere that the caller may see: for our side any one will do."""
        most = 1 if self.partner is None else None
        return bool(store.load_uses(session, schema_id, self._prefixes(), most=most))

    def _load(self, session: Session, prefix: str, *, deleted: bool) -> Iterator[str]:
        for own in self._prefixes():
            if own.startswith(prefix) or prefix.startswith(own):
                yield from store.load_subjects(session, max(own, prefix, key=len), deleted=deleted)

    def _prefixes(self) -> tuple[str, ...]:
        """What the names of the subjects that the caller sees begin with."""
        if self.partner is None:
            return ("",)
        partner = self.snapshot.directory.partner(self.partner)
        topics = () if partner is None else (partner.topics.inbound, partner.topics.outbound)
        return tuple(f"{topic}-" for topic in dict.fromkeys(topics))


async def look(call: Call, work: Callable[[Session, Shelf], T]) -> T:
    """Read from the registry as the caller sees it, on a thread of the database."""
    shelf = shelf_of(call)
    return await call.doors.database.read(lambda session: work(session, shelf))


def shelf_of(call: Call) -> Shelf:
    """The registry as the caller sees it."""
    partner = call.known.partner
    return Shelf(call.snapshot, None if partner is None else partner.slug)


def stored(session: Session, schema_id: int) -> Stored:
    """A schema that a version names.

    Raises:
        RegistryError: 40403.
    """
    found = store.load_schema(session, schema_id)
    if found is None:
        raise refusal.schema_unknown()
    return found


def _by_number(places: Iterable[Place]) -> tuple[Place, ...]:
    """Each number once, as accepted where it is so for any line, newest first."""
    found: dict[int, Place] = {}
    for place in places:
        found.setdefault(place.number, place)
    return tuple(sorted(found.values(), key=lambda place: -place.number))
