"""One entry of a log as a row of an export: the leaf, the evidence, and columns that are made of them.

The evidence is the truth. Columns are for those who count and sort, and a verifier makes them again: a column
that says something else than its evidence is found out. Of an erased entry there is the leaf, and nothing
that the leaf does not tell.

Texts in columns steer no spreadsheet: see `safe`.

Source: docs/formats.md section 13.
"""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal, Protocol

from audit.errors import MalformedError

Plain = Literal["count", "instant", "flag", "text"]
"""What a column holds: a whole number, Unix milliseconds, a truth, a text."""

Value = int | bool | str | bytes | None

COLUMNS: Final[Mapping[str, tuple[Plain, bool]]] = {
    "epoch": ("count", False),
    "index": ("count", False),
    "kind": ("text", False),
    "hour": ("text", False),
    "at": ("instant", True),
    "erased": ("flag", False),
    "partner": ("text", True),
    "direction": ("text", True),
    "ref": ("text", True),
    "source": ("text", True),
    "id": ("text", True),
    "type": ("text", True),
    "endpoint": ("text", True),
    "credential": ("text", True),
    "code": ("text", True),
    "reason": ("text", True),
    "status": ("count", True),
    "number": ("count", True),
    "ms": ("count", True),
    "leaf": ("text", False),
    "content": ("text", True),
    "evidence": ("text", True),
}
"""Columns in order: what each holds, and whether it may be null."""

AT: Final = list(COLUMNS).index("at")
CONTENT_PREFIX: Final = "base64:"
"""Before content: without it, base64 that begins with a plus sign would be a formula."""

_LEAF: Final = re.compile(
    r"gateway-leaf/v1\n([a-z]+\.[a-z]+)\n(\d{4}-\d\d-\d\dT\d\dZ)\n[A-Za-z0-9+/]{43}=\n", re.ASCII
)
_STEERS: Final = frozenset("=+-@\uff1d\uff0b\uff0d\uff20\t\r\n'")
_BLANK: Final = (None,) * 13
_PARKED: Final = "delivery.parked"
_WAYS: Final = {
    "event.forwarded": "inbound",
    "event.unrouted": "outbound",
    "delivery.attempted": "outbound",
    _PARKED: "outbound",
    "delivery.acknowledged": "outbound",
    "delivery.cancelled": "outbound",
    "delivery.retried": "outbound",
}
"""Which way the event went, of kinds that do not say so, as the history tells it."""


class Told(Protocol):
    """What columns are made of: members of the evidence by name, None where a kind has none of that name."""

    kind: str
    at: int
    partner: object
    direction: object
    ref: object
    source: object
    id: object
    type: object
    endpoint: object
    auth: object
    by: object
    code: object
    outcome: object
    action: object
    reason: object
    status: object
    number: object
    ms: object


class Actor(Protocol):
    """Who sent an event, or made a change."""

    @property
    def credential(self) -> str | None:
        """By which it was proved."""


class PlainlyTold(Protocol):
    """The same, of evidence whose members have the types that kinds give them."""

    kind: str
    at: int
    partner: str | None
    direction: str | None
    ref: str | None
    source: str | None
    id: str | None
    type: str | None
    endpoint: str | None
    code: str | None
    outcome: str | None
    action: str | None
    reason: str | None
    status: int | None
    number: int | None
    ms: int | None

    @property
    def auth(self) -> Actor | None:
        """As evidence of events has it."""

    @property
    def by(self) -> Actor | None:
        """As evidence of changes has it."""


class ToldByMembers:
    """Members as they were read of evidence."""

    __slots__ = ("_members", "at", "kind")

    def __init__(self, kind: str, at: int, members: Mapping[str, object]) -> None:
        """Take them as `audit.evidence.Evidence` has them."""
        self.kind = kind
        self.at = at
        self._members = members

    def __getattr__(self, name: str) -> object:
        """A member, None where there is none."""
        return self._members.get(name)


def safe(text: str) -> str:
    """The text, behind an apostrophe where a spreadsheet would take it for a formula.

    So begins, after blanks, what `=`, `+`, `-` or `@` begins (of full width too), a tab or a line's end; and
    an apostrophe, so that the exact text is what is left without the first one.
    """
    first = text[:1]
    if first.isalnum() or first == "/" or not first:
        return text
    return f"'{text}" if first in _STEERS or text.lstrip()[:1] in _STEERS else text


def row_of(epoch: int, index: int, leaf: str, raw: str, told: Told, content: str | None) -> tuple[Value, ...]:
    """The values of all columns of an entry, in order. `leaf`: the one that its evidence (`raw`) makes."""
    kind = told.kind
    return (
        epoch,
        index,
        kind,
        leaf.split("\n", 3)[2],
        told.at,
        False,
        _text(told.partner),
        _WAYS.get(kind) or _text(told.direction),
        _text(told.ref),
        _text(told.source),
        _text(told.id),
        _text(told.type),
        _text(told.endpoint),
        _credential(told),
        _code(kind, told),
        _text(told.reason),
        _count(told.status),
        _count(told.number),
        _count(told.ms),
        leaf,
        content,
        raw,
    )


@dataclass(frozen=True, slots=True)
class Entries:
    """Entries whose evidence is there, a list for each of what `row_of` takes of one."""

    indexes: Sequence[int]
    leaves: Sequence[str]
    hours: Sequence[str]
    raws: Sequence[str]
    told: Sequence[PlainlyTold]
    contents: Sequence[str | None]


def columns_of(epoch: int, entries: Entries) -> list[Sequence[Value]]:
    """The values of many entries, column by column, as `row_of` makes them of each.

    A call for each value is most of what a row costs: here is none.
    """
    told, count = entries.told, len(entries.told)
    words = [
        one.reason
        if one.kind == _PARKED
        else (one.code if one.code is not None else one.outcome if one.outcome is not None else one.action)
        for one in told
    ]
    actors = [one.auth or one.by for one in told]
    return [
        [epoch] * count,
        entries.indexes,
        [one.kind for one in told],
        entries.hours,
        [one.at for one in told],
        [False] * count,
        _texts([one.partner for one in told]),
        _texts([_WAYS.get(one.kind) or one.direction for one in told]),
        _texts([one.ref for one in told]),
        _texts([one.source for one in told]),
        _texts([one.id for one in told]),
        _texts([one.type for one in told]),
        _texts([one.endpoint for one in told]),
        _texts([None if one is None else one.credential for one in actors]),
        _texts(words),
        _texts([one.reason for one in told]),
        [one.status for one in told],
        [one.number for one in told],
        [one.ms for one in told],
        entries.leaves,
        entries.contents,
        entries.raws,
    ]


def erased_row(epoch: int, index: int, leaf: str) -> tuple[Value, ...]:
    """The same of an entry whose evidence was erased: what its leaf tells.

    Raises:
        MalformedError: the leaf is none of ours.
    """
    found = _LEAF.fullmatch(leaf)
    if found is None:
        raise MalformedError(f"export: entry {index} is not a leaf of the form gateway-leaf/v1")
    return (epoch, index, found[1], found[2], None, True, *_BLANK, leaf, None, None)


def encode_json(value: object) -> str:
    """JSON in the one spelling that exports have."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def _text(value: object) -> str | None:
    if not isinstance(value, str):
        return None
    # What `safe` asks first, without a call: nearly all texts begin so, and there are ten in a row.
    first = value[:1]
    return value if first.isalnum() or first == "/" else safe(value)


def _texts(values: list[str | None]) -> Sequence[str | None]:
    """`_text` of each: hardly ever does one of a thousand begin as a formula does."""
    firsts = {text and text[:1] for text in values}
    if all(not first or first.isalnum() or first == "/" for first in firsts):
        return values
    return [_text(text) for text in values]


def _count(value: object) -> int | None:
    return value if type(value) is int else None


def _credential(told: Told) -> str | None:
    """By whom: of an event its sender's, of a change that of whoever made it."""
    member = told.auth or told.by
    return _text(member.get("credential")) if isinstance(member, dict) else None


def _code(kind: str, told: Told) -> str | None:
    """The one word that tells apart entries of one kind, as the history has it."""
    if kind == _PARKED:
        return _text(told.reason)
    word = told.code
    if word is None:
        word = told.outcome
    if word is None:
        word = told.action
    return _text(word)
