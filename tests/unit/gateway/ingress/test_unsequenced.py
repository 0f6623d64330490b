"""Accepted events that the log has not got yet, however many it has."""

import hashlib
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import update
from sqlmodel import Session

from audit.bulk import insert_rows
from audit.kinds import Kind
from audit.marks import join_search
from audit.search import HistoryFilter
from gateway.broker.port import Position
from gateway.database import Database, clock
from gateway.ingress.claims import Claim, Confirm, Take, write_group
from gateway.ingress.prepare import Prepared, prepare
from gateway.ingress.unsequenced import WaitingKey, find_all_unsequenced, find_unsequenced
from gateway.rows import ClaimRow
from tests.reading import plans_of, work_of
from tests.unit.gateway.ingress.channels import channel, circumstances
from tests.world import draft

ON = channel([{"name": "id", "type": "string"}, {"name": "qty", "type": "int"}])
ON = replace(ON, line=replace(ON.line, terms=replace(ON.line.terms, search=("/id",))))
TOPICS = ("partners.acme.inbound", "partners.acme.outbound")
PLACE = Position("topic-1", 0, 7)


@pytest.fixture
def session(database_url: str) -> Iterator[Session]:
    database = Database(database_url)
    with database.begin() as one:
        yield one
    database.close()


def take(session: Session, *ids: str, partner: str = "acme") -> list[Claim]:
    at = replace(circumstances(), now=clock(session))
    made = [prepare(draft({"id": one, "qty": 1}), replace(ON, partner=partner), at) for one in ids]
    claims = [one.claim for one in made if isinstance(one, Prepared)]
    write_group(60_000)(session, [Take(tuple(claims))])
    return claims


def confirm(session: Session, *claims: Claim, offset: int = 7) -> None:
    places = [replace(PLACE, offset=offset + number) for number in range(len(claims))]
    stored = tuple((one.ref, one.receipt, place) for one, place in zip(claims, places, strict=True))
    write_group(60_000)(session, [Confirm(stored)])


def found(session: Session, wanted: HistoryFilter | None = None, **more: Any) -> dict[str, str]:
    rows = find_unsequenced(session, "acme", TOPICS, wanted or HistoryFilter(**more), 100)
    return {one.id: one.state for one in rows}


def sequenced(claim: Claim, number: int, **changes: Any) -> dict[str, Any]:
    """A row of a claim whose event the log has."""
    return {
        "ref": hashlib.sha256(b"%d" % number).digest(),
        "partner": "acme",
        "log": claim.log,
        "direction": "inbound",
        "source": claim.key.source,
        "event_id": f"old-{number}",
        "event_type": claim.type,
        "event_sha256": claim.event_sha256,
        "content_sha256": claim.content_sha256,
        "receipt": claim.receipt,
        "schema_id": 41,
        "framing": "prefix",
        "topic": TOPICS[0],
        "topic_id": PLACE.topic_id,
        "partition": 0,
        "offset": number,
        "at": claim.at - number,
        "attributes": "{}",
        "content_type": "",
        "content_encoding": "identity",
        "state": "confirmed",
        "lease_until": number,
        "owner": "",
        "leaf_index": number,
        **changes,
    }


def test_what_waits_is_found_by_all_that_can_be_asked_of_it(session: Session) -> None:
    one, two = take(session, "A", "B")
    take(session, "A", partner="globex")
    confirm(session, one)
    assert found(session) == {"A": "accepted", "B": "unconfirmed"}
    digest = two.content_sha256
    for wanted in (
        HistoryFilter(key="B"),
        HistoryFilter(digest=digest),
        HistoryFilter(id="B", state="accepted", kinds=frozenset({Kind.ACCEPTED})),
        HistoryFilter(ref=two.ref, direction="inbound", credential="crd_1", since=two.at, until=two.at + 1),
    ):
        assert list(found(session, wanted)) == ["B"]
    for wanted in (
        HistoryFilter(key="b"),
        HistoryFilter(digest=bytes(32)),
        HistoryFilter(key="A", digest=digest),
        HistoryFilter(kinds=frozenset({Kind.REFUSED})),
        HistoryFilter(state="delivered"),
        HistoryFilter(endpoint="ep_1"),
        HistoryFilter(credential="crd_2"),
        HistoryFilter(until=two.at),
        HistoryFilter(id="B\x00"),
    ):
        assert found(session, wanted) == {}
    assert two.search == join_search(["B"])


def test_what_the_log_has_is_never_looked_at(session: Session) -> None:
    """With ten times as many claims behind them, the same few rows are read."""
    waiting = take(session, *(f"W-{number}" for number in range(20)))
    confirm(session, *waiting[:10], offset=1_000_000)
    costs = []
    for start, end in ((0, 500), (500, 5_000)):
        insert_rows(session, ClaimRow, [sequenced(waiting[0], number) for number in range(start, end)])
        session.connection().exec_driver_sql("ANALYZE")
        costs.append(work_of(session, found))
    assert costs[1] <= costs[0] * 1.25 + 50
    assert len(found(session)) == 20
    for plan in plans_of(session, found):
        assert "ix_gateway_claim_un" in plan
        assert "Seq Scan" not in plan


def test_pages_go_over_all_that_waits(session: Session) -> None:
    claims = take(session, *map(str, range(7)))
    confirm(session, *claims[:3])
    shown: list[bytes] = []
    after: WaitingKey | None = None
    for _ in range(4):
        page = find_unsequenced(session, "acme", TOPICS, HistoryFilter(), 2, after=after)
        shown += [one.ref for one in page]
        after = (page[-1].at, page[-1].ref)
    assert len(shown) == 7
    assert set(shown) == {one.ref for one in claims}
    assert find_unsequenced(session, "acme", TOPICS, HistoryFilter(), 2, after=after) == []


def test_what_waits_of_all_partners_is_found_with_whose_it_is(session: Session) -> None:
    confirm(session, *take(session, "A-1", "A-2"))
    (theirs,) = take(session, "A-1", partner="globex")

    def whose(**more: Any) -> set[tuple[str, str, str]]:
        rows = find_all_unsequenced(session, HistoryFilter(**more))
        return {(partner, one.id, one.state) for partner, one in rows}

    both = {("acme", "A-1", "accepted"), ("globex", "A-1", "unconfirmed")}
    assert whose(id="A-1") == whose(key="A-1") == both
    assert whose(ref=theirs.ref) == {("globex", "A-1", "unconfirmed")}
    assert whose(id="A-1", state="delivered") == whose(id="B-1") == whose(id="a\x00") == set()
    session.execute(update(ClaimRow).values(state="confirmed", leaf_index=3))
    assert whose(id="A-1") == whose(ref=theirs.ref) == set()


def test_of_all_partners_only_what_waits_is_read(session: Session) -> None:
    (claim,) = take(session, "A-1")
    session.execute(update(ClaimRow).values(state="confirmed", leaf_index=3))
    insert_rows(session, ClaimRow, [sequenced(claim, number) for number in range(300)])
    before = {name: work_of(session, lambda s: find_all_unsequenced(s, one)) for name, one in ASKED.items()}  # noqa: B023 - asked at once
    insert_rows(session, ClaimRow, [sequenced(claim, number) for number in range(300, 3_000)])
    after = {name: work_of(session, lambda s: find_all_unsequenced(s, one)) for name, one in ASKED.items()}  # noqa: B023 - asked at once
    assert all(after[name] <= before[name] * 1.5 + 100 for name in ASKED), (before, after)


ASKED = {"id": HistoryFilter(id="old-7"), "ref": HistoryFilter(ref=hashlib.sha256(b"7").digest())}
