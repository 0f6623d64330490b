"""Run the program's roles together: restart one whose dependency went away, stop all in order.

A role that ends by itself, or fails by a bug, ends the program: better a restart by whoever supervises it
than a gateway that looks alive and does half its work. Never swallows an error.
"""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from gateway.broker.port import BrokerError
from gateway.errors import AwayError, LeaseLostError, PositionMovedError, RoleStoppedError, SetupError
from gateway.logs import logger
from gateway.metrics import Metrics
from gateway.waits import rest

FIRST_WAIT_MS: Final = 100
LONGEST_WAIT_MS: Final = 5_000
LEAST_GRACE_MS: Final = 500
"""What a role has for its end though those before it took all the time."""
STEADY_MS: Final = 30_000
"""A role that ran this long has recovered: its next wait is the first one again."""

_RESTART_ON: Final = (AwayError, LeaseLostError, PositionMovedError)


class Role(Protocol):
    """A long-running part of the program: server, relay, sequencer."""

    async def run(self, stop: asyncio.Event) -> None:
        """Work until `stop` is set, then finish what is under way and return.

        May raise AwayError, BrokerError, LeaseLostError or PositionMovedError at any point, and is then run
        again from the start: everything it needs is in the database and the broker.
        """
        ...


@dataclass(frozen=True, slots=True)
class Named:
    """A role and its name, for logs and metrics."""

    name: str
    role: Role


@dataclass(frozen=True, slots=True)
class Limits:
    """How long to wait: before a restart, and for all roles together once they were asked to stop."""

    first_wait_ms: int = FIRST_WAIT_MS
    longest_wait_ms: int = LONGEST_WAIT_MS
    grace_ms: int = 15_000


async def run_roles(
    roles: Sequence[Named],
    stop: asyncio.Event,
    *,
    metrics: Metrics,
    monotonic: Callable[[], float],
    limits: Limits | None = None,
) -> None:
    """Run every role until `stop` is set, then stop them one by one in the order given.

    `monotonic`: seconds of a clock that never goes back. A role that has not ended `grace_ms` after the stop
    is cancelled.

    Raises:
        RoleStoppedError: a role failed by a bug (chained) or ended by itself; the others were stopped.
    """
    bounds = limits or Limits()
    ended = asyncio.Event()
    failures: list[RoleStoppedError] = []

    async def supervise(named: Named, asked: asyncio.Event) -> None:
        try:
            await _keep_running(named, asked, metrics, monotonic, bounds)
        except RoleStoppedError as error:
            failures.append(error)
            ended.set()

    async with asyncio.TaskGroup() as group:
        started = []
        for named in roles:
            asked = asyncio.Event()
            started.append((named, asked, group.create_task(supervise(named, asked), name=named.name)))
        await _first_of(stop, ended)
        deadline = monotonic() + bounds.grace_ms / 1_000
        for named, asked, task in started:
            asked.set()
            left = (deadline - monotonic()) * 1_000
            await _finish(named, task, max(min(LEAST_GRACE_MS, bounds.grace_ms), int(left)))
    if failures:
        raise failures[0]


async def _keep_running(
    named: Named,
    stop: asyncio.Event,
    metrics: Metrics,
    monotonic: Callable[[], float],
    limits: Limits,
) -> None:
    wait = limits.first_wait_ms
    log = logger("gateway.roles")
    while not stop.is_set():
        started = monotonic()
        try:
            await named.role.run(stop)
        except Exception as error:
            if not _may_pass(error):
                if isinstance(error, SetupError):
                    # No bug of ours: the operator is told how to mend it; a place in the code does not help.
                    log.error("role refuses", role=named.name, reason=str(error))  # noqa: TRY400 - as above
                else:
                    log.exception("role failed", role=named.name)
                raise RoleStoppedError(f"{named.name} failed: {type(error).__name__}") from error
            if (monotonic() - started) * 1_000 >= STEADY_MS:
                wait = limits.first_wait_ms
            metrics.restarted(named.name)
            log.warning("role restarts", role=named.name, reason=str(error), wait_ms=wait)
        else:
            if stop.is_set():
                return
            raise RoleStoppedError(f"{named.name} ended by itself")
        await rest(stop, wait / 1_000)
        wait = min(2 * wait, limits.longest_wait_ms)


def _may_pass(error: BaseException) -> bool:
    """Whether it is worth running again: also where a task group wraps nothing but such errors."""
    if isinstance(error, BaseExceptionGroup):
        return all(_may_pass(each) for each in error.exceptions)
    if isinstance(error, BrokerError):
        return error.code == "broker_unavailable"
    return isinstance(error, _RESTART_ON)


async def _finish(named: Named, task: "asyncio.Task[None]", grace_ms: int) -> None:
    _, pending = await asyncio.wait([task], timeout=grace_ms / 1_000)
    if pending:
        logger("gateway.roles").error("role does not stop; cancelled", role=named.name, grace_ms=grace_ms)
        task.cancel()
        await asyncio.wait([task])


async def _first_of(*events: asyncio.Event) -> None:
    async with asyncio.TaskGroup() as group:
        waiting = [group.create_task(event.wait()) for event in events]
        await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        for each in waiting:
            each.cancel()
