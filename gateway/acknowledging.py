"""A receiver's statement that it has a delivery: kept once, with its evidence, in one transaction."""

from dataclasses import dataclass

from sqlalchemy import delete, insert, select, tuple_
from sqlmodel import Session, col

from audit import outcomes
from audit.evidence import Kind
from gateway.administration.evidence import Scribe
from gateway.egress.statement import Statement
from gateway.errors import CallerError
from gateway.rows import AcknowledgementRow, DeliveryRow
from partners import store
from partners.partner import Partner

Pair = tuple[str, bytes]
"""An endpoint and a ref."""


@dataclass(frozen=True, slots=True)
class Acknowledged:
    """A delivery that its receiver has acknowledged. `at`: Unix milliseconds; `is_new`: just now."""

    credential: str
    at: int
    is_new: bool


def is_known(session: Session, log: str, partner: str, pair: Pair) -> bool:
    """Whether this is, or was, a delivery of this partner. `log`: its log, without an epoch."""
    row = DeliveryRow
    query = select(col(row.ref)).where(
        col(row.endpoint) == pair[0], col(row.ref) == pair[1], col(row.partner) == partner
    )
    return session.execute(query).first() is not None or bool(outcomes.tell(session, log, *pair))


def acknowledge(
    session: Session, scribe: Scribe, partner: Partner, pair: Pair, said: Statement, *, now: int
) -> Acknowledged:
    """Keep a verified statement, if such content was sent; the first one of a delivery counts.

    Raises:
        CallerError: `acknowledgement_invalid`: such content was not sent in this delivery.
    """
    store.lock(session)
    found = session.get(AcknowledgementRow, pair)
    told = outcomes.tell(session, f"{scribe.host}/log/{partner.log}", *pair)
    sent = {one.evidence.text("content_sha256") for one in told if one.evidence.kind is Kind.ATTEMPTED}
    # Of a delivery whose attempts were erased since nothing can be compared any more.
    is_kept_alone = found is not None and not sent
    if said.content_sha256 not in sent and not is_kept_alone:
        raise CallerError(
            "acknowledgement_invalid",
            "No content with this digest was sent in this delivery.",
            hint="content_sha256 is that of the body as it came, before anything is made of it.",
        )
    if found is not None:
        return Acknowledged(found.credential, found.at, is_new=False)
    row = {
        "endpoint": pair[0],
        "ref": pair[1],
        "partner": partner.slug,
        "credential": said.credential,
        "at": now,
    }
    session.execute(insert(AcknowledgementRow), [row])
    scribe.receiver(session, partner, pair, (said.credential, said.token), now=now)
    return Acknowledged(said.credential, now, is_new=True)


def drop_acknowledged(session: Session, *, before: int, limit: int) -> int:
    """Forget who has acknowledged before a time; the entries of the log stay. How many were dropped."""
    row = AcknowledgementRow
    place = (col(row.endpoint), col(row.ref))
    old = session.execute(select(*place).where(col(row.at) < before).limit(limit)).all()
    if old:
        session.execute(delete(row).where(tuple_(*place).in_([tuple(pair) for pair in old])))
    return len(old)
