"""Heads become checkpoints: sign what is committed, show it to the world, then serve it.

Crash order: commit the head; sign; append to the checkpoint topic; store as published. Killed between, the
same text is signed again. A head that is not committed is never signed.

All keys sign whose time it is: during a rotation old and new. Where another one begins, or one ends, the
newest checkpoint of each log is signed anew, the same text, also where nothing happens in a log. So is the
last one of each epoch that is over: else what is in it could be verified by none but the keys of its time,
and by nobody once these have leaked. Its text was published before, so that this makes no second history.
"""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Final, Protocol, TypeVar

from sqlmodel import Session

from audit import log as audit_log
from audit.checkpoint import Checkpoint, read_checkpoint, sign_checkpoint, split_origin
from audit.errors import AuditError, InconsistentError, MalformedError, StaleHeadError
from audit.log import LogState
from audit.note import Note, Signer, VerifierKey, format_line, parse_note
from audit.tree import Head
from gateway.broker.port import Broker, Record, Stored
from gateway.database import Database
from gateway.errors import AwayError
from gateway.keys import HeldKey
from gateway.logs import logger

T = TypeVar("T")

TOKEN_SECONDS: Final = 10.0
"""A token that takes longer to sign what one round asks for is away."""

_MOST_EARLIER: Final = 8
"""Lines of keys that have ended, under the checkpoint of an ended epoch: for who has pinned one of them."""


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
    `leaked`: public keys that somebody else may sign with.
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
    leaked: Callable[[], Collection[bytes]] = tuple
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
        """Whether others sign than at the last look, or a key is known to have leaked since."""
        signers = tuple(one.key_id for one in (*self.signers(), *self.anchors()))
        now = (*signers, *(key.hex() for key in self.leaked()))
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
        notes = await self._sign([Checkpoint(one.origin, one.size, one.root()) for one in heads.values()])
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

    def ended(self, states: Iterable[LogState], logs: Collection[str]) -> list[str]:
        """Ended epochs of these logs (named without one) whose last checkpoint is to be signed anew.

        It lacks the line of a key that signs now, or bears one of a key that leaked. `states`: of all epochs.
        """
        known = list(states)
        newest = {split_origin(one.head.origin)[0]: one.head.origin for one in known}
        return [
            one.head.origin
            for one in known
            if one.checkpoint is not None
            and (log := split_origin(one.head.origin)[0]) in logs
            and newest[log] != one.head.origin
            and self._is_to_renew(one)
        ]

    async def renew(self, origins: Sequence[str]) -> None:
        """Sign the last checkpoints of ended epochs anew, the same texts, and serve them.

        The topic keeps what it shows of them: that may be more than this database has, which the next epoch
        names. Keys that have ended and not leaked keep their lines. What this database cannot stand by is
        logged, and left as it is: it holds up neither other epochs nor logs that grow.

        Raises:
            AwayError, StaleHeadError: as `publish`.
        """
        if not origins:
            return
        self.clock()  # nothing is signed where it is not to be trusted
        kept = await self.database.read(lambda session: _kept(session, origins))
        signed = await self._sign([checkpoint for checkpoint, _ in kept.values()])
        gone = {origin: {*self._ids(origin), *self._leaked_ids(origin)} for origin in signed}
        earlier = {
            origin: [one for one in kept[origin][1].lines if one.name == origin and one.key_id not in out]
            for origin, out in gone.items()
        }
        notes = {
            origin: note
            + "".join(
                format_line(one.name, one.key_id, one.signature) for one in earlier[origin][:_MOST_EARLIER]
            ).encode()
            for origin, note in signed.items()
        }
        await self.database.write(lambda session: audit_log.publish_all(session, notes))

    def _is_to_renew(self, state: LogState) -> bool:
        origin = state.head.origin
        try:
            lines = parse_note((state.checkpoint or "").encode()).lines
        except MalformedError:
            return False
        there = {line.key_id for line in lines if line.name == origin}
        wanted = self._ids(origin)
        return bool(wanted) and not (wanted <= there and there.isdisjoint(self._leaked_ids(origin)))

    def _ids(self, origin: str) -> set[bytes]:
        """Of those who sign for a log, as its lines name them."""
        return {VerifierKey(origin, one.public_key).key_id for one in self._of(origin)}

    def _leaked_ids(self, origin: str) -> set[bytes]:
        return {VerifierKey(origin, key).key_id for key in self.leaked()}

    def _of(self, origin: str) -> Sequence[Signer]:
        """Who signs for a log."""
        return self.anchors() if origin.rpartition("/")[0] == self.anchor else self.signers()

    async def _sign(self, heads: Sequence[Checkpoint]) -> dict[str, bytes]:
        """The signed heads, by log. The anchor waits for a key of its own, and holds up no other log."""
        by_log = {head.origin: self._of(head.origin) for head in heads}
        if any(not some and log.rpartition("/")[0] != self.anchor for log, some in by_log.items()):
            raise AwayError("key_unavailable", "no key signs checkpoints now: gateway keys rotate checkpoint")

        def sign() -> dict[str, bytes]:
            return {
                head.origin: sign_checkpoint(head, *signers)
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


def _kept(session: Session, origins: Sequence[str]) -> dict[str, tuple[Checkpoint, Note]]:
    """The last checkpoints of ended epochs, by origin, without those that their rows contradict."""
    found = {}
    for origin, state in audit_log.states(session, origins).items():
        try:
            checkpoint, note = read_checkpoint((state.checkpoint or "").encode())
            if (checkpoint.origin, checkpoint.size) != (origin, state.checkpoint_size):
                raise InconsistentError(
                    f"{checkpoint.size} entries of {checkpoint.origin} are kept as what was published, "
                    f"and {state.checkpoint_size} are counted"
                )
            if (checkpoint.size, checkpoint.root) != (state.head.size, state.head.root()):
                audit_log.check_published(session, checkpoint)
        except AuditError as error:
            logger("gateway.sequencer").error(
                "an ended epoch is not signed anew",
                reason=f"{origin}: its last checkpoint and its rows in the database do not agree ({error}). "
                "The keys that signed it before are its only ones; all other logs go on. Look what is "
                "damaged: gateway log fsck",
            )
        else:
            found[origin] = checkpoint, note
    return found


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
