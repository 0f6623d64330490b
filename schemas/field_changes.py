"""What became of the fields of a schema, by pointers as data have them: `*` for items, and values of maps.

It says what changed, not whether that breaks anybody: see `schemas.compatibility`. Pure.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, Literal

from schemas.avro_type import (
    ABSENT,
    Array,
    AvroType,
    Enumeration,
    Field,
    Fixed,
    Map,
    Record,
    Union,
    branch_name,
    describe,
    describe_choice,
)
from schemas.json_writer import compile_writer
from schemas.schema import Schema

MOST_CHANGES: Final = 500
"""Changes that are told: a type that is used everywhere may be told of at thousands of places."""

_MOST_DEFAULT: Final = 60
"""Characters of a default that are told."""


@dataclass(frozen=True, slots=True)
class FieldChange:
    """One field that came, went, or is another. `was`, `now`: its type in words, with its default."""

    sign: Literal["+", "~", "-"]
    pointer: str
    was: str = ""
    now: str = ""


@dataclass(frozen=True, slots=True)
class FieldChanges:
    """What became of the fields, in the order of the new schema. `has_more`: these are the first alone."""

    found: tuple[FieldChange, ...]
    has_more: bool = False


def field_changes(old: Schema, new: Schema) -> FieldChanges:
    """The changes, those of a named type wherever it is used; what only documents or sorts is none.

    No type contains itself, and admission bounds what one is when it is written out.
    """
    found: dict[FieldChange, None] = {}
    for one in _compare(old.root, new.root, ""):
        if len(found) == MOST_CHANGES and one not in found:
            return FieldChanges(tuple(found), has_more=True)
        found[one] = None
    return FieldChanges(tuple(found))


def _compare(old: AvroType, new: AvroType, at: str) -> Iterator[FieldChange]:
    match old, new:
        case Record(), Record():
            yield from _records(old, new, at)
        case (Array(before), Array(after)) | (Map(before), Map(after)):
            yield from _compare(before, after, f"{at}/*")
        case Enumeration(), Enumeration():
            yield from _symbols(old, new, at)
        case (Union(), _) | (_, Union()):
            yield from _unions(old, new, at)
        case _ if _unlike(old, new):
            yield FieldChange("~", at, describe(old), describe(new))


def _records(old: Record, new: Record, at: str) -> Iterator[FieldChange]:
    if old.name != new.name:
        yield FieldChange("~", at, f"record {old.name}", f"record {new.name}")
    left = {one.name: one for one in old.fields}
    for one in new.fields:
        before = next((left.pop(name) for name in (one.name, *one.aliases) if name in left), None)
        place = f"{at}/{one.name}"
        if before is None:
            yield FieldChange("+", place, now=_words(one))
            continue
        if before.name != one.name:
            yield FieldChange("~", place, f"called {before.name}", f"called {one.name}")
        if _default(before) != _default(one):
            yield FieldChange("~", place, _default(before) or "no default", _default(one) or "no default")
        yield from _compare(before.type, one.type, place)
    for one in left.values():
        yield FieldChange("-", f"{at}/{one.name}", was=_words(one))


def _unions(old: AvroType, new: AvroType, at: str) -> Iterator[FieldChange]:
    """By the names of their branches; what is no union has itself as the only one."""
    before = {branch_name(one): one for one in (old.branches if isinstance(old, Union) else (old,))}
    after = {branch_name(one): one for one in (new.branches if isinstance(new, Union) else (new,))}
    if before.keys() != after.keys():
        yield FieldChange("~", at, describe(old), describe(new))
    for name, branch in after.items():
        if name in before:
            yield from _compare(before[name], branch, at)


def _symbols(old: Enumeration, new: Enumeration, at: str) -> Iterator[FieldChange]:
    if old.name != new.name:
        yield FieldChange("~", at, f"enum {old.name}", f"enum {new.name}")
    gone = [one for one in old.symbols if one not in set(new.symbols)]
    came = [one for one in new.symbols if one not in set(old.symbols)]
    if gone or came:
        was = f"enum with {describe_choice(gone)}" if gone else "enum"
        yield FieldChange("~", at, was, f"enum with {describe_choice(came)}" if came else "enum")
    if old.default != new.default:
        words = [f"default {one}" if one else "no default" for one in (old.default, new.default)]
        yield FieldChange("~", at, *words)


def _unlike(old: AvroType, new: AvroType) -> bool:
    if isinstance(old, Fixed) and isinstance(new, Fixed):
        return (old.name, old.size, old.logical) != (new.name, new.size, new.logical)
    return type(old) is not type(new) or old != new


def _words(one: Field) -> str:
    return ", ".join(filter(None, (describe(one.type), _default(one))))


def _default(one: Field) -> str:
    if one.default is ABSENT:
        return ""
    text = compile_writer(one.type, "plain")(one.default)
    return "default " + (text if len(text) <= _MOST_DEFAULT else text[:_MOST_DEFAULT] + "…")
