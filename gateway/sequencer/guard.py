"""The start-up guard: are these topics ours, and is this database one that may go on signing?

Every checkpoint that the world was shown is in the checkpoint topic. A database that is behind one of them is
a restored backup or a wiped one; signing on would make a second history. A mark in the same topic says which
gateway was there first: another one on the same topics would deliver and log what is not its own.

What is no checkpoint of ours for certain is told, and passed over. What may be one, by a key that this
database does not know or that somebody else may have, is not: who restored a database from before a rotation
would never hear that it is behind. An operator has to say whose it is.
"""

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Final

from sqlmodel import Session

from audit import log as audit_log
from audit.checkpoint import Checkpoint, split_origin
from audit.epochs import is_succeeded
from audit.errors import AuditError, InconsistentError, NotInLogError
from gateway import facts
from gateway.broker.port import Broker, BrokerError, Stored
from gateway.database import Database
from gateway.errors import AwayError, SetupError
from gateway.keys import load_public
from gateway.logs import logger
from gateway.sequencer.authors import Author, Authors, keys_by_log
from gateway.sequencer.mark import KEY_BYTES, Installation, make_mark
from gateway.sequencer.published import Doubtful, Shown, read_shown, tell_passed
from gateway.waits import rest

_LOOK_SECONDS: Final = 0.5

RESTORED: Final = "restored"
"""A fact of a database that came from a backup together with its topics: nothing here knows what was shown
after it was made."""

WITNESSED: Final = "witnessed"
"""A fact of a database that is an older copy, by what a witness holds and we signed: likewise."""


class LogBehindError(SetupError):
    """The database is behind, or apart from, a checkpoint that was published from it."""

    code = "log_behind"


class NamesakeError(SetupError):
    """The topics belong to another gateway, which uses the same names on the same broker."""

    code = "topics_foreign"


@dataclass(slots=True, kw_only=True, eq=False)
class Guard:
    """Makes sure that the topics and the database belong together; at the start, and after each absence.

    `broker`: with no gate before it. `clock`: Unix milliseconds. `has_passed`: whether it was ever sure.
    `problem`: why it cannot tell, in words; empty where it can. `shown`: origins whose newest record in the
    topic is a checkpoint of ours. `warnings`: on records there that this gateway never wrote.
    """

    broker: Broker
    database: Database
    us: Installation
    topic: str
    clock: Callable[[], int]
    entropy: Callable[[int], bytes]
    has_passed: bool = field(default=False, init=False)
    refusal: SetupError | None = field(default=None, init=False)
    problem: str = field(default="", init=False)
    shown: frozenset[str] = field(default=frozenset(), init=False)
    warnings: tuple[str, ...] = field(default=(), init=False)
    _turn: asyncio.Lock = field(default_factory=asyncio.Lock, init=False)

    async def verify(self) -> None:
        """Look once; leave our mark where there is none.

        Raises:
            NamesakeError, LogBehindError: nothing may be appended; says how to mend it.
            BrokerError, StoreError: one of them is away or refuses: look again later.
        """
        async with self._turn:
            known = await self.database.read_unvetted(load_public)
            authors = Authors(keys_by_log(self.us.log.rpartition("/log/")[0], known))
            shown = await read_shown(self.broker, self.topic, authors)
            if shown.owner is not None:
                verify_owner(shown.owner, self.us, self.topic)
            stale = await self.database.vet(lambda session: verify_shown(session, shown, self.topic))
            if shown.owner is None:
                await self._mark()
                # Another may have marked it at the same moment: whose mark lies first is seen only now.
                owner = (await read_shown(self.broker, self.topic)).owner
                if owner is None:
                    raise BrokerError("broker_unavailable", f"our mark in {self.topic} is not to be seen yet")
                verify_owner(owner, self.us, self.topic)
            self._warn([*tell_passed(shown, self.topic), *stale])
            self.shown = frozenset(shown.checkpoints.keys() - shown.hidden)
            self.has_passed = True
            self.problem = ""

    async def settle(self) -> None:
        """As `verify`, but keeps in `refusal` and `problem` what it would raise."""
        try:
            await self.verify()
        except SetupError as error:
            self.refusal = error
        except (AwayError, BrokerError) as error:
            if not self.problem:
                logger("gateway").warning("not yet sure whose topics these are", reason=str(error))
            self.problem = str(error)

    async def run(self, stop: asyncio.Event) -> None:
        """Look until sure, and again whenever the broker was away, or the database is another server's.

        And see all the time whether another process has noted that the database is an older copy.

        Raises:
            NamesakeError, LogBehindError: this gateway must stop.
        """
        is_due = not self.has_passed
        while not stop.is_set():
            is_away = self.broker.away_for_ms() > 0
            is_due = is_due or self.database.is_unvetted
            if is_due and not (is_away and self.has_passed):
                await self.settle()
                if self.refusal is not None:
                    raise self.refusal
                is_away, is_due = False, bool(self.problem)
            is_due = is_due or is_away
            with suppress(AwayError):  # whoever is asked something says so; it is looked at again
                if await self.database.read(is_returned):
                    await self.database.read(lambda session: verify_not_behind(session, {}))
            await rest(stop, _LOOK_SECONDS)

    def _warn(self, words: Sequence[str]) -> None:
        for one in words:
            if one not in self.warnings:
                logger("gateway").warning("the checkpoint topic has what is not ours", reason=one)
        self.warnings = tuple(words)

    async def _mark(self) -> None:
        mark = make_mark(self.us, self.topic, key=self.entropy(KEY_BYTES), now=self.clock())
        (answer,) = await self.broker.append([mark])
        if not isinstance(answer, Stored):
            raise BrokerError("broker_unavailable", f"no mark could be left in {self.topic}: {answer.reason}")


def verify_owner(owner: Installation, us: Installation, topic: str) -> None:
    """Compare whom the topics belong to with who we are.

    Raises:
        NamesakeError: they are another's; says how to mend it.
    """
    if owner.log != us.log:
        raise NamesakeError(
            f"the checkpoint topic {topic} belongs to the gateway {owner.origin} (house log {owner.log}); "
            f"this is {us.origin} (house log {us.log}), with another database. If both are to run on this "
            "broker, give this one names of its own: broker.topic_prefix and broker.checkpoint_topic. If "
            "they are to be one gateway, give this one the same database.url; if its database was lost or "
            "made anew, restore the newest backup, or where there is none begin new epochs of its logs: "
            "gateway log new-epoch --all --reason TEXT. Nothing is appended until then."
        )


def verify_not_behind(session: Session, published: dict[str, Checkpoint]) -> None:
    """Compare what was published with what this database holds.

    Raises:
        LogBehindError: says which log, and how to mend it.
    """
    made = facts.load(session, RESTORED)
    if made is not None:
        raise LogBehindError(
            f"this database and its topics were restored from a backup of {made}: what was published of the "
            "logs after that, nothing here knows. Begin new epochs of them: gateway log new-epoch --reason "
            "'restored from a backup'. Nothing is appended until then."
        )
    held = facts.load(session, WITNESSED)
    if held is not None:
        raise LogBehindError(
            f"this database is an older copy of itself: {held}, signed by this gateway. What was published "
            "of its logs since the copy was made, nothing here knows. Bring the newest one back. If there is "
            "none, begin new epochs of them: gateway log new-epoch --reason 'an older copy came back'. "
            "Nothing is appended until then."
        )
    for origin, checkpoint in sorted(published.items()):
        error = behind(session, checkpoint)
        if error is not None:
            raise LogBehindError(
                f"{origin}: the checkpoint topic shows {checkpoint.size} entries that this database does not "
                f"have ({error}). It was restored from an older backup, or was a standby that had not "
                "received everything, or was wiped, or belongs to another gateway with the same topics. "
                "Restore the newest database. If there is none that has them, what is missing is lost: begin "
                "a new epoch of each log that is behind, gateway log new-epoch --reason TEXT. Nothing is "
                "appended until then."
            ) from error


def is_returned(session: Session) -> bool:
    """Whether this database is of an earlier time, with no topics that know what was published since."""
    return facts.has_any(session, RESTORED, WITNESSED)


def verify_shown(session: Session, shown: Shown, topic: str) -> list[str]:
    """As `verify_not_behind`, with what may be ours and may not; returns words on what it passes over.

    What a frozen key alone signed about an epoch that is over here is passed over: that key has nothing to
    say of it any more.

    Raises:
        LogBehindError: as `verify_not_behind`; or the database does not have what a checkpoint shows of which
            it cannot tell whether it is ours.
    """
    verify_not_behind(session, shown.checkpoints)
    passed = []
    for one in shown.doubtful:
        error = behind(session, one.checkpoint)
        if error is None:
            continue
        where = f"{topic} [0] offset {one.offset}"
        if one.author is Author.FROZEN and is_over(session, one.checkpoint.origin):
            passed.append(
                f"{where}: {one.checkpoint.size} entries of {one.checkpoint.origin}, an epoch that ended "
                f"otherwise, signed by {one.who} alone, which was frozen. It counts for nothing, and is "
                "evidence that somebody has that key: keep it"
            )
            continue
        raise LogBehindError(_doubt(one, where, error)) from error
    return passed


def _doubt(one: Doubtful, where: str, error: AuditError) -> str:
    shown = (
        f"{one.checkpoint.origin}: {where} shows {one.checkpoint.size} entries that this database does not "
        f"have ({error}), signed by {one.who}, "
    )
    ways = (
        "new-epoch --unsigned follows it as ours, gateway log new-epoch --disown takes note that it is not. "
        "Nothing is appended until then."
    )
    if one.author is Author.FROZEN:
        return (
            f"{shown}which was frozen: it may be ours of just before, or of whoever has the key. Restore the "
            f"newest database. If it has no more, begin a new epoch: gateway log {ways}"
        )
    return (
        f"{shown}which this database does not know. If it was restored from a backup of before that key was "
        "made, restore the newest database, or where there is none begin a new epoch. If this gateway never "
        f"had such a key, see who else may write to the topic. gateway log {ways}"
    )


def is_over(session: Session, origin: str) -> bool:
    """Whether this database has a later epoch of the log."""
    log, epoch = split_origin(origin)
    return any(split_origin(one.head.origin)[1] > epoch for one in audit_log.epochs(session, log))


def behind(session: Session, shown: Checkpoint) -> AuditError | None:
    """Why this database cannot go on behind a checkpoint that was shown; None where it can.

    It has what was shown, or an epoch that came after it; or an operator has begun another epoch in the face
    of it.
    """
    try:
        audit_log.check_published(session, shown)
    except (NotInLogError, InconsistentError) as error:
        is_over = is_succeeded(session, shown) or facts.load(session, _faced(shown)) is not None
        return None if is_over else error
    return None


def face(session: Session, shown: Checkpoint) -> None:
    """Note that an epoch begins although this was shown of an earlier one; what is shown later is not it."""
    facts.keep(session, _faced(shown), str(shown.size))


def _faced(shown: Checkpoint) -> str:
    return f"faced {shown.origin} {shown.size} {shown.root.hex()}"
