import gzip
import json
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from typing import Any

import httpx
import pytest
import pytest_asyncio
from sqlalchemy import text

from gateway.errors import CallerError
from gateway.imports.intake import Limits
from partners import onboarding
from schemas.container import write_container
from schemas.schema import parse_schema
from tests.builders import CONTRACTS, House, open_house
from tests.importing import CONTAINER, NDJSON, all_results, ended, lines, working
from tests.world import ORDER

pytestmark = pytest.mark.asyncio(loop_scope="module")

IMPORTS = "/v1/imports"
ORDERS = f"{IMPORTS}?type=order.placed"
SCHEMA = parse_schema(json.dumps({**ORDER, "doc": "another text, the same agreement"}))
SYNC = bytes(range(16))


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def house(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[House]:
    async with open_house(tmp_path_factory.mktemp("imports"), partners=("acme", "globex")) as opened:
        yield opened


@pytest_asyncio.fixture(loop_scope="module")
async def client(house: House) -> AsyncIterator[httpx.AsyncClient]:
    async with house.client("acme") as opened:
        yield opened


async def worked_off(house: House, client: httpx.AsyncClient, answer: httpx.Response) -> dict[str, Any]:
    """The import that an answer made, once it has ended."""
    assert answer.status_code == 202, answer.text
    async with working(house.world.parts.importer):
        return await ended(client, answer.headers["location"])


def datum(number: int, prefix: str = "C") -> bytes:
    order_id = f"{prefix}-{number}".encode()
    return bytes([2 * len(order_id)]) + order_id + b"\x00" + bytes([2 * number])


def container(numbers: range, prefix: str = "C") -> bytes:
    pieces = write_container(SCHEMA, [datum(one, prefix) for one in numbers], "deflate", sync=SYNC)
    return b"".join(pieces)


async def test_each_line_becomes_an_event_and_has_a_result_with_its_receipt(
    house: House, client: httpx.AsyncClient
) -> None:
    body = lines(range(5)) + b"\n" + b'{"order_id": "bad"}\n' + b"no json\n" + lines([3, 9])
    answer = await client.post(ORDERS, content=body, headers=NDJSON)
    made = answer.json()
    assert (made["state"], made["total"], made["done"], made["error"]) == ("waiting", 9, 0, None)
    path = answer.headers["location"]
    assert path == f"{IMPORTS}/{made['id']}"
    done = await worked_off(house, client, answer)
    assert (done["state"], done["done"], done["total"]) == ("done", 9, 9)
    assert (done["accepted"], done["duplicates"], done["refused"]) == (6, 1, 2)
    results = await all_results(client, path, limit=2)
    assert [one["index"] for one in results] == list(range(9))
    assert [one["status"] for one in results] == [201] * 5 + [422, 400, 200, 201]
    assert results[7]["receipt"] == results[3]["receipt"]
    assert results[5]["problem"]["code"] == "event_invalid"
    assert results[6]["problem"]["code"] == "body_malformed"
    again = await client.post("/v1/events/order.placed", json={"order_id": "I-4", "qty": 4})
    assert (again.status_code, again.json()["receipt"]) == (200, results[4]["receipt"])
    refused = await all_results(client, path, state="refused", limit=1)
    assert [one["index"] for one in refused] == [5, 6]


async def test_a_result_is_what_a_lenient_batch_would_have_told(
    house: House, client: httpx.AsyncClient
) -> None:
    body = lines([1, 2], prefix="same") + b'{"order_id": "S-1", "qty": "x", "extra": 1}\n[]\n'
    answer = await client.post(f"{ORDERS}&dry_run=true", content=body, headers=NDJSON)
    await worked_off(house, client, answer)
    batch = await client.post(
        "/v1/events/order.placed?dry_run=true",
        content=body,
        headers={**NDJSON, "Prefer": "handling=lenient"},
    )
    assert await all_results(client, answer.headers["location"]) == batch.json()["results"]


async def test_cloudevents_stand_a_line_each_where_no_type_is_given(
    house: House, client: httpx.AsyncClient
) -> None:
    event = {"specversion": "1.0", "type": "order.placed", "id": "CE-1", "source": "/shop"}
    body = json.dumps({**event, "data": {"order_id": "CE-1", "qty": 1}}).encode() + b"\n{}\n"
    answer = await client.post(IMPORTS, content=body, headers=NDJSON)
    done = await worked_off(house, client, answer)
    assert (done["type"], done["accepted"], done["refused"]) == (None, 1, 1)


async def test_a_container_file_is_read_under_its_own_schema(house: House, client: httpx.AsyncClient) -> None:
    answer = await client.post(ORDERS, content=container(range(30)), headers=CONTAINER)
    assert answer.json()["total"] == 30
    done = await worked_off(house, client, answer)
    assert (done["state"], done["accepted"]) == ("done", 30)
    again = await client.post("/v1/events/order.placed", json={"order_id": "C-7", "qty": 7})
    assert again.status_code == 200


async def test_a_body_may_be_compressed_and_is_the_same_import_under_its_key(
    house: House, client: httpx.AsyncClient
) -> None:
    body = lines(range(3), prefix="gz")
    keyed = {**NDJSON, "Idempotency-Key": "november"}
    first = await client.post(
        ORDERS, content=gzip.compress(body), headers={**keyed, "Content-Encoding": "gzip"}
    )
    again = await client.post(ORDERS, content=body, headers=keyed)
    other = await client.post(ORDERS, content=body + b"\n", headers=keyed)
    done = await worked_off(house, client, first)
    after = await client.post(ORDERS, content=body, headers=keyed)
    assert (again.status_code, again.json()["id"]) == (200, first.json()["id"])
    assert (other.status_code, other.json()["code"]) == (409, "idempotency_conflict")
    assert other.json()["import"] == first.json()["id"]
    assert (after.status_code, after.json()) == (200, done)


async def test_a_dry_run_checks_everything_and_publishes_nothing(
    house: House, client: httpx.AsyncClient
) -> None:
    body = lines(range(2), prefix="dry") + b"{}\n"
    dry = {**NDJSON, "Idempotency-Key": "dry"}
    answer = await client.post(f"{ORDERS}&dry_run=true", content=body, headers=dry)
    done = await worked_off(house, client, answer)
    assert (done["dry_run"], done["accepted"], done["refused"]) == (True, 2, 1)
    results = await all_results(client, answer.headers["location"])
    assert [one["status"] for one in results] == [200, 200, 422]
    assert "receipt" not in results[0]
    # Its key is free for the import that follows.
    done = await worked_off(house, client, await client.post(ORDERS, content=body, headers=dry))
    assert (done["accepted"], done["duplicates"]) == (2, 0)


async def test_a_line_too_long_ends_the_job_after_what_came_before_it(
    house: House, client: httpx.AsyncClient
) -> None:
    body = lines(range(3), prefix="cut") + b'{"order_id": "' + b"x" * (2**20 + 3) + b'"}\n' + lines([7])
    done = await worked_off(house, client, await client.post(ORDERS, content=body, headers=NDJSON))
    assert (done["state"], done["done"], done["total"]) == ("failed", 3, 3)
    error = done["error"]
    assert (error["code"], error["line"], error["offset"]) == (
        "event_too_large",
        4,
        body.index(b'{"order_id": "xx'),
    )
    assert "import it again" in error["hint"]
    assert len(await all_results(client, done["links"]["self"])) == 3


@pytest.mark.parametrize("is_cut", [True, False])
async def test_a_container_broken_in_the_middle_ends_the_job_after_what_came_before_it(
    house: House, client: httpx.AsyncClient, *, is_cut: bool
) -> None:
    whole = container(range(4), f"B{is_cut}")
    header = whole.index(SYNC) + len(SYNC)
    broken = bytearray(whole + whole[header:])
    if is_cut:
        del broken[-1]
    else:
        broken[-len(SYNC) - 3] ^= 0xFF  # inside the second block, which is deflated
    done = await worked_off(
        house, client, await client.post(ORDERS, content=bytes(broken), headers=CONTAINER)
    )
    assert (done["state"], done["done"], done["error"]["code"]) == ("failed", 4, "body_malformed")
    assert len(whole) <= done["error"]["offset"] < len(whole) + 3
    assert len(await all_results(client, done["links"]["self"])) == 4


REFUSED: dict[str, tuple[str, bytes, dict[str, str], int, str]] = {
    "no event": (ORDERS, b"\n \n", NDJSON, 400, "body_malformed"),
    "nothing": (ORDERS, b"", NDJSON, 400, "body_malformed"),
    "another media type": (
        ORDERS,
        b"[]",
        {"Content-Type": "application/json"},
        415,
        "media_type_unsupported",
    ),
    "another coding": (
        ORDERS,
        b"x",
        {**NDJSON, "Content-Encoding": "br"},
        415,
        "content_encoding_unsupported",
    ),
    "no gzip": (ORDERS, b"x", {**NDJSON, "Content-Encoding": "gzip"}, 400, "body_malformed"),
    "half a gzip": (
        ORDERS,
        gzip.compress(lines(range(9)))[:-9],
        {**NDJSON, "Content-Encoding": "gzip"},
        400,
        "body_malformed",
    ),
    "a bomb": (
        ORDERS,
        gzip.compress(b"\n" * 2**22),
        {**NDJSON, "Content-Encoding": "gzip"},
        413,
        "body_too_large",
    ),
    "no container": (ORDERS, b"Obj\x02", CONTAINER, 400, "body_malformed"),
    "a container without a type": (IMPORTS, b"Obj\x01", CONTAINER, 422, "event_type_missing"),
    "an unknown type": (f"{IMPORTS}?type=nobody", b"{}", NDJSON, 422, "event_type_unknown"),
    "a first line too long": (ORDERS, b"1" * (2**20 + 9), NDJSON, 413, "event_too_large"),
    "a key too long": (ORDERS, b"{}", {**NDJSON, "Idempotency-Key": "k" * 257}, 400, "request_malformed"),
}


@pytest.mark.parametrize("name", REFUSED)
async def test_what_can_be_no_import_is_refused_at_once_and_leaves_nothing(
    client: httpx.AsyncClient, name: str
) -> None:
    path, body, headers, status, code = REFUSED[name]
    before = (await client.get(IMPORTS)).json()
    answer = await client.post(path, content=body, headers=headers)
    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert (await client.get(IMPORTS)).json() == before


async def test_a_schema_that_the_contract_does_not_accept_is_refused_before_anything_is_read(
    client: httpx.AsyncClient,
) -> None:
    other = parse_schema(json.dumps({**ORDER, "name": "Other"}))
    body = b"".join(write_container(other, [datum(1)], "null", sync=SYNC))
    answer = await client.post(ORDERS, content=body, headers=CONTAINER)
    assert (answer.status_code, answer.json()["code"]) == (422, "schema_version_unknown")
    assert "accepted: 1 (id " in answer.json()["detail"]


@pytest.fixture
def narrow(house: House) -> Iterator[None]:
    intake = house.world.parts.intake
    limits = intake.limits
    intake.limits = Limits(import_bytes=300, event_bytes=100, items=4, room=lambda: None)
    yield
    intake.limits = limits


@pytest.mark.usefixtures("narrow")
async def test_an_import_has_limits_of_bytes_and_items_however_they_come(client: httpx.AsyncClient) -> None:
    async def endless() -> AsyncIterator[bytes]:
        for number in range(100):
            yield lines([number])

    announced = await client.post(ORDERS, content=b"\n" * 301, headers=NDJSON)
    streamed = await client.post(ORDERS, content=endless(), headers=NDJSON)
    packed = await client.post(
        ORDERS, content=gzip.compress(b"\n" * 301), headers={**NDJSON, "Content-Encoding": "gzip"}
    )
    many = await client.post(ORDERS, content=b"1\n" * 5, headers=NDJSON)
    answers = (announced, streamed, packed, many)
    assert [(one.status_code, one.json()["code"]) for one in answers] == [(413, "body_too_large")] * 4


async def test_a_line_may_be_as_large_as_the_contract_allows_an_event(house: House) -> None:
    async with house.client("globex") as client:
        long = lines([1]).rstrip() + b" " * 1_500_000 + b"\n"
        await house.world.apply(CONTRACTS.replace("{slug}", "globex"), slug="globex")
        refused = await client.post(ORDERS, content=long, headers=NDJSON)
        assert (refused.status_code, refused.json()["code"]) == (413, "event_too_large")
        more = "limits: {event_bytes: 2MiB}\n"
        await house.world.apply(CONTRACTS.replace("{slug}", "globex") + more, slug="globex")
        await house.world.parts.catalog.refresh()
        job = await worked_off(house, client, await client.post(ORDERS, content=long, headers=NDJSON))
        assert (job["accepted"], job["refused"]) == (1, 0), job
        longer = long.rstrip() + b" " * 2_200_000 + b"\n"
        assert (await client.post(ORDERS, content=longer, headers=NDJSON)).status_code != 202


async def test_a_disk_without_room_is_told_before_it_is_full(house: House, client: httpx.AsyncClient) -> None:
    intake = house.world.parts.intake
    limits = intake.limits
    intake.limits = replace(limits, room=lambda: 300 * 2**20)
    small = await client.post(ORDERS, content=lines([1]), headers=NDJSON)
    intake.limits = replace(limits, room=lambda: 200 * 2**20)
    large = await client.post(ORDERS, content=lines([1]), headers=NDJSON)
    intake.limits = limits
    assert (large.status_code, large.json()["code"]) == (503, "storage_full")
    assert (await client.delete(small.headers["location"])).status_code == 200


async def test_few_imports_are_open_at_once_and_a_cancelled_one_makes_room(
    house: House, client: httpx.AsyncClient
) -> None:
    made = [await client.post(ORDERS, content=lines([one]), headers=NDJSON) for one in range(4)]
    assert [one.status_code for one in made] == [202, 202, 202, 409]
    assert made[3].json()["code"] == "limit_reached"
    async with house.client("globex") as other:
        theirs = await other.post(ORDERS, content=lines([1]), headers=NDJSON)
        assert theirs.status_code == 202
        assert (await other.delete(theirs.headers["location"])).json()["state"] == "cancelled"
    paths = [one.headers["location"] for one in made[:3]]
    dry = await client.delete(f"{paths[0]}?dry_run=true")
    assert (dry.json()["state"], (await client.get(paths[0])).json()["state"]) == ("cancelled", "waiting")
    for path in paths[:2]:
        assert (await client.delete(path)).json()["state"] == "cancelled"
        assert (await client.delete(path)).json()["state"] == "cancelled"
    assert (await worked_off(house, client, made[2]))["state"] == "done"
    late = await client.delete(paths[2])
    assert (late.status_code, late.json()["code"]) == (409, "state_conflict")
    for number in (0, 1):
        cancelled = (await client.get(paths[number])).json()
        assert (cancelled["state"], cancelled["done"]) == ("cancelled", 0)


async def test_one_that_ends_while_it_is_cancelled_is_not_said_to_be_cancelled(
    house: House, client: httpx.AsyncClient
) -> None:
    path = (await client.post(ORDERS, content=lines([1]), headers=NDJSON)).headers["location"]
    times: list[int] = []

    def clock() -> int:
        times.append(doors.clock())
        if len(times) > 1:
            # The request was let in, and the import found open.
            with doors.database.begin() as session:
                ends = text("UPDATE gateway_import SET state = 'done', ended_at = 1 WHERE id = :id")
                session.execute(ends, {"id": path.rsplit("/", 1)[1]})
        return times[-1]

    doors, house.doors = house.doors, replace(house.doors, clock=clock)
    try:
        async with house.client("acme") as other:
            late = await other.delete(path)
    finally:
        house.doors = doors
    assert (late.status_code, late.json()["code"]) == (409, "state_conflict")


async def test_the_list_is_newest_first_page_by_page(client: httpx.AsyncClient) -> None:
    whole = (await client.get(IMPORTS)).json()["items"]
    assert len(whole) > 4
    found: list[dict[str, Any]] = []
    path = f"{IMPORTS}?limit=3"
    while True:
        answer = await client.get(path)
        found += answer.json()["items"]
        if "link" not in answer.headers:
            break
        path = answer.links["next"]["url"]
    assert found == whole
    assert sorted(found, key=lambda one: str(one["created_at"]), reverse=True) == found


async def test_our_side_sends_and_sees_both_ways_and_a_partner_only_its_own(
    house: House, client: httpx.AsyncClient
) -> None:
    named = "/v1/partners/acme/imports"
    async with house.client("team") as team, house.client("globex") as other:
        answer = await team.post(f"{named}?type=order.accepted", content=lines([1]), headers=NDJSON)
        assert answer.headers["location"].startswith(named)
        done = await worked_off(house, team, answer)
        assert (done["direction"], done["accepted"]) == ("outbound", 1)
        own = (await client.post(ORDERS, content=lines([1]), headers=NDJSON)).json()
        seen = {one["id"] for one in (await team.get(named)).json()["items"]}
        assert {done["id"], own["id"]} <= seen
        for path in (f"{IMPORTS}/{done['id']}", f"{IMPORTS}/{done['id']}/results"):
            assert (await client.get(path)).status_code == 404
        for reader, path in (
            (other, f"{IMPORTS}/{own['id']}"),
            (team, f"/v1/partners/globex/imports/{own['id']}"),
        ):
            assert (await reader.get(path)).status_code == 404
            assert (await reader.delete(path)).status_code == 404
        assert (await team.delete(f"{named}/{own['id']}")).json()["state"] == "cancelled"


async def test_a_body_whose_sender_goes_away_is_forgotten(house: House, client: httpx.AsyncClient) -> None:
    before = (await client.get(IMPORTS)).json()

    async def broken() -> AsyncIterator[bytes]:
        yield lines([1])
        seen = (await client.get(IMPORTS)).json()["items"][0]
        assert (seen["state"], seen["total"]) == ("receiving", None)
        raise CallerError("request_malformed", "the sender went away")

    answer = await client.post(ORDERS, content=broken(), headers=NDJSON)
    assert answer.status_code == 400
    assert (await client.get(IMPORTS)).json() == before
    assert house.world.parts.intake.open == 0


async def test_a_sender_that_begins_anew_under_the_same_key_takes_the_place_of_its_first_try(
    client: httpx.AsyncClient,
) -> None:
    keyed = {**NDJSON, "Idempotency-Key": "anew"}
    second: list[httpx.Response] = []

    async def slow() -> AsyncIterator[bytes]:
        yield lines([1])
        second.append(await client.post(ORDERS, content=lines([1]), headers=keyed))
        yield lines([2])

    first = await client.post(ORDERS, content=slow(), headers=keyed)
    assert (first.status_code, first.json()["code"]) == (409, "state_conflict")
    assert second[0].status_code == 202
    assert (await client.delete(second[0].headers["location"])).json()["state"] == "cancelled"


async def test_a_suspended_partner_and_a_revoked_credential_stop_the_job_and_say_so(house: House) -> None:
    await house.world.apply(CONTRACTS.replace("{slug}", "dune"), slug="dune")
    for name in ("dune", "leaked"):
        await house.issue(name, "partner", "dune")
    async with house.client("leaked") as leaked, house.client("operator") as operator:
        revoked = await leaked.post(ORDERS, content=lines([1]), headers=NDJSON)
        assert revoked.status_code == 202
        await operator.delete(f"/v1/partners/dune/credentials/{house.credentials['leaked'].id}")
        async with house.client("dune") as dune:
            other = await dune.post(ORDERS, content=lines([2]), headers=NDJSON)
        database, catalog = house.world.parts.ground.database, house.world.parts.catalog
        named = "/v1/partners/dune/imports"
        async with working(house.world.parts.importer):
            first = await ended(operator, f"{named}/{revoked.json()['id']}")
            second = await ended(operator, f"{named}/{other.json()['id']}")
            assert (second["state"], second["accepted"]) == ("done", 1)
        async with house.client("dune") as dune:
            third = await dune.post(ORDERS, content=lines([3]), headers=NDJSON)
        await database.write(lambda session: onboarding.set_partner_state(session, "dune", "suspended"))
        await catalog.refresh()
        async with working(house.world.parts.importer):
            last = await ended(operator, f"{named}/{third.json()['id']}")
    assert (first["state"], first["error"]["code"]) == ("failed", "credential_revoked")
    assert (last["state"], last["error"]["code"]) == ("failed", "partner_suspended")
    assert "Import the same file again" in last["error"]["hint"]
