"""Papers of one event, looked at one by one: what they prove becomes sentences, what does not fit an error.

Believed are the keys that the caller pinned, and nothing else: not even the keys that come with the papers.
Evidence counts once it was found in a receipt that is signed, or in the log.
"""

from contextlib import suppress
from dataclasses import dataclass, field
from string import Formatter
from typing import Any, Final

from audit import papers
from audit.failures import MalformedError, UnpinnedKeyError, VerificationError
from audit.papers import Keys, expect

_INCLUSION: Final = r"c2sp\.org/tlog-proof@v1\n(?:extra [\w+/]*={0,2}\n)?index "
_ACCEPTED: Final = "accepted {type} {id!r} from {source!r} for {partner}, content SHA-256 {content[sha256]}"
_TERMS: Final = "did so under revision {contract} of the contract and schema SHA-256 {schema[fingerprint]}"
_SENDER: Final = "took {source!r} for the sender, by {auth[method]}, and the time from its own clock"

# In place of a kind of evidence: what it names may have been written down afterwards.
UNTIMELY: Final = "untimely"


@dataclass(slots=True)
class Case:
    """What was found. `leaf`: of the receipt's evidence; `records`: all evidence, by its leaf.

    `shown`: what logs have shown: the leaf of "entry 3 of ORIGIN", "the root of 11 entries of ORIGIN"; where
    papers are several, `audit.forks` compares it.
    """

    pinned: Keys
    leaf: bytes = b""
    records: dict[bytes, dict[str, Any]] = field(default_factory=dict)
    shown: list[tuple[str, bytes]] = field(default_factory=list)
    proved: list[str] = field(default_factory=list)
    word: list[str] = field(default_factory=list)
    not_proved: list[str] = field(default_factory=list)

    def add_receipt(self, token: bytes) -> None:
        """A receipt must be signed by a pinned key, and hold evidence of an event that was accepted."""
        key_id, raw, signature = papers.read_receipt(token)
        is_pinned = key_id in self.pinned.receipts
        expect(is_pinned, f"receipt: signed by a key you have not pinned ({key_id})", UnpinnedKeyError)
        papers.verify_signature(self.pinned.receipts[key_id], signature, token.rpartition(b".")[0], "receipt")
        self.leaf, evidence = self.add_evidence(raw)
        expect(evidence["kind"] == "event.accepted", "receipt: expected evidence of event.accepted")
        self.proved += [f"{say(_ACCEPTED, evidence)}: receipt signed by {key_id}", say(_TERMS, evidence)]
        self.word.append(say(_SENDER, evidence))
        self.not_proved.append("that what the content says is true")

    def add_evidence(self, raw: bytes) -> tuple[bytes, dict[str, Any]]:
        """Take evidence; it comes back with its leaf. Whether all of it is about one event is seen later."""
        evidence = papers.read_evidence(raw)
        self.records[leaf := papers.leaf_of(raw, evidence)] = evidence
        return leaf, evidence

    def add_checkpoint(self, raw: bytes) -> tuple[str, int, bytes]:
        """Origin, size and root of a checkpoint, which must be signed by a pinned key of its log."""
        signer, size, root = papers.read_checkpoint(raw, self.pinned.logs)
        self.shown.append((f"the root of {size} entries of {signer.name}", root))
        self.proved.append(f"checkpoint of {size} entries signed by {signer}")
        self.not_proved.append("that everybody is shown this same log: compare checkpoints with others")
        return signer.name, size, root

    def add_entry(self, proof: bytes, leaf: bytes) -> str:
        """The place of a leaf, which must lead to the root of a checkpoint of the log that evidence names."""
        index, path, note = papers.read_path(proof, _INCLUSION, "proof")
        origin, size, root = self.add_checkpoint(note)
        others = {one["log"] for one in self.records.values()} - {papers.log_of(origin)}
        expect(not others and papers.log_of(origin) != origin, f"proof: it is of {origin}", VerificationError)
        papers.verify_inclusion(leaf, index, size, path, root)
        self.shown.append((f"entry {index} of {origin}", leaf))
        return f"entry {index} of the {size} in {origin}"


class Sentence(Formatter):
    """A form whose values are quoted where they could be taken for words of the sentence."""

    def convert_field(self, value: Any, conversion: str | None) -> Any:
        """See the standard library."""
        return super().convert_field(value, conversion or ("r" if len(str(value).split()) > 1 else None))


def say(form: str, evidence: dict[str, Any]) -> str:
    """What the gateway did, as its evidence has it, and when."""
    with suppress(LookupError, TypeError, ValueError, RecursionError):
        return Sentence().vformat(f"{{iss}} {form}, at {papers.time_of(evidence)}", (), evidence)
    raise MalformedError(f"evidence: {evidence['kind']} has other members than it should")
