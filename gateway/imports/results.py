"""What became of the items of an import, packed: some thousands of bytes for hundreds of items.

Receipts are not among them: they stand in the claims, which are kept longer, and are looked up when they are
asked for.
"""

import json
import zlib
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final, Literal

from gateway.imports.job import Counts
from gateway.ingress.outcome import Accepted, First, Outcome, Refused, Valid
from schemas.fault import Fault

Kind = Literal["accepted", "duplicate", "refused"]
KINDS: Final[tuple[Kind, ...]] = ("accepted", "duplicate", "refused")

MOST_FAULTS: Final = 20
"""Of one refused item: `faults_total` says how many there were."""


@dataclass(frozen=True, slots=True)
class Result:
    """What became of one item. `ref`: the event's; None where it was refused, and then `refused` says why."""

    index: int
    kind: Kind
    ref: bytes | None
    refused: Refused | None


def pack(outcomes: Sequence[Outcome]) -> bytes:
    """The outcomes of items that follow each other; none of them a failure of ours."""
    rows = [_row(one) for one in outcomes]
    return zlib.compress(json.dumps(rows, separators=(",", ":")).encode())


def unpack(raw: bytes, first: int) -> list[Result]:
    """What `pack` made of outcomes, the first of them with the index `first`."""
    return [_result(first + place, row) for place, row in enumerate(json.loads(zlib.decompress(raw)))]


def count(outcomes: Sequence[Outcome]) -> Counts:
    """How many became what."""
    kinds = [_kind(one) for one in outcomes]
    return Counts(len(kinds), *(kinds.count(kind) for kind in KINDS))


def _kind(outcome: Outcome) -> Kind:
    match outcome:
        case Accepted(duplicate=is_repeat) | Valid(duplicate=is_repeat):
            return "duplicate" if is_repeat else "accepted"
        case _:
            return "refused"


def _row(outcome: Outcome) -> list[Any]:
    match outcome:
        case Accepted(ref=ref) | Valid(ref=ref):
            return [_kind(outcome), ref.hex()]
        case Refused():
            return ["refused", _refused(outcome)]
        case _:
            raise TypeError("what failed is done again, and has no result")


def _refused(refused: Refused) -> dict[str, Any]:
    members = {
        "code": refused.code,
        "detail": refused.detail,
        "faults": [asdict(one) for one in refused.faults[:MOST_FAULTS]],
        "faults_total": max(refused.faults_total, len(refused.faults)),
        "schema": refused.schema,
        "hint": refused.hint,
        "first": None if refused.first is None else _first(refused.first),
        "place": refused.place,
    }
    return {name: value for name, value in members.items() if value}


def _first(first: First) -> list[Any]:
    return [first.ref.hex(), first.at, first.event_sha256.hex(), first.content_sha256.hex()]


def _result(index: int, row: list[Any]) -> Result:
    kind, rest = row
    if kind != "refused":
        return Result(index, kind, bytes.fromhex(rest), None)
    schema, first, place = rest.get("schema"), rest.get("first"), rest.get("place")
    refused = Refused(
        rest["code"],
        rest["detail"],
        tuple(Fault(**one) for one in rest.get("faults", ())),
        rest.get("faults_total", 0),
        None if schema is None else (schema[0], schema[1], schema[2]),
        rest.get("hint"),
        None if first is None else First(_hex(first[0]), first[1], _hex(first[2]), _hex(first[3])),
        place=None if place is None else (place[0], place[1]),
    )
    return Result(index, "refused", None, refused)


def _hex(text: str) -> bytes:
    return bytes.fromhex(text)
