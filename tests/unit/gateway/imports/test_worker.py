import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial

import pytest
import pytest_asyncio
from sqlalchemy import text

from gateway.errors import OverloadedError
from gateway.imports import store, worker
from gateway.imports.intake import MOST_AT_ONCE, MOST_OF_ALL, RENEWING_MS, Upload
from gateway.imports.job import NDJSON, Import, Sender, Wish
from gateway.imports.results import Result
from gateway.imports.sweep import sweep
from gateway.imports.worker import Accepts, Importer
from gateway.ingress.accept import Submission
from gateway.ingress.outcome import Failed, Outcome
from gateway.ingress.quota import DAY_MS
from partners import onboarding
from schemas.schema import Schema
from tests.builders import CONTRACTS, House, open_house
from tests.importing import KilledError, lines, working
from tests.unit.gateway.ingress.brokers import TOPIC, WilfulBroker
from tests.waiting import until
from tests.world import nothing

pytestmark = pytest.mark.asyncio(loop_scope="module")

ITEMS = 450
CONTRACT = {
    "made": CONTRACTS.replace("id: /order_id, key: /customer", "id: generated"),
    "capped": CONTRACTS + "limits: {bytes_per_day: 5KiB}\n",
    "rated": CONTRACTS + "limits: {events_per_second: 100}\n",
}
NOW = 1_795_353_600_000


def no_file(_: Schema) -> int:
    raise AssertionError("these are lines")


@dataclass
class Stand:
    """A house whose imports a test works off itself."""

    house: House
    broker: WilfulBroker

    @property
    def importer(self) -> Importer:
        return self.house.world.parts.importer

    async def send(self, body: bytes, slug: str = "acme") -> str:
        """Make an import of a body; returns its id."""
        sender = Sender("api_key", self.house.credentials[slug].id)
        wish = Wish(slug, "inbound", "order.placed", NDJSON, sender, dry_run=False)
        upload = await self.house.world.parts.intake.begin(wish, no_file)
        try:
            await upload.feed(body)
            made, _ = await upload.finish()
        finally:
            await upload.close()
        return made.id

    async def show(self, import_id: str) -> Import:
        database = self.house.world.parts.ground.database
        found = await database.read(lambda session: store.find(session, import_id))
        assert found is not None
        return found

    async def until(self, import_id: str, is_so: Callable[[Import], bool]) -> Import:
        for _ in range(1_500):
            found = await self.show(import_id)
            if is_so(found):
                return found
            await asyncio.sleep(0.02)
        raise AssertionError(found)

    async def ended(self, import_id: str) -> Import:
        return await self.until(import_id, lambda one: not one.is_open)

    async def results(self, import_id: str) -> list[Result]:
        database = self.house.world.parts.ground.database
        return await database.read(
            lambda session: store.results(session, import_id, since=0, limit=ITEMS + 1)
        )

    async def records(self, slug: str) -> int:
        """How many records the partner's topic holds."""
        ((first, end),) = await self.broker.bounds([(TOPIC.replace("acme", slug), 0)])
        return end - first


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def stand(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stand]:
    folder = tmp_path_factory.mktemp("worker")
    broker = WilfulBroker(folder)
    async with open_house(folder, broker=broker, partners=("acme", "globex", "halved")) as house:
        for slug, contract in CONTRACT.items():
            await house.world.apply(contract.replace("{slug}", slug), slug=slug)
            await house.issue(slug, "partner", slug)
        house.world.parts.importer.longest_wait_seconds = 0.2
        yield Stand(house, broker)


def killing_at(wanted: str, times: int = 1) -> Callable[[str], None]:
    """A step that ends the process where a step was done for so many times."""
    left = [times]

    def step(name: str) -> None:
        if name == wanted:
            left[0] -= 1
            if left[0] == 0:
                raise KilledError

    return step


async def killed(importer: Importer) -> None:
    """Work until the process is ended; then its leases run out."""
    with pytest.raises(BaseExceptionGroup):
        async with working(importer):
            await asyncio.sleep(60)
    await importer.database.write(store.expire_leases)


KILLS = (
    ("import.4.leased", 1),
    ("import.5.worked", 1),
    ("import.6.settled", 1),
    ("import.5.worked", 2),
    ("import.7.ended", 1),
)


@pytest.mark.parametrize("slug", ["acme", "made"])
async def test_killed_after_each_step_others_go_on_and_no_item_is_lost_or_doubled(
    stand: Stand, slug: str
) -> None:
    # Steps of 200, 200 and 50 items; two of them are killed between their halves, and done twice.
    import_id = await stand.send(lines(range(ITEMS), "K"), slug)
    before = await stand.records(slug)
    for number, (step, times) in enumerate(KILLS):
        owner = f"process {number}"
        await killed(replace(stand.importer, owner=owner, step=killing_at(step, times)))
    done = await stand.show(import_id)
    counts = done.counts
    assert (done.state, counts.done, counts.refused) == ("done", ITEMS, 0)
    assert (counts.accepted, counts.duplicates) == (ITEMS - 250, 250)
    found = await stand.results(import_id)
    assert [one.index for one in found] == list(range(ITEMS))
    assert len({one.ref for one in found}) == ITEMS
    assert await stand.records(slug) == before + ITEMS


async def test_a_file_that_failed_and_comes_again_is_no_other_events_where_ids_are_ours(stand: Stand) -> None:
    before, body = await stand.records("made"), lines(range(ITEMS), "again")

    def look(submission: Submission) -> None:
        if len(taken) > 0:
            raise RuntimeError("a bug")
        taken.append(submission)

    taken: list[Submission] = []
    first = await stand.send(body, "made")
    async with working(replace(stand.importer, ingress=Watched(stand.importer.ingress, look))):
        failed = await stand.ended(first)
    again = await stand.send(body, "made")
    other = await stand.send(body + lines([1], "other"), "made")
    async with working(stand.importer):
        done, third = await stand.ended(again), await stand.ended(other)
    assert (failed.state, 0 < failed.counts.accepted < ITEMS) == ("failed", True)
    assert done.counts.duplicates == failed.counts.accepted
    assert done.counts.accepted + done.counts.duplicates == ITEMS
    assert (third.counts.accepted, third.counts.duplicates) == (ITEMS + 1, 0)
    assert await stand.records("made") == before + 2 * ITEMS + 1


async def test_killed_while_a_body_is_received_there_is_a_job_only_once_all_of_it_is_here(
    stand: Stand,
) -> None:
    parts = stand.house.world.parts
    jobs: list[Import] = []
    for step in ("import.1.begun", "import.2.kept", "import.3.taken"):
        assert [one.state for one in jobs if one.state != "receiving"] == []
        parts.intake.step = killing_at(step)
        with pytest.raises(KilledError):
            await stand.send(lines(range(3)), "halved")
        jobs = await parts.ground.database.read(
            lambda session: store.page(session, "halved", ("inbound",), after=None, limit=9)
        )
    parts.intake.step = nothing
    assert Counter(one.state for one in jobs)["waiting"] == 1
    async with working(stand.importer):
        assert (await stand.ended(jobs[0].id)).counts.accepted == 3
    assert await stand.records("halved") == 3


async def test_those_that_begin_at_once_count_each_other(stand: Stand) -> None:
    intake = replace(stand.house.world.parts.intake)
    sender = Sender("api_key", stand.house.credentials["globex"].id)
    wish = Wish("globex", "inbound", "order.placed", NDJSON, sender, dry_run=False)
    intake.open = MOST_AT_ONCE - 1
    begun = await asyncio.gather(*(intake.begin(wish, no_file) for _ in range(2)), return_exceptions=True)
    uploads = [one for one in begun if isinstance(one, Upload)]
    assert [type(one) for one in begun] == [Upload, OverloadedError]
    assert intake.open == MOST_AT_ONCE
    for one in uploads:
        await one.close()
    assert intake.open == MOST_AT_ONCE - 1


async def test_bodies_of_few_keep_nobody_else_out(stand: Stand) -> None:
    intake = replace(stand.house.world.parts.intake)
    sender = Sender("api_key", stand.house.credentials["globex"].id)
    wish = Wish("globex", "inbound", "order.placed", NDJSON, sender, dry_run=False)
    intake.open = MOST_AT_ONCE
    first = await intake.begin(wish, no_file)
    try:
        with pytest.raises(OverloadedError):
            await intake.begin(wish, no_file)
    finally:
        await first.close()
    intake.open = MOST_OF_ALL
    with pytest.raises(OverloadedError):
        await intake.begin(wish, no_file)


async def test_a_body_that_comes_slowly_stays_ours_though_no_piece_of_it_is_whole(stand: Stand) -> None:
    parts, now = stand.house.world.parts, stand.house.world.parts.ground.clock()
    intake = replace(parts.intake, clock=lambda: now)
    sender = Sender("api_key", stand.house.credentials["acme"].id)
    wish = Wish("acme", "inbound", "order.placed", NDJSON, sender, dry_run=False)
    upload = await intake.begin(wish, no_file)
    try:
        for bit in (b'{"order_id":', b'"slow","qty":1}\n'):
            with parts.ground.database.begin() as session:
                session.execute(text("UPDATE gateway_import SET lease_until = 1 WHERE state = 'receiving'"))
            now += RENEWING_MS
            await upload.feed(bit)
            await parts.ground.database.write(lambda session: sweep(session, now=NOW, kept_ms=NOW))
        made, _ = await upload.finish()
    finally:
        await upload.close()
    assert made.total == 1
    async with working(stand.importer):
        assert (await stand.ended(made.id)).counts.accepted == 1


async def test_what_is_away_is_waited_for_and_is_no_result(stand: Stand) -> None:
    stand.broker.away_ms = 60_000
    import_id = await stand.send(lines(range(3), "away"))
    async with working(stand.importer):
        waiting = await stand.until(import_id, lambda one: one.waits_for is not None)
        assert (waiting.waits_for, waiting.counts.done) == ("broker_unavailable", 0)
        stand.broker.away_ms = 0
        done = await stand.ended(import_id)
    assert (done.state, done.counts.accepted, done.waits_for) == ("done", 3, None)


async def test_an_answer_of_the_broker_that_got_lost_makes_a_repeat_and_no_second_entry(stand: Stand) -> None:
    before = await stand.records("acme")
    import_id = await stand.send(lines(range(3), "lost"))
    stand.broker.fates = ["store", "store", "store_and_forget"]
    async with working(stand.importer):
        done = await stand.ended(import_id)
    assert (done.counts.done, done.counts.refused) == (3, 0)
    assert await stand.records("acme") == before + 3


async def test_a_used_up_quota_is_waited_for_and_counts_what_was_taken_once(stand: Stand) -> None:
    quotas = stand.house.world.parts.quotas
    clock = quotas.clock
    quotas.clock = lambda: NOW
    import_id = await stand.send(lines(range(ITEMS), "Q"), "capped")
    async with working(stand.importer):
        waiting = await stand.until(import_id, lambda one: one.waits_for is not None)
        assert (waiting.waits_for, waiting.counts.done) == ("quota_exceeded", 200)
        quotas.clock = lambda: NOW + DAY_MS
        await stand.until(import_id, lambda one: one.counts.done == 400)
        quotas.clock = lambda: NOW + 2 * DAY_MS
        done = await stand.ended(import_id)
    quotas.clock = clock
    assert (done.state, done.counts.accepted) == ("done", ITEMS)


async def test_a_rate_is_left_to_live_traffic_by_half_and_more(stand: Stand) -> None:
    sizes: list[int] = []
    seen = Watched(stand.importer.ingress, lambda submission: sizes.append(len(submission.items)))
    import_id = await stand.send(lines(range(60)), "rated")
    async with working(replace(stand.importer, ingress=seen)):
        done = await stand.ended(import_id)
    assert done.counts.accepted == 60
    assert sizes == [25, 25, 10]


@dataclass
class Watched:
    """An ingress that a test looks at, or breaks, before each call; and how many were under way at once."""

    ingress: Accepts
    look: Callable[[Submission], None] = lambda _: None
    at_once: int = 0
    most: int = 0
    seen: Counter[str] = field(default_factory=Counter)

    async def accept(self, submission: Submission) -> Sequence[Outcome]:
        self.look(submission)
        self.seen[submission.partner] += 1
        self.at_once += 1
        self.most = max(self.most, self.at_once)
        try:
            await asyncio.sleep(0)
            return await self.ingress.accept(submission)
        finally:
            self.at_once -= 1


async def test_imports_of_several_partners_take_turns_and_those_of_one_their_order(stand: Stand) -> None:
    first = await stand.send(lines(range(250), "T"))
    second = await stand.send(lines(range(3), "T"))
    other = await stand.send(lines(range(250)), "globex")
    seen = Watched(stand.importer.ingress)
    async with working(replace(stand.importer, ingress=seen)):
        ends = [await stand.ended(one) for one in (first, second, other)]
    assert {one.state for one in ends} == {"done"}
    # In their order, each item of the second is a repeat of one of the first.
    assert (ends[1].counts.accepted, ends[1].counts.duplicates) == (0, 3)
    assert (seen.most, seen.seen) == (1, {"acme": 3, "globex": 2})


async def test_those_that_wait_keep_nobody_else_s_waiting_however_many_they_are(stand: Stand) -> None:
    class Choosy(Watched):
        async def accept(self, submission: Submission) -> Sequence[Outcome]:
            if submission.partner == "globex":
                return await super().accept(submission)
            return [Failed("broker_unavailable", "not yet")] * len(submission.items)

    slugs = ("acme", "halved", "made", "rated")
    assert len(slugs) == worker.MOST_AT_ONCE
    waiting = [await stand.send(lines(range(3), "wait"), slug) for slug in slugs]
    other = await stand.send(lines(range(3), "wait"), "globex")
    async with working(replace(stand.importer, ingress=Choosy(stand.importer.ingress))):
        done = await stand.ended(other)
        for one in waiting:
            work = partial(store.cancel, import_id=one, now=NOW)
            await stand.house.world.parts.ground.database.write(work)
    assert (done.state, done.counts.accepted) == ("done", 3)


async def test_who_is_suspended_while_the_turn_is_another_s_sends_nothing_more(stand: Stand) -> None:
    parts = stand.house.world.parts
    await stand.house.world.apply(CONTRACTS.replace("{slug}", "late"), slug="late")
    await stand.house.issue("late", "partner", "late")
    long = await stand.send(lines(range(3), "turn"))
    waiting = await stand.send(lines(range(3)), "late")

    class Slow(Watched):
        async def accept(self, submission: Submission) -> Sequence[Outcome]:
            if submission.partner == "acme":
                await stand.until(waiting, lambda one: one.state == "running")
                await asyncio.sleep(0.3)
                work = partial(onboarding.set_partner_state, slug="late", state="suspended")
                await parts.ground.database.write(work)
                await parts.catalog.follow()
            return await super().accept(submission)

    slow = Slow(stand.importer.ingress)
    async with working(replace(stand.importer, ingress=slow)):
        ends = [await stand.ended(one) for one in (long, waiting)]
    assert (ends[0].state, slow.seen["late"]) == ("done", 0)
    assert ends[1].error is not None
    assert ends[1].error.code == "partner_suspended"


@pytest.mark.parametrize("step", ["import.5.worked", "import.6.settled"])
async def test_cancelled_at_work_it_ends_and_what_was_taken_has_its_results(stand: Stand, step: str) -> None:
    before = await stand.records("acme")
    import_id = await stand.send(lines(range(ITEMS), step))
    over = asyncio.Event()

    def look(name: str) -> None:
        if name == step:
            with stand.house.world.parts.ground.database.begin() as session:
                store.cancel(session, import_id, now=NOW)
        elif name == "import.7.ended":
            over.set()

    async with working(replace(stand.importer, step=look)):
        await over.wait()
    done = await stand.show(import_id)
    assert (done.state, done.error, done.ended_at) == ("cancelled", None, NOW)
    assert done.counts.done == len(await stand.results(import_id)) < ITEMS
    assert await stand.records("acme") == before + done.counts.done


async def test_a_fault_of_ours_ends_one_import_and_no_other(stand: Stand) -> None:
    def look(submission: Submission) -> None:
        if submission.partner == "acme":
            raise RuntimeError("a bug")

    broken = await stand.send(lines(range(3), "F"))
    good = await stand.send(lines(range(3)), "globex")
    async with working(replace(stand.importer, ingress=Watched(stand.importer.ingress, look))):
        failed, done = await stand.ended(broken), await stand.ended(good)
    assert failed.error is not None
    assert (failed.state, failed.error.code, failed.counts.done) == ("failed", "internal", 0)
    assert "bug" not in failed.error.detail
    assert done.state == "done"


async def test_asked_to_stop_it_lets_go_at_once_and_another_goes_on(stand: Stand) -> None:
    import_id = await stand.send(lines(range(ITEMS), "S"))
    async with working(replace(stand.importer, lease_ms=600_000)):
        await stand.until(import_id, lambda one: one.counts.done > 0)
    left = await stand.show(import_id)
    async with working(replace(stand.importer, owner="another")):
        done = await stand.ended(import_id)
    assert left.state in {"running", "done"}
    assert (done.state, done.counts.accepted, done.counts.duplicates) == ("done", ITEMS, 0)


async def test_what_has_ended_is_swept_after_its_time_and_its_body_before(stand: Stand) -> None:
    pad = json.dumps({"order_id": "P", "qty": 1, "customer": "x" * 500_000}).encode() + b"\n"
    import_id = await stand.send(pad * 5)
    database = stand.house.world.parts.ground.database
    await database.write(lambda session: store.cancel(session, import_id, now=stand.importer.clock()))
    async with working(stand.importer):

        async def has_no_body() -> bool:
            return await database.read(lambda session: store.next_piece(session, import_id)) is None

        await until(has_no_body, lambda: "its body is kept")
        assert (await stand.show(import_id)).state == "cancelled"
    async with working(replace(stand.importer, kept_ms=-DAY_MS)):

        async def is_gone() -> bool:
            return await database.read(lambda session: store.find(session, import_id)) is None

        await until(is_gone, lambda: "it is kept")
