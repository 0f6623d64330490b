"""Rounds of the sequencer on SQLite as a process that system calls may fail or kill.

What runs is `write_round`, the signature, the embedded broker's file and `publish_all`, in the order and with
the beliefs of `gateway.sequencer.role` and `.checkpoints`, on one thread, so that each run makes the same
system calls. Whatever fails, it looks again and goes on. Beside the databases it keeps a journal of what it
was told to be committed, and of what it signed.

A process that has loaded everything forks one for each run: `python -m tests.faults.appending`, which reads
folders from standard input and answers each with the pid, then with how it ended.
"""

import json
import os
import sqlite3
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Final, TypeVar

from sqlmodel import Session

from audit import log as audit_log
from audit.bulk import insert_rows
from audit.checkpoint import Checkpoint, sign_checkpoint
from audit.evidence import Evidence, Kind, make_evidence
from gateway.broker.embedded_file import EmbeddedFile
from gateway.broker.port import BrokerError, Position, Read, Record, Stored, TopicSpec
from gateway.database import Database
from gateway.errors import StoreError
from gateway.ingress.claims import Claim, take
from gateway.ingress.prepare import Prepared, make_record, prepare
from gateway.leases import Lease
from gateway.migrations import history
from gateway.positions import Move, Progress, load
from gateway.rows import LeaseRow
from gateway.sequencer.round import ROLE, Round, write_round
from gateway.sequencer.sighting import Sighting, sight
from tests.unit.audit.builders import LOG_SIGNER, members_of
from tests.unit.gateway.ingress.channels import channel, circumstances
from tests.world import draft

T = TypeVar("T")

LOG: Final = "gw.example/log/k3v9q2"
ORIGIN: Final = f"{LOG}/1"
TOPIC: Final = "partners.acme.inbound"
SHOWN: Final = "gateway.checkpoints"
ROUNDS: Final = 3
EVENTS: Final = 4
"""Of a round; beside them two records of evidence that wait for it."""

LEASE: Final = Lease(ROLE, 0, 1, 1 << 62)
GIVEN_UP: Final = 7
"""Exit code of a run that tried too often."""

_TRIES: Final = 8
_BUSY_MS: Final = 20
"""Nobody else is at work: a lock that stays is one that could not be let go."""

_AT: Final = circumstances()
_ON: Final = channel([{"name": "id", "type": "string"}])


def sighted(number: int) -> tuple[Claim, Sighting]:
    """An accepted event, and its record as the sequencer sees it."""
    found = prepare(draft({"id": f"A-{number}"}), _ON, _AT)
    assert isinstance(found, Prepared)
    record = make_record(found.claim, found.version, _AT.origin)
    seen = sight(Read(Position("topic-1", 0, number), record, 5), partner="acme", direction="inbound")
    assert isinstance(seen, Sighting)
    return found.claim, seen


EVENTS_SEEN: Final = [sighted(number) for number in range(ROUNDS * EVENTS)]


def evidence(number: int) -> Evidence:
    """What was decided elsewhere, and waits."""
    members, salt = members_of("contract.changed"), bytes([number]) * 32
    return make_evidence(Kind.CONTRACT_CHANGED, members, iss=_AT.origin, log=LOG, at=_AT.now, salt=salt)


def lay_out(folder: Path) -> None:
    """An installation in which all of it is still to be done."""
    database = Database(f"sqlite:///{folder / 'gateway.db'}")
    with database.begin() as session:
        history.upgrade(session)
        take(session, [claim for claim, _ in EVENTS_SEEN], _AT.now, 15_000)
        for number in range(2 * ROUNDS):
            audit_log.submit(session, evidence(number), id=bytes([number]) * 16)
        row = {"role": ROLE, "shard": 0, "owner": "us", "epoch": LEASE.epoch, "until": LEASE.until}
        insert_rows(session, LeaseRow, [row])
    database.close()
    file = EmbeddedFile(folder / "broker.db", limit_bytes=10**9)
    file.ensure([TopicSpec(SHOWN, compacted=True)], lambda: "topic-2")
    file.close()


@dataclass
class Appender:
    """One run over an installation: all rounds that are left."""

    folder: Path
    database: Database = field(init=False)
    journal: int = field(init=False)

    def __post_init__(self) -> None:
        self.database = Database(f"sqlite:///{self.folder / 'gateway.db'}", busy_ms=_BUSY_MS)
        self.journal = os.open(self.folder / "journal", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)

    def run(self) -> None:
        """Write and publish until nothing is left."""
        file = self._patiently(lambda: EmbeddedFile(self.folder / "broker.db", limit_bytes=10**9))
        while (reached := self._patiently(self._reached)) < ROUNDS * EVENTS:
            self._patiently(partial(self._write, reached))
            self._patiently(lambda: self._publish(file))
        self._patiently(lambda: self._publish(file))
        file.close()
        self.database.close()

    def _patiently(self, work: Callable[[], T]) -> T:
        """Again and again, as the role does; before each the lease is renewed: that waits for the disk."""
        for _ in range(_TRIES):
            try:
                return work()
            except (StoreError, BrokerError, sqlite3.Error, OSError):
                self._renew()
        sys.exit(GIVEN_UP)

    def _renew(self) -> None:
        for _ in range(_TRIES):
            try:
                with self.database.begin() as session:
                    session.connection().exec_driver_sql("UPDATE gateway_lease SET owner = 'us'")
            except (StoreError, OSError):
                continue
            return

    def _reached(self) -> int:
        with self.database.looking() as session:
            progress = load(session, ROLE, "topic-1", 0)
        return 0 if progress is None else progress.next

    def _write(self, reached: int) -> None:
        """One round from here; where its COMMIT is unknown, the next look at the positions tells."""
        if self._reached() != reached:
            return
        seen = [one for _, one in EVENTS_SEEN[reached : reached + EVENTS]]
        before = Progress(reached) if reached else None
        move = Move(TOPIC, "topic-1", 0, before, Progress(reached + EVENTS))

        def work(session: Session) -> list[str]:
            first = audit_log.open_log(session, ORIGIN).size
            write_round(session, Round([(LEASE, [move])], seen, (), {LOG: ORIGIN}, {}, {LOG: LEASE}))
            size = audit_log.state(session, ORIGIN).head.size
            return [audit_log.entry(session, ORIGIN, index).leaf.hex() for index in range(first, size)]

        with self.database.begin() as session:
            first = audit_log.open_log(session, ORIGIN).size
            leaves = work(session)
        self._note("committed", {"first": first, "leaves": leaves})

    def _publish(self, file: EmbeddedFile) -> None:
        with self.database.looking() as session:
            state = audit_log.states(session, [ORIGIN])[ORIGIN]
        if state.checkpoint_size == state.head.size:
            return
        head = Checkpoint(ORIGIN, state.head.size, state.head.root())
        self._note("signed", {"size": head.size, "root": head.root.hex()})
        note = sign_checkpoint(head, LOG_SIGNER)
        (answer,) = file.append([Record(SHOWN, 0, ORIGIN.encode(), note, (), 1)], now=1)
        if not isinstance(answer, Stored):
            raise OSError(28, answer.reason)
        with self.database.begin() as session:
            audit_log.publish_all(session, {ORIGIN: note})

    def _note(self, what: str, members: dict[str, Any]) -> None:
        os.write(self.journal, json.dumps({"what": what, **members}).encode() + b"\n")


def _serve() -> None:
    """Fork a run for each folder that is named; it begins once something is written into its pipe `go`."""
    for line in sys.stdin:
        folder = Path(line.strip())
        child = os.fork()
        if child == 0:
            code = 1
            try:
                (folder / "go").open("rb").read()
                Appender(folder).run()
                code = 0
            except SystemExit as end:
                code = int(end.code or 0)
            except BaseException as error:  # noqa: BLE001 - told to whoever reads the folder
                (folder / "trouble").write_text(repr(error))
            finally:
                os._exit(code)
        sys.stdout.write(f"{child}\n")
        sys.stdout.flush()
        _, status = os.waitpid(child, 0)
        sys.stdout.write(f"{os.waitstatus_to_exitcode(status)}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    _serve()
