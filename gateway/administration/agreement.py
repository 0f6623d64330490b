"""The schemas of a contract and the external registry: what it has of them, and what it is to take.

Asked before the transaction that applies the contract, never inside it. A schema that is new there is first
compared, then registered, and only once everything else of the contract was found right.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

from gateway.errors import AwayError, CallerError
from gateway.external_registry import ExternalRegistry, Remote
from partners.contract import ContractFile
from partners.partner import Topics
from schemas.errors import SchemaError
from schemas.remote_answers import Agreed, RemoteRefusedError
from schemas.schema import Schema, parse_schema
from schemas.subject import topic_record_subject

_SECONDS: Final = 15.0
_SECONDS_EACH: Final = 1.0

Wanted = tuple[str, Schema]
"""A subject, and the schema that is to be a version of it."""


@dataclass(frozen=True, slots=True)
class Agreement:
    """What the external registry says of a contract's schemas.

    `known`: those that it has. `refused`: of those that it has not, why it would not take them, in words;
    none where it would.
    `is_final`: there must be no others.
    """

    known: Mapping[Wanted, Agreed] = field(repr=False)
    refused: Mapping[Wanted, tuple[str, ...]] = field(repr=False)
    is_final: bool

    def find(self, subject: str, schema: Schema) -> Agreed | None:
        """What is agreed of a schema; None: it is new there.

        Raises:
            AwayError: `registry_unavailable`: it was never asked for, since the contract's topics changed.
        """
        found = self.known.get((subject, schema))
        if found is None and self.is_final:
            text = f"{subject} was not asked for at the schema registry: repeat the request"
            raise AwayError("registry_unavailable", text)
        return found

    @property
    def lost(self) -> tuple[str, ...]:
        """Subjects of the schemas that it has not."""
        return tuple(dict.fromkeys(subject for subject, _ in self.refused))

    def words(self, subject: str, schema: Schema) -> tuple[str, ...]:
        """Why the registry would not take a schema; empty where it would, or has it."""
        return self.refused.get((subject, schema), ())


def wanted_of(file: ContractFile, topics: Topics) -> tuple[Wanted, ...]:
    """The subjects and schemas of a contract, each once; those that must not be used are left to others."""
    return tuple(dict.fromkeys(_wanted(file, topics)))


async def look(registry: ExternalRegistry, wanted: tuple[Wanted, ...]) -> Agreement:
    """Ask what the registry has of these, and whether it would take the rest. Changes nothing there.

    Raises:
        AwayError: `registry_unavailable`.
        CallerError: `schema_invalid`: it refuses one for another reason than its level.
    """

    def work(remote: Remote) -> Agreement:
        known, refused = {}, {}
        for subject, schema in wanted:
            found = remote.look_up(subject, schema)
            if found is not None:
                known[subject, schema] = found
                continue
            refused[subject, schema] = remote.compare(subject, schema)
        return Agreement(known, refused, is_final=len(known) == len(wanted))

    return await _ask(registry, work, len(wanted))


async def register(registry: ExternalRegistry, agreement: Agreement, wanted: tuple[Wanted, ...]) -> Agreement:
    """Register what the registry has not.

    Raises:
        AwayError: `registry_unavailable`; some may be registered, and a repeat finds them.
        CallerError: `schema_incompatible`, `schema_invalid`: in the registry's words.
    """

    def work(remote: Remote) -> Agreement:
        known = dict(agreement.known)
        for subject, schema in wanted:
            if (subject, schema) not in known:
                known[subject, schema] = remote.register(subject, schema)
        return Agreement(known, {}, is_final=True)

    return await _ask(registry, work, len(wanted))


async def _ask(registry: ExternalRegistry, work: Callable[[Remote], Agreement], count: int) -> Agreement:
    try:
        return await registry.ask(work, seconds=_SECONDS + count * _SECONDS_EACH)
    except RemoteRefusedError as error:
        code = "schema_incompatible" if error.is_incompatible else "schema_invalid"
        said = f"the schema registry {registry.url} says {error.number}: {error.text}"
        raise CallerError(code, said, hint=_hint(error)) from error


def _hint(error: RemoteRefusedError) -> str:
    if error.is_incompatible:
        return "Change the schema so that the other side keeps working, or the level of the subject there."
    return "Look at mode and rules of the registry, and at the schema."


def _wanted(file: ContractFile, topics: Topics) -> Iterator[Wanted]:
    texts = dict(file.files)
    for terms in file.contract.terms:
        try:
            schema = parse_schema(texts[terms.schema_path])
        except SchemaError:
            continue
        topic = topics.inbound if terms.direction == "inbound" else topics.outbound
        yield topic_record_subject(topic, schema.name), schema
