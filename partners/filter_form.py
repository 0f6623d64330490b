"""A filter read from a contract file or a request: every fault with its pointer, all sizes bounded."""

from collections.abc import Callable
from typing import Final

from partners import form
from partners.errors import SlotError
from partners.filter import (
    COMPARISONS,
    MAX_CHECKS,
    MAX_DEPTH,
    MAX_LISTED,
    Check,
    Condition,
    Filter,
    Group,
    Negation,
    Operand,
    Operator,
    number_of,
    placed_checks,
    time_of,
)
from partners.form import Form, Slot
from partners.yaml_tree import Members, Scalar

_GROUPS: Final = ("all", "any")
_WORDS: Final = "write {pointer: /path, equals: value}, or all, any or not with filters inside"


def read_filter(slot: Slot) -> Filter:
    """Read a filter."""
    found = _filter(slot, MAX_DEPTH)
    count = sum(1 for _ in placed_checks(found))
    if count > MAX_CHECKS:
        raise SlotError("length", f"has {count} checks; at most {MAX_CHECKS} are allowed")
    return found


def _filter(slot: Slot, depth: int) -> Filter:
    if depth == 0:
        raise SlotError("depth", f"is nested deeper than {MAX_DEPTH} levels")
    if not isinstance(slot.node, Members):
        raise SlotError("type", f"is {form.kind_of(slot.node)}; {_WORDS}")
    named = [word for word in (*_GROUPS, "not", "pointer") if word in slot.node.members]
    if len(named) != 1:
        raise SlotError("format", f"has {' and '.join(named) or 'neither'}; {_WORDS}")
    section = slot.form()
    found: Filter | None = None
    match named[0]:
        case "all":
            parts = section.take("all", _parts(depth), ())
            found = Group("all", parts) if parts else None
        case "any":
            parts = section.take("any", _parts(depth), ())
            found = Group("any", parts) if parts else None
        case "not":
            part = section.take("not", lambda one: _filter(one, depth - 1), None)
            found = None if part is None else Negation(part)
        case _:
            found = _check(section)
    section.close()
    # What is refused has left a problem behind, and nobody sees this.
    return found or Check("/", ())


def _parts(depth: int) -> Callable[[Slot], tuple[Filter, ...]]:
    def read(slot: Slot) -> tuple[Filter, ...]:
        slots = slot.items(MAX_CHECKS)
        if not slots:
            raise SlotError("length", f"is empty; {_WORDS}")
        found = [one.read(lambda each: _filter(each, depth - 1), None) for one in slots]
        return tuple(one for one in found if one is not None)

    return read


def _check(section: Form) -> Filter | None:
    pointer = section.take("pointer", form.pointer, "")
    found: list[Condition] = []

    def add(operator: Operator, operands: tuple[Operand, ...] | None) -> None:
        if operands is not None:
            found.append(Condition(operator, operands))

    is_there = section.take("exists", form.flag, None)
    add("exists", None if is_there is None else (is_there,))
    equal = section.take("equals", _operand, None)
    add("equals", None if equal is None else (equal,))
    add("in", section.take("in", _listed, None))
    for operator in COMPARISONS:
        bound = section.take(operator, _bound, None)
        add(operator, None if bound is None else (bound,))
    if not found and not section.has_problems:
        raise SlotError(
            "missing", "checks nothing: add equals, in, exists, above, at_least, below or at_most"
        )
    return Check(pointer, tuple(found)) if found else None


def _listed(slot: Slot) -> tuple[Operand, ...]:
    found = form.each(_operand, limit=MAX_LISTED)(slot)
    if not found:
        raise SlotError("length", "is empty, so that nothing would pass: list what may be there")
    return found


def _operand(slot: Slot) -> Operand:
    value = slot.node.value if isinstance(slot.node, Scalar) else None
    if isinstance(value, bool | int) or value == "":
        return value  # a field may well be empty
    return form.text(slot)


def _bound(slot: Slot) -> Operand:
    value = _operand(slot)
    if isinstance(value, bool) or (number_of(value) is None and time_of(value) is None):
        raise SlotError("format", "write a number, a date such as 2026-01-31, or an RFC 3339 time")
    return value
