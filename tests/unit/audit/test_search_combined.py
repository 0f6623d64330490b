"""Every combination of filters finds what a plain reading of all entries finds, page after page."""

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, Final

import pytest
from sqlmodel import Session

from audit import log
from audit.entry import Draft, digest_of, draft_entry
from audit.evidence import Evidence, Kind
from audit.marks import join_search
from audit.search import HistoryFilter, PageKey, find
from audit.states import STATES, state_of
from tests.unit.audit.builders import AT, LOG, ORIGIN, evidence

ENTRIES: Final = 160
KINDS: Final = (
    *[Kind.ACCEPTED] * 4,
    *[Kind.ATTEMPTED] * 3,
    Kind.REFUSED,
    Kind.PARKED,
    Kind.UNROUTED,
    Kind.CONTENT_READ,
    Kind.CANCELLED,
    Kind.FORWARDED,
    Kind.CONTRACT_CHANGED,
    Kind.UNREADABLE,
)


@dataclass(frozen=True, slots=True)
class Told:
    """An entry as a plain reader knows it."""

    draft: Draft
    place: tuple[int, int, int]
    search: frozenset[str]


def make(chance: random.Random, number: int) -> tuple[Evidence, frozenset[str]]:
    kind, event = chance.choice(KINDS), chance.randrange(40)
    changes: dict[str, Any] = {}
    members = evidence(event, kind=kind).members
    if "source" in members:
        changes["source"] = chance.choice(["/partners/acme", "/elsewhere"])
    if "type" in members:
        changes["type"] = chance.choice(["order.placed", "order.changed"])
    if "endpoint" in members:
        changes["endpoint"] = chance.choice(["ep_1", "ep_2"])
    if kind is Kind.ATTEMPTED:
        changes["outcome"] = chance.choice(["delivered", "retry", "held", "parked"])
        changes["content_sha256"] = chance.choice(["aa", "bb"]) * 32
    if kind in {Kind.ACCEPTED, Kind.REFUSED}:
        changes["auth"] = {"method": "api_key", "credential": chance.choice(["crd_a", "crd_b"])}
        changes["direction"] = chance.choice(["inbound", "outbound"])
    if kind in {Kind.CONTRACT_CHANGED, Kind.CONTENT_READ}:
        changes["by"] = {"role": "partner", "credential": chance.choice(["crd_a", None])}
    if kind is Kind.ACCEPTED:
        changes["content"] = {**members["content"], "sha256": chance.choice(["aa", "cc"]) * 32}
    if kind in {Kind.REFUSED, Kind.CONTENT_READ} and chance.random() < 0.4:
        changes["ref"] = None
    few = chance.sample(["k1", "k2", "k3"], chance.randrange(3))
    search = frozenset(few if kind is not Kind.CONTENT_READ else ())
    return evidence(event, kind=kind, at=AT + number // 3, **changes), search


def fill(session: Session, chance: random.Random) -> list[Told]:
    """Entries in two epochs, in batches of several sizes."""
    told: list[Told] = []
    number = 0
    for epoch in (1, 2):
        origin, index = f"{LOG}/{epoch}", 0
        log.open_log(session, origin)
        while number < ENTRIES * epoch // 2:
            batch = []
            for _ in range(chance.randint(1, 30)):
                made, search = make(chance, number)
                draft = draft_entry(made, join_search(search))
                batch.append(draft)
                told.append(Told(draft, (draft.at, epoch, index), search))
                index, number = index + 1, number + 1
            log.append_all(session, {origin: batch})
    return told


def expected(told: Sequence[Told], wanted: HistoryFilter) -> list[tuple[int, int, int]]:
    events: dict[bytes, list[Told]] = {}
    for one in told:
        if one.draft.ref is not None:
            events.setdefault(one.draft.ref, []).append(one)
    first = {
        ref: next((one for one in some if one.draft.is_of_event()), None) for ref, some in events.items()
    }
    rows = [
        one
        for one in told
        if wanted.is_of_entries
        or one.draft.is_listed()
        or (one.draft.ref is not None and first[one.draft.ref] is one)
    ]
    return sorted((one.place for one in rows if _fits(one, events, wanted)), reverse=True)


def _fits(row: Told, events: dict[bytes, list[Told]], wanted: HistoryFilter) -> bool:
    draft = row.draft
    whole = [row] if draft.ref is None else events[draft.ref]
    if draft.ref is not None and not any(one.draft.is_of_event() for one in whole):
        whole = [row]
    own = {
        "id": draft.event_id,
        "source": draft.source,
        "ref": draft.ref,
        "direction": draft.direction,
        "type": draft.event_type,
        "credential": _who(draft, wanted),
    }
    if any(getattr(wanted, name) not in {None, value} for name, value in own.items()):
        return False
    if wanted.kinds is not None and draft.kind not in wanted.kinds:
        return False
    if not (wanted.since or 0) <= draft.at < (wanted.until or 1 << 62):
        return False
    if wanted.state is not None:
        kind, code = STATES[wanted.state]
        if not any(one.draft.kind is kind and code in {None, one.draft.code} for one in whole):
            return False
    if wanted.endpoint is not None:
        some = [row] if wanted.kinds is not None else whole
        if not any(one.draft.endpoint == wanted.endpoint for one in some):
            return False
    is_event = draft.ref is None or whole != [row] or draft.is_of_event()
    if wanted.digest is not None and not (
        is_event and any(one.draft.digest == wanted.digest and _is_listed(one) for one in whole)
    ):
        return False
    return wanted.key is None or wanted.key in _values(whole)


def _who(draft: Draft, wanted: HistoryFilter) -> str | None:
    """Whose an entry is: changes and looks count only where kinds are asked for."""
    if draft.kind in {Kind.ACCEPTED, Kind.REFUSED} or wanted.kinds is None:
        return draft.credential
    return None if draft.credential is None else draft.credential.removeprefix("by ")


def _is_listed(one: Told) -> bool:
    return one.draft.ref is not None or one.draft.is_listed()


def _values(whole: Sequence[Told]) -> frozenset[str]:
    """What the first entries bring that show what the event holds."""
    found: frozenset[str] = frozenset()
    for one in whole:
        if _is_listed(one):
            found |= one.search
        if one.draft.kind not in {Kind.REFUSED, Kind.CONTENT_READ}:
            break
    return found


CHOICES: Final[dict[str, list[Any]]] = {
    "id": ["A-3", "A-17"],
    "source": ["/partners/acme", "/elsewhere", "/none"],
    "ref": [(3).to_bytes(32, "big"), (17).to_bytes(32, "big")],
    "direction": ["inbound", "outbound"],
    "state": list(STATES),
    "kinds": [frozenset({Kind.ATTEMPTED}), frozenset({Kind.CONTRACT_CHANGED, Kind.REFUSED}), frozenset(Kind)],
    "type": ["order.placed", "order.changed"],
    "endpoint": ["ep_1", "ep_9"],
    "credential": ["crd_a", "crd_none"],
    "key": ["k1", "k9"],
    "digest": [bytes.fromhex("aa" * 32), bytes.fromhex("bb" * 32)],
    "since": [AT + 10, AT + 40],
    "until": [AT + 25, AT + 45],
}


def wishes(chance: random.Random) -> Iterator[HistoryFilter]:
    assert set(CHOICES) == {one.name for one in fields(HistoryFilter)}
    yield HistoryFilter()
    for name, some in CHOICES.items():
        for one in some:
            yield HistoryFilter(**{name: one})
    for _ in range(250):
        names = chance.sample(sorted(CHOICES), chance.randint(2, 4))
        yield replace(HistoryFilter(), **{name: chance.choice(CHOICES[name]) for name in names})


def pages(session: Session, wanted: HistoryFilter, limit: int) -> Iterator[tuple[int, int, int]]:
    after: PageKey | None = None
    while True:
        page = find(session, LOG, wanted, after=after, limit=limit)
        assert len(page.rows) <= limit
        for row in page.rows:
            epoch = int(row.first.origin.rpartition("/")[2])
            yield (row.first.at, epoch, row.first.index)
        if page.next is None:
            return
        after = page.next


@pytest.mark.parametrize("seed", [1, 2])
def test_filters_find_what_a_plain_reading_finds(session: Session, seed: int) -> None:
    chance = random.Random(seed)  # noqa: S311 - the same each time
    told = fill(session, chance)
    for wanted in wishes(chance):
        found = list(pages(session, wanted, chance.choice([3, 50, 1000])))
        assert found == expected(told, wanted), wanted
    assert ORIGIN in {f"{LOG}/{one.place[1]}" for one in told}
    assert {state_of(one.draft.kind, one.draft.code) for one in told} >= {"parked", "read", "unreadable"}
    assert digest_of(evidence(1, kind=Kind.CONTRACT_CHANGED)) is None
