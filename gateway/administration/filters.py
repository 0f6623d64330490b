"""Filters of endpoints against the schemas of the types that they listen to: told when they are made.

A filter on a field that is not there would pass nothing for ever, and nobody would hear of it.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace

from sqlmodel import Session

from gateway.administration.fitness import faults_of, gets
from partners.contract import ContractFile, Line
from partners.endpoint import DeclaredEndpoint
from partners.errors import ContractFileError, Problem
from partners.filter import tokens_of, with_numbers
from schemas import registry
from schemas.places import sorts_at
from schemas.schema import Schema


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
    return faults_of(wanted.filter, _schemas(session, lines, wanted), place)


def _schemas(
    session: Session, lines: Sequence[Line], wanted: DeclaredEndpoint
) -> Iterator[tuple[str, Schema]]:
    """The newest schema of each type of the contract that goes to an endpoint."""
    for line in lines:
        if gets(wanted, line.terms):
            schema = registry.by_id(session, line.schema_ids[0])
            if schema is not None:
                yield line.terms.event_type, schema
