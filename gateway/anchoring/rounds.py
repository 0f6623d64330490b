"""Rounds of the anchor: every so often the heads of all logs, blinded, become one entry of the anchor.

One transaction a round: the lease of the house's shard, the round with its secret, the evidence that waits
for the anchor's log; the sequencer makes the entry of it as of any other. A round is due when some head has
moved, and now and then all the same, so that one can see that nothing did.
"""

import asyncio
import base64
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Final

from sqlmodel import Session

from audit import log as audit_log
from audit.checkpoint import Checkpoint, read_checkpoint, split_origin
from audit.evidence import SALT_BYTES, Kind, make_evidence
from audit.heads import SECRET_BYTES, Roll, pack_heads
from gateway.anchoring.store import Round, newest_round, save_round, thin_out
from gateway.database import Database, clock
from gateway.errors import AwayError, LeaseLostError
from gateway.leases import Lease, check_all
from gateway.sequencer.territory import anchor_log
from gateway.waits import rest

IDLE_ROUNDS: Final = 5
"""A round in which nothing has moved is left out, but for one in so many."""

_ID_BYTES: Final = 16
_LOOKS: Final = 20
"""In an interval."""


@dataclass(frozen=True, slots=True)
class Terms:
    """The gateway's origin, the host of its logs, and how often a round is due."""

    origin: str
    host: str
    interval_ms: int


@dataclass(slots=True, kw_only=True, eq=False)
class Anchoring:
    """Makes the rounds. `lease`: that of the house's shard, while this process holds it.

    `is_able`: whether there is a key to sign the anchor with. `step`: for crash tests.
    """

    database: Database
    terms: Terms
    lease: Callable[[], Lease | None]
    is_able: Callable[[], bool]
    entropy: Callable[[int], bytes]
    step: Callable[[str], None]
    made: Callable[[], None] = lambda: None
    _begun_at: float | None = field(default=None, init=False)

    async def run(self, stop: asyncio.Event) -> None:
        """Make rounds until `stop`; what is away is waited for."""
        while not stop.is_set():
            with suppress(AwayError, LeaseLostError):
                await self.turn()
            await rest(stop, min(1.0, self.terms.interval_ms / 1_000 / _LOOKS))

    async def turn(self) -> bool:
        """A round, where one is due; whether there was one.

        Raises:
            AwayError: the database is away. LeaseLostError: another has the house's shard by now.
        """
        lease, now = self.lease(), asyncio.get_running_loop().time()
        if lease is None or not self.is_able():
            self._begun_at = None
            return False
        if self._begun_at is None:
            self._begun_at = now
        if (now - self._begun_at) * 1_000 < self.terms.interval_ms:
            return False
        # The first after a start waits too: a process that dies and comes again must not fill the log.
        secret, salt = self.entropy(SECRET_BYTES), self.entropy(SALT_BYTES)
        row_id = self.entropy(_ID_BYTES)

        def work(session: Session) -> bool:
            check_all(session, [lease])
            return self._write(session, secret, salt, row_id)

        is_made = await self.database.write(work)
        self._begun_at = now
        if is_made:
            self.step("anchor.1.round")
            self.made()
        return is_made

    def _write(self, session: Session, secret: bytes, salt: bytes, row_id: bytes) -> bool:
        terms, now = self.terms, clock(session)
        heads = published_heads(session, terms.host)
        packed, last = pack_heads(heads, terms.host), newest_round(session)
        if not heads or (last is not None and not _is_due(last, packed, now, terms.interval_ms)):
            return False
        roll = Roll(heads, secret)
        root = base64.b64encode(roll.root).decode()
        members = {"id": str(now), "width": roll.width, "root": root}
        log = anchor_log(terms.host)
        evidence = make_evidence(Kind.HEADS_ANCHORED, members, iss=terms.origin, log=log, at=now, salt=salt)
        save_round(session, Round(now, secret, packed))
        audit_log.submit(session, evidence, id=row_id)
        thin_out(session, now=now)
        return True


def published_heads(session: Session, host: str) -> list[Checkpoint]:
    """What was published last of each log, in its newest epoch; the anchor itself is none of them."""
    newest: dict[str, Checkpoint] = {}
    for one in audit_log.heads(session):
        log, _ = split_origin(one.head.origin)
        if log != anchor_log(host) and one.checkpoint is not None:
            newest[log] = read_checkpoint(one.checkpoint.encode())[0]
    return list(newest.values())


def _is_due(last: Round, packed: bytes, now: int, interval_ms: int) -> bool:
    if now <= last.at:
        return False  # the database's clock was set back: it names rounds, and no two have one name
    return packed != last.heads or now - last.at >= IDLE_ROUNDS * interval_ms
