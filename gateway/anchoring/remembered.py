"""What a witness remembers of the anchor that this database does not have: an older copy has come back.

A witness's bare word stops nothing: one that lies, or is broken, would. What does is the checkpoint that it
holds, where a key of ours signed it and this database has not what it shows. Then nothing may be signed any
more, now and after a restart, until an operator begins new epochs: it is noted in the database before it is
told.

One that is signed by keys alone which this database does not know is an alarm, and stops nothing: a copy of
before a rotation lacks the key of today, and any witness can make a key and say that it is ours.

Source: C2SP tlog-witness v1.0.0, the monitoring interface.
"""

import hashlib
from collections.abc import Sequence
from typing import Final, Protocol

from sqlmodel import Session

from audit.checkpoint import Checkpoint
from audit.checkpoint import read_checkpoint as read_note
from audit.errors import AuditError, UnpinnedKeyError
from audit.note import VerifierKey
from audit.papers import read_checkpoint
from audit.policy import Witness
from gateway import facts
from gateway.database import Database
from gateway.dialler import Fetched
from gateway.sequencer.guard import WITNESSED, behind, verify_not_behind

_NOTE_BYTES: Final = 32 * 1024
_NAMED: Final = 3
_REDIRECTS: Final = 300
_FAULTS: Final = 500
"""From here on statuses are faults of the server: no answer."""


class Fetches(Protocol):
    """Who reads from addresses that others chose: `gateway.dialler.Dialler`."""

    async def fetch(self, url: str, *, most: int) -> Fetched:
        """GET once."""
        ...


async def verify_remembered(
    database: Database, sender: Fetches, witness: Witness, origin: str, keys: Sequence[bytes]
) -> str | None:
    """Compare what a witness holds of the anchor with what this database has.

    Returns what an operator has to judge, in words, or nothing; None where the witness did not answer.

    `keys`: public keys that sign the anchor, or did, and that nobody else has.

    Raises:
        LogBehindError: the witness shows, by a signature of ours, what this database does not have.
        AwayError: the database is away.
    """
    place = hashlib.sha256(origin.encode()).hexdigest()
    found = await sender.fetch(f"{witness.url.rstrip('/')}/{place}/checkpoint", most=_NOTE_BYTES)
    if found.failure is not None:
        return "" if _REDIRECTS <= found.status < _FAULTS else None
    try:
        shown, note = read_note(found.body)
        if shown.origin != origin:
            return ""
        read_checkpoint(found.body, [VerifierKey(origin, key) for key in keys])
    except UnpinnedKeyError:
        signers = [line.key_id.hex() for line in note.lines if line.name == origin]
        return await database.read(lambda session: _doubt(session, shown, signers)) if signers else ""
    except AuditError:
        return ""
    await database.write(lambda session: _compare(session, shown, witness.name))
    await database.read(lambda session: verify_not_behind(session, {}))
    return ""


def _compare(session: Session, shown: Checkpoint, name: str) -> None:
    """Note it where this database has not what was shown; as it is now, whatever was read before."""
    error = behind(session, shown)
    if error is not None:
        words = f"the witness {name} holds {shown.size} entries of {shown.origin} ({error})"
        facts.keep(session, WITNESSED, words)


def _doubt(session: Session, shown: Checkpoint, signers: Sequence[str]) -> str:
    """What an operator has to judge, where this database has not what was shown."""
    error = behind(session, shown)
    if error is None:
        return ""
    return (
        f"it shows {shown.size} entries of {shown.origin} that this database does not have ({error}), signed "
        f"by the key {' and '.join(signers[:_NAMED])}, which this database does not know, or has frozen. "
        "Compare that with your record of rotations. If it is a key of this gateway, this database is an "
        "older copy of itself: stop the gateway at once and bring the newest one back, or where there is "
        "none begin new epochs: gateway log new-epoch --all --reason TEXT. If this gateway never had it, the "
        "witness shows what is not ours: ask whoever runs it"
    )
