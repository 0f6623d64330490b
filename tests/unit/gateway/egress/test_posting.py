import os
from dataclasses import replace

import pytest

from gateway.dialler import Answer, Outgoing, Reason
from gateway.egress.delivery import Decision, Delivered, Held, RetryAt, safe_text
from gateway.egress.lane import Lane
from gateway.egress.posting import Chance, Poster, Secrets
from gateway.errors import SealError
from gateway.standard_webhooks import WebhookSecretError
from tests.unit.gateway.egress.stage import SECRET, Receiver, answer, endpoint, now
from tests.unit.gateway.egress.test_lane import delivery

DAY = 86_400_000


def poster(receiver: Receiver, *, posted: list[str] | None = None) -> Poster:
    told = posted if posted is not None else []
    return Poster(
        receiver,
        Secrets(lambda _, __: SECRET),
        Chance(now, os.urandom),
        disable_after_ms=5 * DAY,
        posted=lambda: told.append("posted"),
    )


async def test_an_attempt_says_what_was_sent_and_what_follows() -> None:
    told: list[str] = []
    attempt = await poster(Receiver(), posted=told).post(Lane(endpoint()), delivery(1), b"{}")
    assert (attempt.number, attempt.content_length, attempt.decision) == (1, 2, Delivered())
    assert attempt.id.startswith("att_")
    assert attempt.delivery.body == b"{}"
    assert told == ["posted"]


async def test_two_posts_are_two_attempts() -> None:
    one, lane = poster(Receiver()), Lane(endpoint())
    ids = {(await one.post(lane, delivery(1), b"{}")).id for _ in range(2)}
    assert len(ids) == 2


async def test_an_endpoint_that_fails_for_too_long_is_held_instead_of_retried_or_parked() -> None:
    busy = Receiver(reply=lambda _, __: answer(503, "server_error"))
    lane = Lane(endpoint(delays=(0, 5)))
    lane.breaker = lane.breaker.failed(now() - 5 * DAY + 60_000)
    assert isinstance((await poster(busy).post(lane, delivery(1), b"{}")).decision, RetryAt)
    lane.breaker = lane.breaker.succeeded().failed(now() - 5 * DAY - 1)
    assert (await poster(busy).post(lane, delivery(1), b"{}")).decision == Held("failing")
    assert (await poster(Receiver()).post(lane, delivery(1), b"{}")).decision == Delivered()


async def test_nothing_is_sent_unsigned() -> None:
    def refuse(_sealed: bytes, place: str) -> bytes:
        raise SealError(f"the secret at {place} does not open")

    receiver = Receiver()
    broken = Poster(
        receiver, Secrets(refuse), Chance(now, os.urandom), disable_after_ms=DAY, posted=lambda: None
    )
    with pytest.raises(SealError):
        await broken.post(Lane(endpoint()), delivery(1), b"{}")
    with pytest.raises(WebhookSecretError):
        await poster(receiver).post(Lane(endpoint(keys=())), delivery(1), b"{}")
    assert receiver.seen == []


@pytest.mark.parametrize(
    ("status", "failure", "decision"),
    [(200, None, Delivered), (503, "server_error", RetryAt), (410, "gone", RetryAt)],
)
async def test_only_a_success_counts_at_a_url_that_was_given_up_meanwhile(
    status: int, failure: Reason | None, decision: type[Decision]
) -> None:
    lane = Lane(endpoint(delays=(0,)))

    def moved(_: Outgoing, __: int) -> Answer:
        lane.update(replace(lane.endpoint, url="https://other.example/in"))
        return answer(status, failure)

    attempt = await poster(Receiver(reply=moved)).post(lane, delivery(1), b"{}")
    assert isinstance(attempt.decision, decision)
    assert attempt.url == "https://ep-1.example/in"


@pytest.mark.parametrize(
    ("raw", "text"),
    [
        (b"", ""),
        (b"all good\n", "all good\n"),
        ("größer".encode(), "größer"),
        (b"a\x00b\x1b[31mc", "a\ufffdb\ufffd[31mc"),
        (b"\xff\xfe", "\ufffd\ufffd"),
        ("x\u202ey".encode(), "x\ufffdy"),
        ("ab€".encode()[:4], "ab\ufffd"),
    ],
)
def test_an_excerpt_of_an_answer_is_safe_to_show(raw: bytes, text: str) -> None:
    assert safe_text(raw) == text
