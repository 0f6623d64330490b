"""What an operator ends in the database itself, where no gateway runs that could be asked: keys, credentials.

After a restore the gateway must not start before that: what had leaked, and was frozen or revoked after the
backup was made, would sign and open again. The same changes as by the API, in one transaction each, with
their entries on the way into the logs. On one machine the data folder's lock tells that no gateway runs; a
database on a server may have some, which follow within seconds.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from sqlmodel import Session

from gateway.administration import key_changes
from gateway.administration.changing import carry_out
from gateway.administration.credentials import witnessed
from gateway.administration.evidence import Author, Scribe
from gateway.administration.key_changes import Freeze, KeyChange, KeyMaker
from gateway.bootstrap.ground import Ground, entropy, prepare
from gateway.bootstrap.signing import make_keys
from gateway.bootstrap.upkeep import alone
from gateway.database import clock
from gateway.settings import Settings
from partners import issuing
from partners.issuing import CredentialChange

T = TypeVar("T")

_BY = Author("operator", None)


def freeze_keys(settings: Settings, wanted: Freeze, label: str | None, *, is_rehearsal: bool) -> KeyChange:
    """Mark keys as compromised, and let a successor sign at once. `label`: of one in the token.

    Raises:
        CallerError: `not_found`, `parameter_invalid`, `state_conflict`.
        SetupError: a gateway runs on this folder, or it is none that could.
        AwayError: the database or the token is away.
    """

    async def change(ground: Ground, scribe: Scribe) -> KeyChange:
        _, signing = make_keys(ground)
        asked = await signing.complete(wanted, label)
        maker = KeyMaker(ground.vault, entropy)
        return await _carry_out(
            ground,
            lambda session: key_changes.freeze(session, scribe, maker, asked, _BY),
            is_rehearsal=is_rehearsal,
        )

    return _at_rest(settings, change)


def revoke_credential(
    settings: Settings, credential_id: str, *, owner: str | None, reason: str, is_rehearsal: bool
) -> CredentialChange:
    """Revoke a credential, of this partner, or (`owner` None) whosever it is; twice changes nothing.

    Raises:
        CallerError: `not_found`; `state_conflict` for the last key that can operate this gateway.
        SetupError, AwayError: as `freeze_keys`.
    """

    async def change(ground: Ground, scribe: Scribe) -> CredentialChange:
        def work(session: Session) -> CredentialChange:
            now = clock(session)
            found = issuing.revoke_credential(session, credential_id, owner=owner, now=now, reason=reason)
            return witnessed(session, scribe, found, _BY, now=now)

        return await _carry_out(ground, work, is_rehearsal=is_rehearsal)

    return _at_rest(settings, change)


def _at_rest(settings: Settings, change: Callable[[Ground, Scribe], Awaitable[T]]) -> T:
    """Do a change on the ground of a gateway that does not run."""
    with alone(settings):
        ground = prepare(settings, "role")
        scribe = Scribe(settings.origin, ground.host, ground.house_log, entropy)

        async def whole() -> T:
            return await change(ground, scribe)

        try:
            return asyncio.run(whole())
        finally:
            ground.database.close()


async def _carry_out(ground: Ground, work: Callable[[Session], T], *, is_rehearsal: bool) -> T:
    async def told() -> None:
        """Nobody is there to be told."""

    return await carry_out(ground.database, work, told=told, dry_run=is_rehearsal)
