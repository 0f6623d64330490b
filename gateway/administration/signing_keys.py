"""What operators do with signing keys: rotate, retire, freeze.

A token is asked before the transaction begins.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from typing import Final

from gateway.administration import key_changes
from gateway.administration.desk import Administration
from gateway.administration.evidence import Author
from gateway.administration.key_changes import Freeze, Held, KeyChange, KeyMaker, Rotation
from gateway.errors import CallerError
from gateway.keys import Purpose

IN_TOKENS: Final[frozenset[Purpose]] = frozenset({"checkpoint"})
"""Whose keys may be in a token. Receipts and webhooks are signed by the thousand a second, on the event loop:
no token keeps up with that, and a slow one would hold up every request."""


async def _no_token(label: str) -> bytes:
    raise CallerError("state_conflict", f"There is no token to find {label!r} in: set keys.pkcs11 here.")


@dataclass(frozen=True, slots=True)
class SigningKeys:
    """Changes signing keys through the desk. `find`: the public half of a token's key by its label."""

    maker: KeyMaker
    find: Callable[[str], Awaitable[bytes]] = _no_token

    async def rotate(
        self, desk: Administration, wanted: Rotation, label: str | None, *, by: Author, dry_run: bool
    ) -> KeyChange:
        """Publish a new key, and say when those before it end. `label`: of a key in the token.

        Raises:
            CallerError: `parameter_invalid`, `state_conflict`.
            AwayError: the database or the token is away.
        """
        asked = replace(wanted, held=await self._held(wanted.purpose, label))
        return await desk.change(
            lambda session, scribe: key_changes.rotate(session, scribe, self.maker, asked, by),
            dry_run=dry_run,
        )

    async def retire(self, desk: Administration, key_id: str, *, by: Author, dry_run: bool) -> KeyChange:
        """Let a key sign nothing more, at once.

        Raises:
            CallerError: `not_found`, `state_conflict`.
        """
        return await desk.change(
            lambda session, scribe: key_changes.retire(session, scribe, key_id, by), dry_run=dry_run
        )

    async def freeze(
        self, desk: Administration, wanted: Freeze, label: str | None, *, by: Author, dry_run: bool
    ) -> KeyChange:
        """Mark keys as compromised, and let a successor sign at once. `label`: of one in the token.

        Raises:
            CallerError: `not_found`, `parameter_invalid`, `state_conflict`.
            AwayError: the database or the token is away.
        """
        asked = await self.complete(wanted, label)
        return await desk.change(
            lambda session, scribe: key_changes.freeze(session, scribe, self.maker, asked, by),
            dry_run=dry_run,
        )

    async def complete(self, wanted: Freeze, label: str | None) -> Freeze:
        """What is asked for, with the successor in the token, where it is to be there.

        Raises:
            CallerError: `parameter_invalid`, `state_conflict`.
            AwayError: the token is away.
        """
        return replace(wanted, held=await self._held(wanted.purpose, label))

    async def _held(self, purpose: Purpose, label: str | None) -> Held | None:
        if label is None:
            return None
        if purpose not in IN_TOKENS:
            offered = ", ".join(sorted(IN_TOKENS))
            raise CallerError("parameter_invalid", f"A token holds keys of this purpose alone: {offered}.")
        return Held(label, await self.find(label))
