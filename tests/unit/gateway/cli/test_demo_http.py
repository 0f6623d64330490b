"""The demo's own client: repeats what may be repeated, reads lists to their end, explains refusals."""

from collections.abc import Callable

import httpx
import pytest

from gateway.cli.demo_http import Party
from gateway.cli.demo_words import DemoError

Answer = Callable[[httpx.Request], httpx.Response]


def party(answer: Answer) -> Party:
    return Party("http://gateway", None, "key", transport=httpx.MockTransport(answer), pause_seconds=0)


async def test_a_batch_is_repeated_until_the_gateway_has_answered_it() -> None:
    seen: list[bytes] = []

    def answer(request: httpx.Request) -> httpx.Response:
        seen.append(request.content)
        if len(seen) == 1:
            raise httpx.ReadError("cut off")
        if len(seen) == 2:
            return httpx.Response(503, json={"code": "outcome_unknown"})
        return httpx.Response(200, json={"accepted": 1})

    reply = await party(answer).send_surely("/v1/events/t", b"{}\n", "application/x-ndjson")
    assert reply.document == {"accepted": 1}
    assert seen == [b"{}\n"] * 3


async def test_a_gateway_that_never_answers_ends_the_story() -> None:
    down = party(lambda _: httpx.Response(503, json={"code": "overloaded"}))
    with pytest.raises(DemoError, match="overloaded"):
        await down.send_surely("/v1/events/t", b"{}", "application/json")


async def test_no_answer_is_an_error_of_ours_and_for_a_single_sending_nothing() -> None:
    def answer(_: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("refused")

    gone = party(answer)
    with pytest.raises(DemoError, match="ConnectError"):
        await gone.get("/v1/me")
    assert await gone.send("/v1/events/t", b"{}", "application/json") is None
    assert not await gone.is_ready()


async def test_an_unexpected_status_is_told_with_the_words_of_the_gateway() -> None:
    refuses = party(lambda _: httpx.Response(422, json={"code": "event_invalid", "detail": "2 faults"}))
    with pytest.raises(DemoError, match="expected HTTP 201, got 422 event_invalid: 2 faults"):
        (await refuses.get("/x")).expect(201)


async def test_reading_waits_for_a_gateway_that_asks_to_come_again() -> None:
    answers = iter([httpx.Response(503, json={}), httpx.Response(200, json={"role": "partner"})])
    assert (await party(lambda _: next(answers)).get("/v1/me")).document == {"role": "partner"}


async def test_the_history_is_read_to_its_last_page() -> None:
    pages = {None: ([{"ref": "a"}], "p2"), "p2": ([{"ref": "b"}], None)}

    def answer(request: httpx.Request) -> httpx.Response:
        items, after = pages[request.url.params.get("cursor")]
        return httpx.Response(200, json={"items": items, "next": after})

    assert await party(answer).history("/v1/history") == [{"ref": "a"}, {"ref": "b"}]


async def test_a_topic_is_read_from_its_first_record_to_its_end() -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        is_second = "cursor" in request.url.params
        assert is_second or request.url.params["from"] == "earliest"
        items = [{"source": "/house", "id": "2" if is_second else "1"}]
        return httpx.Response(200, json={"items": items, "cursor": "c", "caught_up": is_second})

    assert await party(answer).topic("/v1/partners/acme/stream", "outbound") == [
        ("/house", "1"),
        ("/house", "2"),
    ]
