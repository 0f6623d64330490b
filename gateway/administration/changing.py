"""How a change of the registry is carried out: one transaction, or in a dry run the same one, rolled back."""

from collections.abc import Awaitable, Callable
from typing import TypeVar

from sqlmodel import Session

from gateway.administration.refusals import refused
from gateway.database import Database
from partners.errors import PartnersError

T = TypeVar("T")

Kept = Callable[[Session, object], None]
"""What else belongs into the transaction of a change; it is given what the change came to."""


async def carry_out(
    database: Database,
    work: Callable[[Session], T],
    *,
    told: Callable[[], Awaitable[None]],
    dry_run: bool,
    kept: Kept | None = None,
) -> T:
    """Do the work, and `kept` with it, and tell of it; in a dry run, undo it and tell nobody.

    Raises:
        CallerError: what the partners package refuses, as the API tells it.
        StoreError: the database is away.
    """

    def whole(session: Session) -> T:
        result = work(session)
        if kept is not None:
            kept(session, result)
        return result

    try:
        if dry_run:
            return await database.rehearse(work)
        done = await database.write(whole)
    except PartnersError as error:
        raise refused(error) from error
    await told()
    return done
