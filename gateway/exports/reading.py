"""Reads the entries of an export, and the content of their events, a page at a time; on a SQL thread."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

import msgspec
from sqlmodel import Session

from audit import ranges
from audit.bulk import find_rows
from audit.evidence import Kind
from audit.pressing import expand
from audit.ranges import Held
from gateway.exports.job import Wish
from gateway.rows import ClaimRow

_CONTENT_BYTES: Final = 4 * 2**20
"""Bytes of content that are read at a time, one event more at most."""

_ACCEPTED_KIND: Final = Kind.ACCEPTED.value


@dataclass(frozen=True, slots=True)
class Page:
    """Entries in order, without a gap. `contents`: by ref. `is_cut`: the log does not go on behind them."""

    held: Sequence[Held]
    contents: Mapping[bytes, bytes] = field(repr=False)
    is_cut: bool


@dataclass(frozen=True, slots=True)
class Reading:
    """What is read. `most`: bytes of content of one file."""

    wish: Wish
    origin: str
    most: int

    def page(self, session: Session, first: int, end: int) -> Page:
        """Entries from `first` on, up to `end` or the first that is missing."""
        found: list[Held] = []
        for held in ranges.read(session, self.origin, first, end):
            place = first + len(found)
            if [one[0] for one in held] != list(range(place, place + len(held))):
                break
            found += held
        contents = self._contents(session, found) if self.wish.has_content else {}
        return Page(found, contents, is_cut=first + len(found) < end)

    def _contents(self, session: Session, held: Sequence[Held]) -> dict[bytes, bytes]:
        """Content as received by ref, of events whose content is kept, as far as one file takes it."""
        sizes = _content_sizes(held)
        found: dict[bytes, bytes] = {}
        taken: list[bytes] = []
        size = total = 0
        for ref, length in sizes:
            taken.append(ref)
            size += length
            if size >= _CONTENT_BYTES or ref is sizes[-1][0]:
                some = _read_contents(session, partner=self.wish.partner, refs=taken)
                found |= some
                # What is not kept any more takes no room in the file: what stands behind it is read too.
                total += sum(map(len, some.values()))
                taken, size = [], 0
            if total >= self.most:
                break
        return found


class _Content(msgspec.Struct):
    length: int


class _Accepted(msgspec.Struct):
    content: _Content


_ACCEPTED: Final = msgspec.json.Decoder(_Accepted)


def _content_sizes(held: Sequence[Held]) -> list[tuple[bytes, int]]:
    """Refs of accepted events, and how long their content is."""
    return [
        (ref, _ACCEPTED.decode(expand(stored)).content.length)
        for _, _, stored, ref, kind in held
        if kind == _ACCEPTED_KIND and stored is not None and ref is not None
    ]


def _read_contents(session: Session, *, partner: str, refs: Sequence[bytes]) -> dict[bytes, bytes]:
    rows = find_rows(session, ClaimRow, ("ref", "partner", "content"), key="ref", among=refs)
    return {ref: content for ref, owner, content in rows if owner == partner and content is not None}
