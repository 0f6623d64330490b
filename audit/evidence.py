"""Evidence: the exact bytes of one thing that happened, and the leaf that commits to them.

The bytes are the truth. They are made once, signed, stored and handed out; nobody makes them again. Reading
them back is strict: one object, one spelling.

Source: docs/formats.md, sections 3 and 4.
"""

import base64
import binascii
import hashlib
import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import lru_cache
from itertools import islice
from operator import call
from typing import Any, Never

from audit.errors import EvidenceRuleError, EvidenceTooLargeError, MalformedError
from audit.kinds import EARLIER, MEMBERS, Kind, Shape
from audit.note import decode_base64
from audit.ref import parse_ref

__all__ = [
    "EVIDENCE_BYTES",
    "SALT_BYTES",
    "Evidence",
    "Kind",
    "commitment_of",
    "leaf_begins",
    "leaf_of",
    "make_evidence",
    "parse_evidence",
]

EVIDENCE_BYTES = 16_384
SALT_BYTES = 32
_PREAMBLE = ("v", "kind", "iss", "log", "at", "salt")
_KINDS = {kind.value: kind for kind in Kind}
_NAMES = {kind: (*_PREAMBLE, *shapes) for kind, shapes in MEMBERS.items()}
_EARLIER_SHAPES = {
    (kind, (*_PREAMBLE, *shapes)): shapes for kind, known in EARLIER.items() for shapes in known
}
_TESTS = {kind: tuple(shape.accepts for shape in shapes.values()) for kind, shapes in MEMBERS.items()}
# Neither what was checked nor what was read from JSON holds itself: to look for that takes a third more time.
_ENCODER = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), allow_nan=False, check_circular=False)
_HOUR_MS = 3_600_000
_AT_LIMIT = 253_402_300_800_000  # the year 10000


@dataclass(frozen=True, slots=True)
class Evidence:
    """One evidence record.

    raw: the exact bytes, salt inside; whoever has them can prove the leaf.
    kind, iss, log, at: as in the bytes; `at` in Unix milliseconds.
    ref: the event's 32-byte reference, where the record is about one event.
    members: the members of the kind, in order.
    """

    raw: bytes = field(repr=False)
    kind: Kind
    iss: str = field(compare=False)
    log: str = field(compare=False)
    at: int = field(compare=False)
    ref: bytes | None = field(compare=False)
    members: Mapping[str, Any] = field(compare=False, repr=False)

    def text(self, name: str) -> str | None:
        """The member `name`, if the record has it and it is a text."""
        value = self.members.get(name)
        return value if isinstance(value, str) else None

    def commitment(self) -> bytes:
        """SHA-256 over the record; the salt inside keeps it from being guessed."""
        return commitment_of(self.raw)

    def leaf(self) -> bytes:
        """The entry of the Merkle log; see `leaf_of`."""
        return leaf_of(self.raw, self.kind, self.at)


def commitment_of(raw: bytes) -> bytes:
    """SHA-256 over the bytes of a record."""
    return hashlib.sha256(b"gateway-commit/v1\x00" + raw).digest()


def leaf_of(raw: bytes, kind: Kind, at: int) -> bytes:
    """The entry of the Merkle log: kind, hour, commitment, nothing else."""
    return leaf_begins(kind, at) + binascii.b2a_base64(commitment_of(raw))


def leaf_begins(kind: Kind, at: int) -> bytes:
    """A leaf up to its commitment."""
    return _begins(kind, at // _HOUR_MS)


@lru_cache(1_024)
def _begins(kind: Kind, hours: int) -> bytes:
    """`hours`: since 1970."""
    hour = datetime.fromtimestamp(hours * _HOUR_MS // 1000, UTC).strftime("%Y-%m-%dT%HZ")
    return f"gateway-leaf/v1\n{kind.value}\n{hour}\n".encode()


def make_evidence(
    kind: Kind, members: Mapping[str, Any], *, iss: str, log: str, at: int, salt: bytes
) -> Evidence:
    """Write down one thing that happened.

    Args:
        kind: What it is.
        members: The members of the kind in the order of docs/formats.md, none left out.
        iss: The gateway's origin, a URL.
        log: The log it belongs to, without the epoch.
        at: Unix milliseconds.
        salt: 32 random bytes, never used before.

    Raises:
        EvidenceRuleError: A member is missing, too many, out of order or of another type; a wrong salt.
        EvidenceTooLargeError: The record would exceed 16,384 bytes; shorten what the sender gave.
    """
    if len(salt) != SALT_BYTES:
        raise EvidenceRuleError(f"evidence: the salt has {len(salt)} bytes, expected {SALT_BYTES}")
    _check_frame(iss, log, at, EvidenceRuleError)
    _check_members(kind, (*_PREAMBLE, *members), members.values(), EvidenceRuleError)
    whole = {
        "v": 1,
        "kind": kind.value,
        "iss": iss,
        "log": log,
        "at": at,
        "salt": base64.b64encode(salt).decode(),
        **members,
    }
    try:
        raw = _dump(whole)
    except UnicodeEncodeError as error:
        raise EvidenceRuleError(
            "evidence: a text holds half of a surrogate pair, which UTF-8 cannot carry"
        ) from error
    if len(raw) > EVIDENCE_BYTES:
        raise EvidenceTooLargeError(f"evidence: {len(raw)} bytes, a record has at most {EVIDENCE_BYTES}")
    return _evidence(raw, whole, EvidenceRuleError)


def parse_evidence(raw: bytes) -> Evidence:
    """Read a record made by `make_evidence`, here or elsewhere.

    Raises:
        MalformedError: The bytes are not a record of a known kind in its exact spelling.
    """
    if len(raw) > EVIDENCE_BYTES:
        raise MalformedError(f"evidence: {len(raw)} bytes, a record has at most {EVIDENCE_BYTES}")
    try:
        whole = json.loads(raw.decode("utf-8"), parse_float=_refuse, parse_constant=_refuse)
        # One spelling for one record: what another writer would write, or a duplicate member, is refused.
        # The hash is always taken over the bytes given, never over these.
        is_exact = isinstance(whole, dict) and _dump(whole) == raw
    except (ValueError, RecursionError) as error:
        raise MalformedError(
            "evidence: expected one JSON object in UTF-8, with whole numbers only"
        ) from error
    if not is_exact:
        raise MalformedError(
            "evidence: not in its exact form (no white space, each member once, minimal escapes)"
        )
    _check(whole, MalformedError)
    return _evidence(raw, whole, MalformedError)


def _refuse(text: str) -> Never:
    raise ValueError(f"a number that is not whole, of {len(text)} characters")


def _dump(whole: Mapping[str, Any]) -> bytes:
    return _ENCODER.encode(whole).encode()


def _evidence(
    raw: bytes, whole: Mapping[str, Any], error: type[EvidenceRuleError | MalformedError]
) -> Evidence:
    """The value over checked bytes; a reference that is none raises `error`."""
    members = dict(islice(whole.items(), len(_PREAMBLE), None))
    text = members.get("ref")
    ref = None if text is None else parse_ref(text)
    if ref is None and text is not None:
        raise error("evidence: ref must be evt_ and 52 characters of lower-case base32")
    return Evidence(
        raw=raw,
        kind=_KINDS[whole["kind"]],
        iss=whole["iss"],
        log=whole["log"],
        at=whole["at"],
        ref=ref,
        members=members,
    )


def _check(whole: Mapping[str, Any], error: type[EvidenceRuleError | MalformedError]) -> None:
    """Names, order and types of all members, or raise `error`."""
    _check_preamble(whole, error)
    kind, names, values = _KINDS[whole["kind"]], tuple(whole), tuple(whole.values())[len(_PREAMBLE) :]
    earlier = _EARLIER_SHAPES.get((kind, names))
    if earlier is not None:
        _check_shapes(kind, earlier, values, error)
    else:
        _check_members(kind, names, values, error)


def _check_members(
    kind: Kind,
    names: tuple[str, ...],
    values: Collection[Any],
    error: type[EvidenceRuleError | MalformedError],
) -> None:
    """`names`: of the whole record; `values`: of what comes after the preamble."""
    if names != _NAMES[kind]:
        raise error(f"evidence: {kind.value} has the members {' '.join(_NAMES[kind])}, in this order")
    if not all(map(call, _TESTS[kind], values)):
        _check_shapes(kind, MEMBERS[kind], values, error)


def _check_shapes(
    kind: Kind,
    shapes: Mapping[str, Shape],
    values: Collection[Any],
    error: type[EvidenceRuleError | MalformedError],
) -> None:
    """Say which value is not what it must be, if one is."""
    for (name, shape), value in zip(shapes.items(), values, strict=True):
        if not shape.accepts(value):
            raise error(f"evidence: {kind.value}: {name} must be {shape.text}")


def _check_preamble(whole: Mapping[str, Any], error: type[EvidenceRuleError | MalformedError]) -> None:
    """The members that every record starts with."""
    if type(whole.get("v")) is not int or whole["v"] != 1:
        raise error("evidence: v must be 1; a newer verifier may know this record")
    kind = whole.get("kind")
    if not isinstance(kind, str) or kind not in _KINDS:
        raise error("evidence: kind is not one of the closed list")
    _check_frame(whole.get("iss"), whole.get("log"), whole.get("at"), error)
    salt = whole.get("salt")
    if not isinstance(salt, str) or not _is_salt(salt):
        raise error(f"evidence: salt must be base64 of {SALT_BYTES} bytes")


def _check_frame(iss: Any, log: Any, at: Any, error: type[EvidenceRuleError | MalformedError]) -> None:
    """Those members of the preamble that are given, not made."""
    if not isinstance(iss, str) or not isinstance(log, str):
        raise error("evidence: iss and log must be texts")
    if type(at) is not int or not 0 <= at < _AT_LIMIT:
        raise error("evidence: at must be Unix milliseconds")


def _is_salt(text: str) -> bool:
    try:
        return len(decode_base64(text, "salt")) == SALT_BYTES
    except MalformedError:
        return False
