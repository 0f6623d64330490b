"""Filters, formats, secrets with an end, and what is given up, in a relay that runs."""

import json
from pathlib import Path

from gateway import facts
from gateway.egress.delivery import Delivered
from gateway.egress.lane import NEVER, Lane
from gateway.standard_webhooks import read_message
from partners.endpoint import SecretTerms, Skip
from partners.filter import Check, Condition, Filter
from partners.tombstone import write_tombstone
from tests.unit.gateway.egress.stage import KEY, answer, endpoint, record, stage
from tests.unit.gateway.egress.test_lane import delivery, settle, taken


def at_least(number: int) -> Filter:
    return Check("/n", (Condition("at_least", (number,)),))


def given_up(offset: int, topic_id: str = "id") -> tuple[Skip, ...]:
    return (Skip(topic_id, 0, offset, "partner", "crd_1"),)


async def test_an_event_goes_to_those_whose_filter_it_passes(tmp_path: Path, database_url: str) -> None:
    large, every = endpoint("ep_1", filter=at_least(5)), endpoint("ep_2")
    async with stage(tmp_path, database_url, large, every) as there:
        await there.append(record("A", n=4), record("B", n=5))
        async with there.relaying():
            await there.until(lambda: len(there.receiver.seen) == 3, "three webhooks")
            await there.until(lambda: there.position() == 2, "all is settled")
        assert there.receiver.ids(large.url) == ["B"]
        assert sorted(there.receiver.ids(every.url)) == ["A", "B"]


async def test_an_event_that_passes_no_filter_is_unrouted(tmp_path: Path, database_url: str) -> None:
    async with stage(tmp_path, database_url, endpoint(filter=at_least(5))) as there:
        await there.append(record("A", n=4))
        async with there.relaying():
            await there.until(lambda: there.position() == 1, "it is settled")
        assert [each.members["id"] for each in there.evidence("event.unrouted")] == ["A"]
        assert not there.receiver.seen


async def test_each_endpoint_gets_its_format_signed_both_ways(tmp_path: Path, database_url: str) -> None:
    where = [endpoint(f"ep_{form}", format=form, headers=(("X-Team", form),)) for form in ("data", "binary")]
    async with stage(tmp_path, database_url, *where) as there:
        await there.produce("A")
        async with there.relaying():
            await there.until(lambda: len(there.receiver.seen) == 2, "two webhooks")
            await there.until(lambda: there.position() == 1, "all is settled")
        evidence = {each.members["endpoint"]: each for each in there.evidence("delivery.attempted")}
    for outgoing in there.receiver.seen:
        headers = dict(outgoing.headers)
        read_message(headers).verify_v1a(outgoing.body, KEY.public_key)
        assert json.loads(outgoing.body) == {"id": "A", "n": 1}
        assert evidence[f"ep_{headers['X-Team']}"].members["content_length"] == len(outgoing.body)
        assert headers.get("ce-id") == ("A" if headers["X-Team"] == "binary" else None)


def test_a_secret_whose_time_is_over_signs_no_more() -> None:
    terms = (SecretTerms("sec_2", 5), SecretTerms("sec_1", 0, until=100))
    where = endpoint(keys=(b"new", b"old"), secrets=terms)
    assert where.keys_at(99) == (b"new", b"old")
    assert where.keys_at(100) == (b"new",)
    assert endpoint(keys=(b"new", b"old")).keys_at(100) == (b"new", b"old")


def test_what_is_given_up_takes_nobodys_turn() -> None:
    lane = Lane(endpoint(concurrency=1, per_second=1))
    for number in range(3):
        lane.offer(delivery(number), 10_000)
    lane.update(endpoint(concurrency=1, per_second=1, skips=given_up(2)))
    assert taken(lane) == ["0", "1"]
    assert lane.skip_of(delivery(1)) == given_up(2)[0]
    assert lane.skip_of(delivery(2)) is None
    for number in range(2):
        lane.forget(delivery(number))
    assert taken(lane) == ["2"]
    settle(lane, 2, Delivered())
    assert lane.is_empty
    assert lane.take(10_000) == NEVER


async def test_what_was_given_up_is_cancelled_with_evidence_and_never_sent(
    tmp_path: Path, database_url: str
) -> None:
    paused = endpoint(state="paused")
    async with stage(tmp_path, database_url, paused) as there:
        await there.produce(*(f"A-{number}" for number in range(300)))
        async with there.relaying():
            await there.until(lambda: bool(there.spans()) and there.position() == 300, "all is held")
            there.have(endpoint(skips=given_up(298, there.topic_id)))
            await there.until(lambda: len(there.receiver.seen) == 2, "the rest is sent")
            await there.until(lambda: not there.spans() and not there.rows(), "nothing waits")
        cancelled = there.evidence("delivery.cancelled")
        assert sorted(each.members["id"] for each in cancelled) == sorted(f"A-{n}" for n in range(298))
        assert cancelled[0].members["by"] == {"role": "partner", "credential": "crd_1"}
        assert sorted(there.receiver.ids()) == ["A-298", "A-299"]


async def test_of_what_waits_for_one_that_is_gone_only_the_owed_is_parked(
    tmp_path: Path, database_url: str
) -> None:
    paused = endpoint(state="paused", filter=at_least(5))
    async with stage(tmp_path, database_url, paused) as there:
        with there.database.begin() as session:
            facts.keep(session, "removed.ep_1", write_tombstone(paused))
        await there.append(record("A", n=4), record("B", n=5), record("C", n=4), record("D", n=6))
        async with there.relaying():
            await there.until(lambda: bool(there.spans()) and there.position() == 4, "it waits")
        there.have()
        async with there.relaying():
            await there.until(lambda: not there.spans() and not there.rows(), "nothing waits")
        parked = [each.members["id"] for each in there.evidence("delivery.parked")]
        assert sorted(parked) == ["B", "D"]


async def test_what_waits_for_a_retry_is_given_up_at_once(tmp_path: Path, database_url: str) -> None:
    async with stage(tmp_path, database_url, endpoint(delays=(0, 86_400))) as there:
        there.receiver.reply = lambda _, __: answer(503, "server_error")
        await there.produce("A")
        async with there.relaying():
            await there.until(lambda: there.rows() == [("A", "pending", 1)], "it waits for a day")
            there.have(endpoint(delays=(0, 86_400), skips=given_up(1, there.topic_id)))
            await there.until(lambda: not there.rows(), "its row is gone")
        assert [each.members["attempts"] for each in there.evidence("delivery.cancelled")] == [1]
        assert len(there.receiver.seen) == 1
