"""Whom a change hits: the endpoints that listen to a type, and the deliveries that wait for them."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from sqlmodel import Session, col, func, select

from gateway.rows import BacklogRow, DeliveryRow
from partners.contract import SECTIONS
from partners.endpoint import Endpoint
from partners.plan import Difference

_WAITING: Final = ("pending", "held")
_MOST_NAMES: Final = 10
_ENDPOINT: Final = "endpoint"
_RECEIVES: Final = SECTIONS["outbound"]


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
    """A difference, by section and name, and whom it hits."""

    section: str
    name: str
    endpoints: tuple[Hit, ...]


def find_impacts(
    session: Session, differences: Iterable[Difference], there: Sequence[Endpoint]
) -> tuple[Impact, ...]:
    """Whom the differences hit that take something away or change a schema.

    `there`: the endpoints before the change. Two statements, however many there are.
    """
    hit = [(one, _endpoints_of(one, there)) for one in differences if _is_hitting(one)]
    ids = {each.id for _, found in hit for each in found}
    if not hit:
        return ()
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
        )
        for one, found in hit
    )


def tell(differences: Iterable[Difference], impacts: Iterable[Impact]) -> tuple[Difference, ...]:
    """The differences, each with whom it hits in words."""
    found = {(one.section, one.name): one.endpoints for one in impacts}
    return tuple(_told(one, found.get((one.section, one.name))) for one in differences)


def _is_hitting(one: Difference) -> bool:
    if one.section == _ENDPOINT:
        return one.sign == "-"
    return one.section == _RECEIVES and one.sign != "+"


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


def _told(one: Difference, hits: Sequence[Hit] | None) -> Difference:
    if hits is None:
        return one
    pending, behind = sum(each.pending for each in hits), sum(each.behind for each in hits)
    if one.section == _ENDPOINT:
        # Whatever it has not got is lost to it, read or not.
        return replace(one, words=_deliveries(pending + behind))
    if not hits:
        return replace(one, words="no endpoint listens") if one.sign == "-" else one
    words = f"{_listening([each.name for each in hits])}, {_deliveries(pending)}"
    words += f", at most {behind} more in backlogs" if behind else ""
    return replace(one, words=words if one.sign == "-" else f"{one.words}; {words}")


def _listening(names: Sequence[str]) -> str:
    shown = ", ".join(names[:_MOST_NAMES]) + (", ..." if len(names) > _MOST_NAMES else "")
    return f"{len(names)} {'endpoint listens' if len(names) == 1 else 'endpoints listen'} ({shown})"


def _deliveries(count: int) -> str:
    return f"{count or 'no'} {'delivery' if count == 1 else 'deliveries'} pending"
