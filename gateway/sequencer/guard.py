"""The start-up guard: are these topics ours, and is this database one that may go on signing?

Every checkpoint that the world was shown is in the checkpoint topic. A database that is behind one of them is
a restored backup or a wiped one; signing on would make a second history. A mark in the same topic says which
gateway was there first: another one on the same topics would deliver and log what is not its own.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Final

from sqlmodel import Session

from audit import log as audit_log
from audit.checkpoint import Checkpoint, read_checkpoint, split_origin
from audit.epochs import is_succeeded
from audit.errors import AuditError, InconsistentError, NotInLogError
from gateway import facts
from gateway.broker.port import Broker, BrokerError, Position, Read, Record, Start, Stored, TopicSpec
from gateway.database import Database
from gateway.errors import AwayError, SetupError
from gateway.logs import logger
from gateway.sequencer.mark import KEY_BYTES, Installation, make_mark, read_mark
from gateway.waits import rest

_LOOK_SECONDS: Final = 0.5
_PATIENCE: Final = 4
"""Empty polls in a row before the topic counts as unreadable."""

_SLICE: Final = 50
"""Checkpoints parsed before the loop may do something else."""


RESTORED: Final = "restored"
"""A fact of a database that came from a backup together with its topics: nothing here knows what was shown
after it was made."""


class LogBehindError(SetupError):
    """The database is behind, or apart from, a checkpoint that was published from it."""

    code = "log_behind"


class NamesakeError(SetupError):
    """The topics belong to another gateway, which uses the same names on the same broker."""

    code = "topics_foreign"


@dataclass(frozen=True, slots=True)
class Shown:
    """What the checkpoint topic holds: the newest checkpoint of each origin, and the first mark, if any.

    `notes`: the same checkpoints as they were signed; nobody has verified them.
    """

    checkpoints: dict[str, Checkpoint]
    owner: Installation | None
    notes: dict[str, bytes] = field(default_factory=dict)


@dataclass(slots=True, kw_only=True, eq=False)
class Guard:
    """Makes sure that the topics and the database belong together; at the start, and after each absence.

    `broker`: with no gate before it. `clock`: Unix milliseconds. `has_passed`: whether it was ever sure.
    `problem`: why it cannot tell, in words; empty where it can. `shown`: origins that the topic has a
    checkpoint of.
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
    _turn: asyncio.Lock = field(default_factory=asyncio.Lock, init=False)

    async def verify(self) -> None:
        """Look once; leave our mark where there is none.

        Raises:
            NamesakeError, LogBehindError: nothing may be appended; says how to mend it.
            BrokerError, StoreError: one of them is away or refuses: look again later.
        """
        async with self._turn:
            shown = await read_shown(self.broker, self.topic)
            if shown.owner is not None:
                verify_owner(shown.owner, self.us, self.topic)
            await self.database.vet(lambda session: verify_not_behind(session, shown.checkpoints))
            if shown.owner is None:
                await self._mark()
                # Another may have marked it at the same moment: whose mark lies first is seen only now.
                shown = await read_shown(self.broker, self.topic)
                if shown.owner is None:
                    raise BrokerError("broker_unavailable", f"our mark in {self.topic} is not to be seen yet")
                verify_owner(shown.owner, self.us, self.topic)
            self.shown = frozenset(shown.checkpoints)
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
            await rest(stop, _LOOK_SECONDS)

    async def _mark(self) -> None:
        mark = make_mark(self.us, self.topic, key=self.entropy(KEY_BYTES), now=self.clock())
        (answer,) = await self.broker.append([mark])
        if not isinstance(answer, Stored):
            raise BrokerError("broker_unavailable", f"no mark could be left in {self.topic}: {answer.reason}")


async def read_shown(broker: Broker, topic: str, *, wait_ms: int = 500) -> Shown:
    """Read the checkpoint topic, which is made if it is missing.

    Raises:
        BrokerError: the broker is away or refuses.
    """
    made = await broker.ensure([TopicSpec(topic, compacted=True)])
    if topic not in made:
        raise BrokerError("broker_unavailable", f"there is no topic {topic} yet: `gateway serve` makes it")
    topic_id = made[topic].id
    ((first, end),) = await broker.bounds([(topic, 0)])
    reader = broker.reader()
    shown = Shown({}, None)
    try:
        reader.assign([Start(topic, Position(topic_id, 0, first))])
        empty = 0
        while (reader.reached(topic, 0) or 0) < end:
            events = await reader.poll(1_000, wait_ms)
            empty = 0 if events else empty + 1
            # A new reader on a busy machine may need more than one wait to connect.
            if empty == _PATIENCE:
                raise BrokerError("broker_unavailable", f"the checkpoint topic {topic} cannot be read")
            for number, event in enumerate(events, 1):
                if number % _SLICE == 0:
                    await asyncio.sleep(0)
                if isinstance(event, Read):
                    shown = note_shown(shown, event.record)
    finally:
        await reader.close()
    return shown


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


def note_shown(shown: Shown, record: Record) -> Shown:
    """What is known once this record of the topic was read too; the maps are those of `shown`."""
    if shown.owner is None and (owner := read_mark(record)) is not None:
        shown = replace(shown, owner=owner)
    note = record.value or b""
    try:
        checkpoint, _ = read_checkpoint(note)
        split_origin(checkpoint.origin)  # one without an epoch is of no log of any gateway
    except AuditError:
        return shown
    known = shown.checkpoints.get(checkpoint.origin)
    if known is None or known.size <= checkpoint.size:
        shown.checkpoints[checkpoint.origin] = checkpoint
        shown.notes[checkpoint.origin] = note
    return shown
