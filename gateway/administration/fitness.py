"""Is a contract fit to be applied, as far as its files alone can tell? Asked by every plan, and by `lint`.

Nothing here knows a database: what depends on what is in force, or on other partners, is found elsewhere.
"""

from collections.abc import Iterable, Iterator

from gateway.channels import pointers_of
from partners.contract import SECTIONS, ContractFile, Line, Terms, pointer_to
from partners.endpoint import DeclaredEndpoint
from partners.errors import ContractFileError, Problem
from partners.filter import (
    COMPARISONS,
    Condition,
    Filter,
    Operand,
    number_of,
    placed_checks,
    time_of,
    tokens_of,
)
from schemas.codec import compile_codec
from schemas.errors import SchemaError
from schemas.places import Sort, sorts_at
from schemas.remembered import parse_alone
from schemas.schema import Schema, verify_event_schema

_WORDS = {
    "number": "a number",
    "date": "a date such as 2026-01-31",
    "instant": "an RFC 3339 time with a zone, such as 2026-01-31T12:00:00Z",
    "local": "a time without a zone, such as 2026-01-31T12:00:00",
    "flag": "true or false",
    "text": "a text (in quotes, if it looks like something else)",
    "nothing": "nothing but null",
}


def verify_fitness(file: ContractFile) -> None:
    """Check the schemas of a contract, its pointers into them, and the filters of its endpoints.

    Raises:
        ContractFileError: with every problem; of filters only where the schemas have none.
    """
    schemas = verify_schemas(file)
    problems: list[Problem] = []
    for index, endpoint in enumerate(file.contract.endpoints.declared):
        if endpoint.filter is None:
            continue
        listed = (
            (one.event_type, schemas[one.schema_path]) for one in file.contract.terms if gets(endpoint, one)
        )
        found = faults_of(endpoint.filter, listed, f"/endpoints/declared/{index}/filter")
        problems += [file.problem(one.pointer, one.code, one.detail) for one in found]
    if problems:
        raise ContractFileError(problems)


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
                parse_alone(texts[terms.schema_path])
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


def gets(endpoint: DeclaredEndpoint, terms: Terms) -> bool:
    """Whether a type of the contract goes to an endpoint."""
    return terms.direction == "outbound" and (not endpoint.types or terms.event_type in endpoint.types)


def faults_of(filter_: Filter, schemas: Iterable[tuple[str, Schema]], place: str) -> list[Problem]:
    """What is wrong with a filter, once each.

    `schemas`: the newest of each type that is filtered, with the type; `place`: pointer to the filter.
    """
    found = (one for event_type, schema in schemas for one in _faults(schema, filter_, place, event_type))
    return list(dict.fromkeys(found))


def _faults(schema: Schema, filter_: Filter, place: str, event_type: str) -> Iterator[Problem]:
    for at, check in placed_checks(filter_, place):
        try:
            sorts = sorts_at(schema.root, tokens_of(check.pointer))
        except SchemaError as error:
            yield Problem("", 1, f"{at}/pointer", "reference", f"of {event_type}: {error.text}")
            continue
        for condition in check.conditions:
            if not any(_fits(condition, sort) for sort in sorts):
                words = " or ".join(sorted(_WORDS[sort] for sort in sorts))
                detail = f"of {event_type}: what stands at {check.pointer} is {words}"
                yield Problem("", 1, f"{at}/{condition.operator}", "type", detail)


def _fits(condition: Condition, sort: Sort) -> bool:
    if condition.operator == "exists":
        return True
    is_compared = condition.operator in COMPARISONS
    return all(_is_of(operand, sort, is_compared=is_compared) for operand in condition.operands)


def _is_of(operand: Operand, sort: Sort, *, is_compared: bool) -> bool:
    match sort:
        case "number":
            return number_of(operand) is not None
        case "flag":
            return isinstance(operand, bool) and not is_compared
        case "text":
            # A text may hold a time; that is compared with times.
            return isinstance(operand, str) and (not is_compared or time_of(operand) is not None)
        case "nothing":
            return False
        case _:
            time = time_of(operand)
            return time is not None and time[0] == sort
