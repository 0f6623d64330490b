"""Who holds an id: takes claims, compares events with those that hold theirs, finds earlier ones."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from sqlmodel import Session

from gateway.catalog import Catalog
from gateway.database import Database, clock
from gateway.group_commit import GroupCommit
from gateway.honest_clock import words_of_difference
from gateway.ingress.claims import Answer, Claim, Found, Take, Write, is_timely, read, take
from gateway.ingress.draft import Draft
from gateway.ingress.outcome import Failed, Refused
from gateway.ingress.prepare import Prepared
from gateway.ingress.sameness import Written, is_under
from gateway.ingress.wording import conflict
from schemas.leaf import JsonFlavour

_LARGE_BYTES = 8 * 1024
"""What is larger is encoded on a thread."""


@dataclass(frozen=True, slots=True)
class Unfit:
    """An event that today's contract refuses; it may have been accepted under an earlier one.

    `refused_by`: ids of the schemas that it was tried against.
    """

    ref: bytes
    draft: Draft
    flavour: JsonFlavour
    refused_by: frozenset[int]


class _TakenError(Exception):
    """A strict batch met claims that may be of other events: the transaction is rolled back."""

    def __init__(self, held: Mapping[bytes, Claim]) -> None:
        super().__init__("claims are held by others")
        self.held = held


@dataclass(slots=True, kw_only=True, eq=False)
class ClaimBook:
    """The claims as ingress uses them.

    `lease_ms`: how long a claim is its taker's alone.
    """

    database: Database
    writes: GroupCommit[Write, Answer]
    catalog: Catalog
    lease_ms: Callable[[], int]

    async def find_same(self, wanted: Sequence[Unfit]) -> list[Found | Refused | None]:
        """For each, the claim on its ref, where the draft is the same event under the claim's schema.

        Of one that was erased nobody can tell: it is refused as such.
        """
        refs = list({one.ref for one in wanted})

        def work(session: Session) -> tuple[Mapping[bytes, Claim], int]:
            return read(session, refs), clock(session)

        held, now = await self.database.read(work)
        found: list[Found | Refused | None] = []
        for one in wanted:
            claim = held.get(one.ref)
            if claim is not None and claim.state == "erased":
                found.append(conflict(claim))
                continue
            # What a schema has refused just now it refuses again: a costly event is not read twice.
            is_open = claim is not None and claim.schema_id not in one.refused_by
            is_same = claim is not None and is_open and await self._fits(one.draft, one.flavour, claim)
            found.append(Found(claim, mine=False, now=now) if claim is not None and is_same else None)
        return found

    async def look(self, prepared: Sequence[Prepared]) -> dict[bytes, tuple[Claim, bool]]:
        """The claims that hold the refs of `prepared` already, and whether each is of the same event."""
        held = await self.database.read(lambda session: read(session, [one.claim.ref for one in prepared]))
        return {
            one.claim.ref: (held[one.claim.ref], await self.is_same(one, held[one.claim.ref]))
            for one in prepared
            if one.claim.ref in held
        }

    async def take(self, prepared: Sequence[Prepared], *, whole: bool) -> list[Found | Refused] | Failed:
        """Claim each, or with `whole` all or none; a ref held by another event is a conflict.

        Raises:
            StoreError: the database is away, or the outcome of its commit is unknown; publish nothing.
            OverloadedError: too many writes wait.
        """
        if not prepared:
            return []
        if whole:
            return await self._take_all(prepared)
        answer = await self.writes.submit(Take(tuple(one.claim for one in prepared)))
        if answer is None:
            return await self._untrusted(prepared)
        if not isinstance(answer, tuple):
            raise TypeError("a take answers what was found")
        return [await self._judge(one, found) for one, found in zip(prepared, answer, strict=True)]

    async def _take_all(self, prepared: Sequence[Prepared]) -> list[Found | Refused] | Failed:
        claims = [one.claim for one in prepared]
        same: set[tuple[bytes, bytes]] = set()

        def work(session: Session) -> Sequence[Found] | None:
            now = clock(session)
            if not is_timely(claims, now):
                return None
            found = take(session, claims, now, self.lease_ms())
            foreign = {
                claim.ref: one.claim
                for claim, one in zip(claims, found, strict=True)
                if one.claim.event_sha256 != claim.event_sha256
                and (claim.ref, one.claim.event_sha256) not in same
            }
            if foreign:
                raise _TakenError(foreign)
            return found

        while True:
            try:
                found = await self.database.write(work)
            except _TakenError as error:
                judged = {
                    one.claim.ref: await self.is_same(one, error.held[one.claim.ref])
                    for one in prepared
                    if one.claim.ref in error.held
                }
                if all(judged.values()):
                    same |= {(ref, held.event_sha256) for ref, held in error.held.items()}
                    continue
                return [
                    conflict(error.held[one.claim.ref])
                    if not judged.get(one.claim.ref, True)
                    else Found(one.claim, mine=False, now=0)
                    for one in prepared
                ]
            return await self._untrusted(prepared) if found is None else list(found)

    async def _untrusted(self, prepared: Sequence[Prepared]) -> Failed:
        ahead = max(one.claim.at for one in prepared) - await self.database.read(clock)
        return Failed("clock_untrusted", f"{words_of_difference(ahead)}.")

    async def _judge(self, prepared: Prepared, found: Found) -> Found | Refused:
        if found.mine or await self.is_same(prepared, found.claim):
            return found
        return conflict(found.claim)

    async def is_same(self, prepared: Prepared, held: Claim) -> bool:
        """Whether a claim is of this very event, under whichever schema it was made."""
        if prepared.claim.event_sha256 == held.event_sha256:
            return True
        if prepared.claim.schema_id == held.schema_id or held.state == "erased":
            return False
        flavour = prepared.channel.line.terms.json
        datum = prepared.claim.datum or b""
        return await self._fits(prepared.draft, flavour, held, written=(prepared.version, datum))

    async def _fits(
        self, draft: Draft, flavour: JsonFlavour, held: Claim, *, written: Written | None = None
    ) -> bool:
        version = await self.catalog.version(held.schema_id, flavour)
        if len(draft.data) <= _LARGE_BYTES:
            return is_under(version, draft, held.event_sha256, written)
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(None, is_under, version, draft, held.event_sha256, written)
