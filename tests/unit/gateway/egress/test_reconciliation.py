"""The checker of deliveries finds nothing where all is well, under load too, and each thing that is wrong."""

import asyncio
import os
from pathlib import Path

import pytest
from sqlalchemy import delete, update

from audit.evidence import Kind
from audit.rows import PendingRow
from gateway.administration.evidence import Author, Scribe, Wanted
from gateway.dialler import Answer, Outgoing
from gateway.egress import asking, replay_store
from gateway.egress.reconciliation import Disagreement, compare
from gateway.egress.rows import ReplayRangeRow, ReplayRow
from gateway.rows import BacklogRow, DeliveryRow
from partners.endpoint import house_of
from tests.unit.gateway.egress.stage import Stage, answer, endpoint, now, stage
from tests.unit.gateway.egress.test_recall import begin, over, ref_of

BUSY = answer(503, "server_error")
SCRIBE = Scribe("https://gw.example", "gw.example", "house", os.urandom)
LOGS = {"acme": "gw.example/log/k3v9q2"}


async def found(on: Stage) -> list[Disagreement]:
    looked = await on.database.read(lambda session: compare(session, LOGS))
    assert looked is not None
    return looked


def words(disagreements: list[Disagreement]) -> str:
    return "\n".join(map(str, disagreements))


async def test_rows_ranges_and_entries_agree_at_any_time(tmp_path: Path, database_url: str) -> None:
    """Failures, order, a paused endpoint, retries, cancels and a replay, all at once."""
    ends = (
        endpoint("ep_1", delays=(0, 0, 0)),
        endpoint("ep_2", order="endpoint", delays=(0, 0)),
        endpoint("ep_3", state="paused"),
        endpoint("ep_4", concurrency=1),
    )
    many = [f"e{number}" for number in range(24)]
    more = iter(range(24, 1_000))

    def mostly_busy(_: Outgoing, number: int) -> Answer:
        return BUSY if number % 3 else answer()

    async with stage(tmp_path, database_url, *ends) as on:
        on.receiver.reply = mostly_busy
        await on.produce(*many)
        asked = 0
        async with on.relaying():
            begin(on, len(many), which="all", to=("ep_1", "ep_4"))
            for turn in range(1_200):
                await asyncio.sleep(0.05)
                assert await found(on) == []
                parked = [each for each in on.rows() if each[1] == "parked"]
                # A breaker that is open holds up the rest for longer than there is to see.
                is_seen = turn > 120
                if asked == 4 and (is_seen or (on.position() >= len(many) and over(on)())):
                    break
                if parked and asked < 4:
                    asked += 1
                    for event_id, state in ((parked[0][0], "pending"), (parked[-1][0], "cancelled")):
                        for to in ("ep_1", "ep_2"):
                            try_asking(on, event_id, state, to)
                    if asked == 2:
                        on.receiver.reply = lambda _, number: BUSY if number % 5 == 0 else answer()
                elif asked < 4 and turn % 20 == 0:
                    # Whoever looks seldom, on a busy machine, finds nothing parked any more.
                    on.receiver.reply = mostly_busy
                    await on.produce(*(f"e{next(more)}" for _ in range(6)))
        assert await found(on) == []
        assert asked == 4, "nothing was parked: nothing could be asked for"


def try_asking(on: Stage, event_id: str, state: str, to: str) -> None:
    """Ask as the API does, with its evidence, of a row that may have gone meanwhile."""
    kind = Kind.CANCELLED if state == "cancelled" else Kind.RETRIED
    with on.database.begin() as session:
        row = asking.find(session, to, ref_of(event_id))
        if row is None or row.state != "parked":
            return
        asking.ask(session, row, state=state, now=now())
        wanted = Wanted("acme", row.ref, row.source, event_id, row.event_type, to, row.attempts)
        SCRIBE.delivery(session, "k3v9q2", kind, wanted, Author("operator", None), now=now())


async def settled(on: Stage) -> None:
    on.receiver.reply = lambda outgoing, _: answer() if b'"id":"a"' in outgoing.body else BUSY
    await on.produce("a", "b")
    async with on.relaying():
        await on.until(lambda: on.position() == 2 and len(on.rows()) == 1, "saved")


async def test_a_row_that_its_log_does_not_know_is_found(tmp_path: Path, database_url: str) -> None:
    async with stage(tmp_path, database_url, endpoint(delays=(0, 3_600))) as on:
        await settled(on)
        assert await found(on) == []
        with on.database.begin() as session:
            session.execute(delete(PendingRow))
        assert "no entry does" in words(await found(on))


async def test_an_attempt_after_which_nothing_waits_is_found(tmp_path: Path, database_url: str) -> None:
    async with stage(tmp_path, database_url, endpoint(delays=(0, 3_600))) as on:
        await settled(on)
        with on.database.begin() as session:
            session.execute(delete(DeliveryRow))
        assert "nothing waits" in words(await found(on))


async def test_a_retry_that_is_asked_for_during_an_attempt_is_over_with_its_success(
    tmp_path: Path, database_url: str
) -> None:
    async with stage(tmp_path, database_url, endpoint(delays=(0,))) as on:
        on.receiver.reply = lambda _, __: BUSY
        await on.produce("a")
        async with on.relaying():
            await on.until(lambda: [state for _, state, _ in on.rows()] == ["parked"], "parked")
            on.receiver.reply = lambda _, __: answer()
            on.receiver.gate.clear()
            begin(on, 1, which="all")
            await on.until(lambda: on.receiver.flying == 1, "handed out again")
            await asyncio.sleep(0.005)  # asked for later than it began, by the log's clock
            try_asking(on, "a", "pending", "ep_1")
            on.receiver.gate.set()
            await on.until(lambda: on.rows() == [], "delivered")
        assert await found(on) == []


async def test_a_retry_after_which_nothing_waits_is_found(tmp_path: Path, database_url: str) -> None:
    async with stage(tmp_path, database_url, endpoint(delays=(0,))) as on:
        on.receiver.reply = lambda _, __: BUSY
        await on.produce("a")
        async with on.relaying():
            await on.until(lambda: [state for _, state, _ in on.rows()] == ["parked"], "parked")
        try_asking(on, "a", "pending", "ep_1")
        assert await found(on) == []
        with on.database.begin() as session:
            session.execute(delete(DeliveryRow))
        assert "says retried, and nothing waits" in words(await found(on))


async def test_the_houses_deliveries_are_compared_with_its_own_log(tmp_path: Path, database_url: str) -> None:
    async with stage(tmp_path, database_url, endpoint(delays=(0, 3_600))) as on:
        await settled(on)
        log = LOGS["acme"]
        with on.database.begin() as session:
            session.execute(update(DeliveryRow).values(partner=house_of("acme")))

        def look(house: str | None) -> str:
            with on.database.begin() as session:
                return words(compare(session, {}, house=house) or [])

        assert look(log) == ""
        assert look(None) == ""
        with on.database.begin() as session:
            session.execute(update(DeliveryRow).values(state="parked", reason="client_error"))
        assert "its row says parked" in look(log)
        assert look(None) == ""


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ({"state": "parked"}, "its newest entry retry"),
        ({"state": "cancelled"}, "says cancelled, and no entry does"),
        ({"state": "lost"}, "which there is not"),
        ({"attempts": 7}, "counts 7 attempts, and its log 1"),
    ],
)
async def test_a_row_that_says_something_else_is_found(
    tmp_path: Path, database_url: str, values: dict[str, object], told: str
) -> None:
    async with stage(tmp_path, database_url, endpoint(delays=(0, 3_600))) as on:
        await settled(on)
        with on.database.begin() as session:
            session.execute(update(DeliveryRow).values(values))
        assert told in words(await found(on))


async def test_a_range_or_a_replay_that_cannot_be_is_found(tmp_path: Path, database_url: str) -> None:
    async with stage(tmp_path, database_url, endpoint(state="paused")) as on:
        await on.produce("a", "b")
        async with on.relaying():
            await on.until(lambda: on.spans() == [("ep_1", 0, 2)], "held")
        begin(on, 2)
        assert await found(on) == []
        with on.database.begin() as session:
            session.execute(update(BacklogRow).values(events=0))
        assert await found(on) == [], "of a new endpoint"
        with on.database.begin() as session:
            session.execute(update(BacklogRow).values(events=9))
            session.execute(update(ReplayRangeRow).values(handed=1))
            session.execute(update(ReplayRow).values(state="done"))
        told = words(await found(on))
        assert "counts 9 events in 2 offsets" in told
        assert "counts 1 events in 0 offsets" in told
        assert "it is done, and 2 offsets are left" in told
        with on.database.begin() as session:
            session.execute(update(BacklogRow).values(to_offset=0))
            session.execute(update(ReplayRangeRow).values(next_offset=3))
        told = words(await found(on))
        assert "the range is empty" in told
        assert "outside its range" in told
        with on.database.begin() as session:
            session.execute(update(ReplayRangeRow).values(next_offset=2))
            session.execute(update(ReplayRow).values(state="running"))
            assert replay_store.open_parts(session) == ()
        assert "it is running, and nothing is left" in words(await found(on))
