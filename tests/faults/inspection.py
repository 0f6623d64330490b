"""What a stopped gateway has left on the disk, read past the gateway's own code where that is possible."""

import json
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

from audit.checkpoint import read_checkpoint, verify_checkpoint
from audit.evidence import format_ref, parse_evidence
from audit.merkle import hash_leaf, hash_node
from audit.note import VerifierKey
from gateway.broker.embedded_format import decode_headers
from tests.faults.workload import payload_of


def rows(file: Path, statement: str, *values: object) -> list[tuple[Any, ...]]:
    """The rows of a query."""
    with closing(sqlite3.connect(file)) as sql:
        return sql.execute(statement, values).fetchall()


def root_of(leaves: list[bytes]) -> bytes:
    """RFC 6962, section 2.1, as it is written there: slow, and nobody's code but this."""
    if len(leaves) == 1:
        return hash_leaf(leaves[0])
    split = 1 << ((len(leaves) - 1).bit_length() - 1)
    return hash_node(root_of(leaves[:split]), root_of(leaves[split:]))


def verify_logs(folder: Path, checkpoints: dict[str, set[bytes]], keys: list[bytes]) -> int:
    """Make every log anew from its evidence; each checkpoint ever seen must be of it. Returns the entries.

    `checkpoints`: by origin, the notes that were served while the gateway ran.
    """
    count = 0
    file = folder / "gateway.db"
    shown = {origin: set(notes) for origin, notes in checkpoints.items()}
    for headers, note in topic(folder, "gateway.checkpoints"):
        if "gateway_mark" not in headers:
            shown.setdefault(read_checkpoint(note)[0].origin, set()).add(note)
    for log, epoch, size, text in rows(file, "SELECT log, epoch, size, checkpoint FROM audit_head"):
        found = rows(
            file,
            'SELECT "index", leaf, evidence FROM audit_entry WHERE log = ? AND epoch = ? ORDER BY "index"',
            log,
            epoch,
        )
        assert [index for index, _, _ in found] == list(range(size))
        leaves = [parse_evidence(raw).leaf() for _, _, raw in found]
        assert leaves == [leaf for _, leaf, _ in found]
        origin = f"{log}/{epoch}"
        newest, _ = read_checkpoint(text.encode())
        assert (newest.origin, newest.size) == (origin, size)
        for note in {text.encode(), *shown.pop(origin, set())}:
            seen = verify_checkpoint(note, [VerifierKey(origin, key) for key in keys])
            assert seen.size <= size
            assert seen.root == root_of(leaves[: seen.size])
        count += size
    assert not shown, "a checkpoint of a log that the database does not have"
    return count


def topic(folder: Path, name: str) -> list[tuple[dict[str, bytes], bytes]]:
    """Headers and value of every record of a topic in the embedded broker's file."""
    file = folder / "broker.db"
    ((number,),) = rows(
        file,
        "SELECT number FROM topic_partition JOIN topic ON topic.id = topic_id WHERE name = ?",
        name,
    )
    found = rows(
        file,
        "SELECT headers, value FROM record WHERE place BETWEEN ? AND ? ORDER BY place",
        number << 40,
        (number + 1 << 40) - 1,
    )
    return [(dict(decode_headers(headers)), value) for headers, value in found]


def verify_kept(folder: Path, receipts: dict[str, set[str]], outbound: set[str]) -> None:
    """Nothing acknowledged is missing, nothing is there twice, and each event has one receipt."""
    assert all(len(each) == 1 for each in receipts.values()), "an event has two receipts"
    first = {ref: next(iter(each)) for ref, each in receipts.items()}
    entries = rows(
        folder / "gateway.db", "SELECT ref, evidence FROM audit_entry WHERE kind = 'event.accepted'"
    )
    logged = [format_ref(ref) for ref, _ in entries]
    assert len(set(logged)) == len(logged), "an event has two history entries"
    assert set(logged) == first.keys(), "history and acknowledgements differ"
    assert {format_ref(ref): raw for ref, raw in entries} == {
        ref: payload_of(receipt) for ref, receipt in first.items()
    }
    for direction in ("inbound", "outbound"):
        records = topic(folder, f"partners.acme.{direction}")
        carried = [headers["gateway_receipt"].decode() for headers, _ in records]
        refs = [json.loads(payload_of(receipt))["ref"] for receipt in carried]
        wanted = {ref for ref in first if (ref in outbound) == (direction == "outbound")}
        assert set(refs) == wanted, "topic and acknowledgements differ"
        assert len(set(refs)) == len(refs), "an event is on its topic twice"
        assert all(first[ref] == receipt for ref, receipt in zip(refs, carried, strict=True))


def verify_at_rest(folder: Path) -> None:
    """Nothing waits any more."""
    file = folder / "gateway.db"
    assert rows(file, "SELECT count(*) FROM gateway_claim WHERE state <> 'confirmed'") == [(0,)]
    assert rows(file, "SELECT count(*) FROM gateway_claim WHERE leaf_index IS NULL") == [(0,)]
    assert rows(file, "SELECT count(*) FROM audit_pending") == [(0,)]
    assert rows(file, "SELECT count(*) FROM gateway_delivery") == [(0,)]
    assert rows(file, "SELECT count(*) FROM gateway_backlog") == [(0,)]
