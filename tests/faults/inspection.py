"""What must be true of an installation that was killed, paused and cut off, and is at rest now.

Each look answers with faults in words, none where all is well; a test asserts that there are none. Everything
is read as a stream: memory grows with the number of refs, not with what was stored about them.
"""

import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import groupby

from audit.acknowledgement import verify_acknowledgement
from audit.checkpoint import read_checkpoint, verify_checkpoint
from audit.errors import VerificationError
from audit.evidence import parse_evidence
from audit.note import VerifierKey
from audit.pressing import expand
from audit.ref import format_ref
from gateway.database import Database
from gateway.egress.reconciliation import Disagreement, compare
from tests.faults.acknowledged import Acknowledged, Taken, digest, payload_of
from tests.faults.receiver import Receiver
from tests.faults.remains import Remains, rows

__all__ = ["rows"]

WAITING = {
    "claims that are not confirmed": "SELECT count(*) FROM gateway_claim WHERE state <> 'confirmed'",
    "claims without an entry": "SELECT count(*) FROM gateway_claim WHERE leaf_index IS NULL",
    "evidence that is in no log": "SELECT count(*) FROM audit_pending",
    "deliveries that wait": "SELECT count(*) FROM gateway_delivery",
    "backlogs": "SELECT count(*) FROM gateway_backlog",
    "heads that are not published": "SELECT count(*) FROM audit_head WHERE size <> checkpoint_size",
}


@dataclass
class Findings:
    """Faults in words, and counts of what was looked at."""

    faults: Counter[str] = field(default_factory=Counter)
    examples: dict[str, str] = field(default_factory=dict)
    counts: Counter[str] = field(default_factory=Counter)

    def add(self, fault: str, example: object) -> None:
        """One more fault of a sort; its first example is kept."""
        self.faults[fault] += 1
        self.examples.setdefault(fault, str(example))

    def words(self) -> list[str]:
        """Each sort of fault, how often, and an example."""
        return [f"{fault}: {count}, first {self.examples[fault]}" for fault, count in self.faults.items()]


def inspect(
    remains: Remains, told: Acknowledged, checkpoints: Mapping[str, Iterable[bytes]], keys: list[bytes]
) -> Findings:
    """All that does not need a receiver. `checkpoints`: by origin, the notes served while it ran."""
    found = Findings()
    look_for_second_receipts(found, told)
    look_at_entries(found, remains, told)
    look_at_topics(found, remains, told)
    look_for_waiting(found, remains)
    look_for_agreement(found, remains)
    look_for_double_entries(found, remains)
    look_at_logs(found, remains, checkpoints, keys)
    return found


def look_for_second_receipts(found: Findings, told: Acknowledged) -> None:
    """Each event has one receipt, however often it was sent."""
    for ref in told.second_receipts:
        found.add("an event has two receipts", ref)


def look_at_entries(found: Findings, remains: Remains, told: Acknowledged) -> None:
    """What was acknowledged is in the history, once, with the evidence of its receipt; nothing else is.

    But for events of the gateway's own, which nobody sent.
    """
    seen: set[str] = set()
    sent = "SELECT ref, evidence FROM audit_entry WHERE kind = 'event.accepted'"
    for raw_ref, evidence in remains.rows(f"{sent} AND event_type NOT LIKE 'gateway.%'"):
        ref = format_ref(bytes(raw_ref))
        taken = told.events.get(ref)
        if ref in seen:
            found.add("an event has two history entries", ref)
        if taken is None:
            found.add("an entry of an event that nobody was told of", ref)
        elif taken.evidence != digest(expand(bytes(evidence))):
            found.add("an entry differs from its receipt", ref)
        seen.add(ref)
    for ref in told.events.keys() - seen:
        found.add("an acknowledged event has no history entry", ref)
    found.counts["accepted entries"] = len(seen)


def look_at_topics(found: Findings, remains: Remains, told: Acknowledged) -> None:
    """What was acknowledged is on its topic with its first receipt; a second copy is the same."""
    by_place: dict[tuple[str, str], dict[str, Taken]] = {}
    for ref, taken in told.events.items():
        by_place.setdefault((taken.partner, taken.direction), {})[ref] = taken
    for (partner, direction), wanted in sorted(by_place.items()):
        name = f"{remains.topic_prefix}{partner}.{direction}"
        seen: dict[str, bytes] = {}
        for record in remains.topic(name):
            receipt = record.headers["gateway_receipt"].decode()
            accepted = json.loads(payload_of(receipt))
            ref = accepted["ref"]
            if accepted["type"].startswith("gateway."):
                continue
            found.counts["records"] += 1
            if ref not in wanted:
                found.add("a record of an event that nobody was told of", f"{name} {record.offset}")
            elif wanted[ref].receipt != digest(receipt.encode()):
                found.add("a record's receipt is not the first one", f"{name} {record.offset}")
            if ref in seen:
                found.counts["double records"] += 1
                if not remains.may_double or seen[ref] != record.whole:
                    found.add("an event is on its topic twice", f"{name} {record.offset}")
            seen.setdefault(ref, record.whole)
        for ref in wanted.keys() - seen.keys():
            found.add("an acknowledged event is not on its topic", f"{name} {ref}")


def look_for_waiting(found: Findings, remains: Remains) -> None:
    """Nothing waits any more."""
    for what, statement in WAITING.items():
        ((count,),) = remains.rows(statement)
        if count:
            found.add(what, count)


def look_for_agreement(found: Findings, remains: Remains) -> None:
    """What waits, what was given up and what replays did is what the logs say of it."""
    logs = {log.rpartition("/")[2]: log for (log,) in remains.rows("SELECT DISTINCT log FROM audit_head")}
    partners = dict(remains.rows("SELECT slug, log FROM partners_partner"))
    database = Database(remains.database_url)
    try:
        with database.begin() as session:
            wrong = compare(session, {slug: logs[log] for slug, log in partners.items() if log in logs})
    finally:
        database.close()
    for one in wrong or ():
        found.add(one.what, f"{one.where}; {told_of(remains, one)}")


def look_for_double_entries(found: Findings, remains: Remains) -> None:
    """Evidence has one entry: what is told twice has two salts."""
    twice = "SELECT log, epoch, leaf, count(*) FROM audit_entry GROUP BY 1, 2, 3 HAVING count(*) > 1"
    for log, epoch, leaf, count in remains.rows(twice):
        found.add("evidence was entered more than once", f"{log}/{epoch}: {bytes(leaf)!r} {count} times")


def told_of(remains: Remains, one: Disagreement) -> list[str]:
    """Each entry of an event that the words name: where, when, by whom and what."""
    name = one.what.rpartition(": ")[2]
    statement = 'SELECT log, epoch, "index", ref, evidence FROM audit_entry ORDER BY 1, 2, 3'
    return [
        f"{log}/{epoch} {index} {expand(bytes(evidence)).decode()}"
        for log, epoch, index, ref, evidence in remains.rows(statement)
        if ref is not None and format_ref(bytes(ref)) == name
    ]


def look_at_logs(
    found: Findings, remains: Remains, checkpoints: Mapping[str, Iterable[bytes]], keys: list[bytes]
) -> None:
    """Make every log anew from its evidence; each checkpoint ever seen must be of it."""
    shown = {origin: set(notes) for origin, notes in checkpoints.items()}
    for record in remains.topic(remains.checkpoint_topic):
        if record.value and "gateway_mark" not in record.headers:
            shown.setdefault(read_checkpoint(record.value)[0].origin, set()).add(record.value)
    sizes = {}
    for log, epoch, size, text in remains.rows("SELECT log, epoch, size, checkpoint FROM audit_head"):
        origin = f"{log}/{epoch}"
        sizes[origin] = size
        newest = read_checkpoint(text.encode())[0]
        if (newest.origin, newest.size) != (origin, size):
            found.add("a head's checkpoint is another's", origin)
        shown.setdefault(origin, set()).add(text.encode())
    for origin in shown.keys() - sizes.keys():
        found.add("a checkpoint of a log that the database does not have", origin)
    entries = remains.rows('SELECT log, epoch, "index", leaf, evidence FROM audit_entry ORDER BY 1, 2, 3')
    for (log, epoch), group in groupby(entries, key=lambda row: (row[0], row[1])):
        origin = f"{log}/{epoch}"
        wanted = _claims(found, origin, shown.pop(origin, set()), keys)
        places = ((row[2], bytes(row[3]), expand(bytes(row[4]))) for row in group)
        roots = _roots(found, origin, places, set(wanted))
        for size, root in wanted.items():
            if roots.get(size) != root:
                found.add("a served checkpoint is not of its log", f"{origin} at {size}")
        if max(roots, default=0) != sizes.pop(origin, None):
            found.add("a head's size is not its number of entries", origin)
        found.counts["entries"] += max(roots, default=0)
    for origin, size in sizes.items():
        if size:
            found.add("a log without its entries", origin)


def _claims(found: Findings, origin: str, notes: Iterable[bytes], keys: list[bytes]) -> dict[int, bytes]:
    """Size to root, of every note that was shown."""
    wanted: dict[int, bytes] = {}
    for note in notes:
        try:
            seen = verify_checkpoint(note, [VerifierKey(origin, key) for key in keys])
        except VerificationError as error:
            found.add("a checkpoint that does not verify", f"{origin}: {error}")
            continue
        if wanted.setdefault(seen.size, seen.root) != seen.root:
            found.add("two checkpoints of one size differ", f"{origin} at {seen.size}")
        found.counts["checkpoints"] += 1
    return wanted


def _roots(
    found: Findings, origin: str, entries: Iterator[tuple[int, bytes, bytes]], sizes: set[int]
) -> dict[int, bytes]:
    """The roots of the log at these sizes, and at its end."""
    log = CompactLog()
    roots: dict[int, bytes] = {}
    for index, leaf, evidence in entries:
        if index != log.size:
            found.add("a log's indexes have a gap", f"{origin} at {log.size}")
        if parse_evidence(evidence).leaf() != leaf:
            found.add("a leaf that is not its evidence's", f"{origin} at {index}")
        log.append(leaf)
        if log.size in sizes:
            roots[log.size] = log.root()
    roots[log.size] = log.root()
    return roots


class CompactLog:
    """RFC 6962, section 2.1, in the memory of its right edge alone: nobody's code but this."""

    def __init__(self) -> None:
        self.size = 0
        self._edge: list[tuple[int, bytes]] = []

    def append(self, leaf: bytes) -> None:
        """Add a leaf; two full trees of one height become one."""
        height, made = 0, hashlib.sha256(b"\x00" + leaf).digest()
        while self._edge and self._edge[-1][0] == height:
            made = _node(self._edge.pop()[1], made)
            height += 1
        self._edge.append((height, made))
        self.size += 1

    def root(self) -> bytes:
        """The tree's head: the full trees of the edge, joined from the right."""
        if not self._edge:
            return hashlib.sha256(b"").digest()
        root = self._edge[-1][1]
        for _, left in reversed(self._edge[:-1]):
            root = _node(left, root)
        return root


def _node(left: bytes, right: bytes) -> bytes:
    return hashlib.sha256(b"\x01" + left + right).digest()


def look_at_deliveries(found: Findings, remains: Remains, receiver: Receiver, told: Acknowledged) -> None:
    """Each outbound event arrived, repeats under its own webhook-id only, and the log knows of a success."""
    wanted = told.of("outbound")
    for ref in wanted - receiver.taken:
        found.add("a delivery that did not arrive", ref)
    for ref in receiver.bodies.keys() - wanted:
        found.add("a delivery of an event that nobody was told of", ref)
    for ref in receiver.torn:
        found.add("a webhook-id with two bodies", ref)
    for event in receiver.split:
        found.add("an event under two webhook-ids", event)
    delivered = set()
    for raw_ref, evidence in remains.rows(
        "SELECT ref, evidence FROM audit_entry WHERE kind = 'delivery.attempted'"
    ):
        found.counts["attempts in the log"] += 1
        if json.loads(expand(bytes(evidence)))["outcome"] == "delivered":
            delivered.add(format_ref(bytes(raw_ref)))
    for ref in wanted - delivered:
        found.add("a delivery that the log does not know of", ref)
    for ref in delivered - wanted:
        found.add("the log knows of a delivery that nobody asked for", ref)


def look_at_acknowledgements(found: Findings, remains: Remains, key: bytes) -> None:
    """Each success whose answer was signed has that signature beside it, and anybody can verify it."""
    counts: Counter[bytes] = Counter()
    statement = "SELECT kind, ref, evidence FROM audit_entry WHERE kind LIKE 'delivery.%'"
    for kind, raw_ref, raw in remains.rows(statement):
        if kind == "delivery.acknowledged":
            found.counts["acknowledgements"] += 1
            counts[bytes(raw_ref)] -= 1
            verify_acknowledgement(parse_evidence(expand(bytes(raw))), key)
        elif json.loads(expand(bytes(raw))).get("outcome") == "delivered":
            counts[bytes(raw_ref)] += 1
    for ref, count in counts.items():
        if count:
            found.add("successes and acknowledgements are not as many", f"{format_ref(ref)}: {count}")


def look_at_order(found: Findings, remains: Remains, receiver: Receiver, orders: Mapping[str, str]) -> None:
    """Where an endpoint is in order, events arrive first in the order of their topic, for each key or all.

    `orders`: by partner, what its contract says; its endpoint's path ends in its name.
    """
    for partner, order in orders.items():
        if order == "none":
            continue
        places: dict[str, tuple[int, bytes]] = {}
        for record in remains.topic(f"{remains.topic_prefix}{partner}.outbound"):
            ref = json.loads(payload_of(record.headers["gateway_receipt"].decode()))["ref"]
            places.setdefault(ref, (record.offset, b"" if order == "endpoint" else record.key or b""))
        newest: dict[bytes, int] = {}
        for ref in receiver.arrivals.get(f"/hook/{partner}", ()):
            offset, key = places.get(ref, (-1, b""))
            if offset < newest.get(key, -1):
                found.add("an event that came before an earlier one", f"{partner} {ref}")
            newest[key] = max(offset, newest.get(key, -1))
            found.counts["arrivals in order"] += 1
