"""What a plan says of a schema that changes: its versions, its fields, and whether the level allows it."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from sqlmodel import Session

from gateway.administration.lines import Resolved
from partners.contract import SECTIONS, Direction, Line
from partners.plan import Difference, FieldChange, SchemaChange
from schemas import registry
from schemas.field_changes import FieldChanges, field_changes

_Before = Mapping[tuple[Direction, str], Line]


def tell_schemas(
    session: Session, differences: Sequence[Difference], before: _Before, resolved: Resolved
) -> tuple[Difference, ...]:
    """The differences, each with what becomes of the schema of its type, where that is another one.

    `before`: the lines in force. One statement, and none where no schema changes.
    """
    pairs = {
        (SECTIONS[line.terms.direction], line.terms.event_type): (old, line)
        for line in resolved.lines
        if (old := before.get((line.terms.direction, line.terms.event_type))) is not None
        and old.schema_ids[:1] != line.schema_ids[:1]
    }
    if not pairs:
        return tuple(differences)
    subjects = {line.subject for both in pairs.values() for line in both}
    numbers = registry.numbers(session, subjects)
    return tuple(
        replace(one, schema=_change(*pairs[one.section, one.name], resolved, numbers))
        if (one.section, one.name) in pairs
        else one
        for one in differences
    )


def _change(old: Line, new: Line, resolved: Resolved, numbers: Mapping[tuple[str, int], int]) -> SchemaChange:
    terms = new.terms
    begin = f"! {SECTIONS[terms.direction]} {terms.event_type}  {terms.compatibility} broken"
    was, now = (resolved.schemas.get(one.schema_ids[0]) for one in (old, new))
    told = FieldChanges(()) if was is None or now is None else field_changes(was, now)
    return SchemaChange(
        was=_number(old, numbers),
        now=_number(new, numbers),
        level=terms.compatibility,
        is_broken=any(words.startswith(begin) for words in resolved.incompatible),
        fields=tuple(FieldChange(one.sign, one.pointer, one.was, one.now) for one in told.found),
        has_more=told.has_more,
    )


def _number(line: Line, numbers: Mapping[tuple[str, int], int]) -> int:
    """The version of the line's newest schema; of one that its subject has not, the next one."""
    known = numbers.get((line.subject, line.schema_ids[0]))
    if known is not None:
        return known
    return 1 + max((number for (subject, _), number in numbers.items() if subject == line.subject), default=0)
