"""What is left of an event in a database: every value of every table, looked through."""

import base64
import json
import zlib
from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import Any

from sqlalchemy import select
from sqlmodel import Session, SQLModel

from audit.pressing import expand
from gateway.database import Database


async def remains(database: Database, *words: bytes) -> set[str]:
    """Columns that hold one of these words: as they are, in hex or base64, in what is packed or signed."""
    return await database.read(lambda session: set(_columns(session, words)))


def _columns(session: Session, words: Sequence[bytes]) -> Iterator[str]:
    forms = {form for word in words for form in (word, word.hex().encode(), base64.b64encode(word))}
    for table in SQLModel.metadata.sorted_tables:
        for row in session.execute(select(table)).mappings():
            for name, value in row.items():
                if any(form in text for text in _texts(value) for form in forms):
                    yield f"{table.name}.{name}"


def _texts(value: Any) -> Iterator[bytes]:
    """The value, and what it may be a form of."""
    raw = value if isinstance(value, bytes) else str(value).encode()
    yield raw
    yield expand(raw)
    with suppress(zlib.error):
        yield zlib.decompress(raw)
    for part in raw.split(b"."):
        with suppress(ValueError):
            yield base64.urlsafe_b64decode(part + b"=" * (-len(part) % 4))
    with suppress(ValueError):
        found = json.loads(raw)
        for text in found.values() if isinstance(found, dict) else ():
            with suppress(ValueError):
                yield base64.b64decode(str(text))
