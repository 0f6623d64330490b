"""What a monitor remembers of a log between two looks, and the file that it is kept in.

The file is JSON of a format of its own, and holds nothing secret; whoever can change it can make a monitor
forget.
"""

import base64
import json
from dataclasses import dataclass, field
from typing import Any, Final

from audit.alarm import Alarm, Suspicion
from audit.checkpoint import Checkpoint, read_checkpoint
from audit.errors import MalformedError
from audit.freshness import parse_freshness_key
from audit.merkle import HASH_BYTES
from audit.note import KEY_BYTES, decode_base64
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
class Own:
    """A receipt of one's own. at: Unix ms. leaf: its leaf's hash. origin, index: of its entry, once found."""

    token: str = field(repr=False)
    at: int
    leaf: bytes = field(repr=False)
    origin: str = ""
    index: int | None = None


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
    32 bytes each; is_pinned: given by the user, not learned from the gateway. freshness_keys: as verifiers
    write them. receipt_keys: by id. past: earlier notes of the epoch, by size. receipts: by ref.
    away_since: Unix ms; 0: the gateway answers.
    """

    url: str
    partner: str
    origin: str
    log_keys: tuple[bytes, ...]
    is_pinned: bool = False
    freshness_keys: tuple[str, ...] = ()
    receipt_keys: dict[str, bytes] = field(default_factory=dict)
    kept: Kept | None = None
    opening: bytes = b""
    past: dict[int, bytes] = field(default_factory=dict)
    receipts: dict[str, Own] = field(default_factory=dict)
    alarms: list[Standing] = field(default_factory=list)
    looked_at: int = 0
    away_since: int = 0

    @property
    def log(self) -> str:
        """The log's name without its epoch."""
        return self.origin.rpartition("/")[0]

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
        "freshness_keys": list(state.freshness_keys),
        "receipt_keys": {name: _b64(key) for name, key in state.receipt_keys.items()},
        "kept": None
        if kept is None
        else {
            "note": kept.note.decode(),
            "edge": [_b64(one) for one in kept.edge],
            "fresh_at": kept.fresh_at,
        },
        "opening": _b64(state.opening),
        "past": {str(size): note.decode() for size, note in state.past.items()},
        "receipts": {
            ref: [one.token, one.at, _b64(one.leaf), one.origin, one.index]
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
    if state.kept is not None:
        _verify_kept(state)
    for text in state.freshness_keys:
        parse_freshness_key(text)
    if not state.log_keys or any(len(key) != KEY_BYTES for key in state.log_keys):
        raise MalformedError("state: a key of the log is missing, or none")
    return state


def _state(whole: dict[str, Any]) -> State:
    kept = whole["kept"]
    return State(
        url=_text(whole["url"]),
        partner=_text(whole["partner"]),
        origin=_text(whole["origin"]),
        log_keys=tuple(_bytes(one) for one in whole["log_keys"]),
        is_pinned=whole["is_pinned"] is True,
        freshness_keys=tuple(_text(one) for one in whole["freshness_keys"]),
        receipt_keys={_text(name): _bytes(key) for name, key in whole["receipt_keys"].items()},
        kept=None
        if kept is None
        else Kept(
            _text(kept["note"]).encode(), tuple(_bytes(one) for one in kept["edge"]), _count(kept["fresh_at"])
        ),
        opening=_bytes(whole.get("opening", "")),
        past={int(size): _text(note).encode() for size, note in whole["past"].items()},
        receipts={_text(ref): _own(one) for ref, one in whole["receipts"].items()},
        alarms=[_standing(one) for one in whole["alarms"]],
        looked_at=_count(whole["looked_at"]),
        away_since=_count(whole["away_since"]),
    )


def _own(values: list[Any]) -> Own:
    token, at, leaf, origin, index = values
    return Own(
        _text(token), _count(at), _bytes(leaf), _text(origin), None if index is None else _count(index)
    )


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
