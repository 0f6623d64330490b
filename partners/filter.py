"""Filters of endpoints: a small tree of checks on an event's data, with AND, OR and NOT. No scripts.

A filter is a value; `compile_filter` makes a function of it, once for as many events as there are. Nothing in
here fails on any data: what a check cannot be applied to does not pass it.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from typing import Any, Final, Literal, Union

Operator = Literal["exists", "equals", "in", "above", "at_least", "below", "at_most"]
Operand = bool | int | str
"""A number with a fraction is a text, so that none of it is lost."""

COMPARISONS: Final[tuple[Operator, ...]] = ("above", "at_least", "below", "at_most")
MAX_DEPTH: Final = 5
MAX_CHECKS: Final = 64
MAX_LISTED: Final = 100

_NUMBER: Final = re.compile(r"-?(?:0|[1-9][0-9]{0,39})(?:\.[0-9]{1,40})?(?:[eE][+-]?[0-9]{1,3})?", re.ASCII)
_TIME: Final = re.compile(
    r"(\d{4}-\d\d-\d\d)(?:[Tt ](\d\d:\d\d:\d\d)(?:\.(\d{1,9}))?([Zz]|[+-]\d\d:\d\d)?)?", re.ASCII
)
_ABSENT: Final = object()


@dataclass(frozen=True, slots=True)
class Condition:
    """What a value has to be. `operands`: one; of `in` one or more; of `exists` true or false.

    `is_number`: the schema has a number there, so that texts are numbers too: a decimal is a text in JSON.
    """

    operator: Operator
    operands: tuple[Operand, ...]
    is_number: bool = False


@dataclass(frozen=True, slots=True)
class Check:
    """All conditions on the value at a JSON Pointer into the event's data; null counts as absent."""

    pointer: str
    conditions: tuple[Condition, ...]


@dataclass(frozen=True, slots=True)
class Group:
    """All of its parts, or any of them."""

    kind: Literal["all", "any"]
    parts: tuple["Filter", ...]


@dataclass(frozen=True, slots=True)
class Negation:
    """Not its part."""

    part: "Filter"


Filter = Union[Check, Group, Negation]  # noqa: UP007 - it is named in its own parts, before it is there

Passes = Callable[[object], bool]
"""JSON data, numbers with a fraction as `Decimal`, to whether the filter passes them."""


def compile_filter(filter_: Filter) -> Passes:
    """Make the function of a filter."""
    match filter_:
        case Group(kind, parts):
            passes = [compile_filter(part) for part in parts]
            decide = all if kind == "all" else any
            return lambda data: decide(each(data) for each in passes)
        case Negation(part):
            inner = compile_filter(part)
            return lambda data: not inner(data)
        case Check():
            return _compile_check(filter_)


def placed_checks(filter_: Filter, at: str = "") -> Iterator[tuple[str, Check]]:
    """Every check of a filter, each behind its own JSON Pointer into what its author has written."""
    match filter_:
        case Group(kind, parts):
            for index, part in enumerate(parts):
                yield from placed_checks(part, f"{at}/{kind}/{index}")
        case Negation(part):
            yield from placed_checks(part, f"{at}/not")
        case Check():
            yield at, filter_


def with_numbers(filter_: Filter, are_numbers: Callable[[str], bool]) -> Filter:
    """The filter, told at which pointers the schemas have numbers."""
    match filter_:
        case Group(kind, parts):
            return Group(kind, tuple(with_numbers(part, are_numbers) for part in parts))
        case Negation(part):
            return Negation(with_numbers(part, are_numbers))
        case Check(pointer, conditions):
            is_number = are_numbers(pointer)
            return Check(pointer, tuple(replace(one, is_number=is_number) for one in conditions))


def written(filter_: Filter) -> dict[str, Any]:
    """A filter as its author has written it, in JSON values."""
    match filter_:
        case Group(kind, parts):
            return {kind: [written(part) for part in parts]}
        case Negation(part):
            return {"not": written(part)}
        case Check(pointer, conditions):
            said: dict[str, Any] = {"pointer": pointer}
            return said | {one.operator: _written_operands(one) for one in conditions}


def _written_operands(condition: Condition) -> Any:
    return list(condition.operands) if condition.operator == "in" else condition.operands[0]


def tokens_of(pointer: str) -> tuple[str, ...]:
    """The names of a JSON Pointer. Source: RFC 6901, section 4."""
    return tuple(token.replace("~1", "/").replace("~0", "~") for token in pointer.split("/")[1:])


def number_of(value: object) -> Decimal | int | None:
    """The number that a JSON value is, or that a text writes; None where it is none."""
    if isinstance(value, bool):
        return None
    if isinstance(value, int | Decimal):
        return value
    if isinstance(value, str) and _NUMBER.fullmatch(value):
        try:
            return Decimal(value)
        except InvalidOperation:
            return None
    return None


def time_of(value: object) -> tuple[str, int] | None:
    """The time that a text writes, as its form and a number of nanoseconds; None where it writes none.

    Forms are `date`, `local` (without a zone) and `instant`: only what has one form is compared.
    """
    found = _TIME.fullmatch(value) if isinstance(value, str) else None
    if found is None:
        return None
    day, clock, fraction, zone = found.groups()
    form = "date" if clock is None else "instant" if zone else "local"
    text = f"{day}T{clock or '00:00:00'}" + (zone or "").upper()
    try:
        moment = datetime.fromisoformat(text)
        seconds = int((moment if zone else moment.replace(tzinfo=UTC)).timestamp())
    except (ValueError, OverflowError):
        return None
    return form, seconds * 10**9 + int((fraction or "").ljust(9, "0"))


def _compile_check(check: Check) -> Passes:
    tokens = tokens_of(check.pointer)
    conditions = [_compile_condition(one) for one in check.conditions]

    def passes(data: object) -> bool:
        value = _find(data, tokens)
        return all(each(value) for each in conditions)

    return passes


def _compile_condition(condition: Condition) -> Passes:
    """The function of one condition, given the value, or `_ABSENT`."""
    operator, operands = condition.operator, condition.operands
    if operator == "exists":
        is_wanted = operands[0] is True
        return lambda value: (value is not _ABSENT) is is_wanted
    if operator in COMPARISONS:
        return _comparison(operator, operands[0])
    same = [_equality(operand, is_number=condition.is_number) for operand in operands]
    return lambda value: any(each(value) for each in same)


def _find(data: object, tokens: tuple[str, ...]) -> object:
    for token in tokens:
        if not isinstance(data, Mapping) or token not in data:
            return _ABSENT
        data = data[token]
    return _ABSENT if data is None else data


def _equality(operand: Operand, *, is_number: bool) -> Passes:
    if isinstance(operand, bool):
        return lambda value: value is operand
    number, time = number_of(operand), time_of(operand)

    def passes(value: object) -> bool:
        if isinstance(value, str) and not is_number:
            return value == operand or (time is not None and time_of(value) == time)
        return number is not None and number_of(value) == number

    return passes


def _comparison(operator: Operator, operand: Operand) -> Passes:
    number, time = number_of(operand), time_of(operand)

    def passes(value: object) -> bool:
        if number is not None:
            found = number_of(value)
            return found is not None and _is_ordered(operator, found, number)
        seen = time_of(value)
        if time is None or seen is None or seen[0] != time[0]:
            return False
        return _is_ordered(operator, seen[1], time[1])

    return passes


def _is_ordered(operator: Operator, value: Decimal | int, operand: Decimal | int) -> bool:
    match operator:
        case "above":
            return value > operand
        case "at_least":
            return value >= operand
        case "below":
            return value < operand
        case _:
            return value <= operand
