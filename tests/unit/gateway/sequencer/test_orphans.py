from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import event
from sqlmodel import Session

from audit import log as audit_log
from gateway.broker.port import Position
from gateway.database import Database
from gateway.errors import BugError
from gateway.ingress.claims import Claim, confirm, read, take
from gateway.ingress.prepare import Prepared, prepare
from gateway.leases import Lease, Leases
from gateway.positions import Move, Progress, advance, load_all
from gateway.sequencer.orphans import Gone, find_orphans, forget_former, renewed_plots, words_of
from gateway.sequencer.round import Round, write_round
from gateway.sequencer.territory import Plot
from tests.unit.gateway.ingress.channels import channel, circumstances
from tests.world import draft

LOG = "gw.example/log/k3v9q2"
ORIGINS = {LOG: f"{LOG}/1"}
ON = channel([{"name": "id", "type": "string"}])
AT = circumstances()
TOPIC = "partners.acme.inbound"
PLOT = Plot(Lease("sequence", 0, 1, 0), "acme", "inbound", TOPIC, "now", 0)


@pytest.fixture
def session(database_url: str) -> Iterator[Session]:
    database = Database(database_url)
    with database.begin() as opened:
        yield opened
    database.close()


def claimed(session: Session, event_id: str, position: Position | None) -> Claim:
    """A claim, acknowledged at a position."""
    found = prepare(draft({"id": event_id}), ON, AT)
    assert isinstance(found, Prepared)
    take(session, [found.claim], AT.now, 15_000)
    if position is not None:
        confirm(session, [(found.claim.ref, found.claim.receipt, position)])
    return found.claim


def orphans(session: Session, gone: Gone, limit: int = 10) -> list[bytes]:
    return [one.ref for one in find_orphans(session, gone, limit=limit)]


def test_what_was_acknowledged_in_a_hole_is_found_and_nothing_beside_it(session: Session) -> None:
    inside = {claimed(session, f"in-{n}", Position("now", 0, n)).ref for n in (3, 4)}
    claimed(session, "before", Position("now", 0, 2))
    claimed(session, "behind", Position("now", 0, 5))
    claimed(session, "elsewhere", Position("former", 0, 3))
    claimed(session, "unknown", None)
    assert set(orphans(session, Gone(PLOT, (3, 5)))) == inside
    assert len(orphans(session, Gone(PLOT, (3, 5)), limit=1)) == 1
    assert orphans(session, Gone(replace(PLOT, topic="partners.other.inbound"), (3, 5))) == []


def test_what_was_acknowledged_in_former_topics_is_found(session: Session) -> None:
    former = claimed(session, "a", Position("former", 0, 3))
    claimed(session, "b", Position("now", 0, 3))
    assert orphans(session, Gone(PLOT, None)) == [former.ref]


def test_an_orphan_is_entered_once_and_keeps_its_place(session: Session) -> None:
    claim = claimed(session, "a", Position("former", 0, 3))
    found = find_orphans(session, Gone(PLOT, None))
    written = write_round(session, Round([], [], [], ORIGINS, {}, orphans=found))
    assert (written.entries, written.origins) == (1, {ORIGINS[LOG]})
    assert audit_log.entry(session, ORIGINS[LOG], 0).ref == claim.ref
    assert read(session, [claim.ref])[claim.ref].position == Position("former", 0, 3)
    assert find_orphans(session, Gone(PLOT, None)) == []


def test_an_orphan_of_a_log_that_is_not_ours_waits(session: Session) -> None:
    claimed(session, "a", Position("former", 0, 3))
    found = find_orphans(session, Gone(PLOT, None))
    assert write_round(session, Round([], [], [], {}, {}, orphans=found)).entries == 0
    assert len(find_orphans(session, Gone(PLOT, None))) == 1


async def test_a_plot_whose_name_stood_for_another_topic_is_known_until_that_is_settled(
    database_url: str,
) -> None:
    database = Database(database_url)
    (lease,) = await Leases(database, "sequence", owner="me", shards=1, duration_ms=60_000).hold()
    with database.begin() as session:
        assert renewed_plots(session, "sequence", [PLOT]) == []
        moves = [Move(TOPIC, topic_id, 0, None, Progress(4)) for topic_id in ("former", "now")]
        advance(session, lease, [*moves, Move("partners.other.inbound", "other", 0, None, Progress(1))])
        assert renewed_plots(session, "sequence", [PLOT]) == [PLOT]
        assert renewed_plots(session, "relay", [PLOT]) == []
        forget_former(session, "sequence", [PLOT])
        assert renewed_plots(session, "sequence", [PLOT]) == []
        assert load_all(session, "sequence").keys() == {("now", 0), ("other", 0)}
    database.close()


def test_a_loss_is_told_with_what_of_it_is_kept() -> None:
    assert "2 accepted events among them had no log entry yet" in words_of(Gone(PLOT, (3, 5)), 2)
    assert "from offset 3 to 5" in words_of(Gone(PLOT, (3, 5)), 0)
    assert "every accepted event among them has its log entry" in words_of(Gone(PLOT, None), 0)


def test_a_hole_that_ends_before_it_begins_is_a_bug(session: Session) -> None:
    with pytest.raises(BugError):
        find_orphans(session, Gone(PLOT, (5, 3)))


def test_the_look_for_lost_records_reads_none_that_are_logged(session: Session) -> None:
    seen: list[tuple[str, Any]] = []

    def see(*arguments: Any) -> None:
        seen.append((arguments[2], arguments[3]))

    engine = session.get_bind()
    event.listen(engine, "before_cursor_execute", see)
    for gone in (Gone(PLOT, (3, 5)), Gone(PLOT, None)):
        orphans(session, gone)
        query, values = seen[-1]
        run = session.connection().exec_driver_sql
        if engine.dialect.name == "postgresql":
            run("SET LOCAL enable_seqscan = off")  # otherwise chosen for a table without a row
            plan = [str(row[0]) for row in run(f"EXPLAIN {query}", values)]
        else:
            plan = [str(row[3]) for row in run(f"EXPLAIN QUERY PLAN {query}", values)]
        assert any("ix_gateway_claim_unlogged" in line for line in plan), plan
