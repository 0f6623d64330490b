"""An import as a value: a body of many events, and the job that takes them.

Why the body lies in SQL, cut into pieces: every process of many machines must be able to go on with it, and
the database is the only store that all of them share, that is kept safe already, and that commits a piece's
end together with its results. A folder would be one machine's; a topic could not forget one job's part.
"""

import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal, cast

from gateway.event import Direction
from gateway.origin_evidence import Origin
from partners.credential import Method

NDJSON: Final = "application/x-ndjson"
CONTAINER: Final = "application/vnd.apache.avro"
"""An Avro object container file."""

State = Literal["receiving", "waiting", "running", "done", "failed", "cancelled"]
OPEN: Final[tuple[State, ...]] = ("receiving", "waiting", "running")
"""States of an import that has not ended."""


@dataclass(frozen=True, slots=True)
class Failure:
    """Why an import ended early, or will: a code of the catalogue, and where. No value of an event.

    `line` counts from 1, `offset` bytes of the body from 0, after any content decoding.
    """

    code: str
    detail: str
    hint: str = ""
    line: int | None = None
    offset: int | None = None

    def to_json(self) -> str:
        """As it is kept."""
        members = {
            "code": self.code,
            "detail": self.detail,
            "hint": self.hint,
            "line": self.line,
            "offset": self.offset,
        }
        return json.dumps(members)

    @staticmethod
    def from_json(text: str) -> "Failure":
        """What `to_json` made."""
        found: Mapping[str, Any] = json.loads(text)
        return Failure(**found)


@dataclass(frozen=True, slots=True)
class Piece:
    """Whole lines, or whole blocks of a container, as they stand in the body.

    `first`: index of its first item; `line`: its first line, from 1 (of a container its first block, from 0);
    `offset`: of its first byte.
    """

    number: int
    first: int
    count: int
    line: int
    offset: int
    raw: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Sender:
    """Who sends, and how that was proved: what every event of the import is taken by."""

    method: Method
    credential: str
    origin: Origin | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class Wish:
    """What a request asks for, before its body is read. `key`: its Idempotency-Key."""

    partner: str
    direction: Direction
    event_type: str | None
    media_type: str
    sender: Sender
    dry_run: bool
    key: str | None = None


@dataclass(frozen=True, slots=True)
class Counts:
    """What became of the items that are done."""

    done: int = 0
    accepted: int = 0
    duplicates: int = 0
    refused: int = 0


@dataclass(frozen=True, slots=True)
class Import:
    """An import as it stands.

    `size`: bytes of the body, after content decoding. `total`: items that it holds, None until all of it is
    here. `broken`: where the body cannot be read on; the items before that are taken. `waits_for`: the code
    of what it waits for. `epoch`: grows with each owner. `header`: of a container file.
    """

    id: str
    wish: Wish
    state: State
    size: int
    total: int | None
    counts: Counts
    created_at: int
    ended_at: int | None = None
    waits_for: str | None = None
    broken: Failure | None = None
    error: Failure | None = None
    schema_id: int | None = None
    header: bytes | None = field(default=None, repr=False)
    fingerprint: bytes | None = field(default=None, repr=False)
    epoch: int = 0

    @property
    def is_open(self) -> bool:
        """Whether it has not ended."""
        return self.state in OPEN


def read_origin(raw: bytes | None) -> Origin | None:
    """A sender's signature as `Origin.to_json` keeps it, of one that stands apart from its content."""
    if raw is None:
        return None
    found = cast("dict[str, str]", json.loads(raw))
    base, signature = (base64.b64decode(found[name]) for name in ("base", "signature"))
    return Origin(found["algorithm"], found["key_id"], base, signature)
