import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractContextManager, asynccontextmanager, nullcontext
from dataclasses import dataclass, field
from typing import TypeVar
from uuid import UUID

import pytest

from gateway.errors import AwayError
from gateway.external_registry import ABSENT_SECONDS, GRACE_SECONDS, ExternalRegistry
from schemas.errors import SchemaError
from schemas.remote_answers import Agreed, RemoteAnswerError, RemoteAwayError, RemoteError, RemoteRefusedError
from schemas.schema import Schema, parse_schema

T = TypeVar("T")

SCHEMA = parse_schema(json.dumps({"type": "record", "name": "R", "fields": [{"name": "a", "type": "int"}]}))
AWAY = RemoteAwayError("no route")
DENIED = RemoteRefusedError(401, 401, "who are you")


@dataclass
class Library:
    """A registry made up: `held` by id or GUID; `error` is raised while there is one."""

    url: str = "http://registry.example"
    held: dict[int | UUID, Schema | Exception] = field(default_factory=dict)
    error: RemoteError | None = None
    asked: list[int | UUID] = field(default_factory=list)
    looks: int = 0

    def look_up(self, subject: str, schema: Schema) -> Agreed | None:
        raise AssertionError((subject, schema))

    def register(self, subject: str, schema: Schema) -> Agreed:
        raise AssertionError((subject, schema))

    def compare(self, subject: str, schema: Schema) -> tuple[str, ...]:
        raise AssertionError((subject, schema))

    def by_id(self, schema_id: int) -> Schema | None:
        return self._held(schema_id)

    def by_guid(self, guid: UUID) -> Schema | None:
        return self._held(guid)

    def health(self) -> None:
        self.looks += 1
        if self.error is not None:
            raise self.error

    def within(self, seconds: float) -> AbstractContextManager[None]:
        del seconds
        return nullcontext()

    def close(self) -> None:
        """Nothing is open."""

    def _held(self, wanted: int | UUID) -> Schema | None:
        self.asked.append(wanted)
        if self.error is not None:
            raise self.error
        found = self.held.get(wanted)
        if isinstance(found, Exception):
            raise found
        return found


@dataclass
class Stand:
    library: Library = field(default_factory=Library)
    now: float = 0.0

    def __post_init__(self) -> None:
        self.registry = ExternalRegistry(self.library, aside=aside, ticks=lambda: self.now)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[ExternalRegistry]:
        stop = asyncio.Event()
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self.registry.run(stop))
            try:
                yield self.registry
            finally:
                stop.set()


async def aside(work: Callable[[], T]) -> T:
    await asyncio.sleep(0)
    return work()


async def found(registry: ExternalRegistry, wanted: int | UUID) -> Schema | None:
    for number in range(1_000):
        answer = registry.find(wanted)
        if answer is not None:
            return answer.schema
        await asyncio.sleep(0.005 if number > 20 else 0)
    raise AssertionError(f"{wanted} was never told")


async def until(is_so: Callable[[], bool]) -> None:
    for _ in range(1_000):
        if is_so():
            return
        await asyncio.sleep(0)
    raise AssertionError


async def test_what_is_wanted_is_asked_for_once_and_then_known() -> None:
    stand = Stand(Library(held={7: SCHEMA, SCHEMA.guid: SCHEMA}))
    async with stand.running() as registry:
        assert registry.find(7) is None
        assert await found(registry, 7) == await found(registry, 7) == SCHEMA
        assert await found(registry, SCHEMA.guid) == SCHEMA
    assert stand.library.asked == [7, SCHEMA.guid]


async def test_that_there_is_none_is_believed_for_some_seconds_only() -> None:
    stand = Stand()
    async with stand.running() as registry:
        assert await found(registry, 7) is None
        stand.library.held[7] = SCHEMA
        assert await found(registry, 7) is None
        stand.now += ABSENT_SECONDS
        assert registry.find(7) is None
        assert await found(registry, 7) == SCHEMA


async def test_what_must_not_be_used_is_nothing() -> None:
    stand = Stand(Library(held={7: SchemaError("kind", "is PROTOBUF")}))
    async with stand.running() as registry:
        assert await found(registry, 7) is None


@pytest.mark.parametrize("error", [AWAY, DENIED, RemoteAnswerError("a proxy's page")])
async def test_while_it_does_not_answer_nothing_is_known(error: RemoteError) -> None:
    stand = Stand(Library(held={7: SCHEMA}, error=error))
    async with stand.running() as registry:
        assert registry.find(7) is None
        assert not await registry.told(0.05)
        assert registry.find(7) is None
        assert stand.library.asked
        stand.library.error = None
        assert await found(registry, 7) == SCHEMA


async def test_one_that_is_never_told_holds_up_no_other_and_is_told_of() -> None:
    stand = Stand(Library(held={7: AWAY, 8: SCHEMA}))
    async with stand.running() as registry:
        assert registry.find(7) is None
        assert await found(registry, 8) == SCHEMA
        assert registry.warnings() == []
        stand.now += GRACE_SECONDS + 1
        (words,) = registry.warnings()
        assert "schema 7" in words


async def test_it_counts_as_away_after_some_seconds_and_as_back_at_once() -> None:
    stand = Stand(Library(error=AWAY))
    with pytest.raises(AwayError) as caught:
        await stand.registry.ask(lambda remote: remote.health())
    assert caught.value.code == "registry_unavailable"
    assert stand.registry.problem == ""
    stand.now += GRACE_SECONDS
    assert "http://registry.example has been away for 3 s (no route)" in stand.registry.problem
    stand.library.error = None
    await stand.registry.ask(lambda remote: remote.health())
    assert stand.registry.problem == ""


async def test_a_refusal_is_an_answer() -> None:
    stand = Stand(Library(error=RemoteRefusedError(422, 42201, "Invalid schema")))
    with pytest.raises(RemoteRefusedError):
        await stand.registry.ask(lambda remote: remote.health())
    stand.now += GRACE_SECONDS
    assert stand.registry.problem == ""


async def test_what_hangs_is_given_up() -> None:
    async def never(work: Callable[[], T]) -> T:
        await asyncio.Event().wait()
        return work()

    registry = ExternalRegistry(Library(), aside=never, ticks=lambda: 0.0)
    with pytest.raises(AwayError, match="no answer in time"):
        await registry.ask(lambda remote: remote.health(), seconds=0.01)


@dataclass
class Blocked:
    """Threads that end when the test says so; while `is_open`, at once."""

    is_open: bool = False
    begun: int = 0
    _ends: asyncio.Event = field(default_factory=asyncio.Event)

    async def __call__(self, work: Callable[[], T]) -> T:
        if not self.is_open:
            self.begun += 1
            await self._ends.wait()
        return work()

    def end(self) -> None:
        self._ends.set()


async def test_a_turn_is_free_once_its_thread_has_ended_and_who_waits_for_one_is_told_in_time() -> None:
    threads = Blocked()
    registry = ExternalRegistry(Library(), aside=threads, ticks=lambda: 100.0)
    for _ in range(3):
        with pytest.raises(AwayError, match="no answer in time"):
            await registry.ask(lambda remote: remote.health(), seconds=0.01)
    with pytest.raises(AwayError, match="busy with other questions of ours") as caught:
        await registry.ask(lambda remote: remote.health(), seconds=0.01)
    assert caught.value.code == "registry_unavailable"
    assert threads.begun == 3
    threads.end()
    await registry.ask(lambda remote: remote.health())


async def test_that_all_turns_are_taken_says_nothing_of_the_registry() -> None:
    threads = Blocked()
    registry = ExternalRegistry(Library(), aside=threads, ticks=lambda: 100.0)
    asking = [
        asyncio.create_task(registry.ask(lambda remote: remote.health(), seconds=600)) for _ in range(3)
    ]
    await until(lambda: threads.begun == 3)
    with pytest.raises(AwayError, match="busy"):
        await registry.ask(lambda remote: remote.health(), seconds=0.01)
    assert registry._away_since is None
    threads.end()
    await asyncio.gather(*asking)


async def test_whether_it_is_there_and_what_a_schema_is_is_asked_though_all_turns_are_taken() -> None:
    threads, library, stop = Blocked(), Library(held={7: SCHEMA}), asyncio.Event()
    registry = ExternalRegistry(library, aside=threads, ticks=lambda: 100.0)
    async with asyncio.TaskGroup() as tasks:
        asking = [
            tasks.create_task(registry.ask(lambda remote: remote.by_id(9), seconds=600)) for _ in range(4)
        ]
        await until(lambda: threads.begun == 3)
        threads.is_open = True
        tasks.create_task(registry.run(stop))
        assert await found(registry, 7) == SCHEMA
        await until(lambda: library.looks > 0)
        assert not any(each.done() for each in asking)
        threads.end()
        stop.set()


async def test_a_thread_asks_no_longer_than_who_waits_for_it_does() -> None:
    @dataclass
    class Timed(Library):
        given: list[float] = field(default_factory=list)

        def within(self, seconds: float) -> AbstractContextManager[None]:
            self.given.append(seconds)
            return nullcontext()

    library = Timed()
    stand = Stand(library)
    await stand.registry.ask(lambda remote: remote.health(), seconds=7)
    assert library.given == [7]


async def test_who_is_told_to_stop_just_when_the_answer_comes_stops() -> None:
    answer: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    async def held(_: Callable[[], T]) -> T:
        await answer
        raise AssertionError

    registry = ExternalRegistry(Library(), aside=held, ticks=lambda: 0.0)
    asking = asyncio.create_task(registry.ask(lambda remote: remote.health()))
    await asyncio.sleep(0)
    answer.set_exception(AWAY)
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking


async def test_more_than_can_be_remembered_is_forgotten_not_refused() -> None:
    stand = Stand(Library(held=dict.fromkeys(range(2_000), SCHEMA)))
    async with stand.running() as registry:
        for number in range(1_100):
            assert await found(registry, number) == SCHEMA
        assert registry.find(1_099) is not None
        assert registry.find(0) is None
        assert await found(registry, 0) == SCHEMA
