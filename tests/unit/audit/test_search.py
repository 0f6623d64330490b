"""Exchange history: one row per event, found by what it is and what became of it."""

from typing import Any

import pytest
from sqlalchemy import event
from sqlmodel import Session

from audit import log
from audit.evidence import Evidence, Kind
from audit.search import HistoryFilter, PageKey, Sent, find, timeline
from tests.unit.audit.builders import AT, LOG, ORIGIN, append, evidence


def fill(session: Session, *batches: list[Evidence], origin: str = ORIGIN) -> None:
    log.open_log(session, origin)
    for batch in batches:
        append(session, origin, batch)


def ids(session: Session, wanted: HistoryFilter | None = None) -> list[str | None]:
    return [row.first.event_id for row in find(session, LOG, wanted).rows]


def refused(number: int) -> Evidence:
    """A refusal of something that had no id, so that it is no event of ours."""
    members = evidence(number, kind=Kind.REFUSED).members
    return evidence(number, kind=Kind.REFUSED, **{**members, "ref": None, "id": None})


def story(session: Session) -> None:
    """Accepted 1 and 2; 3 goes out, fails, arrives; 4 is parked; something is refused; a contract changes."""
    fill(
        session,
        [evidence(1), evidence(2), refused(20)],
        [
            evidence(3, kind=Kind.ATTEMPTED, outcome="retry", at=AT + 30),
            evidence(4, kind=Kind.ATTEMPTED, outcome="parked", at=AT + 31),
            evidence(5, kind=Kind.CONTRACT_CHANGED),
        ],
        [
            evidence(3, kind=Kind.ATTEMPTED, outcome="delivered", endpoint="ep_2", at=AT + 40),
            evidence(4, kind=Kind.PARKED, at=AT + 41),
            evidence(1, kind=Kind.CONTENT_READ, at=AT + 50),
        ],
    )


def test_one_row_per_event_newest_first(session: Session) -> None:
    story(session)
    rows = find(session, LOG).rows
    assert [(row.first.event_id, row.state) for row in rows] == [
        ("A-4", "parked"),
        ("A-3", "delivered"),
        (None, "refused"),
        ("A-2", "accepted"),
        ("A-1", "accepted"),
    ]


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        (HistoryFilter(id="A-2"), ["A-2"]),
        (HistoryFilter(id="A-99"), []),
        (HistoryFilter(ref=(3).to_bytes(32, "big")), ["A-3"]),
        (HistoryFilter(direction="inbound"), [None, "A-2", "A-1"]),
        (HistoryFilter(direction="outbound"), ["A-4", "A-3"]),
        (HistoryFilter(source="/house"), ["A-4", "A-3"]),
        (HistoryFilter(type="order.accepted"), ["A-4", "A-3"]),
        (HistoryFilter(state="accepted"), ["A-2", "A-1"]),
        (HistoryFilter(state="refused"), [None]),
        (HistoryFilter(state="delivered"), ["A-3"]),
        (HistoryFilter(state="retry"), ["A-3"]),
        (HistoryFilter(state="parked"), ["A-4"]),
        (HistoryFilter(state="held"), []),
        (HistoryFilter(kinds=frozenset({Kind.CONTENT_READ})), [None]),
        (HistoryFilter(kinds=frozenset({Kind.CONTRACT_CHANGED})), [None]),
        (HistoryFilter(kinds=frozenset({Kind.ATTEMPTED})), ["A-3", "A-4", "A-3"]),
        (HistoryFilter(kinds=frozenset({Kind.ATTEMPTED}), endpoint="ep_2"), ["A-3"]),
        (HistoryFilter(kinds=frozenset({Kind.PARKED}), type="order.placed"), []),
        (HistoryFilter(kinds=frozenset()), []),
        (HistoryFilter(endpoint="ep_2"), ["A-3"]),
        (HistoryFilter(since=AT + 30), ["A-4", "A-3"]),
        (HistoryFilter(until=AT + 2), ["A-1"]),
        (HistoryFilter(since=AT + 2, until=AT + 30), [None, "A-2"]),
        (HistoryFilter(direction="inbound", state="accepted", since=AT + 2), ["A-2"]),
    ],
    ids=str,
)
def test_filters_find_what_they_say(
    session: Session, wanted: HistoryFilter, expected: list[str | None]
) -> None:
    story(session)
    assert ids(session, wanted) == expected


def test_refusals_of_unnamed_events_are_rows_of_their_own(session: Session) -> None:
    fill(session, [refused(1), refused(2), evidence(3, kind=Kind.UNREADABLE)])
    assert [row.state for row in find(session, LOG).rows] == ["unreadable", "refused", "refused"]


def test_refused_then_accepted_is_one_event(session: Session) -> None:
    """A refused event does not burn its id."""
    fill(session, [evidence(1, kind=Kind.REFUSED)], [evidence(1, at=AT + 5)])
    rows = find(session, LOG).rows
    assert [(row.first.kind, row.state) for row in rows] == [(Kind.REFUSED, "accepted")]
    assert ids(session, HistoryFilter(state="accepted")) == ["A-1"]


def test_a_row_has_the_deliveries_of_its_event_by_endpoint(session: Session) -> None:
    story(session)
    fill(session, [evidence(3, kind=Kind.ATTEMPTED, outcome="delivered", at=AT + 60)], origin=f"{LOG}/2")
    first = evidence(3, kind=Kind.ATTEMPTED).members["endpoint"]
    sent = {row.first.event_id: row.sent for row in find(session, LOG).rows}
    assert sent["A-3"] == (
        Sent(first, 2, "delivered", AT + 60),
        Sent("ep_2", 1, "delivered", AT + 40),
    )
    assert sent["A-4"] == (Sent(first, 1, "parked", AT + 41),)
    assert (sent["A-1"], sent["A-2"]) == ((), ())


def test_what_a_page_asks_does_not_grow_with_its_deliveries(session: Session) -> None:
    fill(session, [evidence(1)])
    asked: list[str] = []
    bind = session.get_bind()

    def note(*words: Any) -> None:
        asked.append(words[2])

    event.listen(bind, "before_cursor_execute", note)
    find(session, LOG)
    few = len(asked)
    fill(session, [evidence(one, kind=Kind.ATTEMPTED, outcome="retry") for one in range(2, 40)])
    asked.clear()
    assert len([one for one in find(session, LOG).rows if one.sent]) == 38
    assert len(asked) == few


def test_two_entries_of_one_event_in_one_batch_are_one_row(session: Session) -> None:
    fill(session, [evidence(1, kind=Kind.ATTEMPTED), evidence(1, kind=Kind.PARKED)])
    assert len(find(session, LOG).rows) == 1


def test_event_over_two_epochs_is_one_row(session: Session) -> None:
    fill(session, [evidence(1), evidence(2)])
    fill(session, [evidence(1, kind=Kind.ATTEMPTED, at=AT + 9)], origin=f"{LOG}/2")
    assert ids(session) == ["A-2", "A-1"]
    assert [entry.origin for entry in timeline(session, LOG, (1).to_bytes(32, "big"))] == [
        ORIGIN,
        f"{LOG}/2",
    ]


@pytest.mark.parametrize("limit", [1, 2, 3, 7, 10])
def test_pages_cover_the_list_once(session: Session, limit: int) -> None:
    """Several events share a millisecond; a page boundary between them must lose and repeat nothing."""
    fill(session, [evidence(number, at=AT + number // 3) for number in range(10)])
    seen: list[str | None] = []
    after: PageKey | None = None
    while True:
        page = find(session, LOG, after=after, limit=limit)
        seen += [row.first.event_id for row in page.rows]
        if page.next is None:
            break
        after = page.next
    assert seen == [f"A-{number}" for number in range(9, -1, -1)]


def test_entries_that_come_while_paging_do_not_move_the_next_page(session: Session) -> None:
    fill(session, [evidence(number) for number in range(4)])
    first = find(session, LOG, limit=2)
    fill(session, [evidence(9)])
    rest = find(session, LOG, after=first.next, limit=10)
    assert [row.first.event_id for row in rest.rows] == ["A-1", "A-0"]


def test_nothing_of_another_log_is_found(session: Session) -> None:
    fill(session, [evidence(1)])
    fill(session, [evidence(1, log="gw.example/log/other")], origin="gw.example/log/other/1")
    assert [row.first.origin for row in find(session, LOG).rows] == [ORIGIN]
    assert len(timeline(session, LOG, (1).to_bytes(32, "big"))) == 1
    assert find(session, "gw.example/log/none").rows == ()


def test_timeline_is_the_order_of_the_log(session: Session) -> None:
    story(session)
    entries = timeline(session, LOG, (3).to_bytes(32, "big"))
    assert [(entry.index, entry.code) for entry in entries] == [(3, "retry"), (6, "delivered")]
    assert timeline(session, LOG, bytes(32)) == ()


@pytest.mark.parametrize("limit", [0, -1, 1001])
def test_page_of_another_size_is_refused(session: Session, limit: int) -> None:
    with pytest.raises(ValueError, match="1 to 1000"):
        find(session, LOG, limit=limit)


def test_unknown_state_is_refused(session: Session) -> None:
    with pytest.raises(ValueError, match="no state 'lost'"):
        find(session, LOG, HistoryFilter(state="lost"))


def test_list_takes_three_statements(session: Session, statements: list[str]) -> None:
    story(session)
    statements.clear()
    find(session, LOG, HistoryFilter(state="delivered"))
    assert len(statements) == 3


@pytest.mark.parametrize("name", ["id", "source", "direction", "type", "endpoint", "credential"])
def test_text_that_no_event_can_have_finds_none(session: Session, name: str) -> None:
    story(session)
    assert find(session, LOG, HistoryFilter(**{name: "a\x00b"})).rows == ()  # type: ignore[arg-type]  # each of these is a text


def sent_by(credential: str, number: int, *, kind: Kind = Kind.ACCEPTED, at: int | None = None) -> Evidence:
    made = evidence(number, kind=kind)
    members = {**made.members, "auth": {"method": "api_key", "credential": credential}}
    return evidence(number, kind=kind, at=made.at if at is None else at, **members)


def test_every_use_of_a_credential_is_a_row_newest_first(session: Session) -> None:
    conflict = sent_by("crd_a", 2, kind=Kind.REFUSED, at=AT + 40)
    fill(session, [sent_by("crd_a", 1), sent_by("crd_b", 2), evidence(3)], [conflict, sent_by("crd_a", 4)])
    rows = find(session, LOG, HistoryFilter(credential="crd_a")).rows
    assert [(one.first.event_id, one.state) for one in rows] == [
        ("A-2", "refused"),
        ("A-4", "accepted"),
        ("A-1", "accepted"),
    ]
    first = find(session, LOG, HistoryFilter(credential="crd_a"), limit=2)
    rest = find(session, LOG, HistoryFilter(credential="crd_a"), after=first.next, limit=2)
    assert (*first.rows, *rest.rows) == rows
    assert ids(session, HistoryFilter(credential="crd_a", since=AT + 4)) == ["A-2", "A-4"]
    assert ids(session, HistoryFilter(credential="crd_a", state="refused")) == ["A-2"]
    assert ids(session, HistoryFilter(credential="crd_none")) == []
    assert find(session, "gw.example/log/other", HistoryFilter(credential="crd_a")).rows == ()


def test_what_a_credential_asked_for_is_found_by_it_where_kinds_are_named(session: Session) -> None:
    by = {"role": "partner", "credential": "crd_a"}
    made = evidence(5, kind=Kind.CREDENTIAL_CHANGED, credential="crd_new", by=by)
    other = {"role": "partner", "credential": "crd_new"}
    added = evidence(6, kind=Kind.ENDPOINT_CHANGED, by=other)
    look = evidence(7, kind=Kind.CONTENT_READ, by=by)
    fill(session, [sent_by("crd_a", 1), made], [added, look])
    changes = frozenset({Kind.CREDENTIAL_CHANGED, Kind.ENDPOINT_CHANGED})
    found = find(session, LOG, HistoryFilter(credential="crd_a", kinds=changes)).rows
    assert [one.first.kind for one in found] == [Kind.CREDENTIAL_CHANGED]
    found = find(session, LOG, HistoryFilter(credential="crd_new", kinds=changes)).rows
    assert [one.first.kind for one in found] == [Kind.ENDPOINT_CHANGED]
    whole = find(session, LOG, HistoryFilter(credential="crd_a", kinds=frozenset(Kind))).rows
    assert {one.first.kind for one in whole} == {Kind.ACCEPTED, Kind.CREDENTIAL_CHANGED, Kind.CONTENT_READ}
    assert ids(session, HistoryFilter(credential="crd_a")) == ["A-1"], "what it sent"


def test_a_look_at_an_event_never_stands_for_it_and_a_look_at_many_has_a_row(session: Session) -> None:
    fill(
        session,
        [evidence(1, kind=Kind.CONTENT_READ, at=AT + 1)],
        [evidence(1, at=AT + 2), evidence(2, at=AT + 3)],
        [evidence(9, kind=Kind.CONTENT_READ, ref=None, at=AT + 4)],
    )
    assert [(row.first.event_id, row.state) for row in find(session, LOG).rows] == [
        (None, "read"),
        ("A-2", "accepted"),
        ("A-1", "accepted"),
    ]
    looked = find(session, LOG, HistoryFilter(state="read")).rows
    assert [(row.first.event_id, row.state) for row in looked] == [(None, "read"), ("A-1", "accepted")]
