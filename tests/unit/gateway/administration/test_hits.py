from collections.abc import Iterator
from dataclasses import replace

import pytest
from sqlalchemy import insert
from sqlmodel import Session

from gateway.administration.hits import Hit, Impact, find_impacts, tell
from gateway.database import Database
from gateway.rows import BacklogRow, ConsumerRow, DeliveryRow
from partners import store
from partners.contract import Forward
from partners.endpoint import Endpoint
from partners.plan import Difference
from tests.unit.gateway.administration.test_desk_removal import row
from tests.unit.partners.test_directory import LINE

GONE = Difference("-", "receives", "invoice.sent", "", is_destructive=True)
CHANGED = Difference("~", "receives", "invoice.sent", "schema changed")


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    opened = Database(database_url)
    yield opened
    opened.close()


def endpoint(name: str, *types: str) -> Endpoint:
    return Endpoint(
        id=f"ep_{name}",
        partner="acme",
        name=name,
        url="https://a.example/in",
        types=frozenset(types),
        order="none",
        concurrency=1,
        per_second=None,
        delays=(0,),
        keys=(),
        state="active",
    )


THERE = (endpoint("two"), endpoint("one", "invoice.sent"), endpoint("ops", "gateway.*"))


def wait(session: Session) -> None:
    """Two deliveries of the type wait for `one`, one of another type, and six records of its backlog."""
    rows = [row("ep_one", number, state) for number, state in enumerate(("pending", "held", "parked"))]
    session.execute(insert(DeliveryRow), rows)
    session.execute(insert(DeliveryRow), [{**row("ep_one", 7, "pending"), "event_type": "order.accepted"}])
    span = {"topic_id": "id", "topic": "t", "partition": 0, "from_offset": 4, "to_offset": 10}
    session.execute(insert(BacklogRow), [{"endpoint": "ep_one", **span}])


def test_a_type_hits_the_endpoints_that_listen_and_what_waits_for_each(database: Database) -> None:
    with database.begin() as session:
        wait(session)
        (found,) = find_impacts(session, (CHANGED,), THERE)
    assert found == Impact(
        "receives",
        "invoice.sent",
        (Hit("ep_one", "one", "active", 2, 6), Hit("ep_two", "two", "active", 0, 0)),
    )
    (told,) = tell((CHANGED,), (found,))
    assert told.words == (
        "schema changed; 2 endpoints listen (one, two), 2 deliveries pending, at most 6 more in backlogs"
    )


def test_a_removal_says_so_in_words_and_what_adds_hits_nobody(database: Database) -> None:
    added = Difference("+", "receives", "order.moved", "x.avsc")
    sent = Difference("~", "sends", "order.placed", "schema changed")
    with database.begin() as session:
        assert find_impacts(session, (added, sent), THERE) == ()
        alone = find_impacts(session, (GONE,), THERE[2:])
        one = find_impacts(session, (GONE,), THERE[1:2])
    assert [each.words for each in tell((GONE, added), alone)] == ["no endpoint listens", "x.avsc"]
    assert tell((GONE,), one)[0].words == "1 endpoint listens (one), no deliveries pending"


def test_an_endpoint_that_goes_loses_whatever_waits_for_it(database: Database) -> None:
    gone = Difference("-", "endpoint", "one", "", is_destructive=True)
    with database.begin() as session:
        wait(session)
        found = find_impacts(session, (gone,), THERE)
    assert [hit.pending for each in found for hit in each.endpoints] == [3]
    assert tell((gone,), found)[0].words == "9 deliveries pending"


def consumer(
    name: str, side: str, direction: str, types: str = "", partner: str = "acme"
) -> dict[str, object]:
    key = {"partner": partner, "side": side, "direction": direction, "name": name}
    return {
        **key,
        "types": types,
        "topic_id": "id",
        "offsets": "{}",
        "credential": "c",
        "created_at": 0,
        "updated_at": 0,
    }


def test_a_type_that_goes_hits_who_reads_it(database: Database) -> None:
    readers = [
        consumer("app", "partner", "outbound"),
        consumer("desk", "house", "outbound", "invoice.sent,order.moved"),
        consumer("other", "partner", "outbound", "order.moved"),
        consumer("erp", "house", "inbound"),
        consumer("app", "partner", "outbound", partner="globex"),
    ]
    with database.begin() as session:
        session.execute(insert(ConsumerRow), readers)
        found = find_impacts(session, (GONE, replace(CHANGED, name="order.moved")), THERE[2:], "acme")
    assert [one.consumers for one in found] == [("app", "desk"), ()]
    assert tell((GONE,), found)[0].words == "no endpoint listens; 2 consumers read it (app, desk)"


def test_a_sent_type_that_goes_hits_the_house_and_whom_it_went_on_to(database: Database) -> None:
    gone = Difference("-", "sends", "order.placed", "", is_destructive=True)
    onward = replace(LINE, terms=replace(LINE.terms, forward=Forward("globex", "order.received")))
    desk = replace(endpoint("desk"), side="house", name="erp")
    with database.begin() as session:
        session.execute(insert(ConsumerRow), [consumer("etl", "house", "inbound")])
        session.execute(insert(DeliveryRow), [{**row("ep_desk", 1, "held"), "event_type": "order.placed"}])
        (bare,) = find_impacts(session, (gone,), THERE, "globex", (LINE,))
        store.insert_endpoints(session, [desk], now=0)
        (found,) = find_impacts(session, (gone,), THERE, "acme", (onward,))
    assert tell((gone,), (bare,))[0].words == "no endpoint of the house listens"
    assert found == Impact(
        "sends", "order.placed", (Hit("ep_desk", "erp", "active", 1, 0),), ("etl",), ("globex",)
    )
    assert tell((gone,), (found,))[0].words == (
        "1 endpoint of the house listens (erp), 1 delivery pending; "
        "1 consumer reads it (etl); forwarded to globex"
    )


def test_many_endpoints_are_counted_and_some_are_named(database: Database) -> None:
    there = [endpoint(f"e{number:02}") for number in range(12)]
    with database.begin() as session:
        (told,) = tell((GONE,), find_impacts(session, (GONE,), there))
    names = ", ".join(f"e{number:02}" for number in range(10))
    assert told.words == f"12 endpoints listen ({names}, ...), no deliveries pending"
