"""Entries against their evidence, thousands at a time: leaves, and the columns that a search goes by.

Column by column, since a call for each value is most of what an entry costs, and by a reading of each record
that takes a fraction of `parse_evidence`. Whatever is not found equal so is judged by that, and by
`draft_entry`, which alone say what is right.
"""

import re
from binascii import b2a_base64
from collections.abc import Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any, Final

import msgspec
from msgspec.structs import astuple

from audit.entry import OUTBOUND_KINDS, Draft, asked_by, draft_entry
from audit.errors import MalformedError
from audit.evidence import Kind, leaf_begins, parse_evidence
from audit.merkle import hash_leaf
from audit.pressing import expand
from audit.ref import REF_BYTES

COLUMNS: Final = (
    "index",
    "leaf",
    "evidence",
    "kind",
    "at",
    "ref",
    "partner",
    "direction",
    "source",
    "event_id",
    "event_type",
    "endpoint",
    "code",
    "credential",
)
"""Of a row as it is stored, in this order; what stands behind them is not looked at."""

Row = Sequence[Any]
_Words = Sequence[str | msgspec.UnsetType | None]

_SEARCHED: Final = COLUMNS[3:]
_END: Final = len(COLUMNS)
_EVIDENCE: Final = COLUMNS.index("evidence")
_REF: Final = COLUMNS.index("ref")
_HOUR_MS: Final = 3_600_000
_LEAF: Final = re.compile(
    rb"gateway-leaf/v1\n([a-z.]{1,40})\n([0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}Z)\n[A-Za-z0-9+/]{43}=\n",
    re.ASCII,
)
_PARKED: Final = Kind.PARKED.value
_DIRECTIONS: Final = {
    Kind.FORWARDED.value: "inbound",
    **{kind.value: "outbound" for kind in OUTBOUND_KINDS},
}
_COMMITTING: Final = sha256(b"gateway-commit/v1\x00")
"""Copied for each record, which is a third less than to begin anew."""

_REF_LETTERS: Final = 56
_DIGITS: Final = bytes(
    b"0123456789abcdefghijklmnopqrstuv"[place]
    if (place := b"abcdefghijklmnopqrstuvwxyz234567".find(one)) >= 0
    else 33
    for one in range(256)
)
"""From letters of a reference to the digits that `int` reads, and from whatever else to what it refuses."""

_LATER: Final = frozenset({"credential", "direction"})
"""Columns that are null in rows which were written before there was the column, or before it said as much."""


@dataclass(frozen=True, slots=True)
class Flaw:
    """What is wrong with an entry: a word, and more of it for people."""

    index: int
    what: str
    detail: str


@dataclass(slots=True)
class Examined:
    """Leaf hashes of rows, in their order, as the evidence gives them; and what is wrong with the rows."""

    hashes: list[bytes] = field(default_factory=list)
    flaws: list[Flaw] = field(default_factory=list)

    def take(self, leaf: bytes, flaws: Sequence[Flaw]) -> None:
        """Take the leaf of the next row, and what is wrong with it."""
        self.hashes.append(sha256(b"\x00" + leaf).digest())
        self.flaws += flaws


class _Actor(msgspec.Struct, gc=False):
    credential: Any = None


class _Seen(msgspec.Struct, gc=False):
    """The members of evidence that a row is made of."""

    kind: str
    log: str
    at: int
    ref: str | None = None
    partner: str | None = None
    direction: str | None = None
    source: str | None = None
    id: str | None = None
    type: str | None = None
    endpoint: str | None = None
    code: str | msgspec.UnsetType | None = msgspec.UNSET
    outcome: str | msgspec.UnsetType | None = msgspec.UNSET
    action: str | msgspec.UnsetType | None = msgspec.UNSET
    reason: str | None = None
    auth: _Actor | None = None
    by: _Actor | None = None


_decode: Final = msgspec.json.Decoder(_Seen).decode


class _OtherwiseError(Exception):
    """Among some rows there is one that is not as its evidence makes it, or that cannot be read so."""


def examine(log: str, rows: Sequence[Row]) -> Examined:
    """Examine rows of a log (its name, without an epoch), each as `COLUMNS` has it."""
    kept = [row for row in rows if row[_EVIDENCE] is not None]
    try:
        hashes = _all_equal(log, kept) if kept else []
    except (msgspec.DecodeError, TypeError, ValueError, _OtherwiseError):
        return _one_by_one(log, rows)
    if len(kept) == len(rows):
        return Examined(hashes)
    found, made = Examined(), iter(hashes)
    for row in rows:
        if row[_EVIDENCE] is None:
            found.take(*_judge(log, row))
        else:
            found.hashes.append(next(made))
    return found


def _one_by_one(log: str, rows: Sequence[Row]) -> Examined:
    found = Examined()
    for row in rows:
        try:
            found.hashes += _all_equal(log, [row])
        except (msgspec.DecodeError, TypeError, ValueError, _OtherwiseError):
            found.take(*_judge(log, row))
    return found


def _all_equal(log: str, rows: Sequence[Row]) -> list[bytes]:
    """The leaf hashes of rows that are all as their evidence makes them.

    Raises:
        DecodeError, TypeError, ValueError, _OtherwiseError: they are not, or not surely.
    """
    there = tuple(zip(*rows, strict=True))
    raws = list(map(expand, there[_EVIDENCE]))
    kinds, logs, ats, refs, partners, ways, *rest = zip(*map(astuple, map(_decode, raws)), strict=True)
    sources, ids, types, endpoints, codes, outcomes, actions, reasons, auths, bys = rest
    made = (
        tuple(_leaves(raws, kinds, ats)),
        kinds,
        ats,
        partners,
        tuple([_DIRECTIONS.get(kind) or way or "" for kind, way in zip(kinds, ways, strict=True)]),
        sources,
        ids,
        types,
        endpoints,
        tuple(_codes(kinds, codes, outcomes, actions, reasons)),
        tuple(map(_credential, auths, bys)),
    )
    if set(logs) != {log} or made != (*there[1:2], *there[3:5], *there[6:_END]):
        raise _OtherwiseError
    _verify_refs(refs, there[_REF])
    return [sha256(b"\x00" + leaf).digest() for leaf in made[0]]


def _leaves(raws: Sequence[bytes], kinds: Sequence[str], ats: Sequence[int]) -> list[bytes]:
    """Leaves as evidence makes them; ValueError: a kind that is none."""
    places = list(zip(kinds, [at // _HOUR_MS for at in ats], strict=True))
    begins = {(kind, hour): leaf_begins(Kind(kind), hour * _HOUR_MS) for kind, hour in set(places)}
    found, begin = [], _COMMITTING.copy
    for raw, place in zip(raws, places, strict=True):
        commitment = begin()
        commitment.update(raw)
        found.append(begins[place] + b2a_base64(commitment.digest()))
    return found


def _codes(
    kinds: Sequence[str], codes: _Words, outcomes: _Words, actions: _Words, reasons: Sequence[str | None]
) -> list[str | msgspec.UnsetType | None]:
    """The one word of each that tells apart records of one kind, as `draft_entry` finds it."""
    unset = msgspec.UNSET
    return [
        reason
        if kind == _PARKED
        else code
        if code is not unset
        else outcome
        if outcome is not unset
        else action
        if action is not unset
        else None
        for kind, code, outcome, action, reason in zip(kinds, codes, outcomes, actions, reasons, strict=True)
    ]


def _credential(auth: _Actor | None, by: _Actor | None) -> Any:
    """Whose an entry is, as `draft_entry` finds it."""
    if auth is not None and auth.credential is not None:
        return auth.credential
    return None if by is None or by.credential is None else asked_by(by.credential)


def _verify_refs(texts: Sequence[str | None], refs: Sequence[bytes | None]) -> None:
    """Raise `_OtherwiseError`, or ValueError, unless each text is that of the reference in its place.

    All at once, as one number: 52 letters are 260 bits, of which the last four are zero.
    """
    written, held = [text for text in texts if text is not None], [ref for ref in refs if ref is not None]
    if [text is None for text in texts] != [ref is None for ref in refs]:
        raise _OtherwiseError
    if not held:
        return
    lengths = {*map(len, written)}, {*map(len, held)}
    if lengths != ({_REF_LETTERS}, {REF_BYTES}) or {text[:4] for text in written} != {"evt_"}:
        raise _OtherwiseError
    digits = "".join([text[4:] for text in written]).encode().translate(_DIGITS)
    if int(digits, 32) != int("0".join([ref.hex() for ref in held]) + "0", 16):
        raise _OtherwiseError


def _judge(log: str, row: Row) -> tuple[bytes, list[Flaw]]:
    """The leaf to go on with, and what is wrong."""
    index, leaf, raw, kind, at = row[:5]
    if raw is None:
        return leaf, _judge_erased(index, leaf, kind, at)
    try:
        evidence = parse_evidence(expand(raw))
    except MalformedError as error:
        return leaf, [Flaw(index, "evidence_unreadable", str(error))]
    flaws = []
    if evidence.leaf() != leaf:
        flaws.append(Flaw(index, "leaf_wrong", "the leaf is not that of the evidence beside it"))
    if evidence.log != log:
        flaws.append(Flaw(index, "evidence_foreign", f"the evidence is of {evidence.log}"))
    wrong = _wrong_columns(draft_entry(evidence), row)
    if wrong:
        flaws.append(Flaw(index, "column_wrong", f"not as in the evidence: {', '.join(wrong)}"))
    return leaf, flaws


def _judge_erased(index: int, leaf: bytes, kind: str, at: int) -> list[Flaw]:
    """Of an entry whose evidence was erased, the leaf alone is left: its form, its kind and its hour."""
    told = _LEAF.fullmatch(leaf)
    if told is None:
        return [Flaw(index, "leaf_wrong", "the leaf has not the form of one")]
    is_known = kind in {one.value for one in Kind}
    if not is_known or not leaf.startswith(leaf_begins(Kind(kind), at)):
        return [Flaw(index, "column_wrong", "not as in the leaf: kind, at")]
    return []


def _wrong_columns(draft: Draft, row: Row) -> list[str]:
    wanted: dict[str, Any] = {name: getattr(draft, name) for name in _SEARCHED}
    wanted |= {"kind": draft.kind.value, "direction": draft.direction or ""}
    there = dict(zip(_SEARCHED, row[3:_END], strict=True))
    return [
        name
        for name, value in wanted.items()
        if there[name] != value and not (name in _LATER and there[name] is None)
    ]


def halves(row: Row) -> tuple[bytes, bytes]:
    """The leaf hashes of an entry whose halves differ: as its evidence has it, and as its leaf."""
    evidence = parse_evidence(expand(row[2]))
    return hash_leaf(evidence.leaf()), hash_leaf(row[1])
