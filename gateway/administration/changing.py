"""How a change of the registry is carried out: one transaction, or in a dry run the same one, rolled back."""

from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import TypeVar

from sqlmodel import Session

from gateway.database import Database
from gateway.errors import CallerError
from partners.errors import ContractFileError, DestructiveError, PartnersError, PreconditionError, SlugError

T = TypeVar("T")

Kept = Callable[[Session, object], None]
"""What else belongs into the transaction of a change; it is given what the change came to."""


class _DryRunError(Exception):
    """Rolls the transaction of a dry run back."""


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
    done: list[T] = []

    def whole(session: Session) -> T:
        result = work(session)
        if kept is not None:
            kept(session, result)
        return result

    def undone(session: Session) -> T:
        done.append(work(session))
        raise _DryRunError

    try:
        if not dry_run:
            done.append(await database.write(whole))
            await told()
        else:
            with suppress(_DryRunError):
                await database.write(undone)
    except PartnersError as error:
        raise refused(error) from error
    return done[-1]


def refused(error: PartnersError) -> CallerError:
    """A refusal of the partners package as the API tells it."""
    if isinstance(error, ContractFileError):
        listed = [
            {
                "file": one.file,
                "line": one.line,
                "pointer": one.pointer,
                "code": one.code,
                "detail": one.detail,
            }
            for one in error.problems
        ]
        count = len(listed)
        text = f"{count} problem{'s' if count != 1 else ''} in the contract. Nothing was changed."
        return CallerError("contract_invalid", text, members={"errors": listed})
    if isinstance(error, DestructiveError):
        return CallerError(error.code, str(error), hint="Say allow=destructive if that is meant.")
    if isinstance(error, PreconditionError):
        return CallerError(error.code, str(error), members={"revision": error.actual})
    if isinstance(error, SlugError):
        return CallerError("parameter_invalid", str(error))
    return CallerError(error.code, str(error))
