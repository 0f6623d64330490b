"""Whom a change hits: who listens to a type, reads it or has it forwarded, and the deliveries that wait."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from sqlmodel import Session, col, func, select

from gateway.rows import BacklogRow, ConsumerRow, DeliveryRow
from partners import store
from partners.contract import SECTIONS, Line
from partners.endpoint import Endpoint, house_of
from partners.plan import Difference

_WAITING: Final = ("pending", "held")
_MOST_NAMES: Final = 10
_ENDPOINT: Final = "endpoint"
_RECEIVES: Final = SECTIONS["outbound"]
_SENDS: Final = SECTIONS["inbound"]


@dataclass(frozen=True, slots=True)
class Hit:
    """An endpoint, and what waits for it.

    `pending`: deliveries of the type that is hit (of an endpoint that goes: of all types). `behind`: records
    of its backlog, of whichever type, which nobody has read yet.
    """

    id: str
    name: str
    state: str
    pending: int
    behind: int


@dataclass(frozen=True, slots=True)
class Impact:
    """A difference, by section and name, and whom it hits.

    `endpoints`: of a type that the partner sends, those of the house. `consumers`: names of those that read a
    type of which no more will come, on either side. `forwards`: the partners that it went on to.
    """

    section: str
    name: str
    endpoints: tuple[Hit, ...]
    consumers: tuple[str, ...] = ()
    forwards: tuple[str, ...] = ()


def find_impacts(
    session: Session,
    differences: Iterable[Difference],
    there: Sequence[Endpoint],
    partner: str = "",
    lines: Sequence[Line] = (),
) -> tuple[Impact, ...]:
    """Whom the differences hit that take something away or change a schema.

    `there`, `lines`: the partner's own endpoints, and its contract's lines, before the change. Four
    statements, however many there are.
    """
    wanted = [one for one in differences if _is_hitting(one)]
    if not wanted:
        return ()
    is_sent = any(one.section == _SENDS for one in wanted)
    house = store.endpoints(session, house_of(partner)) if is_sent else ()
    hit = [(one, _endpoints_of(one, house if one.section == _SENDS else there)) for one in wanted]
    ids = {each.id for _, found in hit for each in found}
    readers = _consumers(session, partner) if any(_is_type_gone(one) for one in wanted) else ()
    pending = _pending(session, ids) if ids else {}
    behind = _behind(session, ids) if ids else {}
    return tuple(
        Impact(
            one.section,
            one.name,
            tuple(
                Hit(each.id, each.name, each.state, _count(pending, each.id, one), behind.get(each.id, 0))
                for each in found
            ),
            _readers_of(one, readers),
            _forwards_of(one, lines),
        )
        for one, found in hit
    )


def tell(differences: Iterable[Difference], impacts: Iterable[Impact]) -> tuple[Difference, ...]:
    """The differences, each with whom it hits in words."""
    found = {(one.section, one.name): one for one in impacts}
    return tuple(_told(one, found.get((one.section, one.name))) for one in differences)


def _is_hitting(one: Difference) -> bool:
    if one.section == _ENDPOINT:
        return one.sign == "-"
    return _is_type_gone(one) or (one.section == _RECEIVES and one.sign == "~")


def _is_type_gone(one: Difference) -> bool:
    return one.section in {_RECEIVES, _SENDS} and one.sign == "-"


def _consumers(session: Session, partner: str) -> Sequence[ConsumerRow]:
    return session.exec(select(ConsumerRow).where(ConsumerRow.partner == partner)).all()


def _readers_of(one: Difference, rows: Iterable[ConsumerRow]) -> tuple[str, ...]:
    """Names of those whose last word was of all types, or of this one."""
    if not _is_type_gone(one):
        return ()
    mine = (
        row
        for row in rows
        if SECTIONS["inbound" if row.direction == "inbound" else "outbound"] == one.section
    )
    return tuple(sorted({row.name for row in mine if not row.types or one.name in row.types.split(",")}))


def _forwards_of(one: Difference, lines: Iterable[Line]) -> tuple[str, ...]:
    if one.section != _SENDS or not _is_type_gone(one):
        return ()
    terms = (line.terms for line in lines if line.terms.direction == "inbound")
    return tuple(each.forward.to for each in terms if each.event_type == one.name and each.forward)


def _endpoints_of(one: Difference, there: Sequence[Endpoint]) -> list[Endpoint]:
    if one.section == _ENDPOINT:
        return [each for each in there if each.name == one.name]
    return sorted((each for each in there if each.listens_to(one.name)), key=lambda each: each.name)


def _pending(session: Session, ids: Iterable[str]) -> Mapping[tuple[str, str], int]:
    """By endpoint and type."""
    columns = (col(DeliveryRow.endpoint), col(DeliveryRow.event_type))
    rows = select(*columns, func.count()).where(columns[0].in_(sorted(ids)))
    rows = rows.where(col(DeliveryRow.state).in_(_WAITING)).group_by(*columns)
    return {(endpoint, event_type): count for endpoint, event_type, count in session.exec(rows)}


def _behind(session: Session, ids: Iterable[str]) -> Mapping[str, int]:
    """By endpoint; of a range every record counts as one."""
    endpoint = col(BacklogRow.endpoint)
    length = func.sum(col(BacklogRow.to_offset) - col(BacklogRow.from_offset))
    rows = select(endpoint, length).where(endpoint.in_(sorted(ids))).group_by(endpoint)
    return {name: int(count) for name, count in session.exec(rows)}


def _count(pending: Mapping[tuple[str, str], int], endpoint_id: str, one: Difference) -> int:
    is_whole = one.section == _ENDPOINT
    return sum(
        count
        for (owner, event_type), count in pending.items()
        if owner == endpoint_id and (is_whole or event_type == one.name)
    )


def _told(one: Difference, impact: Impact | None) -> Difference:
    if impact is None:
        return one
    hits = impact.endpoints
    pending, behind = sum(each.pending for each in hits), sum(each.behind for each in hits)
    if one.section == _ENDPOINT:
        # Whatever it has not got is lost to it, read or not.
        return replace(one, words=_deliveries(pending + behind))
    if one.sign != "-" and not hits:
        return one
    whose = " of the house" if one.section == _SENDS else ""
    words = _listening([each.name for each in hits], whose)
    words += f", {_deliveries(pending)}" if hits else ""
    words += f", at most {behind} more in backlogs" if behind else ""
    words += (
        f"; {_counted(impact.consumers, 'consumer reads it', 'consumers read it')}"
        if impact.consumers
        else ""
    )
    words += f"; forwarded to {', '.join(impact.forwards)}" if impact.forwards else ""
    return replace(one, words=words if one.sign == "-" else f"{one.words}; {words}")


def _listening(names: Sequence[str], whose: str) -> str:
    if not names:
        return f"no endpoint{whose} listens"
    return _counted(names, f"endpoint{whose} listens", f"endpoints{whose} listen")


def _counted(names: Sequence[str], one: str, more: str) -> str:
    shown = ", ".join(names[:_MOST_NAMES]) + (", ..." if len(names) > _MOST_NAMES else "")
    return f"{len(names)} {one if len(names) == 1 else more} ({shown})"


def _deliveries(count: int) -> str:
    return f"{count or 'no'} {'delivery' if count == 1 else 'deliveries'} pending"
