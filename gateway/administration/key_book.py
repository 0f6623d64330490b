"""The key ring of this process, read anew every second, so that each one signs by what was decided anywhere.

While the database is away the last ring is used; nothing is accepted, delivered or appended then.
"""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Final

from gateway import keys
from gateway.administration.evidence import Scribe
from gateway.administration.key_changes import retire_due
from gateway.database import Database, clock
from gateway.errors import AwayError, SetupError
from gateway.instants import format_instant
from gateway.keys import KeyRing, Opener
from gateway.logs import logger
from gateway.waits import rest

LOOK_SECONDS: Final = 1.0


@dataclass(slots=True, kw_only=True, eq=False)
class KeyBook:
    """A role of every process. `current`: the ring as of the last look."""

    database: Database
    opener: Opener
    scribe: Scribe
    current: KeyRing
    problem: str = field(default="", init=False)

    def ring(self) -> KeyRing:
        """The ring as of the last look."""
        return self.current

    def sign_webhook(self, message: bytes) -> list[bytes]:
        """By each key of ours that signs webhooks now, newest first."""
        return [one.sign(message) for one in self.current.webhooks]

    async def run(self, stop: asyncio.Event) -> None:
        """Look every second, until `stop`."""
        while not stop.is_set():
            with suppress(AwayError):
                await self.refresh()
            await rest(stop, LOOK_SECONDS)

    async def refresh(self) -> None:
        """Take over what changed, and write down whose time is over.

        A key that does not open leaves the ring as it was, but for those that were frozen or have ended.

        Raises:
            AwayError: the database is away; the last ring stays.
        """
        try:
            ring = await self.database.read(lambda session: keys.look(session, self.opener))
        except SetupError as error:
            if self.problem != error.text:
                logger("gateway.keys").error("the signing keys cannot be read", reason=error.text)
            self.problem = error.text
            await self._drop_ended()
            return
        self.problem, self.current = "", ring
        if any(key.is_overdue(ring.at) for key in ring.known):
            await self.database.write(lambda session: retire_due(session, self.scribe))

    async def _drop_ended(self) -> None:
        now, known = await self.database.read(lambda session: (clock(session), keys.load_public(session)))
        ended = {key.id for key in known if not key.signs_at(now)}
        signers = {
            purpose: tuple(one for one in some if one.key_id not in ended)
            for purpose, some in self.current.signers.items()
        }
        self.current = KeyRing(signers, known, now)

    def warnings(self) -> Sequence[str]:
        """What an operator has to see to."""
        needed = [purpose for purpose in keys.PURPOSES if purpose not in keys.OPTIONAL]
        silent = [purpose for purpose in needed if not self.current.signing(purpose)]
        words = [f"no key signs for the purpose {purpose}: gateway keys rotate" for purpose in silent]
        words += [
            f"the {key.purpose} key {key.id} ends at {format_instant(key.retires_at)}, and nobody follows it"
            for key in self.current.known
            if key.state(self.current.at) == "retiring"
            and key.retires_at is not None
            and len([one for one in self.current.known if self._follows(one, key.purpose)]) == 0
        ]
        return [*([self.problem] if self.problem else []), *words]

    def _follows(self, one: keys.PublicKey, purpose: keys.Purpose) -> bool:
        return one.purpose == purpose and one.state(self.current.at) in {"published", "signing"}
