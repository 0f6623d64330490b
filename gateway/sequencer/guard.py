"""The start-up guard: is this database one that may go on signing?

Every checkpoint that the world was shown is in the checkpoint topic. A database that is behind one of them is
a restored backup or a wiped one; signing on would make a second history.
"""

from sqlmodel import Session

from audit import log as audit_log
from audit.checkpoint import Checkpoint, read_checkpoint
from audit.errors import AuditError, InconsistentError, MalformedError, NotInLogError
from gateway.broker.port import Broker, BrokerError, Position, Read, Start, TopicSpec
from gateway.errors import SetupError


class LogBehindError(SetupError):
    """The database is behind, or apart from, a checkpoint that was published from it."""

    code = "log_behind"


async def published_checkpoints(broker: Broker, topic: str, *, wait_ms: int = 500) -> dict[str, Checkpoint]:
    """The newest checkpoint of each origin in the checkpoint topic, which is made if it is missing.

    Raises:
        BrokerError: the broker is away or refuses.
    """
    made = await broker.ensure([TopicSpec(topic, compacted=True)])
    topic_id = made[topic].id
    ((first, end),) = await broker.bounds([(topic, 0)])
    reader = broker.reader()
    newest: dict[str, Checkpoint] = {}
    try:
        reader.assign([Start(topic, Position(topic_id, 0, first))])
        while (reader.reached(topic, 0) or 0) < end:
            events = await reader.poll(1_000, wait_ms)
            if not events:
                if (reader.reached(topic, 0) or 0) >= end:
                    break
                raise BrokerError("broker_unavailable", f"the checkpoint topic {topic} cannot be read")
            for event in events:
                if isinstance(event, Read):
                    _note(newest, event)
    finally:
        await reader.close()
    return newest


def verify_not_behind(session: Session, published: dict[str, Checkpoint]) -> None:
    """Compare what was published with what this database holds.

    Raises:
        LogBehindError: says which log, and how to mend it.
    """
    for origin, checkpoint in sorted(published.items()):
        try:
            audit_log.check_published(session, checkpoint)
        except (NotInLogError, InconsistentError) as error:
            raise LogBehindError(
                f"{origin}: the checkpoint topic shows {checkpoint.size} entries that this database does not "
                f"have ({error}). It was restored from an older backup, or wiped, or belongs to another "
                "gateway with the same topics. Restore the newest database; nothing is appended until then."
            ) from error


def _note(newest: dict[str, Checkpoint], read: Read) -> None:
    try:
        checkpoint, _ = read_checkpoint(read.record.value or b"")
    except (MalformedError, AuditError):
        return
    known = newest.get(checkpoint.origin)
    if known is None or known.size <= checkpoint.size:
        newest[checkpoint.origin] = checkpoint
