"""Two of each role on one Kafka and one PostgreSQL: killed, paused, stopped, and with a wrong clock."""

import json
import os
import re
import signal
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest

from gateway.leases import shard_of
from tests.acceptance.running import CONTRACT, ORDER, orders
from tests.clock_program import Clocked
from tests.crowd import SHARDS, SLUGS, Crowd, crowd, order_of, sending
from tests.faults.forked_fleet import ROLES, forked_fleet_on
from tests.fleet import Fleet, children, waiting
from tests.kafka_server import KafkaServer
from tests.postgres_server import PostgresServer

pytestmark = [pytest.mark.kafka, pytest.mark.postgres, pytest.mark.timeout(300)]

MOVE_SECONDS = 25.0
"""Promised are 15 s of a machine that is not busy; here eight processes and a test share two cores."""

ATTEMPT_SECONDS = 2
PATIENT: dict[str, str | int] = {
    "lease.duration": "10s",
    "claims.lease": "1s",
    "audit.tick": "50ms",
    "egress.timeout": f"{ATTEMPT_SECONDS}s",
    "lease.shards": SHARDS,
}
"""The shards' leases last as they do by default."""

ENTERED_TWICE = "SELECT ref FROM audit_entry WHERE kind = 'event.accepted' GROUP BY ref HAVING count(*) > 1"
ENTERED = "SELECT count(*) FROM audit_entry WHERE kind = 'event.accepted' AND event_type NOT LIKE 'gateway.%'"
"""What was sent; what the gateway tells of itself is beside it."""


@pytest.fixture
def stand(tmp_path: Path, kafka_server: KafkaServer, postgres_server: PostgresServer) -> Iterator[Fleet]:
    with forked_fleet_on(tmp_path, kafka_server, postgres_server, PATIENT) as made:
        yield made


@pytest.fixture
def hasty(tmp_path: Path, kafka_server: KafkaServer, postgres_server: PostgresServer) -> Iterator[Fleet]:
    flags: dict[str, str | int] = {**PATIENT, "lease.duration": "5s"}
    with forked_fleet_on(tmp_path, kafka_server, postgres_server, flags) as made:
        yield made


def say(line: str) -> None:
    """What was measured, for whoever runs this with -s, or sees it fail."""
    sys.stdout.write(f"{line}\n")


def is_shared(fleet: Fleet, role: str) -> bool:
    """Whether two hold a fair half each."""
    return sorted(len(held) for held in fleet.owners(role).values()) == [SHARDS // 2, SHARDS // 2]


def holds_all(fleet: Fleet, role: str) -> bool:
    """Whether one holds everything."""
    return [len(held) for held in fleet.owners(role).values()] == [SHARDS]


def begin(fleet: Fleet) -> dict[str, str]:
    """Two of each; the second one joins later. Returns the owner's id of the first of each role."""
    fleet.start(serve=2, relay=1, sequence=1)
    firsts = {}
    for role in ("relay", "sequence"):
        fleet.until(partial(holds_all, fleet, role))
        (firsts[role],) = fleet.owners(role)
    began = time.monotonic()
    fleet.start(serve=2, relay=2, sequence=2)
    fleet.until(lambda: all(is_shared(fleet, role) for role in firsts), 2 * MOVE_SECONDS)
    say(f"a newcomer has its share after {time.monotonic() - began:.1f} s")
    return firsts


def settle(fleet: Fleet, door: str, sent: Crowd) -> None:
    """Wait until nothing waits; then nothing is lost, and nothing is there twice."""
    fleet.until(sent.is_complete, 40)
    with fleet.members[door].client(fleet.first.operator_key()) as client:
        fleet.until(lambda: not waiting(client), 40)
    assert fleet.rows(ENTERED_TWICE) == []
    assert fleet.rows(ENTERED) == [(sum(len(ids) for ids in sent.sent.values()),)]
    assert {slug: set(ids) for slug, ids in sent.came.items()} == {
        slug: set(ids) for slug, ids in sent.sent.items()
    }
    sent.verify_order()


def first_work(
    fleet: Fleet, firsts: dict[str, str], held: dict[str, set[int]], began: float
) -> dict[tuple[str, str], float]:
    """For each role and partner of the dead, seconds until somebody else has written work of theirs down."""
    wanted = {(role, slug) for role in firsts for slug in SLUGS if shard_of(slug, SHARDS) in held[role]}
    assert {role for role, _ in wanted} == set(firsts)
    found: dict[tuple[str, str], float] = {}
    before: dict[tuple[str, str], object] = {}

    def look() -> bool:
        dead = {
            (role, shard) for role, owner in firsts.items() for shard in fleet.owners(role).get(owner, ())
        }
        places = progress(fleet)
        for role, slug in wanted:
            if (role, shard_of(slug, SHARDS)) in dead:
                continue
            now = places.get((role, slug))
            if before.setdefault((role, slug), now) != now:
                found.setdefault((role, slug), time.monotonic() - began)
        return found.keys() == wanted

    fleet.until(look, MOVE_SECONDS + ATTEMPT_SECONDS)
    return found


def progress(fleet: Fleet) -> dict[tuple[str, str], object]:
    """How far each role has come with each partner's outbound topic."""
    found: dict[tuple[str, str], object] = {}
    for role, topic, *rest in fleet.rows("SELECT role, topic, next, finished FROM gateway_position"):
        if topic.endswith(".outbound"):
            found[role, topic.split(".")[-2]] = rest
    return found


def test_the_work_of_those_who_are_killed_moves_and_nothing_is_lost_or_doubled(stand: Fleet) -> None:
    with crowd() as partners:
        firsts = begin(stand)
        assert children(stand.first.process.pid if stand.first.process else 0) == [], (
            "no parent for one worker"
        )
        doors = [stand.members["serve-1"], stand.members["serve-2"]]
        partners.apply(doors)
        with sending(partners, doors, stand.first.operator_key()):
            stand.until(lambda: all(len(partners.came.get(slug, ())) > 1 for slug in SLUGS))
            held = {role: stand.owners(role)[owner] for role, owner in firsts.items()}
            began = time.monotonic()
            for name in ("relay-1", "sequence-1", "serve-1"):
                stand.members[name].kill()
            for (role, slug), seconds in sorted(first_work(stand, firsts, held, began).items()):
                asks = order_of(slug) if role == "relay" else "-"
                say(f"{role} {slug} order {asks}: first work of the new owner after {seconds:.1f} s")
                is_quiet = asks in {"endpoint", "key"}
                assert seconds < MOVE_SECONDS + (ATTEMPT_SECONDS if is_quiet else 0)
        settle(stand, "serve-2", partners)


def race(
    fleet: Fleet, key: str, send: Callable[[httpx.Client, Any], httpx.Response], bodies: Any
) -> list[Any]:
    """Send each body through both doors twice at once; by body, the answers that are not 503."""
    clients = [fleet.members[name].client(key) for name in ("serve-1", "serve-2") * 2]

    def insist(client: httpx.Client, body: Any) -> Any:
        return fleet.until(lambda: one if (one := send(client, body)).status_code != 503 else None)

    with ThreadPoolExecutor(len(clients)) as threads:
        answers = [[*threads.map(lambda client, b=body: insist(client, b), clients)] for body in bodies]
    for client in clients:
        client.close()
    return answers


def verify_one_each(answers: list[list[dict[str, Any]]]) -> None:
    """Of all answers about one event one is the first, and all have its receipt to the byte."""
    for about_one in answers:
        assert sorted(one["status"] for one in about_one) == [200, 200, 200, 201]
        assert len({one["receipt"] for one in about_one}) == 1


def test_the_same_events_at_two_doors_at_once_are_taken_once(hasty: Fleet) -> None:
    hasty.start(serve=2, relay=1, sequence=1)
    assert hasty.first.apply().status_code == 201
    key = hasty.first.partner_key()
    for name in ("serve-1", "serve-2"):
        with hasty.members[name].client(key) as client:
            hasty.until(lambda: client.get("/v1/types").status_code == 200)
    path = "/v1/events/order.placed"
    singles = race(hasty, key, lambda client, body: client.post(path, json=body), orders(0, 20))
    verify_one_each([[{"status": a.status_code, **a.json()} for a in each] for each in singles])

    def batch(lines: list[str], *, is_lenient: bool) -> list[list[dict[str, Any]]]:
        headers = {"Content-Type": "application/x-ndjson"}
        headers |= {"Prefer": "handling=lenient"} if is_lenient else {}
        body = "\n".join(lines).encode()
        (answers,) = race(hasty, key, lambda c, b: c.post(path, content=b, headers=headers), [body])
        return [[a.json()["results"][number] for a in answers] for number in range(len(lines))]

    verify_one_each(batch([json.dumps(one) for one in orders(100, 50)], is_lenient=False))
    # Half of these are repeats already; one is refused.
    mixed = [json.dumps(one) for one in orders(150, 30)] + ["{}"]
    results = batch(mixed, is_lenient=True)
    assert {one["status"] for one in results.pop()} == {422}
    verify_one_each(results)
    with hasty.first.operator() as client:
        hasty.until(lambda: not waiting(client))
    assert hasty.rows(ENTERED_TWICE) == []
    assert hasty.rows(ENTERED) == [(100,)]


def test_owners_that_sleep_and_owners_that_leave_do_no_harm(hasty: Fleet) -> None:
    with crowd() as partners:
        firsts = begin(hasty)
        doors = [hasty.members["serve-1"], hasty.members["serve-2"]]
        partners.apply(doors)
        with sending(partners, doors, hasty.first.operator_key()):
            hasty.until(lambda: all(len(partners.came.get(slug, ())) > 1 for slug in SLUGS))
            sleepers = [hasty.members[name].process for name in ("relay-1", "sequence-1")]
            for one in sleepers:
                assert one is not None
                os.kill(one.pid, signal.SIGSTOP)
            hasty.until(lambda: all(o not in hasty.owners(r) for r, o in firsts.items()), MOVE_SECONDS)
            count = len(partners.came[SLUGS[0]])
            hasty.until(lambda: len(partners.came[SLUGS[0]]) > count + 1)
            for one in sleepers:
                assert one is not None
                os.kill(one.pid, signal.SIGCONT)
            # They find that nothing is theirs any more, and take their share anew.
            hasty.until(
                lambda: all(is_shared(hasty, r) and o in hasty.owners(r) for r, o in firsts.items()),
                MOVE_SECONDS,
            )
            for name, role in (("relay-1", "relay"), ("sequence-1", "sequence")):
                assert hasty.members[name].stop() == 0, hasty.said()
                assert firsts[role] not in hasty.owners(role), "let go at once, not when it ran out"
                query = f"SELECT owner FROM gateway_instance WHERE role = '{role}'"  # noqa: S608 - words of this test
                assert (firsts[role],) not in hasty.rows(query)
            assert hasty.first.stop() == 0, hasty.said()
            assert partners.broken == [], "no request that was taken was cut off"
        settle(hasty, "serve-2", partners)
        for name in ("serve-2", "relay-2", "sequence-2"):
            assert hasty.members[name].stop() == 0, hasty.said()
        assert "Traceback" not in "".join(one.log.read_text() for one in hasty.members.values())


def says(client: httpx.Client, words: str) -> bool:
    """Whether readiness is denied with these words."""
    answer = client.get("/readyz")
    return answer.status_code == 503 and re.search(words, answer.text) is not None


def warns(client: httpx.Client, words: str) -> bool:
    """Whether the status warns with these words: by how much it is off is found anew now and then."""
    return any(re.search(words, one) for one in client.get("/v1/status").json().get("warnings", ()))


def distrusted(client: httpx.Client, path: str, event: dict[str, Any]) -> httpx.Response | None:
    """The answer to an event that the clock keeps out; a busy machine may give others before."""
    answer = client.post(path, json=event)
    return answer if answer.status_code == 503 and answer.json()["code"] == "clock_untrusted" else None


def is_later(fleet: Fleet, query: str, at: int) -> bool:
    """Whether a time in the database has come to be after another."""
    return bool(fleet.rows(query)[0][0] > at)


def test_a_clock_that_is_off_stops_events_and_no_lease_until_it_is_right_again(
    hasty: Fleet, tmp_path: Path
) -> None:
    offset = tmp_path / "offset"
    offset.write_text("0")
    for role in ROLES:
        one = hasty.first if role == "serve" else hasty.add(role)
        one.process = Clocked(one, role, offset)
    assert hasty.first.wait_ready(), hasty.said()
    assert hasty.first.apply(CONTRACT, {"order.avsc": json.dumps(ORDER)}).status_code == 201
    path = "/v1/events/order.placed"
    before, off, after = orders(0, 3)
    with hasty.first.client(hasty.first.partner_key()) as partner, hasty.first.operator() as client:
        hasty.post(partner, path, before)
        epochs = "SELECT role, shard, epoch FROM gateway_lease ORDER BY role, shard"
        hasty.until(lambda: all(len(hasty.owners(role)) == 1 for role in ("relay", "sequence")))
        held = hasty.rows(epochs)
        ends = "SELECT min(until) FROM gateway_lease"
        # The least that it may be: what a question to the database takes is left out.
        for ms, side in ((10_000, "ahead of"), (-10_000, "behind")):
            words = rf"(9\.\d|10\.\d) s {side}"
            offset.write_text(str(ms))
            told = hasty.until(partial(distrusted, partner, path, off))
            assert re.search(r"s (ahead of|behind) the database's", told.json()["detail"])
            assert "NTP" in told.json()["detail"]
            hasty.until(partial(says, client, words))
            hasty.until(partial(warns, client, words))
        # Leases are by the database's clock: they go on, with the same owners, for longer than one lasts.
        (end,) = hasty.rows(ends)[0]
        hasty.until(partial(is_later, hasty, ends, end + 6_000))
        assert hasty.rows(epochs) == held
        offset.write_text("0")
        hasty.post(partner, path, off)
        hasty.post(partner, path, after)
        hasty.until(lambda: client.get("/readyz").status_code == 200)
        hasty.until(lambda: not waiting(client))
    assert hasty.rows(ENTERED_TWICE) == []
    assert hasty.rows(ENTERED) == [(3,)]
    # Whoever watches the clock looks every two seconds; events had it looked at before.
    hasty.until(lambda: '"clock trusted again"' in hasty.first.log.read_text())
