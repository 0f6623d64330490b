import asyncio
from collections.abc import Awaitable, Callable

import pytest
from structlog.testing import capture_logs

from gateway.broker.port import BrokerError
from gateway.errors import AwayError, BugError, LeaseLostError, RoleStoppedError, SetupError, StoreError
from gateway.metrics import Metrics
from gateway.roles import Limits, Named, run_roles
from tests import waiting

QUICK = Limits(first_wait_ms=1, longest_wait_ms=2, grace_ms=60_000)


class Scripted:
    """A role that does one step of its script a run, then works until stopped."""

    def __init__(self, name: str, seen: list[str], *script: Exception | None) -> None:
        self.name = name
        self.seen = seen
        self.script = list(script)

    async def run(self, stop: asyncio.Event) -> None:
        self.seen.append(f"{self.name} starts")
        if self.script:
            step = self.script.pop(0)
            if step:
                raise step
            return
        await stop.wait()
        await asyncio.sleep(0)
        self.seen.append(f"{self.name} stops")


async def run(
    stop: asyncio.Event,
    *roles: Scripted,
    metrics: Metrics | None = None,
    limits: Limits = QUICK,
    clock: Callable[[], float] | None = None,
) -> None:
    named = [Named(role.name, role) for role in roles]
    clock = clock or asyncio.get_running_loop().time
    await run_roles(named, stop, metrics=metrics or Metrics(), monotonic=clock, limits=limits)


async def while_running(body: Callable[[], Awaitable[None]], stop: asyncio.Event, *roles: Scripted) -> None:
    async with asyncio.TaskGroup() as group:
        group.create_task(run(stop, *roles))
        await body()
        stop.set()


async def until(seen: list[str], text: str, times: int = 1) -> None:
    await waiting.until(lambda: seen.count(text) >= times, lambda: (text, times, seen), pause=0.001)


async def test_roles_stop_one_by_one_in_the_order_given() -> None:
    seen: list[str] = []
    roles = [Scripted(name, seen) for name in ("server", "relay", "sequencer")]
    await while_running(lambda: until(seen, "sequencer starts"), asyncio.Event(), *roles)
    assert seen[3:] == ["server stops", "relay stops", "sequencer stops"]


@pytest.mark.parametrize(
    "error",
    [
        StoreError("store_unavailable", "away"),
        AwayError("broker_unavailable", "away"),
        BrokerError("broker_unavailable", "away"),
        LeaseLostError("lost"),
        ExceptionGroup("both", [LeaseLostError("lost"), StoreError("storage_full", "full")]),
    ],
)
async def test_role_whose_dependency_was_away_runs_again(error: Exception) -> None:
    seen: list[str] = []
    role = Scripted("relay", seen, error, error, error)
    await while_running(lambda: until(seen, "relay starts", 4), asyncio.Event(), role)
    assert seen[-1] == "relay stops"


async def test_restarts_are_counted() -> None:
    seen: list[str] = []
    metrics, stop = Metrics(), asyncio.Event()
    role = Scripted("relay", seen, LeaseLostError("lost"))
    async with asyncio.TaskGroup() as group:
        group.create_task(run(stop, role, metrics=metrics))
        await until(seen, "relay starts", 2)
        stop.set()
    assert b'gateway_role_restarts_total{role="relay"} 1.0' in metrics.render()


@pytest.mark.parametrize(
    "error",
    [
        BugError("wrong"),
        KeyError("x"),
        BrokerError("broker_refused", "no right to read"),
        ExceptionGroup("both", [LeaseLostError("lost"), KeyError("x")]),
    ],
)
async def test_role_that_fails_by_a_bug_ends_the_program_after_stopping_the_rest(error: Exception) -> None:
    seen: list[str] = []
    with pytest.raises(RoleStoppedError, match="relay failed") as caught:
        await run(asyncio.Event(), Scripted("server", seen), Scripted("relay", seen, error))
    assert caught.value.__cause__ is error
    assert seen == ["server starts", "relay starts", "server stops"]


async def test_a_refusal_that_an_operator_mends_is_logged_without_a_trace_of_code() -> None:
    error = SetupError("the topics belong to another gateway")
    with capture_logs() as lines, pytest.raises(RoleStoppedError):
        await run(asyncio.Event(), Scripted("guard", [], error))
    (line,) = [one for one in lines if one["log_level"] == "error"]
    assert (line["reason"], "exc_info" in line) == (str(error), False)


async def test_role_that_ends_by_itself_ends_the_program() -> None:
    with pytest.raises(RoleStoppedError, match="relay ended by itself"):
        await run(asyncio.Event(), Scripted("relay", [], None))


async def test_stop_interrupts_the_wait_before_a_restart() -> None:
    seen: list[str] = []
    stop = asyncio.Event()
    patient = Limits(first_wait_ms=3_600_000, longest_wait_ms=3_600_000)
    async with asyncio.TaskGroup() as group:
        group.create_task(run(stop, Scripted("relay", seen, LeaseLostError("lost")), limits=patient))
        await until(seen, "relay starts")
        stop.set()
    assert seen == ["relay starts"]


async def test_role_that_does_not_stop_is_cancelled() -> None:
    seen: list[str] = []

    class Stubborn(Scripted):
        async def run(self, stop: asyncio.Event) -> None:
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                seen.append(f"cancelled, {stop.is_set()}")
                raise

    stop = asyncio.Event()
    stop.set()
    # Both begin, are asked to stop, and the first has hardly any time left: the second has all of it.
    times = iter((0.0, 0.0, 0.0, 59.99))
    await run(stop, Stubborn("relay", seen), Scripted("sequencer", seen), clock=lambda: next(times, 0.0))
    assert seen == ["sequencer starts", "cancelled, True", "sequencer stops"]


async def test_cancelling_the_program_cancels_its_roles() -> None:
    seen: list[str] = []
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.05):
            await run(asyncio.Event(), Scripted("relay", seen))
    assert seen == ["relay starts"]
