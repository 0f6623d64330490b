"""How often endpoints may be tried, and how many at a time."""

import asyncio

import pytest

from gateway.errors import CallerError
from gateway.http.probing import A_MINUTE, OF_ONE, ProbeTurns


async def test_an_endpoint_is_tried_a_few_times_a_minute() -> None:
    now = [0]
    turns = ProbeTurns(lambda: now[0])
    for _ in range(A_MINUTE):
        async with turns.take("ep_1", "acme"):
            pass
    with pytest.raises(CallerError, match="6 times a minute") as refused:
        async with turns.take("ep_1", "acme"):
            pass
    assert refused.value.code == "quota_exceeded"
    async with turns.take("ep_2", "acme"):
        pass
    now[0] = 10_000
    async with turns.take("ep_1", "acme"):
        pass


async def test_a_partner_whose_endpoints_never_answer_holds_up_no_other() -> None:
    turns, answer = ProbeTurns(lambda: 0), asyncio.Event()

    async def probe(endpoint: str, owner: str) -> None:
        async with turns.take(endpoint, owner):
            await answer.wait()

    async with asyncio.TaskGroup() as group:
        for number in range(OF_ONE):
            group.create_task(probe(f"ep_{number}", "acme"))
        await asyncio.sleep(0)
        with pytest.raises(CallerError) as refused:
            await probe("ep_more", "acme")
        assert refused.value.code == "quota_exceeded"
        async with turns.take("ep_theirs", "globex"):
            answer.set()
    async with turns.take("ep_more", "acme"):
        pass
