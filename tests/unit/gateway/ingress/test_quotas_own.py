"""Rates of credentials beneath the contract's: refused first, and without a trace in what others may."""

from collections.abc import Iterator
from contextlib import ExitStack, suppress

import pytest

from gateway.database import Database
from gateway.errors import QuotaExceededError
from gateway.ingress.quotas import Quotas, Rates
from partners.contract import Limits
from tests.unit.gateway.ingress.test_quotas import RATE, START, Clock, quotas

OWN: Rates = (("crd_slow", 10),)
BOTH = Limits(events_per_second=100, bytes_per_day=1_000)


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    opened = Database(database_url)
    yield opened
    opened.close()


def entered(some: Quotas, times: int, rates: Rates = OWN, limits: Limits | None = RATE) -> int:
    count = 0
    for _ in range(times):
        with suppress(QuotaExceededError), some.enter("acme", limits, rates=rates):
            count += 1
    return count


def refusal(some: Quotas, rates: Rates = OWN, limits: Limits | None = RATE) -> QuotaExceededError:
    with pytest.raises(QuotaExceededError) as caught, some.enter("acme", limits, rates=rates):
        pytest.fail("it was let in")
    return caught.value


def fields(error: QuotaExceededError) -> dict[str, str]:
    headers = error.members["headers"]
    assert isinstance(headers, dict)
    return headers


def test_beyond_its_own_rate_a_credential_waits_and_the_others_do_not(database: Database) -> None:
    clock = Clock()
    some = quotas(database, clock)
    assert entered(some, 500) == 10
    refused = refusal(some)
    assert "The rate of this credential itself is 10 events a second; wait 1 s." in str(refused)
    assert fields(refused) == {
        "RateLimit-Policy": '"events";q=10;w=1',
        "RateLimit": '"events";r=0;t=1',
        "Retry-After": "1",
    }
    assert refused.who == "crd_slow"
    # All that it took was its ten: nothing of what was refused is missing to the others.
    assert entered(some, 500, rates=()) == 90
    clock.now += 1_000
    assert entered(some, 50) == 10


async def test_what_a_credential_is_refused_is_no_demand_of_its_partner(database: Database) -> None:
    clock = Clock()
    one, two = quotas(database, clock), quotas(database, clock, "two")
    for _ in range(5):
        entered(one, 2_000)
        entered(two, 100, rates=())
        await one.exchange()
        await two.exchange()
        clock.now += 1_000
    # 10 of 110 events that are asked for, so the least part; were the refused ones counted, 95 of 100.
    assert one._accounts["acme"].share == 0.25
    assert entered(two, 500, rates=()) >= 80


def test_the_partner_refuses_what_the_credential_would_take(database: Database) -> None:
    some = quotas(database, Clock())
    assert entered(some, 500, rates=()) == 100
    refused = refusal(some)
    assert "The contract allows 100 events a second" in str(refused)
    assert refused.who == "acme"
    # What the contract has refused is no event of the credential's either.
    assert some._accounts["crd_slow"].bucket.level == 10


def test_where_nothing_was_agreed_the_credential_has_its_rate_all_the_same(database: Database) -> None:
    some = quotas(database, Clock())
    assert entered(some, 50, limits=None) == 10
    assert entered(some, 50, limits=Limits()) == 0
    assert entered(some, 50, rates=(), limits=None) == 50
    assert "acme" not in some._accounts


def test_the_nearer_limit_is_shown(database: Database) -> None:
    some = quotas(database, Clock())
    with some.enter("acme", BOTH, rates=OWN) as entry:
        entry.spend(1, 100)
    assert some.headers("acme", BOTH, OWN) == {
        "RateLimit-Policy": '"events";q=10;w=1, "bytes";q=1000;w=86400',
        "RateLimit": '"events";r=9;t=1, "bytes";r=900;t=86400',
    }
    with some.enter("acme", BOTH) as entry:
        entry.spend(95, 0)
    assert some.headers("acme", BOTH, OWN)["RateLimit"].startswith('"events";r=4;t=1')
    assert [one.name for one in some.standing("acme", None, OWN)] == ["events"]


def test_every_credential_of_a_request_has_its_rate(database: Database) -> None:
    some = quotas(database, Clock())
    rates = (("crd_slow", 10), ("crd_slower", 3))
    assert entered(some, 50, rates=rates) == 3
    assert refusal(some, rates).who == "crd_slower"
    assert entered(some, 50) == 7


def test_a_batch_is_held_back_and_paid_for_by_the_credential_too(database: Database) -> None:
    clock = Clock()
    some = quotas(database, clock)
    with ExitStack() as stack:
        entry = stack.enter_context(some.enter("acme", RATE, most=1_000, rates=OWN))
        assert entered(some, 5) == 0
        entry.spend(30, 10)
    assert fields(refusal(some))["Retry-After"] == "3"
    assert entered(some, 500, rates=()) == 70
    clock.now += 2_000
    assert entered(some, 1) == 0
    clock.now += 200
    assert entered(some, 1) == 1


def test_what_was_turned_away_costs_the_credential_nothing(database: Database) -> None:
    some = quotas(database, Clock())
    for _ in range(50):
        with some.enter("acme", RATE, rates=OWN) as entry:
            entry.spend(0, 0)
    assert entered(some, 50) == 10


def test_a_rate_that_was_lowered_counts_at_once(database: Database) -> None:
    some = quotas(database, Clock())
    assert entered(some, 1) == 1
    assert entered(some, 50, rates=(("crd_slow", 2),)) == 2


async def test_processes_share_the_rate_of_a_credential_as_they_do_a_partners(database: Database) -> None:
    clock = Clock()
    one, two = quotas(database, clock), quotas(database, clock, "two")
    passed = 0
    for second in range(20):
        got = entered(one, 30) + entered(two, 10)
        await one.exchange()
        await two.exchange()
        clock.now += 1_000
        if second >= 3:
            passed += got
    assert passed == pytest.approx(17 * 10, rel=0.15)


async def test_a_credential_that_sends_nothing_is_forgotten(database: Database) -> None:
    clock = Clock(START)
    some = quotas(database, clock)
    entered(some, 5)
    await some.exchange()
    clock.now += 60_000
    await some.exchange()
    assert not some._accounts
