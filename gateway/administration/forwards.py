"""May events go on from one partner to another? Asked by every plan, on whichever side it changes something.

The other partner and the type must be there, and the schema under which the type is received must read all
that the sender may still send.
"""

from collections.abc import Iterator, Mapping, Sequence

from sqlmodel import Session

from partners import store
from partners.contract import ContractFile, Direction, Line, pointer_to
from partners.directory import Directory
from partners.errors import ContractFileError, Problem
from schemas import registry
from schemas.compatibility import find_differences
from schemas.schema import Schema

_Before = Mapping[tuple[Direction, str], Line]


def check_forwards(
    session: Session, file: ContractFile, lines: Sequence[Line], before: _Before, directory: Directory
) -> tuple[str, ...]:
    """What of the contract's forwards, and of others' forwards to its types, could not be read; in words.

    `lines`: as they are to be; `before`: those in force. `directory`: who may forward to this partner.

    Raises:
        ContractFileError: it forwards to a partner or a type that does not exist.
    """
    problems: list[Problem] = []
    words: list[str] = []
    for line in lines:
        way = line.terms.forward
        if way is None:
            continue
        where = f"{pointer_to('sends', line.terms.event_type)}/forward"
        theirs = _lines_of(session, way.to)
        wanted = None if theirs is None else _receiving(theirs, way.event_type)
        if theirs is None:
            text = f"there is no partner {way.to}, or it is closed: apply its contract first"
            problems.append(file.problem(f"{where}/to", "reference", text))
        elif wanted is None:
            text = f"{way.to} receives no {way.event_type}: add it to its contract first"
            problems.append(file.problem(f"{where}/as", "reference", text))
        else:
            words += (
                f"! sends {line.terms.event_type}  {way.to} cannot read it as {way.event_type}: {one}"
                for one in _differences(session, line, wanted)
            )
    if problems:
        raise ContractFileError(problems)
    return (*words, *_as_receiver(session, file.contract.partner, lines, before, directory))


def _as_receiver(
    session: Session, slug: str, lines: Sequence[Line], before: _Before, directory: Directory
) -> Iterator[str]:
    """Of types whose schema changes, or that go: who forwards to them, and cannot any more."""
    after = {line.terms.event_type: line for line in lines if line.terms.direction == "outbound"}
    changed = {
        event_type
        for (direction, event_type), line in before.items()
        if direction == "outbound"
        and (event_type not in after or after[event_type].schema_ids[:1] != line.schema_ids[:1])
    }
    if not changed:
        return
    for sender, line in _senders(directory, slug):
        way = line.terms.forward
        if way is None or way.event_type not in changed:
            continue
        wanted = after.get(way.event_type)
        told = f"{sender} forwards its {line.terms.event_type}"
        if wanted is None:
            yield f"! receives {way.event_type}  {told} as this type"
            continue
        for one in _differences(session, line, wanted):
            yield f"! receives {way.event_type}  {told}, which this cannot read: {one}"


def _senders(directory: Directory, slug: str) -> Iterator[tuple[str, Line]]:
    for partner in directory.partners():
        if partner.state == "closed":
            continue
        for line in directory.lines(partner.slug):
            if line.terms.forward is not None and line.terms.forward.to == slug:
                yield partner.slug, line


def _lines_of(session: Session, slug: str) -> Sequence[Line] | None:
    """The lines in force of a partner; None where there is none that could receive anything."""
    found = store.partner(session, slug)
    if found is None or found[0].state == "closed":
        return None
    in_force = store.contract_file(session, slug, found[1])
    return () if in_force is None else in_force[1]


def _receiving(lines: Sequence[Line], event_type: str) -> Line | None:
    return next(
        (one for one in lines if (one.terms.direction, one.terms.event_type) == ("outbound", event_type)),
        None,
    )


def _differences(session: Session, sent: Line, received: Line) -> Iterator[str]:
    """Why the newest schema of one line cannot read what the other may still send, once each."""
    reader = registry.by_id(session, received.schema_ids[0])
    told: dict[str, None] = {}
    for writer in (registry.by_id(session, one) for one in sent.schema_ids):
        if reader is not None and writer is not None:
            told |= dict.fromkeys(_words(reader, writer))
    yield from told


def _words(reader: Schema, writer: Schema) -> Iterator[str]:
    for one in find_differences(reader=reader, writer=writer):
        yield f"{one.pointer or '/'}  {one.text}"
