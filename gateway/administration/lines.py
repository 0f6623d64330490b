"""From the terms of a contract file to lines: schemas admitted, registered, compared with those before.

Every problem is told with file, line and pointer, all at once.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from sqlmodel import Session

from gateway.administration.agreement import Agreement
from gateway.administration.fitness import verify_schemas
from gateway.errors import CallerError
from partners.contract import SECTIONS, ContractFile, Direction, Line, Terms
from partners.partner import Topics
from schemas import registry
from schemas.compatibility import check_levels
from schemas.copying import keep_copy
from schemas.refusal import RegistryError
from schemas.registry import Registered
from schemas.schema import Schema
from schemas.subject import topic_record_subject

_Before = Mapping[tuple[Direction, str], Line]


@dataclass(frozen=True, slots=True)
class Rules:
    """How schemas come in.

    `now`: Unix milliseconds. `is_strict`: changed logical types are breaks. `agreement`: what the external
    registry says; None: the registry is our own. `is_trial`: all of it will be undone, so ids are all that
    is asked for.
    """

    now: int
    is_strict: bool = True
    agreement: Agreement | None = None
    is_trial: bool = False


@dataclass(frozen=True, slots=True)
class Resolved:
    """The lines of a contract, in the order of its terms, and what a new schema breaks, in words.

    `schemas`: by id, those of the contract's files and of each line that would accept other versions.
    """

    lines: tuple[Line, ...]
    incompatible: tuple[str, ...]
    schemas: Mapping[int, Schema] = field(default_factory=dict, repr=False)


def resolve(
    session: Session,
    file: ContractFile,
    topics: Topics,
    before: _Before,
    rules: Rules,
) -> Resolved:
    """Register the schemas of a contract and make its lines.

    `before`: the lines in force, by direction and event type. However many there are, the statements are few.

    Raises:
        ContractFileError: a schema may not be used, or a pointer leads nowhere in it.
        CallerError: `state_conflict`: our tables hold another schema under an id of the external registry.
        AwayError: `registry_unavailable`: a schema was not asked for there.
    """
    schemas = verify_schemas(file)
    wanted = [
        (topic_record_subject(_topic(terms, topics), schemas[terms.schema_path].name), terms)
        for terms in file.contract.terms
    ]
    registered = _register(
        session, [(subject, schemas[terms.schema_path]) for subject, terms in wanted], rules
    )
    lines = tuple(
        Line(terms, subject, (schema_id, *_earlier(before, terms, schema_id))[: terms.accept_versions])
        for (subject, terms), (schema_id, _) in zip(wanted, registered, strict=True)
    )
    known = _load(session, before, lines, dict(registered))
    broken: list[str] = []
    for line, (schema_id, schema) in zip(lines, registered, strict=True):
        old = before.get((line.terms.direction, line.terms.event_type))
        if old is None or schema_id != old.schema_ids[0]:
            # A schema that is in force was judged, and perhaps allowed, when it came.
            earlier = [known[each] for each in _earlier(before, line.terms, schema_id) if each in known]
            broken += _breaks(session, line, schema, earlier, is_strict=rules.is_strict)
            broken += _refusals(line.terms, schema, line.subject, rules.agreement)
    return Resolved(lines, tuple(broken), known)


def is_other(before: _Before, line: Line) -> bool:
    """Whether a line is there already and would accept other versions, or read them in another way."""
    old = before.get((line.terms.direction, line.terms.event_type))
    return old is not None and (old.schema_ids, old.terms.json) != (line.schema_ids, line.terms.json)


def _topic(terms: Terms, topics: Topics) -> str:
    return topics.inbound if terms.direction == "inbound" else topics.outbound


def _earlier(before: _Before, terms: Terms, schema_id: int) -> tuple[int, ...]:
    """The versions that the line in force accepts beside this one, newest first."""
    old = before.get((terms.direction, terms.event_type))
    return () if old is None else tuple(one for one in old.schema_ids if one != schema_id)


def _load(
    session: Session, before: _Before, lines: Sequence[Line], known: Mapping[int, Schema]
) -> Mapping[int, Schema]:
    """The schemas that are `known`, and all that changed lines accept or have accepted: one statement."""
    changed = [line for line in lines if is_other(before, line)]
    ids = {one for line in changed for one in line.schema_ids}
    ids |= {one for line in changed for one in before[line.terms.direction, line.terms.event_type].schema_ids}
    return {**registry.by_ids(session, ids - known.keys()), **known}


def _register(
    session: Session, wanted: Sequence[tuple[str, Schema]], rules: Rules
) -> Sequence[tuple[int, Schema]]:
    """Each schema as a version of its subject, with its id."""
    made: Sequence[Registered]
    if rules.agreement is not None:
        made = [_register_agreed(session, subject, schema, rules) for subject, schema in wanted]
    elif not rules.is_trial:
        made = registry.register_all(session, wanted, now=rules.now)
    else:
        ids = registry.identify_all(session, wanted, now=rules.now)
        return [(schema_id, schema) for schema_id, (_, schema) in zip(ids, wanted, strict=True)]
    return [(one.id, one.schema) for one in made]


def _register_agreed(session: Session, subject: str, schema: Schema, rules: Rules) -> Registered:
    """A copy of what is agreed elsewhere; of what is new there, as if it were ours, for a dry run."""
    agreed = None if rules.agreement is None else rules.agreement.find(subject, schema)
    if agreed is None:
        return registry.register(session, subject, schema.text, now=rules.now)
    try:
        return keep_copy(
            session, subject, agreed.schema, schema_id=agreed.id, number=agreed.number, now=rules.now
        )
    except RegistryError as error:
        raise CallerError("state_conflict", error.text) from error


def _refusals(terms: Terms, schema: Schema, subject: str, agreement: Agreement | None) -> list[str]:
    """What the external registry says against a schema that is new there."""
    words = () if agreement is None else agreement.words(subject, schema)
    section = SECTIONS[terms.direction]
    return [f"! {section} {terms.event_type}  the schema registry refuses it: {one}" for one in words]


def _breaks(
    session: Session, line: Line, new: Schema, earlier: Sequence[Schema], *, is_strict: bool
) -> list[str]:
    terms, old = line.terms, earlier
    if terms.compatibility.endswith("_TRANSITIVE") and earlier:
        # Against all that was ever in force, not only what is still accepted.
        there = registry.versions(session, line.subject)
        old = [one.schema for one in there if one.schema.text != new.text]
    found = check_levels(new, old, terms.compatibility, is_strict=is_strict)
    section = SECTIONS[terms.direction]
    return [
        f"! {section} {terms.event_type}  {terms.compatibility} broken: {one.pointer or '/'}  {one.text}"
        for one in found
    ]
