"""The count at the end: what must be there against what the topic, the log and the receiver have. Pure.

Senders say what they sent; every other number comes from the other side.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from audit.receipt import verify_receipt

ACCEPTED_KIND: Final = "event.accepted"
ATTEMPTED_KIND: Final = "delivery.attempted"
COLUMNS: Final = ("who", "what", "where it was counted", "must be", "found", "")


@dataclass(frozen=True, slots=True)
class Row:
    """One number, counted at one place."""

    who: str
    what: str
    place: str
    wanted: int
    found: int

    @property
    def is_right(self) -> bool:
        """Whether it is what it must be."""
        return self.wanted == self.found

    def cells(self) -> tuple[object, ...]:
        """The row of the table."""
        return (self.who, self.what, self.place, self.wanted, self.found, "ok" if self.is_right else "NO")


def topic_rows(who: str, what: str, sent: Iterable[str], records: Sequence[tuple[str, str]]) -> list[Row]:
    """Count a topic: nothing lost, doubled, or sent by nobody. `records`: source and id of each."""
    ids, found = set(sent), Counter(records)
    known = {event_id for _, event_id in found}
    return [
        Row(who, what, "topic: records", len(ids), len(records)),
        Row(who, f"{what} lost", "topic", 0, len(ids - known)),
        Row(who, f"{what} doubled", "topic", 0, found.total() - len(found)),
        Row(who, f"{what} that nobody sent", "topic", 0, len(known - ids)),
    ]


def log_rows(
    who: str, leaves: Sequence[bytes], receipts: Iterable[str], keys: Mapping[str, bytes]
) -> list[Row]:
    """Hold the receipts against the log: each is signed, and its entry is there exactly once.

    Raises:
        VerificationError: a receipt is not signed by one of these keys.
    """
    wanted = Counter(verify_receipt(one.encode(), keys).evidence.leaf() for one in receipts)
    found = Counter(leaf for leaf in leaves if leaf.split(b"\n", 2)[1] == ACCEPTED_KIND.encode())
    return [
        Row(who, "events accepted", "log: entries", wanted.total(), found.total()),
        Row(who, "receipts without an entry", "log", 0, (wanted - found).total()),
        Row(who, "entries without a receipt", "log", 0, (found - wanted).total()),
        Row(who, "entries doubled", "log", 0, found.total() - len(found)),
    ]


def history_row(who: str, wanted: int, rows: Sequence[Mapping[str, object]]) -> Row:
    """Count the events of the history, each reference once."""
    refs = {row["ref"] for row in rows if row["state"] not in {"refused", "unconfirmed"} and row["ref"]}
    return Row(who, "events", "history", wanted, len(refs))


def receiver_rows(wanted: int, failures: int, counts: Mapping[str, int], attempts: int) -> list[Row]:
    """Count what the receiver has, and the log's attempts against the receiver's messages."""
    return [
        Row("acme", "webhooks, each once", "receiver", wanted, counts["unique"]),
        Row("acme", "events in them", "receiver", wanted, counts["events"]),
        Row("acme", "webhooks kept twice", "receiver", 0, counts["repeats"]),
        Row("acme", "bad signatures", "receiver", 0, counts["bad_signatures"]),
        Row("acme", "answers of 503", "receiver", failures, counts["answered_503"]),
        Row("acme", "attempts to deliver", "log: entries", counts["verified"], attempts),
    ]


def mismatches(rows: Iterable[Row]) -> list[str]:
    """A line for each number that is wrong."""
    return [
        f"{row.who}: {row.what}: {row.place} has {row.found}, must be {row.wanted}"
        for row in rows
        if not row.is_right
    ]
