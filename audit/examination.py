"""Entries against their evidence, thousands at a time: leaves, and the columns that a search goes by.

One reading of each record that takes a fraction of `parse_evidence`; whatever it does not find equal is
judged by that, and by `draft_entry`, which alone say what is right.
"""

import re
from binascii import b2a_base64
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any, Final

import msgspec

from audit.entry import OUTBOUND_KINDS, Draft, asked_by, draft_entry
from audit.errors import MalformedError
from audit.evidence import Kind, leaf_begins, parse_evidence
from audit.merkle import hash_leaf
from audit.pressing import expand
from audit.ref import parse_ref

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

_SEARCHED: Final = COLUMNS[3:]
_END: Final = len(COLUMNS)
_COMMIT: Final = b"gateway-commit/v1\x00"
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


def examine(log: str, rows: Iterable[Row]) -> Examined:
    """Examine rows of a log (its name, without an epoch), each as `COLUMNS` has it."""
    found = Examined()
    hashes, begins = found.hashes, dict[tuple[str, int], bytes]()
    for row in rows:
        raw = row[2] and expand(row[2])
        try:
            seen = _decode(raw)
            kind, at = seen.kind, seen.at
            hour = (kind, at // _HOUR_MS)
            begin = begins.get(hour)
            if begin is None:
                begin = begins[hour] = leaf_begins(Kind(kind), at)
            leaf = begin + b2a_base64(sha256(_COMMIT + raw).digest())
            is_same = leaf == row[1] and seen.log == log and _searched(seen, kind, at) == row[3:_END]
        except (msgspec.DecodeError, TypeError, ValueError):
            is_same = False
        if not is_same:
            leaf, flaws = _judge(log, row)
            found.flaws += flaws
        hashes.append(sha256(b"\x00" + leaf).digest())
    return found


def _searched(seen: _Seen, kind: str, at: int) -> tuple[Any, ...]:
    """The columns that a search goes by, as `draft_entry` makes them."""
    if kind == _PARKED:
        code = seen.reason
    elif seen.code is not msgspec.UNSET:
        code = seen.code
    elif seen.outcome is not msgspec.UNSET:
        code = seen.outcome
    else:
        code = None if seen.action is msgspec.UNSET else seen.action
    credential = None if seen.auth is None else seen.auth.credential
    if credential is None and seen.by is not None and seen.by.credential is not None:
        credential = asked_by(seen.by.credential)
    return (
        kind,
        at,
        None if seen.ref is None else parse_ref(seen.ref),
        seen.partner,
        _DIRECTIONS.get(kind) or seen.direction or "",
        seen.source,
        seen.id,
        seen.type,
        seen.endpoint,
        code,
        credential,
    )


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
