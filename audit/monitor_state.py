"""What a monitor remembers of a log between two looks, and the file that it is kept in.

The file is JSON of a format of its own, and holds nothing secret; whoever can change it can make a monitor
forget.
"""

import base64
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from audit.alarm import Alarm, Suspicion
from audit.checkpoint import Checkpoint, read_checkpoint
from audit.errors import MalformedError
from audit.freshness import parse_freshness_key
from audit.merkle import HASH_BYTES
from audit.note import KEY_BYTES, decode_base64
from audit.tile import FULL_WIDTH
from audit.tree import Head

FORMAT: Final = "gateway-monitor/v1"
STATE_BYTES: Final = 256 * 2**20
MOST_PAST: Final = 200
"""Earlier checkpoints that are kept, newest last."""


@dataclass(slots=True)
class Kept:
    """A log as it was when it was last found good.

    note: the signed checkpoint as it was served. edge: hashes of its perfect subtrees, largest first: with
    them, what comes later is checked against all that came before. fresh_at: the newest time (Unix seconds)
    at which anybody vouched for a checkpoint of this log; 0: nobody has.
    """

    note: bytes = field(repr=False)
    edge: tuple[bytes, ...] = field(repr=False)
    fresh_at: int = 0

    @property
    def checkpoint(self) -> Checkpoint:
        """What the note says."""
        return read_checkpoint(self.note)[0]

    @property
    def head(self) -> Head:
        """Where the log stands."""
        found = self.checkpoint
        return Head(found.origin, found.size, self.edge)


@dataclass(slots=True)
class Reading:
    """A signed checkpoint whose entries are read over several looks, and are not compared with its root yet.

    note: as it was served. head: of the entries that are read, which end with a full tile. found: own
    receipts' entries among them, by the name of the receipt.
    """

    note: bytes = field(repr=False)
    head: Head
    found: dict[str, int] = field(default_factory=dict)

    @property
    def checkpoint(self) -> Checkpoint:
        """What the note says."""
        return read_checkpoint(self.note)[0]


@dataclass(slots=True)
class Own:
    """A receipt of one's own. leaf: its leaf's hash. origin, index: of its entry, once found.

    at: Unix ms, as it says itself; seen_at: when it was first seen here, 0: that is not known. refused: looks
    in which its proof was not handed out, nor any before it.
    """

    token: str = field(repr=False)
    at: int
    leaf: bytes = field(repr=False)
    origin: str = ""
    index: int | None = None
    seen_at: int = 0
    refused: int = 0

    @property
    def since(self) -> int:
        """From when on its entry is waited for: a time that has not come yet puts off nothing."""
        return min(self.at, self.seen_at or self.at)


@dataclass(slots=True)
class Standing:
    """An alarm that was raised; times in Unix ms. `acknowledged_at` 0: it stands."""

    id: int
    kind: Suspicion
    subject: str
    text: str
    is_provable: bool
    raised_at: int
    seen_at: int
    count: int = 1
    acknowledged_at: int = 0


@dataclass(slots=True)
class State:
    """Everything that is remembered.

    url, partner: whose log it is. origin: the epoch that is followed. log_keys: public keys of checkpoints,
    32 bytes each; is_pinned: given by the user, not learned from the gateway. retired_keys: trusted until the
    user gave others; they sign nothing new, and what they signed stands. freshness_keys: as verifiers write
    them. compromised_keys: public keys of any of them, trusted until the gateway said that they leaked.
    receipt_keys: by id. reading: what is not read to its end yet. past: earlier notes of the
    epoch, by size. receipts: by ref. away_since: Unix ms; 0: the gateway answers. uncounted: digests of
    receipts that could not be held against the log, and were told, each with the file that it was in last.
    promise_ms: the shortest time that was ever promised for an entry; promise_told_ms: the last one; 0: none
    was yet.
    """

    url: str
    partner: str
    origin: str
    log_keys: tuple[bytes, ...]
    is_pinned: bool = False
    retired_keys: tuple[bytes, ...] = ()
    freshness_keys: tuple[str, ...] = ()
    compromised_keys: tuple[bytes, ...] = ()
    receipt_keys: dict[str, bytes] = field(default_factory=dict)
    kept: Kept | None = None
    reading: Reading | None = None
    opening: bytes = b""
    past: dict[int, bytes] = field(default_factory=dict)
    receipts: dict[str, Own] = field(default_factory=dict)
    alarms: list[Standing] = field(default_factory=list)
    looked_at: int = 0
    away_since: int = 0
    uncounted: dict[str, str] = field(default_factory=dict)
    promise_ms: int = 0
    promise_told_ms: int = 0

    @property
    def log(self) -> str:
        """The log's name without its epoch."""
        return self.origin.rpartition("/")[0]

    def pin(self, keys: Sequence[bytes]) -> None:
        """Trust these for checkpoints from now on, and none that was trusted before."""
        before = dict.fromkeys((*self.retired_keys, *self.log_keys))
        self.retired_keys = tuple(key for key in before if key not in keys)
        self.log_keys, self.is_pinned = tuple(keys), True

    def standing(self) -> list[Standing]:
        """Alarms that nobody has acknowledged."""
        return [one for one in self.alarms if not one.acknowledged_at]

    def raise_alarm(self, alarm: Alarm, now: int) -> Standing:
        """Remember an alarm; one that stands already is only seen once more."""
        for one in self.standing():
            if (one.kind, one.subject) == (alarm.kind, alarm.subject):
                one.seen_at, one.count, one.text = now, one.count + 1, alarm.text
                return one
        number = max((one.id for one in self.alarms), default=0) + 1
        new = Standing(number, alarm.kind, alarm.subject, alarm.text, alarm.is_provable, now, now)
        self.alarms.append(new)
        return new

    def is_acknowledged(self, kind: Suspicion, subject: str) -> bool:
        """Whether this very alarm was raised once, and somebody has said that it is known."""
        return any((one.kind, one.subject) == (kind, subject) and one.acknowledged_at for one in self.alarms)


def name_of(state: State, ref: str, leaf: bytes) -> str:
    """What a receipt is kept under: its event's ref; a second one that says something else has more to it."""
    known = state.receipts.get(ref)
    return ref if known is None or known.leaf == leaf else f"{ref} {leaf.hex()[:16]}"


def ref_of(name: str) -> str:
    """The event's ref, of the name of a receipt."""
    return name.partition(" ")[0]


def format_state(state: State) -> bytes:
    """The content of the file."""
    kept = state.kept
    whole = {
        "format": FORMAT,
        "url": state.url,
        "partner": state.partner,
        "origin": state.origin,
        "log_keys": [_b64(key) for key in state.log_keys],
        "is_pinned": state.is_pinned,
        "retired_keys": [_b64(key) for key in state.retired_keys],
        "freshness_keys": list(state.freshness_keys),
        "compromised_keys": [_b64(key) for key in state.compromised_keys],
        "receipt_keys": {name: _b64(key) for name, key in state.receipt_keys.items()},
        "kept": None
        if kept is None
        else {
            "note": kept.note.decode(),
            "edge": [_b64(one) for one in kept.edge],
            "fresh_at": kept.fresh_at,
        },
        "reading": None
        if state.reading is None
        else {
            "note": state.reading.note.decode(),
            "size": state.reading.head.size,
            "edge": [_b64(one) for one in state.reading.head.edge],
            "found": state.reading.found,
        },
        "opening": _b64(state.opening),
        "past": {str(size): note.decode() for size, note in state.past.items()},
        "receipts": {
            ref: [one.token, one.at, _b64(one.leaf), one.origin, one.index, one.seen_at, one.refused]
            for ref, one in state.receipts.items()
        },
        "alarms": [
            {
                "id": one.id,
                "kind": one.kind.value,
                "subject": one.subject,
                "text": one.text,
                "is_provable": one.is_provable,
                "raised_at": one.raised_at,
                "seen_at": one.seen_at,
                "count": one.count,
                "acknowledged_at": one.acknowledged_at,
            }
            for one in state.alarms
        ],
        "looked_at": state.looked_at,
        "away_since": state.away_since,
        "uncounted": state.uncounted,
        "promise_ms": state.promise_ms,
        "promise_told_ms": state.promise_told_ms,
    }
    return json.dumps(whole, ensure_ascii=False, indent=1).encode() + b"\n"


def parse_state(raw: bytes) -> State:
    """Read the content of the file.

    Raises:
        MalformedError: It is of another format, or damaged: nothing is guessed.
    """
    if len(raw) > STATE_BYTES:
        raise MalformedError(f"state: more than {STATE_BYTES} bytes")
    try:
        whole = json.loads(raw)
        if not isinstance(whole, dict) or whole.get("format") != FORMAT:
            raise MalformedError(f"state: expected the format {FORMAT}")
        state = _state(whole)
    except (KeyError, TypeError, ValueError, AttributeError, RecursionError) as error:
        raise MalformedError("state: damaged") from error
    _verify_kept(state)
    _verify_reading(state)
    for text in state.freshness_keys:
        parse_freshness_key(text)
    keys = (*state.log_keys, *state.retired_keys, *state.compromised_keys)
    if not keys or any(len(key) != KEY_BYTES for key in keys):
        raise MalformedError("state: a key of the log is missing, or none")
    return state


def _state(whole: dict[str, Any]) -> State:
    kept, looked_at = whole["kept"], _count(whole["looked_at"])
    return State(
        url=_text(whole["url"]),
        partner=_text(whole["partner"]),
        origin=_text(whole["origin"]),
        log_keys=tuple(_bytes(one) for one in whole["log_keys"]),
        is_pinned=whole["is_pinned"] is True,
        retired_keys=tuple(_bytes(one) for one in whole.get("retired_keys", ())),
        freshness_keys=tuple(_text(one) for one in whole["freshness_keys"]),
        compromised_keys=tuple(_bytes(one) for one in whole.get("compromised_keys", ())),
        receipt_keys={_text(name): _bytes(key) for name, key in whole["receipt_keys"].items()},
        kept=None
        if kept is None
        else Kept(
            _text(kept["note"]).encode(), tuple(_bytes(one) for one in kept["edge"]), _count(kept["fresh_at"])
        ),
        reading=_reading(whole.get("reading"), _text(whole["origin"])),
        opening=_bytes(whole.get("opening", "")),
        past={int(size): _text(note).encode() for size, note in whole["past"].items()},
        receipts={_text(ref): _own(one, looked_at) for ref, one in whole["receipts"].items()},
        alarms=[_standing(one) for one in whole["alarms"]],
        looked_at=looked_at,
        away_since=_count(whole["away_since"]),
        uncounted=_uncounted(whole.get("uncounted", {})),
        promise_ms=_count(whole.get("promise_ms", 0)),
        promise_told_ms=_count(whole.get("promise_told_ms", 0)),
    )


def _reading(one: Any, origin: str) -> Reading | None:
    if one is None:
        return None
    head = Head(origin, _count(one["size"]), tuple(_bytes(each) for each in one["edge"]))
    found = {_text(ref): _count(index) for ref, index in one["found"].items()}
    return Reading(_text(one["note"]).encode(), head, found)


def _uncounted(told: Any) -> dict[str, str]:
    """By digest, the file; an earlier version has kept the digests alone."""
    if isinstance(told, list):
        return {_text(name): "" for name in told}
    return {_text(name): _text(place) for name, place in told.items()}


def _own(values: list[Any], looked_at: int) -> Own:
    """A receipt. `looked_at`: by when one was known that an earlier version has kept, without that time."""
    token, at, leaf, origin, index, *more = values
    seen_at, refused = more or (looked_at, 0)
    place = None if index is None else _count(index)
    return Own(_text(token), _count(at), _bytes(leaf), _text(origin), place, _count(seen_at), _count(refused))


def _standing(one: dict[str, Any]) -> Standing:
    return Standing(
        id=_count(one["id"]),
        kind=Suspicion(one["kind"]),
        subject=_text(one["subject"]),
        text=_text(one["text"]),
        is_provable=one["is_provable"] is True,
        raised_at=_count(one["raised_at"]),
        seen_at=_count(one["seen_at"]),
        count=_count(one["count"]),
        acknowledged_at=_count(one["acknowledged_at"]),
    )


def _verify_kept(state: State) -> None:
    """What is kept must agree with itself: else every later look would blame the log."""
    kept = state.kept
    if kept is None:
        return
    checkpoint = kept.checkpoint
    if checkpoint.origin != state.origin or any(len(one) != HASH_BYTES for one in kept.edge):
        raise MalformedError("state: what is kept is of another log")
    try:
        root = kept.head.root()
    except ValueError as error:
        raise MalformedError("state: damaged") from error
    if root != checkpoint.root:
        raise MalformedError("state: the hashes that are kept do not make the root that is kept")


def _verify_reading(state: State) -> None:
    reading = state.reading
    if reading is None:
        return
    checkpoint, head = reading.checkpoint, reading.head
    is_sound = all(len(one) == HASH_BYTES for one in head.edge) and head.size % FULL_WIDTH == 0
    if checkpoint.origin != state.origin or not is_sound or not 0 < head.size < checkpoint.size:
        raise MalformedError("state: what is being read is of another log, or damaged")


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(value)
    return value


def _count(value: Any) -> int:
    if type(value) is not int or value < 0:
        raise TypeError(value)
    return value


def _bytes(value: Any) -> bytes:
    return decode_base64(_text(value), "state")


def _b64(raw: bytes) -> str:
    return base64.b64encode(raw).decode()
