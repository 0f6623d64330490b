"""Who signed a checkpoint that the topic shows: we, whoever has a key that leaked, a stranger, or nobody?

Everybody who may write to the topic can put a well-formed checkpoint there, and name any key in it. A line
that names a key which we know can be judged for good. One that names a key which we do not know can not: a
database that was restored from before a rotation lacks the newer key, and what is genuine looks to it as what
a stranger made.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from audit.checkpoint import split_origin
from audit.errors import VerificationError
from audit.note import Note, SignatureLine, VerifierKey, verify_signature
from gateway.keys import PublicKey
from gateway.sequencer.territory import anchor_log


class Author(StrEnum):
    """Who signed.

    `OURS`: a key of this log that nobody else is known to have. `FROZEN`: only keys of it that somebody else
    may have, too. `UNKNOWN`: only keys that this database does not know. `FORGED`: no key of this log at all,
    or a line that names one is wrong.
    """

    OURS = "ours"
    FROZEN = "frozen"
    UNKNOWN = "unknown"
    FORGED = "forged"


@dataclass(slots=True, eq=False)
class Authors:
    """Judges signatures. `keys`: every key of ours that signs, or has signed, a log, by its origin."""

    keys: Callable[[str], Sequence[PublicKey]]
    _known: dict[str, Mapping[bytes, PublicKey]] = field(default_factory=dict, init=False, repr=False)

    def claimed(self, origin: str, note: Note) -> Author:
        """Who it would be by the keys that the lines name; no signature is looked at."""
        own = _own_lines(origin, note)
        named = [known for line in own if (known := self._of(origin).get(line.key_id)) is not None]
        if any(key.compromised_at is None for key in named):
            return Author.OURS
        if named:
            return Author.FROZEN
        return Author.UNKNOWN if own else Author.FORGED

    def judge(self, origin: str, note: Note) -> tuple[Author, str]:
        """Who signed, and in words by which keys it is said to be signed.

        One wrong line under a key of ours is enough: we never write one.
        """
        own, known = _own_lines(origin, note), self._of(origin)
        if not own:
            others = ", ".join(sorted({line.name for line in note.lines}))
            return Author.FORGED, f"no line of it is in the log's own name, but in that of {others}"
        for line in own:
            key = known.get(line.key_id)
            if key is None:
                continue
            try:
                verify_signature(key.public_key, line.signature, note.text.encode())
            except VerificationError:
                return Author.FORGED, f"the signature of our key {key.id} is wrong"
        return self.claimed(origin, note), " and ".join(
            f"the key {line.key_id.hex()}" if line.key_id not in known else known[line.key_id].id
            for line in own
        )

    def _of(self, origin: str) -> Mapping[bytes, PublicKey]:
        if origin not in self._known:
            self._known[origin] = {
                VerifierKey(origin, key.public_key).key_id: key for key in self.keys(origin)
            }
        return self._known[origin]


def keys_by_log(host: str, known: Sequence[PublicKey]) -> Callable[[str], Sequence[PublicKey]]:
    """Who may have signed checkpoints of a log, by its origin: the anchor has keys of its own."""

    def keys_of(origin: str) -> list[PublicKey]:
        purpose = "anchor" if split_origin(origin)[0] == anchor_log(host) else "checkpoint"
        return [one for one in known if one.purpose == purpose]

    return keys_of


def _own_lines(origin: str, note: Note) -> list[SignatureLine]:
    return [line for line in note.lines if line.name == origin]
