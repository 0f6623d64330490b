"""Shards owned by this process: take, renew, let go; and the epoch check inside a transaction.

Partners are spread over shards; one lease row for each role and shard says who works on it, until when by the
database's clock. The epoch grows with each change of owner, and every transaction made under a lease compares
it, so that a late owner's work is refused however late it comes. Never trusts a local clock.
"""

import hashlib
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache, partial
from typing import Final

from sqlalchemy import ColumnElement, case, delete, func, or_, select, update
from sqlmodel import Session, col

from audit.bulk import insert_new_rows
from gateway.database import Database, clock
from gateway.errors import LeaseLostError, SetupError
from gateway.facts import keep
from gateway.rows import InstanceRow, LeaseRow, MetaRow

RELEASED: Final = 0
"""`until` of a lease that nobody holds, and under which nothing is on its way any longer."""

LANDING: Final = 1
"""`until` of one that nobody holds either, and under which something that was sent may still arrive."""

SHARDS_FACT: Final = "lease.shards"
"""Name of the fact that all instances must agree on: two divisions would give one partner two owners."""

FORGOTTEN_AFTER: Final = 10
"""Durations after which the row of an instance that went without a word is deleted."""


@dataclass(frozen=True, slots=True)
class Lease:
    """The right to work on a shard of a role.

    Attributes:
        epoch: compared inside every transaction of its owner.
        until: end by the database's clock, Unix milliseconds; renewed by `Leases.hold`.
        is_inherited: taken from an owner whose last sends may still be under way: it died, or said so.
        owner: compared with the epoch. A standby that became primary without the last take-over gives the
            same epoch once more. Empty: not known.
    """

    role: str
    shard: int
    epoch: int
    until: int = field(compare=False)
    is_inherited: bool = field(default=False, compare=False)
    owner: str = field(default="", compare=False)


@lru_cache(65_536)
def shard_of(slug: str, shards: int) -> int:
    """The shard of a partner: the same on every instance, for ever, for one number of shards."""
    return int.from_bytes(hashlib.sha256(b"gateway/shard/v1\x00" + slug.encode()).digest()[:8]) % shards


def check_all(session: Session, leases: Sequence[Lease]) -> None:
    """Fail unless these leases of one role are still ours, and keep them ours until the transaction ends.

    Raises:
        LeaseLostError: another owner has one, or it is gone: roll back and drop the work.
    """
    rows = (
        select(col(LeaseRow.shard), col(LeaseRow.epoch), col(LeaseRow.owner))
        .where(
            col(LeaseRow.role).in_({lease.role for lease in leases}),
            col(LeaseRow.shard).in_([lease.shard for lease in leases]),
        )
        .order_by(col(LeaseRow.shard))
    )
    # A key share lock stands in the way of a take-over (FOR UPDATE), not of a renewal (no key changes).
    rows = rows.with_for_update(read=True, key_share=True)
    found = {int(shard): (int(epoch), str(owner)) for shard, epoch, owner in session.execute(rows)}
    for lease in leases:
        _verify(lease, found.get(lease.shard))


def await_former(session: Session, lease: Lease) -> None:
    """Wait for whatever was begun under this lease, or one before it, and may still be stored.

    A COMMIT whose answer was lost is not over by that: it may be on its way, or wait for a standby. What is
    read after this transaction knows what became of it.

    Raises:
        LeaseLostError: another owner has it, or it is gone.
    """
    row = select(col(LeaseRow.epoch), col(LeaseRow.owner)).where(
        col(LeaseRow.role) == lease.role, col(LeaseRow.shard) == lease.shard
    )
    found = session.execute(row.with_for_update()).first()
    _verify(lease, None if found is None else (int(found.epoch), str(found.owner)))


def are_shared(session: Session) -> bool:
    """Whether another instance is alive, or died so lately that nobody can tell."""
    living = select(func.count()).select_from(InstanceRow).where(col(InstanceRow.until) > clock(session))
    return int(session.execute(living).scalar_one()) > 0


def expire_all(session: Session) -> None:
    """End every lease at once, and let the number of shards be chosen anew.

    Only for a program that knows that no other runs on this database. What the last one had sent may still
    arrive, unless it said that nothing does.
    """
    session.execute(update(LeaseRow).where(col(LeaseRow.until) != RELEASED).values(owner="", until=LANDING))
    session.execute(delete(InstanceRow))
    session.execute(delete(MetaRow).where(col(MetaRow.name) == SHARDS_FACT))


class Leases:
    """The shards that one running role holds. Call `hold` every `renew_after_ms`, from one task."""

    def __init__(
        self, database: Database, role: str, *, owner: str, shards: int = 64, duration_ms: int = 10_000
    ) -> None:
        """`owner`: a random id of this process; never reused."""
        self._database = database
        self._role = role
        self._owner = owner
        self._shards = shards
        self._duration = duration_ms
        self._given_up: frozenset[int] = frozenset()
        self._is_prepared = False
        self.held: frozenset[Lease] = frozenset()

    @property
    def renew_after_ms(self) -> int:
        """A third of the duration: two renewals may fail before a lease runs out."""
        return max(1, self._duration // 3)

    async def hold(self, *, landing: Collection[int] = ()) -> frozenset[Lease]:
        """Renew what we hold, take a fair share of what is free, give up what is above our share.

        Whoever calls must stop the work on shards missing from the answer, cancelling what is under way. A
        shard given up for fairness stays ours in the database until the next call, so that there is time.
        `landing`: shards of which something that was sent may still arrive by now; whoever gets one of these
        next takes it for inherited.

        Raises:
            StoreError: the database is away; the leases run out by themselves.
            SetupError: other instances divide the partners among another number of shards.
        """
        share, owned = await self._database.write(partial(self._round, landing=landing))
        self._is_prepared = True
        self._given_up = frozenset(lease.shard for lease in owned[share:])
        self.held = frozenset(owned[:share])
        return self.held

    async def release(self, *, landing: Collection[int] = ()) -> None:
        """Let all go once the work has stopped, for others to take at once. `landing`: as of `hold`."""
        await self._database.write(partial(self._let_all_go, landing=landing))
        self.held = frozenset()
        self._given_up = frozenset()

    def _round(self, session: Session, landing: Collection[int]) -> tuple[int, list[Lease]]:
        """One call of `hold`, in one transaction: our fair share, and all that is ours now."""
        if not self._is_prepared:
            self._prepare(session)
        now = clock(session)
        share = -(-self._shards // self._count_instances(session, now))
        self._let_go(
            session, col(LeaseRow.shard).in_(list(landing)), col(LeaseRow.shard).in_(list(self._given_up))
        )
        ours = self._ours()
        session.execute(update(LeaseRow).where(*ours).values(until=now + self._duration))
        found = session.execute(select(col(LeaseRow.shard), col(LeaseRow.epoch)).where(*ours)).all()
        known = {lease: lease.is_inherited for lease in self.held}
        owned: list[Lease] = []
        for shard, epoch in found:
            lease = Lease(self._role, shard, epoch, now + self._duration, owner=self._owner)
            # One that we never heard of is from a COMMIT whose answer was lost: assume the worst.
            owned.append(replace(lease, is_inherited=known.get(lease, True)))
        owned += self._take(session, now, share - len(owned))
        return share, sorted(owned, key=lambda lease: lease.shard)

    def _prepare(self, session: Session) -> None:
        agreed = keep(session, SHARDS_FACT, str(self._shards))
        if agreed != str(self._shards):
            raise SetupError(
                f"lease.shards is {self._shards}, but the database has {agreed}: set it to {agreed},"
                " or stop every instance and start one with `gateway up`"
            )
        rows = [
            {"role": self._role, "shard": shard, "owner": "", "epoch": 0, "until": RELEASED}
            for shard in range(self._shards)
        ]
        insert_new_rows(session, LeaseRow, rows)

    def _count_instances(self, session: Session, now: int) -> int:
        """Say that we live, and count who does."""
        mine = {"role": self._role, "owner": self._owner, "until": now + self._duration}
        insert_new_rows(session, InstanceRow, [mine])
        role = col(InstanceRow.role) == self._role
        us = update(InstanceRow).where(role, col(InstanceRow.owner) == self._owner)
        session.execute(us.values(until=now + self._duration))
        long_gone = now - FORGOTTEN_AFTER * self._duration
        session.execute(delete(InstanceRow).where(role, col(InstanceRow.until) < long_gone))
        living = select(func.count()).select_from(InstanceRow).where(role, col(InstanceRow.until) > now)
        found: int = session.execute(living).scalar_one()
        return max(1, found)

    def _take(self, session: Session, now: int, count: int) -> list[Lease]:
        """Take up to `count` leases that ran out or were let go; passes over those locked by a check."""
        if count <= 0:
            return []
        free = (
            select(col(LeaseRow.shard), col(LeaseRow.epoch), col(LeaseRow.until))
            .where(
                col(LeaseRow.role) == self._role,
                col(LeaseRow.until) <= now,
                # Rows of an earlier, finer division stay, since their epochs must never come again.
                col(LeaseRow.shard) < self._shards,
            )
            .order_by(col(LeaseRow.shard))
            .limit(count)
            .with_for_update(skip_locked=True)
        )
        found = session.execute(free).all()
        shards = [shard for shard, _, _ in found]
        taken = update(LeaseRow).where(col(LeaseRow.role) == self._role, col(LeaseRow.shard).in_(shards))
        values = {"owner": self._owner, "epoch": col(LeaseRow.epoch) + 1, "until": now + self._duration}
        session.execute(taken.values(values).execution_options(synchronize_session=False))
        until = now + self._duration
        return [
            Lease(self._role, shard, epoch + 1, until, is_inherited=ended != RELEASED, owner=self._owner)
            for shard, epoch, ended in found
        ]

    def _let_go(self, session: Session, is_landing: ColumnElement[bool], *which: ColumnElement[bool]) -> None:
        until = case((is_landing, LANDING), else_=RELEASED)
        given_up = update(LeaseRow).where(*self._ours(), *which).values(owner="", until=until)
        session.execute(given_up.execution_options(synchronize_session=False))

    def _let_all_go(self, session: Session, landing: Collection[int]) -> None:
        known = [*self._given_up, *(lease.shard for lease in self.held)]
        # One that we never heard of is from a COMMIT whose answer was lost, as in `_round`.
        shard = col(LeaseRow.shard)
        self._let_go(session, or_(shard.in_(list(landing)), shard.not_in(known)))
        role = col(InstanceRow.role) == self._role
        session.execute(delete(InstanceRow).where(role, col(InstanceRow.owner) == self._owner))

    def _ours(self) -> tuple[ColumnElement[bool], ColumnElement[bool]]:
        return col(LeaseRow.role) == self._role, col(LeaseRow.owner) == self._owner


def _verify(lease: Lease, found: tuple[int, str] | None) -> None:
    """`found`: epoch and owner that are stored."""
    if found is None or found[0] != lease.epoch or lease.owner not in {"", found[1]}:
        now = "nobody has it" if found is None else f"now {found[0]}, of {found[1] or 'nobody'}"
        raise LeaseLostError(f"{lease.role} shard {lease.shard}: our epoch {lease.epoch}, {now}")
