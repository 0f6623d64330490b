"""The closed table of evidence kinds: which members each has, in which order, of which shape.

Source: docs/formats.md, section 3. A kind is added there first.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from itertools import pairwise
from operator import call
from typing import Any

COUNT_LIMIT = 1 << 63
MOST_FAULTS = 20
MOST_RANGES = 100
MOST_HELD_REFS = 200
_HEX = re.compile(r"[0-9a-f]{64}", re.ASCII)


class Kind(Enum):
    """What an evidence record is about."""

    ACCEPTED = "event.accepted"
    REFUSED = "event.refused"
    UNROUTED = "event.unrouted"
    UNREADABLE = "event.unreadable"
    FORWARDED = "event.forwarded"
    ATTEMPTED = "delivery.attempted"
    PARKED = "delivery.parked"
    ACKNOWLEDGED = "delivery.acknowledged"
    CANCELLED = "delivery.cancelled"
    RETRIED = "delivery.retried"
    REPLAY_CHANGED = "replay.changed"
    STREAM_ACKNOWLEDGED = "stream.acknowledged"
    ENDPOINT_CHANGED = "endpoint.changed"
    ENDPOINT_PROBED = "endpoint.probed"
    CONTRACT_CHANGED = "contract.changed"
    CREDENTIAL_CHANGED = "credential.changed"
    PARTNER_CHANGED = "partner.changed"
    KEY_CHANGED = "key.changed"
    RETENTION_HOLE = "retention.hole"
    EPOCH_OPENED = "epoch.opened"
    HEADS_ANCHORED = "heads.anchored"
    ERASED = "evidence.erased"
    EXPIRED = "evidence.expired"
    HOLD_SET = "hold.set"
    HOLD_LIFTED = "hold.lifted"
    CONTENT_READ = "content.read"


@dataclass(frozen=True, slots=True)
class Shape:
    """What a member may be: a test, and the same in words."""

    text: str
    accepts: Callable[[Any], bool]


def _one_of(*words: str) -> Shape:
    return Shape(f"one of {' '.join(words)}", lambda value: isinstance(value, str) and value in words)


def _nullable(shape: Shape) -> Shape:
    return Shape(f"{shape.text}, or null", lambda value: value is None or shape.accepts(value))


def _record(**members: Shape) -> Shape:
    """An object of exactly these members, in this order."""
    names, tests = tuple(members), tuple(shape.accepts for shape in members.values())

    def accepts(value: Any) -> bool:
        # In C from member to member: one is checked for each event that is signed.
        return isinstance(value, dict) and tuple(value) == names and all(map(call, tests, value.values()))

    inside = ", ".join(f"{name}: {shape.text}" for name, shape in members.items())
    return Shape(f"an object {{{inside}}}", accepts)


def _is_attributes(value: Any) -> bool:
    return (
        isinstance(value, dict)
        and all(isinstance(name, str) and isinstance(text, str) for name, text in value.items())
        and list(value) == sorted(value)
    )


def _is_sorted(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(word, str) for word in value) and value == sorted(value)


TEXT = Shape("a text", lambda value: isinstance(value, str))
COUNT = Shape(
    "a whole number from 0 to 2^63-1", lambda value: type(value) is int and 0 <= value < COUNT_LIMIT
)
DIGEST = Shape(
    "64 lower-case hex digits", lambda value: isinstance(value, str) and _HEX.fullmatch(value) is not None
)
ATTRIBUTES = Shape("an object of texts with its names sorted", _is_attributes)
WORDS = Shape("a sorted list of texts", _is_sorted)
DIRECTION = _one_of("inbound", "outbound")
BY = _record(role=TEXT, credential=_nullable(TEXT))
AUTH = _record(method=TEXT, credential=_nullable(TEXT))
CONTENT = _record(sha256=DIGEST, length=COUNT, type=TEXT, encoding=_one_of("identity", "gzip"))
PLACE = _record(topic=TEXT, topic_id=TEXT, partition=COUNT, offset=COUNT, sha256=DIGEST)
SCHEMA = _record(subject=TEXT, version=COUNT, id=COUNT, fingerprint=DIGEST)
RECORD = _record(sha256=DIGEST, topic=TEXT, partition=COUNT)
READ_AT = _record(topic=TEXT, topic_id=TEXT, partition=COUNT, offset=COUNT, sha256=_nullable(DIGEST))
ORIGIN = Shape("none or a digest", lambda value: value == "none" or DIGEST.accepts(value))
CLOCK = _record(source=TEXT, within_ms=COUNT)
KEEP = _record(content_days=COUNT, evidence_days=COUNT, hold=_nullable(TEXT))
HEAD = _record(origin=TEXT, size=COUNT, root=TEXT)
_FAULT = _record(pointer=TEXT, code=TEXT)
FAULTS = Shape(
    f"a list of at most {MOST_FAULTS} faults",
    lambda value: isinstance(value, list) and len(value) <= MOST_FAULTS and all(map(_FAULT.accepts, value)),
)
_RANGE = _record(**{"partition": COUNT, "from": COUNT, "to": COUNT})


def _is_ranges(value: Any) -> bool:
    if (
        not isinstance(value, list)
        or not 0 < len(value) <= MOST_RANGES
        or not all(map(_RANGE.accepts, value))
    ):
        return False
    partitions = [one["partition"] for one in value]
    return partitions == sorted(set(partitions)) and all(one["from"] != one["to"] for one in value)


RANGES = Shape(f"a list of 1 to {MOST_RANGES} ranges that are not empty, by partition", _is_ranges)


def _is_stretches(value: Any) -> bool:
    """From first to last, none empty, none touching the one before."""
    if not isinstance(value, list) or not 0 < len(value) <= MOST_RANGES:
        return False
    if not all(map(_STRETCH.accepts, value)):
        return False
    ends = [each for one in value for each in (one["from"], one["to"])]
    return all(first < second for first, second in pairwise(ends))


_STRETCH = _record(**{"from": COUNT, "to": COUNT})
STRETCHES = Shape(f"a list of 1 to {MOST_RANGES} ranges of indexes, apart and in their order", _is_stretches)


def _is_held_refs(value: Any) -> bool:
    return WORDS.accepts(value) and len(value) <= MOST_HELD_REFS


_HELD_REFS = Shape(f"a sorted list of at most {MOST_HELD_REFS} refs", _is_held_refs)
SCOPE = _record(refs=_HELD_REFS, since=_nullable(COUNT), until=_nullable(COUNT))

WHICH = _one_of("undelivered", "failed", "all")

_EVENT = {"partner": TEXT, "ref": TEXT, "source": TEXT, "id": TEXT, "type": TEXT}
_ATTEMPT = {
    "endpoint": TEXT,
    "url": TEXT,
    "attempt": TEXT,
    "number": COUNT,
    "content_sha256": DIGEST,
    "content_length": COUNT,
    "status": COUNT,
    "reason": _nullable(TEXT),
    "ms": COUNT,
    "answer_sha256": _nullable(DIGEST),
    "outcome": _one_of("delivered", "retry", "parked", "held"),
}
_CREDENTIAL = {
    "partner": _nullable(TEXT),
    "credential": TEXT,
    "action": _one_of("created", "changed", "revoked"),
    "role": TEXT,
    "method": TEXT,
    "scopes": WORDS,
}
_HOLD = {"partner": TEXT, "hold": TEXT, "scope": SCOPE, "basis": TEXT, "by": BY}
_EARLIER_HOLD = {"hold": TEXT, "scope": TEXT, "basis": TEXT, "by": BY}

MEMBERS: Mapping[Kind, Mapping[str, Shape]] = {
    Kind.ACCEPTED: {
        "partner": TEXT,
        "direction": DIRECTION,
        "ref": TEXT,
        "source": TEXT,
        "id": TEXT,
        "type": TEXT,
        "attributes": ATTRIBUTES,
        "content": CONTENT,
        "schema": SCHEMA,
        "record": RECORD,
        "event_sha256": DIGEST,
        "validation": _one_of("passed"),
        "origin": ORIGIN,
        "auth": AUTH,
        "contract": COUNT,
        "contract_sha256": DIGEST,
        "clock": CLOCK,
        "keep": KEEP,
    },
    Kind.REFUSED: {
        "partner": TEXT,
        "direction": DIRECTION,
        "ref": _nullable(TEXT),
        "source": _nullable(TEXT),
        "id": _nullable(TEXT),
        "type": _nullable(TEXT),
        "content": _nullable(CONTENT),
        "record": _nullable(PLACE),
        "code": TEXT,
        "faults": FAULTS,
        "faults_total": COUNT,
        "auth": _nullable(AUTH),
        "count": COUNT,
        "since": COUNT,
    },
    Kind.UNROUTED: {**_EVENT, "record": PLACE},
    Kind.FORWARDED: {**_EVENT, "to": TEXT, "as": TEXT, "code": _nullable(TEXT)},
    Kind.UNREADABLE: {"partner": TEXT, "direction": DIRECTION, "record": PLACE, "code": TEXT},
    Kind.ATTEMPTED: {
        **_EVENT,
        "schema": _nullable(SCHEMA),
        "record": _nullable(READ_AT),
        "contract": _nullable(COUNT),
        **_ATTEMPT,
    },
    Kind.PARKED: {**_EVENT, "endpoint": TEXT, "attempts": COUNT, "reason": TEXT},
    Kind.ACKNOWLEDGED: {"partner": TEXT, "ref": TEXT, "endpoint": TEXT, "key": TEXT, "token": TEXT},
    Kind.CANCELLED: {**_EVENT, "endpoint": TEXT, "attempts": COUNT, "by": BY},
    Kind.RETRIED: {**_EVENT, "endpoint": TEXT, "attempts": COUNT, "by": BY},
    Kind.REPLAY_CHANGED: {
        "partner": TEXT,
        "replay": TEXT,
        "action": _one_of("created", "cancelled"),
        "endpoint": _nullable(TEXT),
        "since": COUNT,
        "until": COUNT,
        "which": WHICH,
        "types": WORDS,
        "rate": _nullable(COUNT),
        "by": BY,
    },
    Kind.STREAM_ACKNOWLEDGED: {
        "partner": TEXT,
        "direction": DIRECTION,
        "consumer": TEXT,
        "types": WORDS,
        "topic": TEXT,
        "topic_id": TEXT,
        "ranges": RANGES,
        "by": BY,
    },
    Kind.ENDPOINT_CHANGED: {
        "partner": TEXT,
        "endpoint": TEXT,
        "name": TEXT,
        "url": TEXT,
        "action": _one_of(
            "created", "changed", "removed", "verified", "paused", "resumed", "secret_added", "secret_removed"
        ),
        "before_sha256": _nullable(DIGEST),
        "after_sha256": _nullable(DIGEST),
        "reason": _nullable(TEXT),
        "by": BY,
    },
    Kind.ENDPOINT_PROBED: {
        "partner": TEXT,
        "endpoint": TEXT,
        "url": TEXT,
        "purpose": _one_of("test", "verification"),
        "webhook_id": TEXT,
        "type": TEXT,
        "content_sha256": DIGEST,
        "content_length": COUNT,
        "status": COUNT,
        "failure": _nullable(TEXT),
        "ms": COUNT,
        "answer_sha256": _nullable(DIGEST),
        "by": BY,
    },
    Kind.CONTRACT_CHANGED: {
        "partner": TEXT,
        "revision": COUNT,
        "before_sha256": _nullable(DIGEST),
        "after_sha256": DIGEST,
        "by": BY,
    },
    Kind.CREDENTIAL_CHANGED: {
        **_CREDENTIAL,
        "send_types": _nullable(WORDS),
        "events_per_second": _nullable(COUNT),
        "not_after": COUNT,
        "reason": _nullable(TEXT),
        "by": BY,
    },
    Kind.PARTNER_CHANGED: {
        "partner": TEXT,
        "action": _one_of("suspended", "resumed", "closed"),
        "reason": _nullable(TEXT),
        "by": BY,
    },
    Kind.KEY_CHANGED: {
        "key": TEXT,
        "purpose": TEXT,
        "action": _one_of("created", "retired", "compromised"),
        "public_key": TEXT,
        "signs_from": COUNT,
        "ends_at": _nullable(COUNT),
        "compromised_at": _nullable(COUNT),
        "reason": _nullable(TEXT),
        "by": BY,
    },
    Kind.RETENTION_HOLE: {
        "partner": TEXT,
        "topic": TEXT,
        "topic_id": TEXT,
        "partition": COUNT,
        "from": COUNT,
        "to": COUNT,
    },
    Kind.EPOCH_OPENED: {"origin": TEXT, "previous": _nullable(HEAD), "reason": TEXT},
    Kind.HEADS_ANCHORED: {"id": TEXT, "width": COUNT, "root": TEXT},
    Kind.ERASED: {
        "partner": TEXT,
        "erasure": TEXT,
        "origin": TEXT,
        "index": COUNT,
        "leaf_sha256": DIGEST,
        "basis": TEXT,
        "by": BY,
    },
    Kind.EXPIRED: {
        "partner": TEXT,
        "origin": TEXT,
        "ranges": STRETCHES,
        "entries": COUNT,
        "before": COUNT,
        "keep_days": COUNT,
        "by": BY,
    },
    Kind.HOLD_SET: _HOLD,
    Kind.HOLD_LIFTED: _HOLD,
    Kind.CONTENT_READ: {
        "partner": TEXT,
        "ref": _nullable(TEXT),
        "route": TEXT,
        "until": COUNT,
        "by": BY,
    },
}
"""Members of each kind after the preamble, in order."""

EARLIER: Mapping[Kind, Sequence[Mapping[str, Shape]]] = {
    Kind.ACCEPTED: (
        {name: shape for name, shape in MEMBERS[Kind.ACCEPTED].items() if name != "contract_sha256"},
    ),
    Kind.ATTEMPTED: ({**_EVENT, **_ATTEMPT},),
    Kind.CREDENTIAL_CHANGED: (
        {**_CREDENTIAL, "not_after": COUNT, "reason": _nullable(TEXT), "by": BY},
        {**_CREDENTIAL, "action": _one_of("created", "revoked"), "by": BY},
    ),
    Kind.ERASED: ({"index": COUNT, "leaf_sha256": DIGEST, "basis": TEXT, "by": BY},),
    Kind.HOLD_SET: (_EARLIER_HOLD,),
    Kind.HOLD_LIFTED: (_EARLIER_HOLD,),
    Kind.KEY_CHANGED: (
        {
            "key": TEXT,
            "purpose": TEXT,
            "action": _one_of("created", "retired"),
            "public_key": TEXT,
            "by": BY,
        },
    ),
}
"""Members that a kind had before, newest first: read as they are, for ever, and not made any more."""
