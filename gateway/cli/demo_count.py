"""The count at the end: what must be there against what the topic, the log and the receiver have. Pure.

Senders say what they sent; every other number comes from the other side.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from audit.receipt import verify_receipt
from gateway.cli.demo_log import kind_of
from gateway.cli.demo_words import DemoError

ACCEPTED_KIND: Final = "event.accepted"
ATTEMPTED_KIND: Final = "delivery.attempted"
OWN: Final = "gateway."
"""How the types and ids of events begin that the gateway makes of itself: nobody has sent them."""

COLUMNS: Final = ("counted in", "what", "must be", "found", "lost", "doubled", "stray", "")


@dataclass(frozen=True, slots=True)
class Row:
    """What was counted at one place. `stray`: there, though nobody sent it, or not to be trusted."""

    who: str
    what: str
    place: str
    wanted: int
    found: int
    lost: int = 0
    doubled: int = 0
    stray: int = 0

    @property
    def is_right(self) -> bool:
        """Whether everything is there, once, and nothing else."""
        return self.wanted == self.found and not (self.lost or self.doubled or self.stray)

    def cells(self) -> tuple[object, ...]:
        """The row of the table."""
        counts = (self.wanted, self.found, self.lost, self.doubled, self.stray)
        return (f"{self.who}'s {self.place}", self.what, *counts, "ok" if self.is_right else "NO")


def topic_row(who: str, what: str, sent: Iterable[str], records: Sequence[tuple[str, str]]) -> Row:
    """Count a topic. `sent`: the ids that were sent; `records`: source and id of each record."""
    ids, found = set(sent), Counter(one for one in records if not one[1].startswith(OWN))
    known = {event_id for _, event_id in found}
    doubled = found.total() - len(found)
    return Row(who, what, "topic", len(ids), len(found), len(ids - known), doubled, len(known - ids))


def log_row(
    who: str, sent: int, leaves: Sequence[bytes], receipts: Iterable[str], keys: Mapping[str, bytes]
) -> Row:
    """Hold the senders' receipts against the log: each is signed, and its entry is there exactly once.

    Raises:
        VerificationError: a receipt is not signed by one of these keys.
    """
    wanted = Counter(verify_receipt(one.encode(), keys).evidence.leaf() for one in receipts)
    found = Counter(leaf for leaf in leaves if kind_of(leaf) == ACCEPTED_KIND)
    lost, stray = wanted.keys() - found.keys(), found.keys() - wanted.keys()
    doubled = found.total() - len(found)
    return Row(
        who, "receipts", "log", sent, len(wanted.keys() & found.keys()), len(lost), doubled, len(stray)
    )


def history_row(who: str, wanted: int, rows: Sequence[Mapping[str, object]]) -> Row:
    """Count the events of the history; an event has one row."""
    there = [row for row in rows if row["ref"] and not is_own(row)]
    refs = Counter(row["ref"] for row in there if row["state"] not in {"refused", "unconfirmed"})
    lost = max(0, wanted - len(refs))
    return Row(who, "events", "history", wanted, len(refs), lost, refs.total() - len(refs))


def is_own(row: Mapping[str, object]) -> bool:
    """Whether a row of the history is an event that the gateway made of itself."""
    return str(row.get("type")).startswith(OWN)


def receiver_rows(wanted: int, failures: int, counts: Mapping[str, int], attempts: int) -> list[Row]:
    """Count what the receiver has, and the log's attempts against the receiver's messages."""
    lost = max(0, wanted - counts["events"])
    return [
        Row(
            "acme",
            "webhooks kept",
            "receiver",
            wanted,
            counts["unique"],
            lost,
            counts["repeats"],
            counts["bad_signatures"],
        ),
        Row("acme", "503 answered", "receiver", failures, counts["answered_503"]),
        Row("acme", "webhooks sent", "log", counts["verified"], attempts),
    ]


def verify_counts(rows: Sequence[Row]) -> None:
    """Make sure that every count is right.

    Raises:
        DemoError: some are not; a line for each.
    """
    wrong = [
        f"{row.who}'s {row.place}: {row.what}: {row.found} of {row.wanted}; "
        f"{row.lost} lost, {row.doubled} doubled, {row.stray} stray"
        for row in rows
        if not row.is_right
    ]
    if wrong or not rows:
        raise DemoError("\n".join([f"{len(wrong)} of {len(rows)} counts are wrong:", *wrong]))
