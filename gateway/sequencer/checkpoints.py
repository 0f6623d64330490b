"""Heads become checkpoints: sign what is committed, show it to the world, then serve it.

Crash order: commit the head; sign; append to the checkpoint topic; store as published. Killed between, the
same text is signed again. A head that is not committed is never signed.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from audit import log as audit_log
from audit.checkpoint import Checkpoint, sign_checkpoint
from audit.errors import StaleHeadError
from audit.note import Signer
from gateway.broker.port import Broker, Record, Stored
from gateway.database import Database
from gateway.logs import logger


@dataclass(slots=True, kw_only=True, eq=False)
class Checkpoints:
    """Publishes checkpoints of the logs that this process sequences.

    `topic`: the compacted checkpoint topic. `clock`: raises where our clock is not to be trusted. `anchors`:
    who signs the log `anchor` (without its epoch), which has keys of its own.
    """

    database: Database
    broker: Broker
    signer: Callable[[], Signer]
    topic: str
    clock: Callable[[], int]
    step: Callable[[str], None]
    anchor: str = ""
    anchors: Callable[[], Sequence[Signer]] = tuple
    _topic_id: str | None = field(default=None, init=False)

    async def is_renewed(self) -> bool:
        """Whether the topic is gone, or another than at the last look: what it showed must be shown again.

        Raises:
            BrokerError: the broker is away or refuses.
        """
        there = await self.broker.describe([self.topic])
        found = there[self.topic].id if self.topic in there else None
        before, self._topic_id = self._topic_id, found
        if before is not None and before != found:
            fate = "deleted" if found is None else "deleted and made again"
            logger("gateway.sequencer").error(
                "the checkpoint topic is another one",
                reason=f"{self.topic} was {fate}; it is made where it is missing, and the newest checkpoints "
                "are shown in it again. Until then no database can be compared with it: delete it never",
            )
        return found is None or (before is not None and before != found)

    async def unpublished(self, origins: Iterable[str]) -> set[str]:
        """Those of `origins` whose head is ahead of what was published."""
        wanted = set(origins)
        states = await self.database.read(audit_log.heads)
        return {
            one.head.origin
            for one in states
            if one.head.origin in wanted and one.head.size != one.checkpoint_size
        }

    async def publish(self, origins: Iterable[str]) -> set[str]:
        """Sign and publish the heads of these logs; returns those that could not be published yet.

        Raises:
            AwayError: the database is away, or our clock untrusted; what was shown is shown again later, the
                same text.
            StaleHeadError: another process publishes these logs by now.
        """
        wanted = sorted(origins)
        if not wanted:
            return set()
        states = await self.database.read(lambda session: audit_log.states(session, wanted))
        now = self.clock()  # first: nothing is signed where it is not to be trusted
        notes = {
            head.origin: sign_checkpoint(Checkpoint(head.origin, head.size, head.root()), signers[0])
            for head in (one.head for one in states.values())
            # The anchor waits for a key of its own, and holds up no other log.
            if (signers := self._of(head.origin))
        }
        results = await self.broker.append(
            [Record(self.topic, 0, origin.encode(), note, (), now) for origin, note in notes.items()]
        )
        shown = {
            origin: note
            for (origin, note), result in zip(notes.items(), results, strict=True)
            if isinstance(result, Stored)
        }
        self.step("proof.4.published")

        if shown:
            try:
                await self.database.write(lambda session: audit_log.publish_all(session, shown))
            except StaleHeadError:
                await self._show_again({origin: states[origin].head.size for origin in shown})
                raise
            self.step("proof.4.served")
        return set(wanted) - shown.keys()

    def _of(self, origin: str) -> Sequence[Signer]:
        """Who signs for a log."""
        return self.anchors() if origin.rpartition("/")[0] == self.anchor else (self.signer(),)

    async def _show_again(self, sizes: Mapping[str, int]) -> None:
        """Put newer checkpoints behind those of these sizes, which a process put there that had been asleep.

        Compaction keeps the last one of each log: it must be the newest that the world was shown.
        """
        now = self.clock()
        states = await self.database.read(lambda session: audit_log.states(session, sizes))
        await self.broker.append(
            [
                Record(self.topic, 0, origin.encode(), one.checkpoint.encode(), (), now)
                for origin, one in states.items()
                if one.checkpoint is not None and one.checkpoint_size > sizes[origin]
            ]
        )
