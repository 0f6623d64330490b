"""Alarms of a monitor: what a log shows contradicts what it showed, signed or promised before.

Source: docs/monitoring.md has each kind in words for people.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum

from audit.errors import VerificationError


class Suspicion(Enum):
    """What is wrong."""

    FORK = "fork"
    """Two histories: a signed checkpoint that does not continue one that was signed before."""
    ROLLBACK = "rollback"
    """A signed checkpoint of fewer entries than one that was signed before."""
    ENTRIES = "entries"
    """The entries that are handed out are not those that were signed."""
    TILES = "tiles"
    """The hashes that are handed out are not those of the entries."""
    SIGNATURE = "signature"
    """The checkpoint is not signed by a key that is trusted."""
    OTHER_LOG = "other_log"
    """The checkpoint is of another log."""
    STALE = "stale"
    """Nobody vouches that the checkpoint is the newest one."""
    MISSING = "missing"
    """A log that was there is not."""
    RECEIPT = "receipt"
    """A receipt's event has no entry within the promised time."""
    EPOCH = "epoch"
    """The log begins anew, and its beginning does not link to its known end."""
    ANSWER = "answer"
    """What is answered is nothing that a log answers."""


@dataclass(frozen=True, slots=True)
class Alarm:
    """One alarm.

    Attributes:
        subject: of alarms of one kind, what makes one the same as before when it is seen again.
        text: what was seen, in words.
        papers: what it was seen by, by file name, to be kept.
        is_provable: the papers show it to anybody who has the gateway's public keys.
    """

    kind: Suspicion
    subject: str
    text: str
    papers: Mapping[str, bytes] = field(default_factory=dict, repr=False)
    is_provable: bool = False


class AlarmError(VerificationError):
    """Looking on makes no sense after this alarm."""

    code = "log_alarming"

    def __init__(self, alarm: Alarm) -> None:
        """Carry the alarm."""
        super().__init__(alarm.text)
        self.alarm = alarm


def stop(kind: Suspicion, subject: str, text: str, **papers: bytes) -> AlarmError:
    """An alarm that its papers do not prove to others."""
    return AlarmError(Alarm(kind, subject, text, papers))


def proven(kind: Suspicion, subject: str, text: str, **papers: bytes) -> AlarmError:
    """An alarm that its papers prove to others."""
    return AlarmError(Alarm(kind, subject, text, papers, is_provable=True))
