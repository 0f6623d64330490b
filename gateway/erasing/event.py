"""Erases events, each in one transaction: evidence, content, claim, deliveries, and what else holds them.

Order within it, so that nothing is missed: claims are locked, and the logs that the event stands in, so that
no hold is set meanwhile; evidence on its way is looked for, and where there is some the event waits; then its
entries are locked and read. Whatever another transaction decides of the event later is looked for a second
time, two minutes after. Killed before the COMMIT nothing is erased, and after it all is: entries, claim, rows
and the evidence that says so.

What holds what, and what is out of reach, is listed in `gateway.erasing.inventory`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

from sqlalchemy import delete, insert, or_, select, text, update
from sqlmodel import Session, col

from audit import erasure, holds
from audit.bulk import insert_new_rows
from audit.erasure import Place, Standing
from audit.evidence import Kind
from audit.ref import format_ref
from audit.store import find_accepted
from gateway.administration.evidence import Author, Scribe, Wanted
from gateway.database import clock
from gateway.egress import asking
from gateway.egress.locking import IN_ORDER
from gateway.egress.rows import AttemptRow
from gateway.event import EventKey
from gateway.rows import ClaimRow, DeliveryRow
from gateway.tombstones import received_ref
from partners import store
from partners.endpoint import house_of, party_of
from partners.partner import Partner

Word = Literal["erased", "nothing", "absent", "pending", "held"]
"""What became of one event. `nothing`: it was erased before; `pending`: the log has not got all of it yet."""

_DELIVERED: Final = frozenset(
    {Kind.UNROUTED, Kind.ATTEMPTED, Kind.PARKED, Kind.CANCELLED, Kind.RETRIED, Kind.ACKNOWLEDGED}
)
"""Kinds of an event that went out; one that was never accepted came from a producer of ours."""


@dataclass(frozen=True, slots=True)
class Fate:
    """What became of one event. `hold`: the one that is on it."""

    word: Word
    hold: str | None = None


@dataclass(frozen=True, slots=True)
class Order:
    """By whom, for whom and why. `log_host`: what names of logs begin with."""

    erasure: str
    partner: Partner
    basis: str
    by: Author
    log_host: str

    @property
    def log(self) -> str:
        """The partner's log, without an epoch."""
        return f"{self.log_host}/log/{self.partner.log}"


def erase_events(
    session: Session, scribe: Scribe, order: Order, refs: Sequence[bytes], *, now: int
) -> dict[bytes, Fate]:
    """Erase those of these events that are the partner's and may be erased now."""
    found = look(session, order, refs)
    free = [ref for ref, fate in found.fates.items() if fate.word == "erased"]
    entries = [one for ref in free for one in found.entries.get(ref, ())]
    _erase_entries(session, scribe, order, entries, now=now)
    _leave_tombstones(session, order, free, found)
    # Of what was erased before, too: an attempt that was under way then may have left a row.
    swept = [ref for ref, fate in found.fates.items() if fate.word in {"erased", "nothing"}]
    _give_up_deliveries(session, scribe, order, swept, found.owned, now=now)
    _forget_answers(session, swept)
    return found.fates


def erase_places(
    session: Session, scribe: Scribe, order: Order, places: Sequence[Place], *, now: int
) -> list[Fate]:
    """Erase entries of the partner's log that belong to no event: refusals without an id, unreadable records.

    `places`: time, epoch and index of each.
    """
    holds.guard(session, [order.log])
    held = holds.covering(session, order.log, [(None, at) for at, _, _ in places])
    free = [(epoch, index) for (_, epoch, index), hold in zip(places, held, strict=True) if hold is None]
    entries = erasure.standing_at(session, order.log, free)
    _erase_entries(session, scribe, order, entries, now=now)
    there = {(one.epoch, one.index) for one in entries}
    return [
        Fate("held", hold) if hold is not None else Fate("erased" if (epoch, index) in there else "nothing")
        for (_, epoch, index), hold in zip(places, held, strict=True)
    ]


@dataclass(frozen=True, slots=True)
class Found:
    """What there is of some events. `owned`: those that are the partner's own, not only sent on to it."""

    fates: dict[bytes, Fate]
    entries: Mapping[bytes, Sequence[Standing]]
    claims: Mapping[bytes, ClaimRow]
    owned: frozenset[bytes]


def look(session: Session, order: Order, refs: Sequence[bytes]) -> Found:
    """What is to become of these events, all that there is of them locked."""
    claims = _claims(session, order, refs)
    known = erasure.standing(session, refs, locked=False)
    logs = {order.log, *(one.log for one in known)}
    holds.guard(session, logs)
    waiting = erasure.waiting(session, logs, refs)
    entries: dict[bytes, list[Standing]] = {}
    for one in erasure.standing(session, refs):
        if one.ref is not None:
            entries.setdefault(one.ref, []).append(one)
    owned = {ref for ref in refs if ref in claims or _is_owned(order.partner.slug, entries.get(ref, ()))}
    mine = {
        ref: [one for one in some if ref in owned or one.log == order.log] for ref, some in entries.items()
    }
    held = _held(session, order, claims, entries)
    erased = erasure.known(session, order.log, [ref for ref in refs if ref not in claims])
    fates: dict[bytes, Fate] = {}
    for ref in dict.fromkeys(refs):
        claim, some = claims.get(ref), mine.get(ref, [])
        if claim is None and not some:
            fates[ref] = Fate("nothing" if ref in erased else "absent")
        elif ref in held:
            fates[ref] = Fate("held", held[ref])
        elif ref in waiting or (claim is not None and claim.leaf_index is None):
            fates[ref] = Fate("pending")
        else:
            is_there = bool(some) or (claim is not None and claim.state != "erased")
            fates[ref] = Fate("erased" if is_there else "nothing")
    return Found(fates, mine, claims, frozenset(owned))


def _claims(session: Session, order: Order, refs: Sequence[bytes]) -> dict[bytes, ClaimRow]:
    """In order of their key, as all lock them who write many."""
    mine = select(ClaimRow).where(col(ClaimRow.ref).in_(sorted(set(refs))))
    mine = mine.where(col(ClaimRow.partner) == order.partner.slug).order_by(col(ClaimRow.ref))
    rows = session.execute(mine.with_for_update().execution_options(populate_existing=True)).scalars()
    found = {row.ref: row for row in rows}
    session.expunge_all()
    return found


def _is_owned(slug: str, entries: Sequence[Standing]) -> bool:
    """Whether it is the partner's own event: a ref is made of whose it is, and of what its entries say."""
    for one in entries:
        if one.partner == slug and one.source is not None and one.event_id is not None:
            said = one.source, one.event_id
            keys = EventKey(slug, "inbound", *said), EventKey(slug, "outbound", *said)
            return any(key.ref() == one.ref for key in keys)
    return False


def _held(
    session: Session,
    order: Order,
    claims: Mapping[bytes, ClaimRow],
    entries: Mapping[bytes, Sequence[Standing]],
) -> dict[bytes, str]:
    """A hold of whichever log the event stands in is on all of it, whoever's erasure it is."""
    moments: dict[str, list[tuple[bytes, int]]] = {}
    for ref, claim in claims.items():
        moments.setdefault(order.log, []).append((ref, claim.at))
    for ref, some in entries.items():
        for one in some:
            moments.setdefault(one.log, []).append((ref, one.at))
    found: dict[bytes, str] = {}
    for log, some_moments in sorted(moments.items()):
        on = holds.covering(session, log, some_moments)
        found |= {ref: hold for (ref, _), hold in zip(some_moments, on, strict=True) if hold is not None}
    return found


def _erase_entries(
    session: Session, scribe: Scribe, order: Order, entries: Sequence[Standing], *, now: int
) -> None:
    erasure.erase(session, entries, at=now, erasure=order.erasure, basis=order.basis)
    said = [
        (
            one.log,
            {
                "partner": one.partner or order.partner.slug,
                "erasure": order.erasure,
                "origin": one.origin,
                "index": one.index,
                "leaf_sha256": one.leaf_sha256(),
                "basis": order.basis,
            },
        )
        for one in entries
    ]
    scribe.say_all(session, Kind.ERASED, said, order.by, now=now)


def _leave_tombstones(session: Session, order: Order, refs: Sequence[bytes], found: Found) -> None:
    """Of each claim only what keeps the event from being taken a second time."""
    at = clock(session)
    claimed = [ref for ref in refs if ref in found.claims]
    if claimed:
        values = {**_BLANK, "lease_until": at}
        changed = update(ClaimRow).where(col(ClaimRow.ref).in_(claimed)).values(**values)
        session.execute(changed.execution_options(synchronize_session=False))
    went_out = {
        ref: first
        for ref in refs
        if ref not in found.claims and ref in found.owned
        if (first := next((one for one in found.entries.get(ref, ()) if one.kind in _DELIVERED), None))
    }
    accepted = {ref: index for log, ref, index in find_accepted(session, went_out) if log == order.log}
    _leave_received(session, order, refs, found, at=at)
    for ref, first in went_out.items():
        row = {"ref": ref, "partner": order.partner.slug, "log": order.log, "at": first.at, "lease_until": at}
        # As of any claim: where it was accepted. An event from a producer of ours never was.
        row |= {"leaf_index": accepted.get(ref, first.index), "direction": _direction(first, order)}
        session.execute(insert(ClaimRow), [{**_NO_RECORD, **_BLANK, **row}])


def _leave_received(session: Session, order: Order, refs: Sequence[bytes], found: Found, *, at: int) -> None:
    """Of events that were only sent on to the partner: what keeps its endpoints from getting them again."""
    rows = [
        {
            **_NO_RECORD,
            **_BLANK,
            "ref": received_ref(order.partner.slug, ref),
            "partner": order.partner.slug,
            "log": order.log,
            "at": first.at,
            "lease_until": at,
            "leaf_index": first.index,
            "direction": "outbound",
        }
        for ref in refs
        if ref not in found.owned
        if (first := next(iter(found.entries.get(ref, ())), None))
    ]
    insert_new_rows(session, ClaimRow, sorted(rows, key=lambda row: bytes(row["ref"])))


def _direction(one: Standing, order: Order) -> str:
    key = EventKey(order.partner.slug, "inbound", one.source or "", one.event_id or "")
    return "inbound" if key.ref() == one.ref else "outbound"


_BLANK: Final[Mapping[str, Any]] = {
    "source": "",
    "event_id": "",
    "event_type": "",
    "event_sha256": b"",
    "content_sha256": b"",
    "receipt": "",
    "attributes": "{}",
    "content": None,
    "content_type": "",
    "content_encoding": "identity",
    "key": None,
    "origin_signature": None,
    "datum": None,
    "search": None,
    "owner": "",
    "state": "erased",
}
_NO_RECORD: Final[Mapping[str, Any]] = {
    "schema_id": 0,
    "framing": "prefix",
    "topic": "",
    "topic_id": "",
    "partition": 0,
}


def _give_up_deliveries(
    session: Session,
    scribe: Scribe,
    order: Order,
    refs: Sequence[bytes],
    owned: frozenset[bytes],
    *,
    now: int,
) -> None:
    """What waits is cancelled, with evidence that names the event by its ref; of no row a body is left."""
    if not refs:
        return
    row, slug = DeliveryRow, order.partner.slug
    is_ours = or_(col(row.ref).in_(sorted(owned)), col(row.partner).in_((slug, house_of(slug))))
    query = select(row).where(col(row.ref).in_(list(refs)), is_ours, col(row.source) != "")
    query = query.order_by(*IN_ORDER).with_for_update()
    rows = session.execute(query.execution_options(populate_existing=True)).scalars().all()
    for one in rows:
        if one.state in {"pending", "held"}:
            asking.ask(session, one, state="cancelled", now=now)
            _tell_cancelled(session, scribe, order, one, now=now)
        mine = update(row).where(col(row.endpoint) == one.endpoint, col(row.ref) == one.ref)
        session.execute(mine.values(**_NO_BODY).execution_options(synchronize_session=False))
    session.expunge_all()
    excerpts = delete(AttemptRow).where(col(AttemptRow.ref).in_(list(refs)))
    session.execute(excerpts.execution_options(synchronize_session=False))


def _tell_cancelled(session: Session, scribe: Scribe, order: Order, row: DeliveryRow, *, now: int) -> None:
    """In the log in which the relay tells of such deliveries: the house's own, of what the house gets."""
    slug, side = party_of(row.partner)
    log: str | None = scribe.house_log
    if side == "partner" and slug == order.partner.slug:
        log = order.partner.log
    elif side == "partner":
        account = store.partner(session, slug)
        log = None if account is None else account[0].log
    if log is not None:
        wanted = Wanted(slug, row.ref, "", "", row.event_type, row.endpoint, row.attempts)
        scribe.delivery(session, log, Kind.CANCELLED, wanted, order.by, now=now)


_NO_BODY: Final[Mapping[str, Any]] = {
    "source": "",
    "event_id": "",
    "payload": b"",
    "order_key": None,
    "search": None,
}


def _forget_answers(session: Session, refs: Sequence[bytes]) -> None:
    """Answers to changes that are kept for a day, and name one of these events.

    Each is looked through once for all of them: as much as changes under a key have left in a day.
    """
    if not refs:
        return
    names = {f"name_{number}": format_ref(ref).encode() for number, ref in enumerate(refs)}
    is_sqlite = session.get_bind().dialect.name == "sqlite"
    form = "instr(answer, :{}) > 0" if is_sqlite else "position(CAST(:{} AS bytea) IN answer) > 0"
    is_named = " OR ".join(map(form.format, names))
    whole = f"DELETE FROM gateway_repeat WHERE answer IS NOT NULL AND ({is_named})"  # noqa: S608 - of ours alone
    session.execute(text(whole), names)
