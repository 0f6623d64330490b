"""Receives the body of an import: kept piece by piece as it arrives, and a job only once all of it is.

Crash order: the import is made, then its pieces are kept, then it is taken; each is committed before the
next. Killed before the last, nothing was promised and what is there is swept; the 202 is given after it.
"""

import asyncio
import base64
import hashlib
import json
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from gateway.database import Database
from gateway.errors import AwayError, CallerError, OverloadedError, StoreError
from gateway.event import Direction
from gateway.imports import store
from gateway.imports.job import CONTAINER, Failure, Import, Piece, Wish
from gateway.imports.splitting import BlockSplitter, LineSplitter, Splitter
from gateway.imports.store import MOST_OPEN, Body
from schemas.container import ContainerLimits
from schemas.schema import Schema

RECEIVING_MS: Final = 120_000
"""A body of which nothing came for so long was given up."""

RENEWING_MS: Final = RECEIVING_MS // 4
"""A body that comes slowly is kept ours so often, though no piece of it is whole."""

SLICE_BYTES: Final = 256 * 1024
"""What is worked on at a time: others have the loop in between."""

MOST_AT_ONCE: Final = 16
"""Bodies that one process receives; of whom it receives none, it takes one still."""

MOST_OF_ALL: Final = 48
"""The same, with those. Of lines some 1.5 MiB are held each, of a container file a block, 8 MiB at most."""

MOST_OF_ONE: Final = MOST_OPEN + 1
"""The same of one partner and direction: as many as may be open, and one that is repeated."""

_RESERVE_BYTES: Final = 256 * 2**20
"""Free room that imports leave to everything else."""

Match = Callable[[Schema], int]
"""The id of the accepted schema that a file's schema is; raises CallerError where it is none."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What an import may have. `room`: free bytes where the pieces go; None where that is not known here."""

    import_bytes: int = 2**30
    event_bytes: int = 2**20
    items: int = 5_000_000
    room: Callable[[], int | None] = field(default=lambda: None, repr=False)

    def container(self) -> ContainerLimits:
        """Those of a container file, of which a piece is read at a time."""
        return ContainerLimits(total_bytes=2**40, datum_bytes=self.event_bytes)


@dataclass(slots=True, kw_only=True, eq=False)
class Intake:
    """Makes imports of bodies. `taken`: called once one more job may begin."""

    database: Database
    clock: Callable[[], int]
    entropy: Callable[[int], bytes]
    limits: Limits
    step: Callable[[str], None]
    taken: Callable[[], None] = field(default=lambda: None)
    open: int = field(default=0, init=False)
    _of: Counter[tuple[str, Direction]] = field(default_factory=Counter, init=False)

    async def begin(self, wish: Wish, match: Match, *, announced: int = 0, event_bytes: int = 0) -> "Upload":
        """Begin to receive. `announced`: bytes that are to come, as far as they were told.

        `event_bytes`: what a line may have, where that is more than usual.

        Raises:
            CallerError: `limit_reached`, `state_conflict`.
            AwayError: too many are being received, of this sender or of all, or there is no room.
        """
        who = (wish.partner, wish.direction)
        if self._of[who] >= MOST_OF_ONE:
            text = f"{MOST_OF_ONE} imports of yours are being received by this process already"
            raise OverloadedError(f"{text}; wait until one of them is here whole")
        if self.open >= (MOST_AT_ONCE if self._of[who] else MOST_OF_ALL):
            raise OverloadedError(
                f"{self.open} imports are being received by this process already; try again"
            )
        self.verify_room(announced)
        text = base64.b32encode(self.entropy(16)).decode().rstrip("=").lower()
        import_id, now = f"imp_{text}", self.clock()

        # Before anybody else is asked: those that begin meanwhile count it.
        self.open += 1
        self._of[who] += 1
        try:
            known = await self.database.write(
                lambda session: store.begin(session, import_id, wish, now=now, lease_ms=RECEIVING_MS)
            )
            self.step("import.1.begun")
        except BaseException:
            self.ended(wish)
            raise
        return Upload(self, import_id, wish, match, known, most_line_bytes=event_bytes)

    def ended(self, wish: Wish) -> None:
        """One less is being received."""
        self.open -= 1
        who = (wish.partner, wish.direction)
        self._of[who] -= 1
        if not self._of[who]:
            del self._of[who]

    def verify_room(self, wanted: int) -> None:
        """Refuse what would fill the disk.

        Raises:
            StoreError: `storage_full`.
        """
        room = self.limits.room()
        if room is not None and wanted + _RESERVE_BYTES > room:
            raise StoreError("storage_full", "there is too little room on the disk for this import")


class Upload:
    """One body on its way. Feed it, then finish it; or abandon it."""

    def __init__(
        self,
        intake: Intake,
        import_id: str,
        wish: Wish,
        match: Match,
        known: Import | None,
        *,
        most_line_bytes: int = 0,
    ) -> None:
        """`known`: an import under the same key, which the body is only compared with.

        `most_line_bytes`: as `event_bytes` of `Intake.begin`.
        """
        self._intake = intake
        self._wish = wish
        self._id = import_id
        self._match = match
        self._known = known
        limits = intake.limits
        is_container = wish.media_type == CONTAINER
        self._splitter: Splitter = (
            BlockSplitter(limits.container())
            if is_container
            else LineSplitter(max(limits.event_bytes, most_line_bytes))
        )
        self._size = 0
        self._schema_id: int | None = None
        self._is_kept = False
        self._heard_at = intake.clock()
        self._digest = hashlib.sha256(json.dumps([wish.event_type, wish.media_type]).encode() + b"\x00")

    async def feed(self, data: bytes) -> None:
        """Take more of the body, and keep what is whole of it.

        Raises:
            CallerError: the body cannot be taken; `state_conflict` where it was given up meanwhile.
            AwayError: it cannot be kept.
        """
        for start in range(0, len(data), SLICE_BYTES):
            some = data[start : start + SLICE_BYTES]
            self._size += len(some)
            self._digest.update(some)
            if self._known is None:
                await self._keep(self._splitter.feed(some))
            await asyncio.sleep(0)

    async def finish(self) -> tuple[Import, bool]:
        """The body has ended: the import, and whether it is new.

        Raises:
            CallerError: as `feed`, and `idempotency_conflict`.
            AwayError: as `feed`.
        """
        if self._known is not None:
            return self._compare(self._known), False
        await self._keep(self._splitter.finish())
        if not self._splitter.items:
            raise _no_item(self._splitter.broken)
        header = self._splitter.header if isinstance(self._splitter, BlockSplitter) else None
        body = Body(
            self._size,
            self._splitter.items,
            self._digest.digest(),
            self._splitter.broken,
            header,
            self._schema_id,
        )
        made = await self._intake.database.write(lambda session: store.take(session, self._id, body))
        self._is_kept = True
        self._intake.step("import.3.taken")
        self._intake.taken()
        return made, True

    async def close(self) -> None:
        """Forget what was kept, unless it was finished. What the database does not hear now, is swept."""
        self._intake.ended(self._wish)
        if self._known is not None or self._is_kept:
            return
        try:
            await self._intake.database.write(lambda session: store.forget(session, self._id))
        except AwayError:
            return

    async def _keep(self, pieces: list[Piece]) -> None:
        if isinstance(self._splitter, BlockSplitter) and self._schema_id is None:
            schema = self._splitter.schema
            self._schema_id = None if schema is None else self._match(schema)
        if self._splitter.broken is not None and not self._splitter.items:
            raise _no_item(self._splitter.broken)
        if self._splitter.items > self._intake.limits.items:
            text = f"An import may hold {self._intake.limits.items} events (a limit of the gateway)."
            raise CallerError("body_too_large", text)
        now = self._intake.clock()
        if pieces or now - self._heard_at >= RENEWING_MS:
            self._heard_at = now
            self._intake.verify_room(sum(len(one.raw) for one in pieces))
            await self._intake.database.write(
                lambda session: store.keep(session, self._id, pieces, lease_ms=RECEIVING_MS)
            )
            self._intake.step("import.2.kept")

    def _compare(self, known: Import) -> Import:
        if known.fingerprint != self._digest.digest():
            text = "The Idempotency-Key is that of an import with another body, type or media type."
            raise CallerError("idempotency_conflict", text, members={"import": known.id})
        return known


def _no_item(broken: Failure | None) -> CallerError:
    if broken is None:
        return CallerError("body_malformed", "The body holds no event.")
    places = {"line": broken.line, "offset": broken.offset}
    members = {name: place for name, place in places.items() if place is not None}
    return CallerError(broken.code, broken.detail, members=members)
