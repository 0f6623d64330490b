import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import event
from sqlmodel import Session

from audit import log as audit_log
from audit.errors import StaleHeadError
from gateway.broker.port import Position
from gateway.database import Database
from gateway.ingress.claims import Claim, confirm, read, take
from gateway.ingress.prepare import Prepared, prepare
from gateway.leases import Lease, Leases
from gateway.positions import Move, Progress, advance, load_all
from gateway.sequencer.orphans import (
    Gone,
    find_behind,
    find_orphans,
    forget_former,
    renewed_plots,
    still_behind,
    words_of,
)
from gateway.sequencer.round import Round, write_round
from gateway.sequencer.sighting import Accepted
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


def claimed(session: Session, event_id: str, position: Position | None, log: str = LOG) -> Claim:
    """A claim, acknowledged at a position."""
    host, _, name = log.split("/")
    found = prepare(draft({"id": event_id}), replace(ON, log=name), replace(AT, log_host=host))
    assert isinstance(found, Prepared)
    take(session, [found.claim], AT.now, 15_000)
    if position is not None:
        confirm(session, [(found.claim.ref, found.claim.receipt, position)])
    return found.claim


def found_of(session: Session, gone: Gone, limit: int = 10) -> list[Accepted]:
    """As `look_for` asks for them."""
    end = 0 if gone.hole is None else gone.hole[1]
    return find_orphans(session, {gone.plot: end}, limit=limit).get(gone.plot, [])


def orphans(session: Session, gone: Gone, limit: int = 10) -> list[bytes]:
    return [one.ref for one in found_of(session, gone, limit=limit)]


def test_what_was_acknowledged_in_a_hole_is_found_and_nothing_beside_it(session: Session) -> None:
    inside = {claimed(session, f"in-{n}", Position("now", 0, n)).ref for n in (3, 4)}
    claimed(session, "behind", Position("now", 0, 5))
    claimed(session, "unknown", None)
    assert set(orphans(session, Gone(PLOT, (3, 5)))) == inside
    assert len(orphans(session, Gone(PLOT, (3, 5)), limit=1)) == 1
    assert orphans(session, Gone(replace(PLOT, topic="partners.other.inbound"), (3, 5))) == []


def test_of_a_topic_that_was_cut_what_lay_behind_its_end_is_found(session: Session) -> None:
    claimed(session, "there", Position("now", 0, 4))
    first = claimed(session, "lost-5", Position("now", 0, 5))
    lost = {first.ref, claimed(session, "lost-9", Position("now", 0, 9)).ref}
    lost.add(claimed(session, "former", Position("former", 0, 1)).ref)
    found = find_behind(session, {PLOT: 5})
    assert {one.ref for one in found[PLOT]} == lost
    assert len(find_behind(session, {PLOT: 5}, limit=3)[PLOT]) == 3, "what lies before takes no room"
    assert {one.ref for one in still_behind(found, {PLOT: 6})[PLOT]} == lost - {first.ref}
    assert still_behind(find_behind(session, {replace(PLOT, topic_id="former"): 5}), {}) == {}


def test_what_was_acknowledged_in_former_topics_is_found(session: Session) -> None:
    former = claimed(session, "a", Position("former", 0, 3))
    claimed(session, "b", Position("now", 0, 3))
    assert orphans(session, Gone(PLOT, None)) == [former.ref]


def test_an_orphan_is_entered_once_and_keeps_its_place(session: Session) -> None:
    claim = claimed(session, "a", Position("former", 0, 3))
    found = found_of(session, Gone(PLOT, None))
    written = write_round(session, Round([], [], [], ORIGINS, {}, {}, orphans=found))
    assert (written.entries, set(written.heads)) == (1, {ORIGINS[LOG]})
    assert audit_log.entry(session, ORIGINS[LOG], 0).ref == claim.ref
    assert read(session, [claim.ref])[claim.ref].position == Position("former", 0, 3)
    assert found_of(session, Gone(PLOT, None)) == []


def test_a_round_with_an_orphan_that_has_its_entry_by_then_is_undone(session: Session) -> None:
    """A COMMIT whose answer was lost may be stored after its orphans were looked for anew."""
    claimed(session, "a", Position("former", 0, 3))
    todo = Round([], [], [], ORIGINS, {}, {}, orphans=found_of(session, Gone(PLOT, None)))
    assert write_round(session, todo).entries == 1
    with pytest.raises(StaleHeadError, match="1 accepted event"):
        write_round(session, todo)


def test_an_orphan_of_a_log_that_is_not_ours_waits(session: Session) -> None:
    claimed(session, "a", Position("former", 0, 3))
    found = found_of(session, Gone(PLOT, None))
    assert write_round(session, Round([], [], [], {}, {}, {}, orphans=found)).entries == 0
    assert len(found_of(session, Gone(PLOT, None))) == 1


def test_strays_are_what_is_confirmed_behind_where_its_topic_was_read_or_in_another_one(
    session: Session,
) -> None:
    strays = [
        claimed(session, "other-1", Position("a former one", 0, 9)).ref,
        claimed(session, "other-2", Position("zz former one", 0, 1)).ref,
        claimed(session, "behind", Position("now", 0, 4)).ref,
    ]
    claimed(session, "ahead", Position("now", 0, 5))
    claimed(session, "unknown", None)
    elsewhere = replace(PLOT, topic="partners.other.inbound")
    found = find_orphans(session, {elsewhere: 9, PLOT: 5})
    assert found.keys() == {PLOT}
    assert {one.ref for one in found[PLOT]} == set(strays)
    assert sum(map(len, find_orphans(session, {PLOT: 5}, limit=2).values())) == 2
    write_round(session, Round([], [], [], ORIGINS, {}, {}, orphans=found[PLOT]))
    assert find_orphans(session, {PLOT: 5}) == {}


def test_strays_are_found_among_thousands_of_plots(session: Session) -> None:
    stray = claimed(session, "other", Position("former", 0, 9)).ref
    others = {replace(PLOT, topic=f"partners.p{number}.inbound"): 3 for number in range(2_500)}
    found = find_orphans(session, {**others, PLOT: 0})
    assert [one.ref for one in found[PLOT]] == [stray]


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


def test_the_look_for_lost_records_reads_none_that_are_logged(session: Session) -> None:
    seen: list[tuple[str, Any]] = []

    def see(*arguments: Any) -> None:
        seen.append((arguments[2], arguments[3]))

    engine = session.get_bind()
    event.listen(engine, "before_cursor_execute", see)
    looks: list[Callable[[], object]] = [
        lambda: orphans(session, Gone(PLOT, (3, 5))),
        lambda: orphans(session, Gone(PLOT, None)),
        lambda: find_orphans(session, {PLOT: 5}),
    ]
    for look in looks:
        look()
        query, values = seen[-1]
        run = session.connection().exec_driver_sql
        if engine.dialect.name == "postgresql":
            run("SET LOCAL enable_seqscan = off")  # otherwise chosen for a table without a row
            plan = [str(row[0]) for row in run(f"EXPLAIN {query}", values)]
        else:
            plan = [str(row[3]) for row in run(f"EXPLAIN QUERY PLAN {query}", values)]
        reads = [line for line in plan if re.search(r"\b(on|SCAN|SEARCH) gateway_claim\b", line)]
        assert reads, plan
        assert all("ix_gateway_claim_unlogged" in line for line in reads), plan
