"""May events go on from one partner to another? Asked by every plan, on whichever side it changes something.

The other partner and the type must be there, or come with a contract that is applied together with this one,
and the schema under which the type is received must read all that the sender may still send.
"""

from collections.abc import Iterator, Mapping, Sequence
from types import MappingProxyType

from sqlmodel import Session

from gateway.administration.coming import Coming
from partners import store
from partners.contract import ContractFile, Direction, Line, pointer_to
from partners.directory import Directory
from partners.errors import ContractFileError, Problem
from schemas import registry
from schemas.compatibility import find_differences
from schemas.schema import Schema

_Before = Mapping[tuple[Direction, str], Line]


def check_forwards(
    session: Session,
    file: ContractFile,
    lines: Sequence[Line],
    before: _Before,
    directory: Directory,
    coming: Mapping[str, Coming] = MappingProxyType({}),
) -> tuple[str, ...]:
    """What of the contract's forwards, and of others' forwards to its types, could not be read; in words.

    `lines`: as they are to be; `before`: those in force. `directory`: who may forward to this partner.
    `coming`: contracts that are applied together with this one, by partner.

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
        theirs = _received(session, way.to, coming.get(way.to))
        if theirs is None:
            text = f"there is no partner {way.to}: apply its contract first"
            if store.partner(session, way.to) is not None:
                text = f"{way.to} is closed, and receives nothing any more: remove the forward"
            problems.append(file.problem(f"{where}/to", "reference", text))
        elif way.event_type not in theirs:
            text = f"{way.to} receives no {way.event_type}: add it to its contract first"
            problems.append(file.problem(f"{where}/as", "reference", text))
        else:
            reader = _reader(session, theirs[way.event_type])
            words += (
                f"! sends {line.terms.event_type}  {way.to} cannot read it as {way.event_type}: {one}"
                for one in _differences(session, line, reader)
            )
    if problems:
        raise ContractFileError(problems)
    return (*words, *_as_receiver(session, file.contract.partner, lines, before, directory))


def _as_receiver(
    session: Session, slug: str, lines: Sequence[Line], before: _Before, directory: Directory
) -> Iterator[str]:
    """Of types whose schema changes, or that go: who forwards to them, and cannot any more.

    Of new types too: a contract that was applied together with this one may forward to them already.
    """
    after = {line.terms.event_type: line for line in lines if line.terms.direction == "outbound"}
    changed = {
        event_type
        for (direction, event_type), line in before.items()
        if direction == "outbound"
        and (event_type not in after or after[event_type].schema_ids[:1] != line.schema_ids[:1])
    }
    changed |= {event_type for event_type in after if ("outbound", event_type) not in before}
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
        for one in _differences(session, line, _reader(session, wanted)):
            yield f"! receives {way.event_type}  {told}, which this cannot read: {one}"


def _senders(directory: Directory, slug: str) -> Iterator[tuple[str, Line]]:
    for partner in directory.partners():
        if partner.state == "closed" or not any(to == slug for _, to in directory.forwards(partner.slug)):
            continue
        for line in directory.lines(partner.slug):
            if line.terms.forward is not None and line.terms.forward.to == slug:
                yield partner.slug, line


def _received(
    session: Session, slug: str, coming: Coming | None
) -> Mapping[str, Line | Schema | None] | None:
    """By type what a partner receives: in force, or to come; None: it could not receive anything."""
    found = store.partner(session, slug)
    if found is not None and found[0].state == "closed":
        return None
    in_force = None if found is None else store.contract_file(session, slug, found[1])
    if coming is not None and (in_force is None or coming.replaces):
        return coming.received
    if found is None:
        return None
    lines = () if in_force is None else in_force[1]
    return {one.terms.event_type: one for one in lines if one.terms.direction == "outbound"}


def _reader(session: Session, received: Line | Schema | None) -> Schema | None:
    """The newest schema of a type; None: it is not known, and said to be so elsewhere."""
    return registry.by_id(session, received.schema_ids[0]) if isinstance(received, Line) else received


def _differences(session: Session, sent: Line, reader: Schema | None) -> Iterator[str]:
    """Why a schema cannot read what a line may still send, once each."""
    told: dict[str, None] = {}
    for writer in (registry.by_id(session, one) for one in sent.schema_ids):
        if reader is not None and writer is not None:
            told |= dict.fromkeys(_words(reader, writer))
    yield from told


def _words(reader: Schema, writer: Schema) -> Iterator[str]:
    for one in find_differences(reader=reader, writer=writer):
        yield f"{one.pointer or '/'}  {one.text}"
