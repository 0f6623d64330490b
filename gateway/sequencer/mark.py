"""The mark in the checkpoint topic that says which gateway the topics belong to.

Each gateway that finds none appends one, under a key that never comes twice: compaction then removes none of
them, and whichever lies first in the topic counts, for ever. Two that start at once both append, both read
on, and both find the same first one.
"""

import json
from dataclasses import dataclass
from typing import Final

from gateway.broker.port import Record

KEY_BYTES: Final = 16
"""Random bytes in a mark's key."""

HEADER: Final = ("gateway_mark", b"owner/v1")
"""What tells a mark from a checkpoint."""

_KEY_START: Final = b"owner/"
_LONGEST_BYTES: Final = 4_096


@dataclass(frozen=True, slots=True)
class Installation:
    """One gateway, however many processes: all that share a database.

    `log`: the name of its house's log, with its host: random, and kept in the database for ever. `origin`:
    its URL, for people; two gateways may have set the same one.
    """

    log: str
    origin: str


def make_mark(owner: Installation, topic: str, *, key: bytes, now: int) -> Record:
    """The record that claims the topics for `owner`. `key`: random; `now`: Unix milliseconds."""
    members = {"log": owner.log, "origin": owner.origin}
    value = json.dumps(members, separators=(",", ":"), ensure_ascii=False).encode()
    return Record(topic, 0, _KEY_START + key.hex().encode(), value, (HEADER,), now)


def read_mark(record: Record) -> Installation | None:
    """Whom a record says the topics belong to; None where it is no mark. Raises nothing."""
    value = record.value or b""
    if HEADER not in record.headers or len(value) > _LONGEST_BYTES:
        return None
    try:
        members = json.loads(value)
    except (ValueError, RecursionError):
        return None
    log, origin = (members.get("log"), members.get("origin")) if isinstance(members, dict) else (None, None)
    if not (isinstance(log, str) and isinstance(origin, str) and log):
        return None
    return Installation(log, origin)
