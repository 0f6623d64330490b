"""Subjects that belong to contracts: what may be registered there is what was agreed, and nothing else.

A stock serializer asks for `<topic>-value`, whatever types share the topic. That subject has no versions of
its own: each schema of the contract's lines is one, and its number is the schema's id, so that numbers never
change while types come and go. A schema that is no longer accepted is shown as deleted softly.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from gateway.catalog import Snapshot
from gateway.channels import Channel
from gateway.event import Direction
from partners.directory import Directory
from schemas import refusal
from schemas.likeness import likeness
from schemas.refusal import RegistryError
from schemas.schema import Schema
from schemas.store import Place

_DIRECTIONS: Final[tuple[Direction, ...]] = ("inbound", "outbound")
_FORMER_AT: Final = 0
"""When a schema ceased to be accepted: nobody asks when, only whether."""


@dataclass(frozen=True, slots=True)
class Rule:
    """What a contract says of one subject.

    `rest`: what follows the topic in its name: `value`, or the full name of a schema. `channels`: the lines
    of that topic that the subject is about.
    """

    subject: str
    partner: str
    direction: Direction
    rest: str
    channels: tuple[Channel, ...]

    @property
    def is_shared(self) -> bool:
        """Whether it is the subject of all types of its topic, which has no versions of its own."""
        return self.rest == "value"

    def find(self, schema: Schema, *, deleted: bool) -> tuple[Place, Schema] | None:
        """The version that means the same as a schema; `deleted`: of those no longer accepted too."""
        wanted = likeness(schema.root)
        for place, one in self.versions(deleted=deleted):
            if one.fingerprint == schema.fingerprint and likeness(one.root) == wanted:
                return place, one
        return None

    def versions(self, *, deleted: bool) -> Iterator[tuple[Place, Schema]]:
        """The schemas of its lines, those that are accepted first, newest first in each line."""
        for channel in self.channels:
            for one in channel.versions:
                number = one.schema_id if self.is_shared else one.number
                yield Place(self.subject, number, one.schema_id, None), one.schema
        for channel in self.channels if deleted else ():
            for one in channel.former:
                if not (self.is_shared or one.schema.name == self.rest):
                    continue  # of a former name: a version of another subject
                number = one.schema_id if self.is_shared else one.number
                yield Place(self.subject, number, one.schema_id, _FORMER_AT), one.schema

    def newest(self) -> Place | None:
        """The newest version that is accepted; of several lines, the one that came last."""
        first = [next(iter(Rule.versions(one, deleted=False)), None) for one in self._each()]
        return max((each[0] for each in first if each), key=lambda place: place.schema_id, default=None)

    def like(self, schema: Schema) -> Channel | None:
        """The line whose schema has the same name, which a changed one is to be compared with."""
        named = [one for one in self.channels if one.versions and one.versions[0].schema.name == schema.name]
        return named[0] if named else None

    def refuse(self, what: str) -> RegistryError:
        """The refusal that names the contract."""
        types = ", ".join(channel.event_type for channel in self.channels) or "none"
        return refusal.not_permitted(
            f"Subject {self.subject} is governed by the contract of partner {self.partner} (types: {types}): "
            f"{what}. Change the contract instead: gateway plan, then gateway apply"
        )

    def _each(self) -> Iterator["Rule"]:
        for channel in self.channels:
            yield Rule(self.subject, self.partner, self.direction, self.rest, (channel,))


def rule_of(snapshot: Snapshot, subject: str) -> Rule | None:
    """What a contract says of a subject; None where it is nobody's."""
    topics = _topics(snapshot.directory)
    for at in [index for index, letter in enumerate(subject) if letter == "-"][::-1]:
        owner = topics.get(subject[:at])
        if owner is not None:
            slug, direction = owner
            rest = subject[at + 1 :]
            channels = snapshot.channels(slug, direction)
            if rest != "value":
                channels = tuple(one for one in channels if one.line.subject == subject)
            return Rule(subject, slug, direction, rest, channels)
    return None


def shared_subjects(snapshot: Snapshot, partner: str | None) -> Iterator[str]:
    """The subjects of all types of a topic, where there are types; of one partner, or of all."""
    slugs = [one.slug for one in snapshot.directory.partners()] if partner is None else [partner]
    for slug in slugs:
        for direction in _DIRECTIONS:
            channels = snapshot.channels(slug, direction)
            if channels:
                yield f"{channels[0].topic}-value"


@lru_cache(1)
def _topics(directory: Directory) -> Mapping[str, tuple[str, Direction]]:
    """Whose each topic is, closed partners' too."""
    found: dict[str, tuple[str, Direction]] = {}
    for partner in directory.partners():
        found[partner.topics.inbound] = (partner.slug, "inbound")
        found[partner.topics.outbound] = (partner.slug, "outbound")
    return found
