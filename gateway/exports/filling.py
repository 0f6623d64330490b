"""Makes columns of entries as they were read, and knows when the file that they are for is full.

Each leaf is compared with its evidence. Many entries are worked on at once: a call for each of them shows.
"""

import base64
import hashlib
from binascii import b2a_base64
from bisect import bisect_left
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import accumulate
from typing import Final

import msgspec

from audit.errors import DamagedLogError
from audit.evidence import Kind, commitment_of, leaf_begins, leaf_of
from audit.export_row import CONTENT_PREFIX, Entries, Value, columns_of, erased_row, row_of
from audit.pressing import expand
from audit.ranges import Held

Row = tuple[Value, ...]
Columns = Sequence[Sequence[Value]]

_HOUR_MS: Final = 3_600_000
_KINDS: Final = {kind.value: kind for kind in Kind}
_ACCEPTED_KIND: Final = Kind.ACCEPTED.value


@dataclass(slots=True)
class Draft:
    """What is known of a file while it is made. `most`: bytes and entries after which it is full."""

    most: tuple[int, int]
    leaves: list[bytes] = field(default_factory=list)
    size: int = 0
    erased: int = 0
    first_at: int | None = None
    last_at: int | None = None

    @property
    def is_full(self) -> bool:
        """Whether the file ends here."""
        return self.size >= self.most[0] or len(self.leaves) >= self.most[1]


def fill(draft: Draft, epoch: int, held: Sequence[Held], contents: Mapping[bytes, bytes]) -> Columns:
    """The columns of the next entries of a file, as many as it takes.

    Raises:
        DamagedLogError: evidence that is not what its leaf says.
    """
    raws = [None if stored is None else expand(stored) for _, _, stored, _, _ in held]
    shown = _contents(held, raws, contents) if contents else [None] * len(held)
    sizes = [
        0 if raw is None else len(raw) if content is None else len(raw) + len(content)
        for raw, content in zip(raws, shown, strict=True)
    ]
    # The entry by which the file becomes full is its last one.
    ends = list(accumulate(sizes, initial=draft.size))
    count = min(bisect_left(ends, draft.most[0], 1), draft.most[1] - len(draft.leaves), len(held))
    taken = _Taken(epoch, held[:count], raws[:count], shown[:count])
    try:
        columns, times = taken.alike()
    except (msgspec.DecodeError, KeyError, _OtherwiseError):
        columns, times = taken.one_by_one()
    draft.leaves += [leaf for _, leaf, _, _, _ in taken.held]
    draft.size = ends[count]
    draft.erased += taken.raws.count(None)
    if times:
        low, high = min(times), max(times)
        draft.first_at = low if draft.first_at is None else min(low, draft.first_at)
        draft.last_at = high if draft.last_at is None else max(high, draft.last_at)
    return columns


class _OtherwiseError(Exception):
    """An entry is not as they all are; each is looked at by itself."""


@dataclass(frozen=True, slots=True)
class _Taken:
    """Entries of a file, with their evidence and content."""

    epoch: int
    held: Sequence[Held]
    raws: Sequence[bytes | None]
    contents: Sequence[str | None]

    def alike(self) -> tuple[Columns, list[int]]:
        """Columns, and the times of what is not erased.

        Raises:
            DecodeError, KeyError, _OtherwiseError: there is an entry for `one_by_one`.
        """
        there = [place for place, raw in enumerate(self.raws) if raw is not None]
        raws = [raw for raw in self.raws if raw is not None]
        held = self.held if len(there) == len(self.held) else [self.held[place] for place in there]
        told = list(map(_ALIKE.decode, raws))
        hours = _hours(held, raws, told)
        entries = Entries(
            indexes=[one[0] for one in held],
            leaves=[one[1].decode() for one in held],
            hours=hours,
            raws=[raw.decode() for raw in raws],
            told=told,
            contents=[self.contents[place] for place in there],
        )
        columns: Columns = columns_of(self.epoch, entries)
        if len(there) < len(self.held):
            made = zip(*columns, strict=True)
            rows = [
                erased_row(self.epoch, one[0], one[1].decode()) if raw is None else next(made)
                for one, raw in zip(self.held, self.raws, strict=True)
            ]
            columns = tuple(zip(*rows, strict=True))
        return columns, [one.at for one in told]

    def one_by_one(self) -> tuple[Columns, list[int]]:
        """The same of whatever entries, or the first one that is damaged.

        Raises:
            DamagedLogError: there is one.
        """
        rows, times = list[Row](), list[int]()
        for (index, leaf, _, _, _), raw, content in zip(self.held, self.raws, self.contents, strict=True):
            if raw is None:
                rows.append(erased_row(self.epoch, index, leaf.decode()))
                continue
            try:
                told = _ANY.decode(raw)
                made = leaf_of(raw, _KINDS[told.kind], told.at)
            except (msgspec.DecodeError, KeyError) as error:
                raise DamagedLogError(f"entry {index} has evidence that cannot be read") from error
            if made != leaf:
                raise DamagedLogError(f"entry {index} is not the leaf of its evidence")
            rows.append(row_of(self.epoch, index, leaf.decode(), raw.decode(), told, content))
            times.append(told.at)
        return tuple(zip(*rows, strict=True)), times


def _hours(held: Sequence[Held], raws: Sequence[bytes], told: "Sequence[_Alike]") -> list[str]:
    """The hours that leaves tell, each leaf as its evidence makes it; raises as `_Taken.alike`."""
    begins, hours = dict[tuple[str, int], tuple[bytes, str]](), list[str]()
    for (_, leaf, _, _, _), raw, one in zip(held, raws, told, strict=True):
        hour = one.kind, one.at // _HOUR_MS
        found = begins.get(hour)
        if found is None:
            begin = leaf_begins(_KINDS[one.kind], one.at)
            found = begins[hour] = begin, begin.decode().split("\n")[2]
        if found[0] + b2a_base64(commitment_of(raw)) != leaf:
            raise _OtherwiseError
        hours.append(found[1])
    return hours


def _contents(
    held: Sequence[Held], raws: Sequence[bytes | None], contents: Mapping[bytes, bytes]
) -> list[str | None]:
    """Content of events as a row has it, where it is kept and the one that the evidence names."""
    shown: list[str | None] = []
    for (_, _, _, ref, kind), raw in zip(held, raws, strict=True):
        content = None if ref is None or raw is None or kind != _ACCEPTED_KIND else contents.get(ref)
        if content is None or raw is None or _names_another(raw, content):
            shown.append(None)
        else:
            shown.append(CONTENT_PREFIX + base64.b64encode(content).decode())
    return shown


def _names_another(raw: bytes, content: bytes) -> bool:
    return hashlib.sha256(content).hexdigest() != _ACCEPTED.decode(raw).content.sha256


class _Actor(msgspec.Struct, gc=False):
    credential: str | None = None


class _Alike(msgspec.Struct, gc=False):
    """The members of evidence that columns are made of, with the types that kinds give them."""

    kind: str
    at: int
    partner: str | None = None
    direction: str | None = None
    ref: str | None = None
    source: str | None = None
    id: str | None = None
    type: str | None = None
    endpoint: str | None = None
    auth: _Actor | None = None
    by: _Actor | None = None
    code: str | None = None
    outcome: str | None = None
    action: str | None = None
    reason: str | None = None
    status: int | None = None
    number: int | None = None
    ms: int | None = None


class _Any(msgspec.Struct, gc=False):
    """The same, whatever they are; of others nothing is made."""

    kind: str
    at: int
    partner: object = None
    direction: object = None
    ref: object = None
    source: object = None
    id: object = None
    type: object = None
    endpoint: object = None
    auth: object = None
    by: object = None
    code: object = None
    outcome: object = None
    action: object = None
    reason: object = None
    status: object = None
    number: object = None
    ms: object = None


class _Content(msgspec.Struct):
    sha256: str


class _Accepted(msgspec.Struct):
    content: _Content


_ALIKE: Final = msgspec.json.Decoder(_Alike)
_ANY: Final = msgspec.json.Decoder(_Any)
_ACCEPTED: Final = msgspec.json.Decoder(_Accepted)
