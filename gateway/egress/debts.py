"""Partitions that are read, and the offsets in them that wait for a delivery.

How far a partition has come. Each is an offset that has not come so far; all before it have:

| offsets are | up to | which means |
|---|---|---|
| read | `ledger.reached` | matched by the contracts known here; lanes and ranges have the rest |
| sure | `sure_before` | those contracts were as new: a tick has found so in its transaction, moved or not |
| settled | `ledger.watermark` | all that follows is durable, or in the outbox |
| written | `written.next` | the database says that they are settled |

Some behind are settled, too (`ledger.finished`), and written (`written.finished`). What is read and not sure
is `unsure`: an endpoint that is heard of late is owed it, in a range. What retention took unread (`hole`) is
for nobody. A range has a cursor and a ledger of its own (`gateway.egress.backlog`).
"""

from dataclasses import dataclass, field
from itertools import islice
from typing import Final

from audit.store import Pending
from gateway.egress.backlog import Backlog
from gateway.egress.delivery import Delivery
from gateway.egress.ledger import Ledger, flatten
from gateway.positions import Move, Progress

Spot = tuple[str, int]
"""Topic id and partition."""


PATIENCE_MS: Final = 2_000
"""What was not delivered by then gets a row: it is seen, and its offset waits for it no longer."""

_REMEMBERED: Final = 4_096


class Recorded:
    """Offsets of which evidence says why nobody gets them, as far as they may be read again.

    Each endpoint that is behind reads them again in its range, and says nothing more. What is beyond
    `_REMEMBERED`, or was recorded by another process, is said once more.
    """

    def __init__(self) -> None:
        self._offsets: dict[int, None] = {}
        self._before = 0

    def __bool__(self) -> bool:
        """Whether there are any."""
        return bool(self._offsets)

    def add(self, offset: int) -> bool:
        """Whether it is not among them yet; it is now."""
        if offset in self._offsets:
            return False
        self._offsets[offset] = None
        if len(self._offsets) > _REMEMBERED:
            del self._offsets[next(iter(self._offsets))]
        return True

    def forget(self, before: int) -> None:
        """Nobody reads again what lies before."""
        if before != self._before:
            self._before = before
            self._offsets = {offset: None for offset in self._offsets if offset >= before}


@dataclass(slots=True)
class Partition:
    """One partition that is read; of its offsets see the module.

    `said`: evidence by offset, to be written in the tick that settles the offset: then it is written once.
    `hole`: from where up to, not with, where retention took what was not read, lately; the log says so.
    """

    topic: str
    spot: Spot
    partner: str
    ledger: Ledger
    written: Progress | None
    said: dict[int, Pending] = field(default_factory=dict)
    hole: tuple[int, int] = (0, 0)
    recorded: Recorded = field(default_factory=Recorded)
    sure_before: int = field(init=False)
    _sure_once_written: int = field(init=False)

    def __post_init__(self) -> None:
        """Nothing was read yet."""
        self.sure_before = self._sure_once_written = self.ledger.reached

    @property
    def unsure(self) -> tuple[int, int]:
        """From where up to, not with, where others' contracts may have been newer than those here."""
        first, end = self.hole
        return self.sure_before, first if end == self.ledger.reached else self.ledger.reached

    def lose(self, first: int) -> None:
        """Retention took what was not read before `first`; what was read is owed as before."""
        reached = self.ledger.reached
        self.hole = (self.hole[0] if self.hole[1] == reached else reached, max(reached, first))
        self.ledger.pass_to(first)
        self._be_sure(self.sure_before)

    def restart(self, offset: int) -> None:
        """Read on at `offset`, where the topic ends: what comes there now was never read."""
        self.ledger = Ledger(offset)
        self.sure_before = min(self.sure_before, offset)
        self._sure_once_written = min(self._sure_once_written, offset)
        self.hole = (0, 0)
        self.recorded = Recorded()

    def words(self) -> list[Pending]:
        """What was to be said of offsets once they are settled, and is due now."""
        due = [offset for offset in self.said if not self.ledger.is_owed(offset)]
        return [self.said.pop(offset) for offset in due]

    def begin_tick(self) -> Move | None:
        """What the database is to have instead of `written`; None where it has that already."""
        step = self.step()
        return None if step.after == step.before else step

    def step(self) -> Move:
        """From `written` to what is settled now, if that is any other."""
        after = Progress(self.ledger.watermark, flatten(self.ledger.finished()))
        return Move(self.topic, *self.spot, self.written, after)

    @property
    def is_at_rest(self) -> bool:
        """Whether all that was read is settled and written, and no tick is about to move on here."""
        if self.written is None:
            return self.ledger.reached == self.sure_before and not self.hole[1]
        return not (self.said or self.ledger.owing) and self.step().after == self.written

    def begin_to_be_sure(self) -> None:
        """A tick looks whether contracts are as new as what is read by now."""
        self._sure_once_written = self.ledger.reached

    def end_to_be_sure(self) -> bool:
        """The tick that looked last is written; whether all that is read is sure."""
        self._be_sure(self._sure_once_written)
        return self.sure_before >= self.ledger.reached

    def _be_sure(self, before: int) -> None:
        """What was read before this offset is sure, and so is a hole right behind it."""
        self.sure_before = max(self.sure_before, before)
        if self.hole[0] <= self.sure_before:
            self.sure_before = max(self.sure_before, self.hole[1])


Owner = Partition | Backlog


@dataclass(frozen=True, slots=True)
class _Debt:
    """An offset that is settled once its delivery is; in the ledger that it was opened in."""

    owner: Owner
    ledger: Ledger
    offset: int


class Debts:
    """Which offset each delivery holds open, and since when, where that is a partition's.

    Such an offset may be one of several endpoints: as long as one of them keeps it open, it is read again
    after a restart for all of them. What a range waits for is in the range's row.
    """

    def __init__(self) -> None:
        self._debts: dict[tuple[str, bytes], _Debt] = {}
        self._since: dict[tuple[str, bytes], tuple[int, Delivery]] = {}

    def owe(self, delivery: Delivery, owner: Owner, now: int) -> None:
        """The offset, which is open in its owner's ledger, waits for the delivery."""
        debt = _Debt(owner, owner.ledger, delivery.position.offset)
        self._debts[delivery.endpoint, delivery.ref] = debt
        if isinstance(owner, Partition):
            self._since[delivery.endpoint, delivery.ref] = (now, delivery)

    @property
    def late_at(self) -> int | None:
        """When the first that a partition waits for will be late; None: it waits for none."""
        return next((since + PATIENCE_MS for since, _ in self._since.values()), None)

    def take_late(self, now: int, most: int) -> list[Delivery]:
        """What a partition has waited for for too long, the first of all first; each is named once."""
        late: list[Delivery] = []
        for since, delivery in islice(self._since.values(), most):
            if since + PATIENCE_MS > now:
                break
            late.append(delivery)
        for delivery in late:
            del self._since[delivery.endpoint, delivery.ref]
        return late

    def pay(self, delivery: Delivery) -> Owner | None:
        """Settle the offset that waited for the delivery; returns whose it is, or None where none waited."""
        self._since.pop((delivery.endpoint, delivery.ref), None)
        debt = self._debts.pop((delivery.endpoint, delivery.ref), None)
        if debt is None:
            return None
        debt.ledger.settle(debt.offset)
        return debt.owner
