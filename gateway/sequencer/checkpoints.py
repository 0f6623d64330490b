"""Heads become checkpoints: sign what is committed, show it to the world, then serve it.

Crash order: commit the head; sign; append to the checkpoint topic; store as published. Killed between, the
same text is signed again. A head that is not committed is never signed.

All keys sign whose time it is: during a rotation old and new. Where another one begins, or one ends, the
newest checkpoint of each log is signed anew, the same text, also where nothing happens in a log.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Final, Protocol, TypeVar

from audit import log as audit_log
from audit.checkpoint import Checkpoint, sign_checkpoint
from audit.errors import MalformedError, StaleHeadError
from audit.log import LogState
from audit.note import Signer, VerifierKey, parse_note
from audit.tree import Head
from gateway.broker.port import Broker, Record, Stored
from gateway.database import Database
from gateway.errors import AwayError
from gateway.keys import HeldKey
from gateway.logs import logger

T = TypeVar("T")

TOKEN_SECONDS: Final = 10.0
"""A token that takes longer to sign what one round asks for is away."""


class Aside(Protocol):
    """Runs what may take its time on a thread of its own."""

    def __call__(self, work: Callable[[], T], /) -> Awaitable[T]:
        """Wait for it."""
        ...


@dataclass(slots=True, kw_only=True, eq=False)
class Checkpoints:
    """Publishes checkpoints of the logs that this process sequences.

    `topic`: the compacted checkpoint topic. `signers`: who signs now, newest first. `aside`: where keys of a
    token sign, which may take their time; those in memory sign at once. `clock`: raises where our clock is
    not to be trusted. `anchors`: who signs the log `anchor` (without its epoch), which has keys of its own.
    """

    database: Database
    broker: Broker
    signers: Callable[[], Sequence[Signer]]
    aside: Aside
    topic: str
    clock: Callable[[], int]
    step: Callable[[str], None]
    anchor: str = ""
    anchors: Callable[[], Sequence[Signer]] = tuple
    _topic_id: str | None = field(default=None, init=False)
    _signed_by: tuple[str, ...] = field(default=(), init=False)
    _is_owed: bool = field(default=False, init=False)

    async def is_renewed(self) -> bool:
        """Whether the topic is gone, or another than at the last look: what it showed must be shown again.

        Raises:
            BrokerError: the broker is away or refuses.
        """
        there = await self.broker.describe([self.topic])
        found = there[self.topic].id if self.topic in there else None
        before, self._topic_id = self._topic_id, found
        if before is not None and before != found:
            fate = "deleted" if found is None else "deleted and made again"
            logger("gateway.sequencer").error(
                "the checkpoint topic is another one",
                reason=f"{self.topic} was {fate}; it is made where it is missing, and the newest checkpoints "
                "are shown in it again. Until then no database can be compared with it: delete it never",
            )
        return found is None or (before is not None and before != found)

    def has_other_signers(self) -> bool:
        """Whether others sign than at the last look."""
        now = tuple(one.key_id for one in (*self.signers(), *self.anchors()))
        before, self._signed_by = self._signed_by, now
        return before != self._signed_by

    async def unpublished(self, origins: Iterable[str]) -> set[str]:
        """Those of `origins` whose head is ahead of what was published, or not signed by all who sign now."""
        wanted = set(origins)
        states = await self.database.read(audit_log.heads)
        return {
            one.head.origin
            for one in states
            if one.head.origin in wanted
            and (one.head.size != one.checkpoint_size or not _is_signed_by(one, self._of(one.head.origin)))
        }

    async def publish(self, origins: Iterable[str], committed: Mapping[str, Head] | None = None) -> set[str]:
        """Sign and publish the heads of these logs; returns those that could not be published yet.

        `committed`: heads that the caller has committed last, by origin; those of other logs are read.

        Raises:
            AwayError: the database is away, our clock untrusted, or nobody can sign now (`key_unavailable`);
                what was shown is shown again later, the same text.
            StaleHeadError: another process publishes these logs by now.
        """
        wanted = set(origins)
        if not wanted:
            return set()
        heads = {origin: head for origin, head in (committed or {}).items() if origin in wanted}
        if others := sorted(wanted - heads.keys()):
            states = await self.database.read(lambda session: audit_log.states(session, others))
            heads |= {origin: one.head for origin, one in states.items()}
        now = self.clock()  # first: nothing is signed where it is not to be trusted
        notes = await self._sign(list(heads.values()))
        results = await self.broker.append(
            [Record(self.topic, 0, origin.encode(), note, (), now) for origin, note in notes.items()]
        )
        shown = {
            origin: note
            for (origin, note), result in zip(notes.items(), results, strict=True)
            if isinstance(result, Stored)
        }
        self.step("proof.4.published")

        if shown:
            try:
                await self.database.write(lambda session: audit_log.publish_all(session, shown))
            except StaleHeadError:
                await self._show_again({origin: heads[origin].size for origin in shown})
                raise
            self.step("proof.4.served")
        return wanted - shown.keys()

    def _of(self, origin: str) -> Sequence[Signer]:
        """Who signs for a log."""
        return self.anchors() if origin.rpartition("/")[0] == self.anchor else self.signers()

    async def _sign(self, heads: Sequence[Head]) -> dict[str, bytes]:
        """The signed heads, by log. The anchor waits for a key of its own, and holds up no other log."""
        by_log = {head.origin: self._of(head.origin) for head in heads}
        if any(not some and log.rpartition("/")[0] != self.anchor for log, some in by_log.items()):
            raise AwayError("key_unavailable", "no key signs checkpoints now: gateway keys rotate checkpoint")

        def sign() -> dict[str, bytes]:
            return {
                head.origin: sign_checkpoint(Checkpoint(head.origin, head.size, head.root()), *signers)
                for head in heads
                if (signers := by_log[head.origin])
            }

        if not any(isinstance(one, HeldKey) for some in by_log.values() for one in some):
            return sign()
        return await self._by_token(sign, len(heads))

    async def _by_token(self, sign: Callable[[], dict[str, bytes]], count: int) -> dict[str, bytes]:
        """Have a token sign. While it owes an answer it is asked nothing more, and nobody waits for it.

        Else each round would wait for it anew, and entries, which wait for rounds, with it.
        """
        words = f"the token has not signed {count} checkpoints within {TOKEN_SECONDS:.0f} s"
        if self._is_owed:
            raise AwayError("key_unavailable", words)

        def ask() -> dict[str, bytes]:
            self._is_owed = True
            try:
                return sign()
            finally:
                self._is_owed = False

        try:
            async with asyncio.timeout(TOKEN_SECONDS):
                return await self.aside(ask)
        except TimeoutError as error:
            raise AwayError("key_unavailable", words) from error

    async def _show_again(self, sizes: Mapping[str, int]) -> None:
        """Put newer checkpoints behind those of these sizes, which a process put there that had been asleep.

        Compaction keeps the last one of each log: it must be the newest that the world was shown. Where a
        newer one was published while these were on their way, it may lie before them: it is put there, too.
        """
        now, shown = self.clock(), sizes
        while shown:
            states = await self.database.read(partial(audit_log.states, origins=shown))
            newer = {origin: one for origin, one in states.items() if one.checkpoint_size > shown[origin]}
            notes = [(origin, one.checkpoint or "") for origin, one in newer.items()]
            await self.broker.append(
                [Record(self.topic, 0, origin.encode(), note.encode(), (), now) for origin, note in notes]
            )
            shown = {origin: one.checkpoint_size for origin, one in newer.items()}


def _is_signed_by(state: LogState, signers: Sequence[Signer]) -> bool:
    """Whether its published checkpoint bears the lines of these keys and of no other key of the log's own."""
    if state.checkpoint is None:
        return not state.checkpoint_size
    origin = state.head.origin
    try:
        lines = parse_note(state.checkpoint.encode()).lines
    except MalformedError:
        return False
    wanted = {VerifierKey(origin, one.public_key).key_id for one in signers}
    return {line.key_id for line in lines if line.name == origin} == wanted
