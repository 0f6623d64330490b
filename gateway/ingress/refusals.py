"""Writes refusals into the log as they are folded; only of callers that are known."""

import asyncio
import hashlib
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Final, Protocol

from audit.evidence import Evidence
from gateway.announcements import Announcement
from gateway.errors import OverloadedError, StoreError
from gateway.event import (
    Content,
    Direction,
    EventKey,
    default_source,
    is_recordable,
    short_pointer,
)
from gateway.group_commit import GroupCommit
from gateway.happenings import Sample, event_refused
from gateway.ingress.claims import Answer, Enter, Write
from gateway.ingress.draft import Draft, Unread
from gateway.ingress.outcome import Outcome, Refused
from gateway.ingress.prepare import Circumstances
from gateway.ingress.refusal_fold import MAX_FAULTS, Refusal, RefusalFold
from gateway.operational import is_operational
from gateway.waits import rest

_FOR_EVER = 1 << 62
_EARLY_SECONDS: Final = 2.0
"""How long an answer waits for its entry, which is the first of its kind in a minute."""
_UNTOLD: Final = frozenset({"batch_refused", "content_erased"})
"""Refusals that are no entry: of another event's fault; and of one whose identifiers were erased."""


class RefusedSubmission(Protocol):
    """What is needed to know of a submission."""

    @property
    def partner(self) -> str:
        """Whose event it is."""
        ...

    @property
    def direction(self) -> Direction:
        """Which way it goes."""
        ...

    @property
    def items(self) -> Sequence[Draft | Unread]:
        """What was sent, in order."""
        ...


@dataclass(frozen=True, slots=True)
class Early:
    """A request that was refused before its events were read. `type`: one that the contract knows."""

    partner: str
    direction: Direction
    type: str | None
    code: str
    method: str
    credential: str | None


@dataclass(slots=True, kw_only=True, eq=False)
class Refusals:
    """The refusals of one process on their way into the log.

    `log_of`: partner slug to the log's name with its host; None where the partner is gone. `distrust`: why
    our clock is not to be trusted now, empty where it is: counts wait until then.
    """

    fold: RefusalFold
    writes: GroupCommit[Write, Answer]
    clock: Callable[[], int]
    entropy: Callable[[int], bytes]
    log_of: Callable[[str], str | None]
    distrust: Callable[[], str] = field(default=lambda: "")
    sample: Sample = field(default_factory=lambda: Sample(1))

    async def run(self, stop: asyncio.Event) -> None:
        """Write counts whose window has ended, until `stop`; then all that is left."""
        while not stop.is_set():
            await rest(stop, 1)
            if not stop.is_set() and not self.distrust():
                await self._write(self.fold.due(self.clock()))
        await self._write(self.fold.due(_FOR_EVER))

    async def note(
        self, submission: RefusedSubmission, outcomes: Sequence[Outcome], at: Circumstances
    ) -> None:
        """Enter the refusals among the outcomes. A database that is away costs the entry, not the answer."""
        log = self.log_of(submission.partner)
        if log is None:
            return
        entries: list[Evidence] = []
        told: list[Announcement] = []
        for item, outcome in zip(submission.items, outcomes, strict=True):
            if isinstance(outcome, Refused) and outcome.code not in _UNTOLD:
                refusal = _refusal(submission, item, outcome, log, at)
                entries += self.fold.note(refusal)
                told += self._told(refusal)
        await self._write(entries, told)

    async def note_early(self, early: Early) -> None:
        """Enter what was refused unread: nothing is known of its content, and nothing is kept."""
        log = self.log_of(early.partner)
        if log is None or self.distrust():
            return
        refusal = Refusal(
            partner=early.partner,
            direction=early.direction,
            log=log,
            type=early.type,
            source=None,
            id=None,
            content=None,
            code=early.code,
            faults=(),
            faults_total=0,
            auth={"method": early.method, "credential": early.credential},
            at=self.clock(),
        )
        entries = self.fold.note(refusal)
        if not entries:
            # Who floods us with what we refuse: it is counted, and that is all.
            return
        with suppress(TimeoutError):
            async with asyncio.timeout(_EARLY_SECONDS):
                await self._write(entries, self._told(refusal))

    def _told(self, refusal: Refusal) -> list[Announcement]:
        """A sample of what is refused, as events; never of what the gateway itself has to tell."""
        if is_operational(refusal.type or ""):
            return []
        if not self.sample.takes((refusal.partner, refusal.direction, refusal.code), refusal.at):
            return []
        event = {
            "direction": refusal.direction,
            "ref": refusal.ref,
            "source": refusal.source,
            "id": refusal.id,
            "type": refusal.type,
        }
        told = event_refused(
            refusal.partner,
            event,
            code=refusal.code,
            faults=refusal.faults,
            faults_total=refusal.faults_total,
            now=refusal.at,
        )
        return [told]

    async def _write(self, entries: Sequence[Evidence], told: Sequence[Announcement] = ()) -> None:
        if not entries and not told:
            return
        try:
            named = tuple((self.entropy(16), one) for one in entries)
            await self.writes.submit(Enter(named, tuple(told)))
        except (StoreError, OverloadedError):
            return


def _refusal(
    submission: RefusedSubmission, item: Draft | Unread, outcome: Refused, log: str, at: Circumstances
) -> Refusal:
    draft = item if isinstance(item, Draft) else None
    key = _named(submission, draft, outcome)
    return Refusal(
        partner=submission.partner,
        direction=submission.direction,
        log=log,
        type=draft.type if draft else None,
        source=key.source if key else None,
        id=key.id if key else None,
        content=_content(item.content),
        code=outcome.code,
        faults=tuple((short_pointer(fault.pointer), fault.code) for fault in outcome.faults[:MAX_FAULTS]),
        faults_total=outcome.faults_total,
        auth={"method": at.method, "credential": at.credential},
        at=at.now,
    )


def _named(submission: RefusedSubmission, draft: Draft | None, outcome: Refused) -> EventKey | None:
    key = outcome.key
    if key is None and draft is not None and draft.id is not None:
        source = draft.source or default_source(submission.partner, submission.direction)
        key = EventKey(submission.partner, submission.direction, source, draft.id)
    return key if key is not None and is_recordable(key) else None


def _content(content: Content) -> Mapping[str, object]:
    return {
        "sha256": hashlib.sha256(content.raw).hexdigest(),
        "length": len(content.raw),
        "type": content.media_type,
        "encoding": content.encoding,
    }
