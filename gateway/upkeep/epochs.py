"""New epochs of logs: for a database that is behind what was published, or keys that others may have.

Crash order: publish what the old epochs owe; begin the new ones, in one transaction; publish their heads.
Killed between, the next run finds what is done: a log whose new epoch is there is no longer behind. A head
that is not committed is never signed, and an epoch that was shown further than this database knows of it
gets no other checkpoint: at most the text that was published last is signed anew.
"""

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Final

from sqlalchemy import delete, update
from sqlmodel import Session, col

from audit import log as audit_log
from audit.checkpoint import Checkpoint, split_origin
from audit.epochs import Moved, Opening, members_of, open_epoch
from audit.errors import InconsistentError, NotInLogError
from audit.evidence import Kind, make_evidence
from audit.store import LogState
from gateway.database import Database
from gateway.errors import SetupError
from gateway.rows import ClaimRow, MetaRow
from gateway.sequencer.authors import Author
from gateway.sequencer.checkpoints import Checkpoints
from gateway.sequencer.guard import RESTORED, WITNESSED, behind, face, is_returned
from gateway.sequencer.published import MOST_EPOCH, Doubtful, Shown, all_shown
from gateway.sequencer.territory import anchor_log
from gateway.upkeep.quiet import BusyError, keep_quiet

MOST_REASON: Final = 500
"""Characters."""

CHANCE_BYTES: Final = 8
_SHARE: Final = 64
"""What is drawn lies in this part of the numbers that are left, so that a hundred draws take half of them."""

_AT_ONCE: Final = 500


@dataclass(frozen=True, slots=True)
class Wish:
    """Which logs begin anew: those of these names, all, or (neither) those that are behind; and why.

    `takes_unsigned`: link to checkpoints that no key of this database signed, too. `disowns`: those are not
    ours, and no epoch follows them; their logs begin anew all the same, in case that they are. `chance`:
    `CHANCE_BYTES` random bytes, by which numbers are drawn where they have to be; empty: of the moment.
    """

    reason: str
    names: frozenset[str] = frozenset()
    is_for_all: bool = False
    takes_unsigned: bool = False
    disowns: bool = False
    chance: bytes = field(default=b"", repr=False)


@dataclass(frozen=True, slots=True)
class Step:
    """One new epoch. `after`: the newest that this database has. `previous`: what the opening names."""

    origin: str
    previous: Checkpoint | None
    after: LogState | None
    is_behind: bool


@dataclass(frozen=True, slots=True)
class Opened:
    """A new epoch that was begun. `moved`: entries that went into it from the one before."""

    origin: str
    previous: Checkpoint | None
    is_behind: bool
    moved: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Epochs:
    """Begins epochs. `keys`: as of `Scope`.

    `is_alone`: as of `keep_quiet`.
    """

    database: Database
    checkpoints: Checkpoints
    keys: Callable[[str], Sequence[bytes]]
    issuer: str
    host: str
    clock: Callable[[], int]
    entropy: Callable[[int], bytes]
    is_alone: bool = False

    def plan(self, session: Session, shown: Shown, wish: Wish) -> list[Step]:
        """Which epochs are to begin, by log.

        Raises:
            SetupError: a log that is named is not there; a checkpoint is not ours; one log is asked for where
                nobody knows what was published of any; there is no number left.
        """
        states = {split_origin(one.head.origin)[0]: one for one in audit_log.heads(session)}
        published: dict[str, list[Checkpoint]] = {}
        said = _said(session, shown, wish, states)
        for origin, checkpoint in all_shown(said).items():
            published.setdefault(split_origin(origin)[0], []).append(checkpoint)
        disowned = _disowned(session, shown) if wish.disowns else {}
        wanted = {name if "/" in name else f"{self.host}/log/{name}" for name in wish.names}
        known = states.keys() | published.keys()
        if missing := wanted - known:
            raise SetupError(f"there is no log {min(missing)}; /v1/status and gateway status name them")
        is_restored = is_returned(session)
        if is_restored:
            # What has not begun here may have begun, and been published, after the backup.
            known |= set(audit_log.pending_logs(session))
            # The anchor waits for nothing in SQL: its rounds begin by themselves.
            anchor = anchor_log(self.host)
            known |= {anchor} if self.keys(f"{anchor}/1") else set()
        if is_restored and wanted and wanted != known:
            raise SetupError(
                "this database and its topics were restored from a backup: what was published of any of its "
                "logs after that, nothing here knows, and every log begins anew: ask without --log"
            )
        origins = [*(one.head.origin for one in states.values()), *_counted(said, wish)]
        taken = [one.checkpoint.origin for one in shown.doubtful]
        # One number for all: drawn for each, one that was used before would be as many times as likely.
        drawn = _draw(
            max(map(_epoch, origins), default=0),
            wish.chance or self.entropy(CHANCE_BYTES),
            frozenset(map(_epoch, taken)),
        )
        steps = []
        for log in sorted(wanted or known):
            is_drawn = is_restored or log in disowned or _is_unknown(states.get(log), all_shown(shown))
            own_taken = frozenset(_epoch(one) for one in taken if split_origin(one)[0] == log)
            is_behind = is_restored or log in disowned
            asked = _Asked(log, drawn if is_drawn else None, own_taken, is_behind=is_behind)
            step = _step(session, asked, states.get(log), published.get(log, []))
            is_due = step.is_behind or bool(wish.names) or wish.is_for_all
            if is_due and (is_restored or step.previous is not None or step.after is not None):
                self._verify_signed(session, step, shown, wish)
                if _epoch(step.origin) > MOST_EPOCH:
                    raise SetupError(
                        f"{log} has no number left for another epoch: {MOST_EPOCH} is the last one"
                    )
                steps.append(step)
        return steps

    async def begin(self, shown: Shown, wish: Wish) -> list[Opened]:
        """Begin every epoch that `plan` names; publishes what has to be published.

        Raises:
            BusyError: a sequencer is at work.
            SetupError: as `plan`.
            StoreError, BrokerError: one of them is away; run it again.
        """
        steps = await self.database.read(lambda session: self.plan(session, shown, wish))
        await self._publish([step.after.head.origin for step in steps if step.after and _owes(step)])
        opened = await self.database.write(lambda session: self._open(session, shown, wish))
        await self._publish([one.origin for one in opened])
        return opened

    def _open(self, session: Session, shown: Shown, wish: Wish) -> list[Opened]:
        keep_quiet(session, is_alone=self.is_alone)
        opened, steps = [], self.plan(session, shown, wish)
        begun = {split_origin(step.origin)[0] for step in steps if step.is_behind}
        for one in shown.checkpoints.values() if wish.disowns else all_shown(shown).values():
            # Of an epoch that another had followed before: no opening can name it any more.
            if split_origin(one.origin)[0] in begun and behind(session, one) is not None:
                face(session, one)
        if wish.disowns:
            # Also of logs that are not here, which no epoch can follow.
            for one in (one for some in _disowned(session, shown).values() for one in some):
                face(session, one)
        for step in steps:
            if _owes(step):
                raise BusyError(f"{step.origin}: the epoch before it grew meanwhile: ask again")
            opening = Opening(step.origin, step.previous, wish.reason)
            evidence = make_evidence(
                Kind.EPOCH_OPENED,
                members_of(opening),
                iss=self.issuer,
                log=split_origin(step.origin)[0],
                at=self.clock(),
                salt=self.entropy(32),
            )
            moved = open_epoch(session, evidence, after=step.after, is_behind=step.is_behind)
            _shift_claims(session, moved)
            opened.append(Opened(step.origin, step.previous, step.is_behind, moved.count))
        session.execute(delete(MetaRow).where(col(MetaRow.name).in_([RESTORED, WITNESSED])))
        return opened

    async def _publish(self, origins: Sequence[str]) -> None:
        for start in range(0, len(origins), _AT_ONCE):
            left = await self.checkpoints.publish(origins[start : start + _AT_ONCE])
            if left:
                raise SetupError(
                    f"the broker did not take the checkpoint of {min(left)}: run the same command again"
                )

    def _verify_signed(self, session: Session, step: Step, shown: Shown, wish: Wish) -> None:
        """An opening names for ever what it follows: nobody else's checkpoint, unless that is meant.

        What this database has, entry by entry, is its own, whoever signed it: also where the keys of then
        were frozen after a restore, before the gateway starts.
        """
        if step.previous is None or wish.takes_unsigned or not step.is_behind:
            return
        with suppress(NotInLogError, InconsistentError):
            audit_log.check_published(session, step.previous)
            return
        for one in shown.doubtful:
            if one.checkpoint == step.previous:
                whose = "by no key of this database"
                if one.author is Author.FROZEN:
                    whose = "by a frozen key alone"
                raise SetupError(
                    f"{step.previous.origin}: the checkpoint in the topic is signed {whose} ({one.who}). "
                    "If it is ours (the keys were lost with the database, say), follow it with --unsigned; "
                    "if it is not, say --disown"
                )


def _said(session: Session, shown: Shown, wish: Wish, states: Mapping[str, LogState]) -> Shown:
    """What the topic shows, without what an operator disowns, or has disowned before."""

    def is_disowned(one: Checkpoint) -> bool:
        """Of an epoch that this database has not come to, and in whose face it has begun another."""
        log, epoch = split_origin(one.origin)
        known = states.get(log)
        is_beyond = known is None or _epoch(known.head.origin) < epoch
        return is_beyond and behind(session, one) is None

    if wish.takes_unsigned:
        return shown
    left: list[Doubtful] = []
    if not wish.disowns:
        left = [one for one in shown.doubtful if not is_disowned(one.checkpoint)]
    return replace(shown, doubtful=tuple(left))


def _counted(said: Shown, wish: Wish) -> Mapping[str, Checkpoint]:
    """Above whose epochs one is drawn: anybody can sign as nobody whom we know, and numbers run out."""
    some = [one for one in said.doubtful if wish.takes_unsigned or one.author is Author.FROZEN]
    return all_shown(replace(said, doubtful=tuple(some)))


def _disowned(session: Session, shown: Shown) -> dict[str, list[Checkpoint]]:
    """By log, what is in the way of a start, and may be another's."""
    disowned: dict[str, list[Checkpoint]] = {}
    for one in (one.checkpoint for one in shown.doubtful):
        if behind(session, one) is not None:
            disowned.setdefault(split_origin(one.origin)[0], []).append(one)
    return disowned


def _draw(known: int, chance: bytes, taken: frozenset[int] = frozenset()) -> int:
    """A number for epochs that begin after a restore: larger than all that are known, and by chance.

    What was begun after the backup was made, nothing here knows, and the same backup may be restored again:
    the next number after the known ones would then be that of another history, signed by the same keys.
    `taken`: numbers of what may be ours, and may be another's: none of them.
    """
    number = known + 1 + int.from_bytes(chance) % max(1, (MOST_EPOCH - known) // _SHARE)
    return _free(number, taken)


def _free(number: int, taken: frozenset[int]) -> int:
    """The first one from there on that is not taken."""
    while number in taken:
        number += 1
    return number


def _is_unknown(after: LogState | None, shown: Mapping[str, Checkpoint]) -> bool:
    """Whether the topic is another than the one that this log was published in, which may know more of it."""
    return after is not None and after.checkpoint is not None and after.head.origin not in shown


@dataclass(frozen=True, slots=True)
class _Asked:
    """Which log. `drawn`: the number of its epoch; None: the next one, all being known.

    `taken`: numbers that are not to be its. `is_behind`: restored with its topics, or more of it is disowned.
    """

    log: str
    drawn: int | None
    taken: frozenset[int]
    is_behind: bool


def _step(session: Session, asked: _Asked, after: LogState | None, published: Sequence[Checkpoint]) -> Step:
    """What a new epoch of this log would be like; its number may be too large."""
    newest = max(published, key=lambda one: _epoch(one.origin), default=None)
    own = 0 if after is None else _epoch(after.head.origin)
    epoch = asked.drawn
    if epoch is None:
        epoch = _free(max(own, 0 if newest is None else _epoch(newest.origin)) + 1, asked.taken)
    is_behind = asked.is_behind or any(behind(session, one) is not None for one in published)
    previous = newest
    if after is not None and (newest is None or own >= _epoch(newest.origin)):
        previous = _newer(newest, after, is_behind=is_behind)
    return Step(f"{asked.log}/{epoch}", previous, after, is_behind)


def _newer(newest: Checkpoint | None, after: LogState, *, is_behind: bool) -> Checkpoint | None:
    """What was shown last of the newest epoch that this database has."""
    head = after.head
    mine = newest if newest is not None and newest.origin == head.origin else None
    if not is_behind:
        return Checkpoint(head.origin, head.size, head.root()) if head.size else mine
    if after.checkpoint is None or (mine is not None and mine.size >= after.checkpoint_size):
        return mine or newest
    return audit_log.published_of(after)[0]


def _epoch(origin: str) -> int:
    return split_origin(origin)[1]


def _owes(step: Step) -> bool:
    """Whether the old epoch has entries that no checkpoint covers, and may have one."""
    after = step.after
    return after is not None and not step.is_behind and after.checkpoint_size < after.head.size


def _shift_claims(session: Session, moved: Moved) -> None:
    """Tell claims where their entries are now."""
    for start in range(0, len(moved.refs), _AT_ONCE):
        some = sorted(moved.refs)[start : start + _AT_ONCE]
        session.execute(
            update(ClaimRow)
            .where(col(ClaimRow.ref).in_(some), col(ClaimRow.leaf_index).is_not(None))
            .values(leaf_index=col(ClaimRow.leaf_index) + moved.shift)
            .execution_options(synchronize_session=False)
        )
