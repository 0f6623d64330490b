"""From the terms of a contract file to lines: schemas admitted, registered, compared with those before.

Every problem is told with file, line and pointer, all at once.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from sqlmodel import Session

from gateway.administration.agreement import Agreement
from gateway.channels import pointers_of
from gateway.errors import CallerError
from partners.contract import SECTIONS, ContractFile, Direction, Line, Terms, pointer_to
from partners.errors import ContractFileError, Problem
from partners.partner import Topics
from schemas import registry
from schemas.codec import compile_codec
from schemas.compatibility import check_levels
from schemas.copying import keep_copy
from schemas.errors import SchemaError
from schemas.refusal import RegistryError
from schemas.registry import Registered
from schemas.schema import Schema, parse_schema, verify_event_schema
from schemas.subject import topic_record_subject


@dataclass(frozen=True, slots=True)
class Rules:
    """How schemas come in.

    `now`: Unix milliseconds. `is_strict`: changed logical types are breaks. `agreement`: what the external
    registry says; None: the registry is our own.
    """

    now: int
    is_strict: bool = True
    agreement: Agreement | None = None


@dataclass(frozen=True, slots=True)
class Resolved:
    """The lines of a contract, in the order of its terms, and what a new schema breaks, in words."""

    lines: tuple[Line, ...]
    incompatible: tuple[str, ...]


def resolve(
    session: Session,
    file: ContractFile,
    topics: Topics,
    before: Mapping[tuple[Direction, str], Line],
    rules: Rules,
) -> Resolved:
    """Register the schemas of a contract and make its lines.

    `before`: the lines in force, by direction and event type.

    Raises:
        ContractFileError: a schema may not be used, or a pointer leads nowhere in it.
        CallerError: `state_conflict`: our tables hold another schema under an id of the external registry.
        AwayError: `registry_unavailable`: a schema was not asked for there.
    """
    schemas = verify_schemas(file)
    lines: list[Line] = []
    broken: list[str] = []
    for terms in file.contract.terms:
        schema = schemas[terms.schema_path]
        topic = topics.inbound if terms.direction == "inbound" else topics.outbound
        subject = topic_record_subject(topic, schema.name)
        old = before.get((terms.direction, terms.event_type))
        registered = _register(session, subject, schema, rules)
        earlier = () if old is None else tuple(one for one in old.schema_ids if one != registered.id)
        if old is None or registered.id != old.schema_ids[0]:
            # A schema that is in force was judged, and perhaps allowed, when it came.
            broken += _breaks(session, terms, schema, subject, earlier, is_strict=rules.is_strict)
            broken += _refusals(terms, schema, subject, rules.agreement)
        ids = (registered.id, *earlier)[: terms.accept_versions]
        lines.append(Line(terms, subject, ids))
    return Resolved(tuple(lines), tuple(broken))


def _register(session: Session, subject: str, schema: Schema, rules: Rules) -> Registered:
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


def verify_schemas(file: ContractFile) -> dict[str, Schema]:
    """The schemas of a contract by their paths, each fit for what it is used for.

    Raises:
        ContractFileError: with a problem for each that is not.
    """
    texts = dict(file.files)
    schemas: dict[str, Schema] = {}
    problems: list[Problem] = []
    names: dict[tuple[str, str], str] = {}
    for terms in file.contract.terms:
        where = pointer_to(SECTIONS[terms.direction], terms.event_type)
        try:
            schema = schemas.get(terms.schema_path) or verify_event_schema(
                parse_schema(texts[terms.schema_path])
            )
        except SchemaError as error:
            place = Problem(terms.schema_path, 1, error.pointer, error.rule, error.text)
            if place not in problems:
                problems.append(place)
            continue
        schemas[terms.schema_path] = schema
        other = names.setdefault((terms.direction, schema.name), terms.event_type)
        if other != terms.event_type:
            text = f"{other} and {terms.event_type} both use the schema {schema.name}: give each its own name"
            problems.append(file.problem(f"{where}/schema", "duplicate_key", text))
        try:
            compile_codec(schema, pointers_of(Line(terms, "", ())), terms.json)
        except SchemaError as error:
            problems.append(file.problem(where, "reference", f"{error.text} ({terms.schema_path})"))
    if problems:
        raise ContractFileError(problems)
    return schemas


def _breaks(
    session: Session,
    terms: Terms,
    new: Schema,
    subject: str,
    earlier: tuple[int, ...],
    *,
    is_strict: bool,
) -> list[str]:
    if terms.compatibility.endswith("_TRANSITIVE") and earlier:
        # Against all that was ever in force, not only what is still accepted.
        old = [one.schema for one in registry.versions(session, subject) if one.schema.text != new.text]
    else:
        old = [one for one in (registry.by_id(session, each) for each in earlier) if one is not None]
    found = check_levels(new, old, terms.compatibility, is_strict=is_strict)
    section = SECTIONS[terms.direction]
    return [
        f"! {section} {terms.event_type}  {terms.compatibility} broken: {one.pointer or '/'}  {one.text}"
        for one in found
    ]
