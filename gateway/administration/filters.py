"""Filters of endpoints against the schemas of the types that they listen to: told when they are made.

A filter on a field that is not there would pass nothing for ever, and nobody would hear of it.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace

from sqlmodel import Session

from partners.contract import ContractFile, Line
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
    with_numbers,
)
from schemas import registry
from schemas.errors import SchemaError
from schemas.places import Sort, sorts_at
from schemas.schema import Schema

_WORDS = {
    "number": "a number",
    "date": "a date such as 2026-01-31",
    "instant": "an RFC 3339 time with a zone, such as 2026-01-31T12:00:00Z",
    "local": "a time without a zone, such as 2026-01-31T12:00:00",
    "flag": "true or false",
    "text": "a text (in quotes, if it looks like something else)",
    "nothing": "nothing but null",
}


def bind_declared(session: Session, file: ContractFile, lines: Sequence[Line]) -> ContractFile:
    """The contract, with the filter of every endpoint that it declares told where numbers are.

    Raises:
        ContractFileError: with every fault of these filters.
    """
    rules = file.contract.endpoints
    problems = []
    for index, endpoint in enumerate(rules.declared):
        place = f"/endpoints/declared/{index}/filter"
        problems += [
            file.problem(one.pointer, one.code, one.detail)
            for one in filter_faults(session, lines, endpoint, place)
        ]
    if problems:
        raise ContractFileError(problems)
    declared = tuple(bind(session, lines, one) for one in rules.declared)
    return replace(file, contract=replace(file.contract, endpoints=replace(rules, declared=declared)))


def bind(session: Session, lines: Sequence[Line], wanted: DeclaredEndpoint) -> DeclaredEndpoint:
    """The endpoint, its filter told at which pointers the schemas have numbers; it has no faults."""
    if wanted.filter is None:
        return wanted
    schemas = [schema for _, schema in _schemas(session, lines, wanted)]

    def is_number(pointer: str) -> bool:
        return any("number" in sorts_at(schema.root, tokens_of(pointer)) for schema in schemas)

    return replace(wanted, filter=with_numbers(wanted.filter, is_number))


def filter_faults(
    session: Session, lines: Sequence[Line], wanted: DeclaredEndpoint, place: str = "/filter"
) -> list[Problem]:
    """What is wrong with an endpoint's filter; `lines` of the partner, `place`: pointer to the filter.

    Each pointer has to lead somewhere in the newest schema of each type of the contract that goes there.
    """
    if wanted.filter is None:
        return []
    found: list[Problem] = []
    for event_type, schema in _schemas(session, lines, wanted):
        found += _faults(schema, wanted.filter, place, event_type)
    return list(dict.fromkeys(found))


def _schemas(
    session: Session, lines: Sequence[Line], wanted: DeclaredEndpoint
) -> Iterator[tuple[str, Schema]]:
    """The newest schema of each type of the contract that goes to an endpoint."""
    for line in lines:
        terms = line.terms
        if terms.direction == "outbound" and (not wanted.types or terms.event_type in wanted.types):
            schema = registry.by_id(session, line.schema_ids[0])
            if schema is not None:
                yield terms.event_type, schema


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
