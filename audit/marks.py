"""Marks: what an event can be found by that its own row in the list does not show.

A state that it reached later, an endpoint, the digest of a content, a value at one of the contract's
`search:` pointers. A mark is a short hash, and its row says where the event stands in the list; so each is
one range of one index, in the order of the list, however large the log is. An event has each
of its marks once.

Values and digests are content: `audit.entering.forget_content` deletes their marks with them.

Source: docs/formats.md section 6.
"""

import hashlib
from collections.abc import Iterable, Iterator
from functools import lru_cache
from typing import Final, Literal

MARK_BYTES: Final = 16
SEARCH_BYTES: Final = 16
"""Of the hash of a value: half a SHA-256."""

Name = Literal["state", "endpoint", "digest", "search"]

_MARK: Final = "gateway/mark/v1"
_SEARCH: Final = b"gateway/search/v1\x00"


def mark_of(log: str, name: Name, value: str | bytes) -> bytes:
    """The mark of a value in a log (its name without an epoch)."""
    made = _begun(log, name).copy()
    made.update(value if isinstance(value, bytes) else value.encode())
    return made.digest()[:MARK_BYTES]


@lru_cache(4_096)
def _begun(log: str, name: Name) -> "hashlib._Hash":
    return hashlib.sha256(f"{_MARK}\x00{log}\x00{name}\x00".encode())


def search_hash(value: str) -> bytes:
    """What is kept of a value that an event can be found by, until its entry has marks."""
    return hashlib.sha256(_SEARCH + value.encode("utf-8", "surrogatepass")).digest()[:SEARCH_BYTES]


def join_search(values: Iterable[str | None]) -> bytes | None:
    """The hashes of an event's values, one behind the other, each once; None where there are none."""
    return b"".join(sorted({search_hash(one) for one in values if one is not None})) or None


def split_search(joined: bytes | None) -> Iterator[bytes]:
    """The hashes that `join_search` has joined."""
    for start in range(0, len(joined or b""), SEARCH_BYTES):
        yield (joined or b"")[start : start + SEARCH_BYTES]
