"""A log of a million entries on SQLite: appended as by the sequencer, proven all over, checked, examined.

`python -m bench.million [ENTRIES]`; figures of a million go to bench/results-million.json. Whatever does not
hold ends it: each proof goes through the verifier that partners run, from receipt to checkpoint, and each
earlier head, kept when it was made, is proved to be a part of the last one.
"""

import os
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from sqlmodel import Session

from audit import log
from audit.checkpoint import Checkpoint, sign_checkpoint
from audit.entry import draft_entry
from audit.merkle import verify_consistency
from audit.note import VerifierKey
from audit.papers import Keys
from audit.receipt import issue
from audit.tree import Head
from audit.whole import verify_files
from bench.checking import bytes_an_entry, examined
from bench.exporting import accepted
from bench.figures import keep
from gateway.database import Database
from gateway.migrations import history
from tests.unit.audit.builders import LOG_SIGNER, ORIGIN, RECEIPT_SIGNER

RESULTS: Final = Path(__file__).with_name("results-million.json")
ENTRIES: Final = 1_000_000
_ROUND: Final = 2_000
_PROOFS: Final = 2_000
_STRIDE: Final = 7_368_787
"""A prime: all over the log, and the same places each time."""

_KEYS: Final = Keys(
    {RECEIPT_SIGNER.key_id: RECEIPT_SIGNER.public_key}, (VerifierKey(ORIGIN, LOG_SIGNER.public_key),)
)


def main(arguments: Sequence[str]) -> int:
    """Do all of it, and write the figures down; `arguments`: entries, if not a million."""
    entries = int(arguments[0]) if arguments else ENTRIES
    with tempfile.TemporaryDirectory(prefix="gateway-bench-", dir="/var/tmp") as name:
        found = _measured(f"sqlite:///{name}/gateway.db", entries)
    keep(found, RESULTS, is_whole=not arguments)
    return 0


def _measured(url: str, entries: int) -> dict[str, Any]:
    database, spent = Database(url), dict[str, float]()
    try:
        seen = _append(database, entries, spent)
        with database.looking() as session:
            last = log.state(session, ORIGIN).head
            if last.size != entries:
                raise AssertionError(f"{last.size} entries")
            indexes = [0, entries - 1, *(number * _STRIDE % entries for number in range(1, _PROOFS - 1))]
            _prove(session, indexes, spent)
            earlier = seen[:-1]
            with _timed(spent, "consistency"):
                for old in earlier:
                    proof = log.consistency(session, ORIGIN, old.size, entries)
                    verify_consistency(old.size, old.root(), entries, last.root(), proof)
        examination = examined(url, os.cpu_count() or 1)
        with database.looking() as session:
            sizes = bytes_an_entry(session, entries)
    finally:
        database.close()
    return {
        "entries": entries,
        "append_us": spent["append"] / entries * 1e6,
        "proofs": len(indexes),
        "prove_ms": spent["prove"] / len(indexes) * 1e3,
        "verify_ms": spent["verify"] / len(indexes) * 1e3,
        "heads": len(earlier),
        "consistency_ms": spent["consistency"] / max(1, len(earlier)) * 1e3,
        "fsck_entries_a_second": examination["entries_a_second"],
        "fsck_cpu_us": examination["cpu_us"],
        "fsck_peak_bytes": examination["peak_bytes"],
        "bytes_an_entry": sum(size for name, size in sizes.items() if name != "of it the evidence"),
    }


def _append(database: Database, entries: int, spent: dict[str, float]) -> list[Head]:
    """Rounds as the sequencer's: append and commit, sign, publish and commit; the heads of them all."""
    with database.begin() as session:
        history.upgrade(session)
        log.open_log(session, ORIGIN)
    seen: list[Head] = []
    for start in range(0, entries, _ROUND):
        drafts = [draft_entry(accepted(number)) for number in range(start, min(start + _ROUND, entries))]
        with _timed(spent, "append"):
            with database.begin() as session:
                head = log.append_all(session, {ORIGIN: drafts})[ORIGIN]
            note = sign_checkpoint(Checkpoint(ORIGIN, head.size, head.root()), LOG_SIGNER)
            with database.begin() as session:
                log.publish_all(session, {ORIGIN: note})
        seen.append(head)
    return seen


def _prove(session: Session, indexes: Sequence[int], spent: dict[str, float]) -> None:
    for index in indexes:
        with _timed(spent, "prove"):
            proof = log.proof_text(session, ORIGIN, index)
        evidence = log.entry(session, ORIGIN, index).evidence()
        if evidence is None or evidence.raw != accepted(index).raw:
            raise AssertionError(f"entry {index} is another one")
        receipt = issue(evidence, RECEIPT_SIGNER).token.encode()
        with _timed(spent, "verify"):
            verify_files([receipt, proof], _KEYS)


@contextmanager
def _timed(spent: dict[str, float], name: str) -> Iterator[None]:
    """CPU seconds of this process, all threads."""
    began = time.process_time()
    yield
    spent[name] = spent.get(name, 0.0) + time.process_time() - began


def render_million(found: Mapping[str, Any]) -> str:
    """A table."""
    rows = [
        ("", "how many", "CPU each"),
        ("---", "---", "---"),
        (
            f"entries appended, in rounds of {_ROUND:,}",
            f"{found['entries']:,}",
            f"{found['append_us']:.0f} us",
        ),
        ("proofs made, of entries all over it", f"{found['proofs']:,}", f"{found['prove_ms']:.2f} ms"),
        (
            "receipts verified with their proofs",
            f"{found['proofs']:,}",
            f"{found['verify_ms']:.2f} ms",
        ),
        (
            "earlier heads proved to be parts of the last",
            f"{found['heads']:,}",
            f"{found['consistency_ms']:.2f} ms",
        ),
        (
            f"entries examined by fsck, {found['fsck_entries_a_second']:,.0f} a second",
            f"{found['entries']:,}",
            f"{found['fsck_cpu_us']:.1f} us",
        ),
    ]
    size = (
        f"{found['bytes_an_entry']:,.0f} bytes an entry in the database's file, without claims. No process "
        f"of fsck had more than {found['fsck_peak_bytes'] / 1e6:.0f} MB."
    )
    return "\n".join(f"| {' | '.join(row)} |" for row in rows) + f"\n\n{size}"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
