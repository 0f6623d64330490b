"""Documents that were made once, kept within a bound: for one caller after the other, until they change.

What a document is made from, the reader, is compared, not only named: a channel that is made anew, of
whatever reason, is another one, and its document is made anew too.
"""

import hashlib
from collections import OrderedDict
from dataclasses import dataclass, field
from typing import Final

from gateway.http.openapi.document import Place, Reader
from partners.credential import Role

MOST_BYTES: Final = 32 * 1_048_576
"""Of all that are kept; one that alone is larger is made for each request."""

_Name = tuple[Place, Role | None, str, str | None]


@dataclass(frozen=True, slots=True)
class Written:
    """A document as it is sent, and the quoted tag that names this very text."""

    text: bytes = field(repr=False)
    tag: str


def write_down(text: bytes) -> Written:
    """A document with its tag."""
    return Written(text, f'"{hashlib.sha256(text).hexdigest()[:32]}"')


class Kept:
    """See the module. The one that was asked for longest ago makes room."""

    def __init__(self, most: int = MOST_BYTES) -> None:
        """`most`: bytes of all together."""
        self._most = most
        self._taken = 0
        self._held: OrderedDict[_Name, tuple[Reader, Written]] = OrderedDict()

    def find(self, place: Place, reader: Reader) -> Written | None:
        """The document of this reader, if it was made from the same."""
        name = _name(place, reader)
        found = self._held.get(name)
        if found is None or not _is_same(found[0], reader):
            return None
        self._held.move_to_end(name)
        return found[1]

    def keep(self, place: Place, reader: Reader, written: Written) -> None:
        """Keep a document in place of the one that this reader had."""
        name = _name(place, reader)
        before = self._held.pop(name, None)
        self._taken -= 0 if before is None else len(before[1].text)
        if len(written.text) > self._most:
            return
        self._held[name] = (reader, written)
        self._taken += len(written.text)
        while self._taken > self._most:
            _, (_, oldest) = self._held.popitem(last=False)
            self._taken -= len(oldest.text)


def is_known(tags: str, tag: str) -> bool:
    """Whether `If-None-Match` names the tag; weak ones are as good. Source: RFC 9110, section 13.1.2."""
    named = [one.strip(" \t").removeprefix("W/") for one in tags.split(",")]
    return tag in named or named == ["*"]


def _name(place: Place, reader: Reader) -> _Name:
    return place, reader.role, reader.base, reader.partner


def _is_same(one: Reader, other: Reader) -> bool:
    if one.revision != other.revision or len(one.channels) != len(other.channels):
        return False
    return all(mine is theirs for mine, theirs in zip(one.channels, other.channels, strict=True))
