"""A log's checkpoint as it is served now: the note as published, and signature lines that were added since.

To the published note, which never changes, comes a line that says when it was still the newest one
(`audit.freshness`): made when somebody asks and the last one is half a minute old, so that logs that nobody
looks at cost nothing. Nothing is vouched for while our clock is off, while no sequencer has the log's shard,
or while something waits for the log for longer than was promised: a log that stalls must not look fresh.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from enum import Enum
from functools import partial
from typing import Final, TypeVar

from sqlmodel import Session

from audit import log as audit_log
from audit.checkpoint import split_origin
from audit.errors import NotInLogError
from audit.freshness import freshness_key, make_line
from audit.note import Signer
from audit.proof import ConsistencyProof, InclusionProof, format_consistency, format_proof
from audit.store import LogState
from gateway.database import Database
from gateway.database import clock as database_clock
from gateway.errors import AwayError
from gateway.honest_clock import MAX_DIFFERENCE_MS
from gateway.lateness import is_late, is_sequenced

T = TypeVar("T")

AGAIN_AFTER_MS: Final = 30_000
"""A line that is younger is served once more: one of a minute is the oldest that anybody has to believe."""

_REFUSED_MS: Final = 2_000
_LOOK_AGAIN_SECONDS: Final = (0.3, 0.6)
"""Evidence may be old when it is written; it waits for one tick then."""

_MOST_LOGS: Final = 20_000


@dataclass(frozen=True, slots=True)
class Owner:
    """Whose a log is: the shard that its sequencer has leased, and the topics that its events are on."""

    shard: int
    topics: tuple[str, ...] = ()


class Standing(Enum):
    """Whether a checkpoint may be called the newest one of its log."""

    NEWEST = "newest"
    LATE = "late"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class _Line:
    """What was last said of a log: of which note, when that was looked at (our clock, ms), and the line.

    `is_fresh` false: nothing could be said then, and the line is an earlier one, or empty.
    """

    checkpoint: str
    at: int
    text: str
    is_fresh: bool


@dataclass(frozen=True, slots=True)
class _Look:
    """`line`: one that is served as it is. None: a new one is due."""

    state: LogState
    line: _Line | None
    standing: Standing = Standing.UNKNOWN


@dataclass(slots=True, kw_only=True, eq=False)
class Shown:
    """Of one process, for one event loop.

    Attributes:
        clock: our own, Unix milliseconds; raises AwayError where it is not to be trusted.
        signers: the keys that vouch now, each with a line of its own; none: nothing is vouched for.
        name: what they are called in signature lines.
        owner_of: whose a log is, by its name without host and epoch; None: nobody's, then nothing is vouched.
        promise_ms: within which everything has its entry under a published checkpoint.
        cosigned: further lines of a published checkpoint that are stored, in the read that finds it.
    """

    database: Database
    clock: Callable[[], int]
    signers: Callable[[], Sequence[Signer]]
    name: str
    owner_of: Callable[[str], Owner | None]
    promise_ms: int = 60_000
    cosigned: Callable[[Session, LogState], Sequence[str]] = field(default=lambda *_: ())
    _lines: OrderedDict[str, _Line] = field(default_factory=OrderedDict, init=False, repr=False)

    def keys(self, public: Iterable[bytes]) -> list[str]:
        """Public keys that may vouch, in the form that verifiers take: `name+id+base64`."""
        return [str(freshness_key(self.name, key)) for key in public]

    async def checkpoint(self, origin: str) -> bytes:
        """The checkpoint of a log in one of its epochs.

        Raises:
            NotInLogError: there is no such log, or nothing is published of it.
        """
        _, note = await self._read(origin, lambda _session, _state: None)
        return note

    async def proof(self, origin: str, index: int) -> bytes:
        """The `.tlog-proof` file of an entry.

        Raises:
            NotInLogError: no published checkpoint covers the entry (yet).
        """

        def prove(session: Session, state: LogState) -> tuple[bytes, ...]:
            if index >= state.checkpoint_size:
                raise NotInLogError(f"{origin}: no published checkpoint covers entry {index} yet")
            return audit_log.prove(session, origin, index, state.checkpoint_size)

        hashes, note = await self._read(origin, prove)
        return format_proof(InclusionProof(index, hashes, note))

    async def consistency(self, origin: str, old_size: int) -> bytes:
        """The proof that the published checkpoint continues the log of `old_size` entries, as text.

        Raises:
            NotInLogError: nothing is published, or less than `old_size`.
        """

        def prove(session: Session, state: LogState) -> tuple[bytes, ...]:
            if old_size > state.checkpoint_size:
                raise NotInLogError(f"{origin}: no checkpoint of {old_size} entries or more is published")
            return audit_log.consistency(session, origin, old_size, state.checkpoint_size)

        hashes, note = await self._read(origin, prove)
        return format_consistency(ConsistencyProof(old_size, hashes, note))

    async def _read(self, origin: str, work: Callable[[Session, LogState], T]) -> tuple[T, bytes]:
        """What `work` finds in the snapshot that has the checkpoint, and the note as it is served."""
        now = self._trusted()

        def look(session: Session) -> tuple[T, _Look, Sequence[str]]:
            state = audit_log.state(session, origin)
            if state.checkpoint is None:
                raise NotInLogError(f"{origin}: nothing is published yet")
            return work(session, state), self._look(session, state, now), self.cosigned(session, state)

        found, seen, others = await self.database.read(look)
        line = seen.line
        if line is None and now is not None:
            line = await self._vouch(seen, now)
        note = "".join([seen.state.checkpoint or "", "" if line is None else line.text, *others])
        return found, note.encode()

    async def _vouch(self, seen: _Look, now: int) -> _Line | None:
        """A new line; where nothing can be said now, the last one of the same note."""
        origin, checkpoint = seen.state.head.origin, seen.state.checkpoint or ""
        for seconds in _LOOK_AGAIN_SECONDS:
            if seen.standing is not Standing.LATE:
                break
            await asyncio.sleep(seconds)
            asked = self._trusted()
            if asked is None:
                return None
            now = asked
            seen = await self.database.read(partial(self._look_again, origin=origin, now=now))
            if seen.state.checkpoint != checkpoint:
                # There is a newer one by now: nobody vouches for this.
                return None
        known = self._lines.get(origin)
        text = known.text if known is not None and known.checkpoint == checkpoint else ""
        is_fresh = seen.standing is Standing.NEWEST
        if is_fresh:
            signed = checkpoint.rpartition("\n\n")[0] + "\n"
            text = "".join(make_line(signed, self.name, one, now // 1_000) for one in self.signers())
        line = _Line(checkpoint, now, text, is_fresh)
        self._lines[origin] = line
        self._lines.move_to_end(origin)
        if len(self._lines) > _MOST_LOGS:
            self._lines.popitem(last=False)
        return line

    def _look_again(self, session: Session, *, origin: str, now: int) -> _Look:
        state = audit_log.state(session, origin)
        return _Look(state, None, self._judge(session, state, now))

    def _look(self, session: Session, state: LogState, now: int | None) -> _Look:
        """Look whether a new line is due, and may be made; `now` was read before this snapshot was taken."""
        known = self._lines.get(state.head.origin)
        if now is None:
            return _Look(state, None)
        if known is not None and known.checkpoint == state.checkpoint:
            good_for = AGAIN_AFTER_MS if known.is_fresh else _REFUSED_MS
            if 0 <= now - known.at < good_for:
                return _Look(state, known)
        return _Look(state, None, self._judge(session, state, now))

    def _judge(self, session: Session, state: LogState, now: int) -> Standing:
        log, _ = split_origin(state.head.origin)
        owner = self.owner_of(log.rpartition("/")[2])
        # An epoch that another has followed is over: it grows no more, and nobody vouches for it.
        if owner is None or not audit_log.is_newest(session, state.head.origin):
            return Standing.UNKNOWN
        there = database_clock(session)
        # Read again here: the comparison that our clock goes by may be some seconds old.
        if abs(there - now) > MAX_DIFFERENCE_MS or not is_sequenced(session, owner.shard, there):
            return Standing.UNKNOWN
        is_slow = is_late(session, state, owner.topics, there - self.promise_ms)
        return Standing.LATE if is_slow else Standing.NEWEST

    def _trusted(self) -> int | None:
        """The time; None while our clock is not to be trusted."""
        try:
            return self.clock()
        except AwayError:
            return None
