"""What pages of history have shown of events that the log had not got yet, so that none is shown twice.

Such an event comes first, in order of its time, and may have got its entry before the next page is asked for:
then it would come once more, among the entries. A mark tells it: the log's size when a page of those that
waited was read, and the last one on it. Whatever waited then, and got an entry later, has one at or behind
that size. Marks are a part of the cursor; nothing is asked of the database for them but the size.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from audit.checkpoint import split_origin
from audit.entry import Entry
from audit.evidence import Kind
from gateway.ingress.unsequenced import Place, Waiting, WaitingKey

_MOST: Final = 32
"""Pages of what waits that are told apart; beyond, one may come twice, and none is left out."""


@dataclass(frozen=True, slots=True)
class Mark:
    """One page of what waited. `end`: where the log ended; `last`: the last one that the page has shown."""

    end: Place
    last: WaitingKey


@dataclass(frozen=True, slots=True)
class Before:
    """What comes before the log's own part of a page.

    `waiting`: what the log has not got yet, newest first, and `end`: where it ended when that was read.
    `marks`: of the pages before.
    """

    waiting: Sequence[Waiting] = ()
    end: Place = (0, 0)
    marks: tuple[Mark, ...] = ()

    def told(self) -> tuple[Mark, ...]:
        """The marks with that of this page; of very many, the last ones become one."""
        if not self.waiting:
            return self.marks
        mark = Mark(self.end, (self.waiting[-1].at, self.waiting[-1].ref))
        is_one = len(self.marks) >= _MOST or (self.marks and self.marks[-1].end == mark.end)
        return (*self.marks[:-1], mark) if is_one else (*self.marks, mark)


def is_shown(entry: Entry, marks: Sequence[Mark]) -> bool:
    """Whether an event was shown while it waited. `marks`: the newest events' first."""
    if entry.ref is None or entry.kind is not Kind.ACCEPTED:
        return False
    key = entry.at, entry.ref
    mark = next((one for one in marks if key >= one.last), None)
    return mark is not None and (split_origin(entry.origin)[1], entry.index) >= mark.end


def write_marks(marks: Sequence[Mark]) -> str:
    """As text, for a cursor."""
    return ",".join(f"{one.end[0]}.{one.end[1]}.{one.last[0]}.{one.last[1].hex()}" for one in marks)


def read_marks(text: str) -> tuple[Mark, ...]:
    """What `write_marks` wrote."""
    marks = []
    for one in filter(None, text.split(",")):
        epoch, index, at, ref = one.split(".")
        marks.append(Mark((int(epoch), int(index)), (int(at), bytes.fromhex(ref))))
    return tuple(marks)
