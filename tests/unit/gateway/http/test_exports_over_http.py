"""Exports over HTTP: made, watched, handed out, by a partner, its auditor and our side."""

import base64
import hashlib
import io
import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest
import pytest_asyncio
from sqlalchemy import text, update
from sqlmodel import col

from audit.errors import MissingLibraryError
from audit.export import verify_export
from audit.pressing import expand
from audit.rows import EntryRow
from gateway.administration.standing import Move
from gateway.exports.store import MOST_OPEN
from gateway.http import exports
from gateway.rows import ClaimRow
from tests.builders import House, open_house
from tests.exporting import EXPORTS, ended, export, exporting, fetch, manifest_of, pins, unpack
from tests.world import OPERATOR

pytestmark = pytest.mark.asyncio(loop_scope="module")

EVENTS = 12
NAMED = "/v1/partners/acme/exports"
NOBODYS = "exp_" + "b" * 26


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def house(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[House]:
    async with open_house(tmp_path_factory.mktemp("exports"), partners=("acme", "globex")) as opened:
        await opened.issue("auditor", "auditor", "acme")
        async with opened.client("acme") as client:
            for number in range(EVENTS):
                body = {"order_id": f"=A-{number}", "qty": number}
                sent = await client.post("/v1/events/order.placed", json=body)
            await client.get(f"{sent.headers['location']}/proof?wait=20")
            opened.keys["ref"] = sent.json()["ref"]
        yield opened


@pytest_asyncio.fixture(loop_scope="module")
async def client(house: House) -> AsyncIterator[httpx.AsyncClient]:
    async with house.client("acme") as opened:
        yield opened


def lines(archive: bytes) -> list[dict[str, Any]]:
    raw = b"".join(raw for name, raw in unpack(archive).items() if name.endswith(".jsonl"))
    return [json.loads(line) for line in raw.splitlines()]


@pytest.mark.parametrize("kind", ["jsonl", "avro", "parquet"])
async def test_all_that_is_published_is_exported_and_proves_itself(
    house: House, client: httpx.AsyncClient, kind: str
) -> None:
    done = await export(house.world, client, format=kind)
    assert (done["state"], done["done"], done["error"]) == ("done", done["total"], None)
    assert done["total"] >= EVENTS
    archive = await fetch(client, done)
    verdict, sections, *_ = verify_export(io.BytesIO(archive), pins(house.world, archive))
    assert sections[0].end == done["total"]
    assert verdict.proved
    assert done["ranges"] == [{"origin": sections[0].origin, "from": 0, "to": done["total"]}]
    listed = (await client.get(EXPORTS)).json()["items"]
    assert listed[0] == done


async def test_an_auditor_reads_and_may_not_write(house: House) -> None:
    async with house.client("auditor") as auditor:
        done = await export(house.world, auditor)
        archive = await fetch(auditor, done)
        verify_export(io.BytesIO(archive), pins(house.world, archive))
        sent = await auditor.post("/v1/events/order.placed", json={"order_id": "x", "qty": 1})
        assert sent.status_code == 403


async def test_a_range_of_indexes_is_exported(house: House, client: httpx.AsyncClient) -> None:
    done = await export(house.world, client, EXPORTS, **{"from": 3, "to": 7, "epoch": 1})
    archive = await fetch(client, done)
    assert [one["index"] for one in lines(archive)] == [3, 4, 5, 6]
    verify_export(io.BytesIO(archive), pins(house.world, archive))
    empty = await export(house.world, client, EXPORTS, **{"from": 5, "to": 5})
    assert (empty["total"], empty["files"]) == (0, 1)
    archive = await fetch(client, empty)
    verify_export(io.BytesIO(archive), pins(house.world, archive))


async def test_a_time_becomes_the_shortest_range_that_holds_it(
    house: House, client: httpx.AsyncClient
) -> None:
    whole = lines(await fetch(client, await export(house.world, client)))
    database = house.world.parts.ground.database
    with database.begin() as session:
        # As if entry 5 had been appended long after it happened.
        session.execute(
            update(EntryRow)
            .where(col(EntryRow.index) == 5, col(EntryRow.log).endswith(house_log(house)))
            .values(at=1_000)
        )
    try:
        for since, until, expected in (
            (whole[4]["at"], whole[6]["at"], None),
            ("1970-01-01T00:00:01Z", "1970-01-01T00:00:02Z", (5, 6)),
            ("2090-01-01T00:00:00Z", None, (len(whole), len(whole))),
            ("1970-01-01T00:00:00Z", "1970-01-01T00:00:01Z", (len(whole), len(whole))),
            (None, "1970-01-01T00:00:02Z", (5, 6)),
            ("1970-01-01T00:00:01Z", whole[6]["at"], (0, 6)),
        ):
            wanted = {"from": since, "to": until}
            answer = await client.post(f"{EXPORTS}?dry_run=true", json=wanted)
            (found,) = answer.json()["ranges"]
            if expected is None:
                assert found["from"] <= 4
                assert found["to"] >= 5
            else:
                assert (found["from"], found["to"]) == expected, wanted
    finally:
        at = datetime.fromisoformat(whole[5]["at"]).astimezone(UTC)
        with database.begin() as session:
            session.execute(
                update(EntryRow)
                .where(col(EntryRow.index) == 5, col(EntryRow.log).endswith(house_log(house)))
                .values(at=round(at.timestamp() * 1_000))
            )


def house_log(house: House) -> str:
    partner = house.doors.catalog.current.directory.partner("acme")
    assert partner is not None
    return partner.log


async def test_a_dry_run_counts_and_makes_nothing(client: httpx.AsyncClient) -> None:
    before = (await client.get(EXPORTS)).json()
    answer = await client.post(f"{EXPORTS}?dry_run=true", json={"from": 2, "to": 9})
    found = answer.json()
    assert (answer.status_code, found["total"], found["dry_run"]) == (200, 7, True)
    assert (found["id"], found["links"]) == (None, None)
    assert (await client.get(EXPORTS)).json() == before


async def test_content_as_received_stands_beside_its_events(house: House, client: httpx.AsyncClient) -> None:
    archive = await fetch(client, await export(house.world, client, content=True))
    verdict, *_ = verify_export(io.BytesIO(archive), pins(house.world, archive))
    assert any(f"the content of {EVENTS} events" in one for one in verdict.proved)
    rows = [one for one in lines(archive) if one["kind"] == "event.accepted"]
    received = [json.loads(base64.b64decode(one["content"].removeprefix("base64:"))) for one in rows]
    assert [one["order_id"] for one in received] == [f"=A-{number}" for number in range(EVENTS)]
    assert [one["id"] for one in rows] == [f"'=A-{number}" for number in range(EVENTS)]
    assert [one["evidence"]["id"] for one in rows] == [f"=A-{number}" for number in range(EVENTS)]
    plain = await fetch(client, await export(house.world, client))
    assert all(one["content"] is None for one in lines(plain))
    with pytest.raises(AssertionError, match=r"content\.read"):
        await looks(house, 1)


async def looks(house: House, count: int) -> list[dict[str, Any]]:
    """What the partner's log, or what waits for it, tells of our side's looks."""
    with house.world.parts.ground.database.begin() as session:
        rows = session.execute(text("SELECT evidence FROM audit_entry WHERE kind = 'content.read'")).all()
        waiting = session.execute(text("SELECT raw FROM audit_pending")).all()
    found = [json.loads(expand(raw)) for (raw,) in (*rows, *waiting)]
    seen = [one for one in found if one["kind"] == "content.read" and "exports" in one["route"]]
    assert len(seen) == count, f"content.read: {seen}"
    return seen


async def test_our_side_exports_by_name_and_is_told_of_when_it_reads_content(house: House) -> None:
    async with house.client("operator") as operator:
        plain = await export(house.world, operator, NAMED)
        await fetch(operator, plain)
        await looks(house, 0)
        done = await export(house.world, operator, NAMED, content=True)
        assert done["links"]["self"] == f"{NAMED}/{done['id']}"
        manifest = await operator.get(done["links"]["manifest"])
        assert manifest.status_code == 200
        await looks(house, 0)
        for _ in range(2):
            archive = await fetch(operator, done)
        verify_export(io.BytesIO(archive), pins(house.world, archive))
    (look,) = await looks(house, 1)
    assert look["route"] == exports.FILES_ROUTE
    assert look["by"] == {"role": "operator", "credential": house.credentials["operator"].id}


async def test_a_file_names_its_digest_and_what_it_is(house: House, client: httpx.AsyncClient) -> None:
    done = await export(house.world, client, format="parquet")
    path = done["links"]["self"]
    file, manifest = await client.get(f"{path}/files/1"), await client.get(f"{path}/files/0")
    digest = base64.b64encode(hashlib.sha256(file.content).digest()).decode()
    assert file.headers["content-digest"] == f"sha-256=:{digest}:"
    assert file.headers["content-type"] == "application/vnd.apache.parquet"
    assert file.headers["content-disposition"] == 'attachment; filename="entries-1-000001.parquet"'
    assert manifest.headers["content-type"] == "application/json"
    assert manifest.json()["sections"][0]["files"][0]["sha256"] == hashlib.sha256(file.content).hexdigest()
    for missing in ("2", "01", "-1", "x", "1000000", "999999"):
        assert (await client.get(f"{path}/files/{missing}")).status_code == 404


async def test_what_was_erased_meanwhile_is_not_handed_out(house: House, client: httpx.AsyncClient) -> None:
    done = await export(house.world, client, content=True)
    before = await fetch(client, done)
    at = next(one["index"] for one in lines(before) if one["id"] == "'=A-7")
    where = col(EntryRow.index) == at, col(EntryRow.log).endswith(house_log(house))
    database = house.world.parts.ground.database
    with database.begin() as session:
        kept = session.execute(text('SELECT evidence FROM audit_entry WHERE "index" = :at AND log LIKE :log'),
                               {"at": at, "log": f"%{house_log(house)}"}).scalar_one()  # fmt: skip
        session.execute(update(EntryRow).where(*where).values(evidence=None))
    try:
        archive = await fetch(client, done)
        assert [one["index"] for one in lines(archive) if one["erased"]] == [at]
        verify_export(io.BytesIO(archive), pins(house.world, archive))
        assert (await client.get(done["links"]["self"])).json()["erased"] == 1
        assert manifest_of(archive) != manifest_of(before)
    finally:
        with database.begin() as session:
            session.execute(update(EntryRow).where(*where).values(evidence=kept))


async def test_an_erasure_is_proved_by_the_log_that_is_exported(house: House) -> None:
    async with house.client("globex") as client, house.client("operator") as operator:
        sent = await client.post("/v1/events/order.placed", json={"order_id": "secret", "qty": 1})
        await client.get(f"{sent.headers['location']}/proof?wait=20")
        before = await export(house.world, client, content=True)
        assert b"secret" in await fetch(client, before)
        wanted = {"refs": [sent.json()["ref"]], "basis": "case 17"}
        erased = await operator.post("/v1/partners/globex/erasures", json=wanted)
        assert erased.status_code == 201, erased.text
        later = await client.post("/v1/events/order.placed", json={"order_id": "later", "qty": 1})
        await client.get(f"{later.headers['location']}/proof?wait=20")
        again = await fetch(client, before)
        assert b"secret" not in again
        verdict, *_ = verify_export(io.BytesIO(again), pins(house.world, again))
        assert any("1 of the entries without evidence were erased" in one for one in verdict.word)
        whole = await fetch(client, await export(house.world, client, content=True))
        assert b"secret" not in whole
        verdict, *_ = verify_export(io.BytesIO(whole), pins(house.world, whole))
        assert any("1 entries are erased by what the log itself says" in one for one in verdict.proved)


async def test_a_file_is_hashed_where_it_is_made_and_not_by_the_loop(
    house: House, client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    done = await export(house.world, client)
    hashed: list[int] = []

    class Noting:
        @staticmethod
        def sha256(raw: bytes) -> object:
            hashed.append(len(raw))
            return hashlib.sha256(raw)

    monkeypatch.setattr(exports, "hashlib", Noting)
    file = await client.get(f"{done['links']['self']}/files/1")
    digest = base64.b64encode(hashlib.sha256(file.content).digest()).decode()
    assert file.headers["content-digest"] == f"sha-256=:{digest}:"
    assert hashed == []


async def test_content_that_is_no_longer_kept_is_left_out(house: House, client: httpx.AsyncClient) -> None:
    done = await export(house.world, client, content=True)
    database = house.world.parts.ground.database
    with database.begin() as session:
        session.execute(update(ClaimRow).where(col(ClaimRow.event_id) == "=A-3").values(content=b"another"))
        session.execute(update(ClaimRow).where(col(ClaimRow.event_id) == "=A-4").values(content=None))
    archive = await fetch(client, done)
    verify_export(io.BytesIO(archive), pins(house.world, archive))
    missing = [one["id"] for one in lines(archive) if one["kind"] == "event.accepted" and not one["content"]]
    assert missing == ["'=A-3", "'=A-4"]


async def test_the_same_key_is_the_same_export(house: House, client: httpx.AsyncClient) -> None:
    keyed = {"Idempotency-Key": "november"}
    first = await client.post(EXPORTS, json={"from": 1, "to": 3}, headers=keyed)
    again = await client.post(EXPORTS, json={"from": 1, "to": 3}, headers=keyed)
    other = await client.post(EXPORTS, json={"from": 1, "to": 4}, headers=keyed)
    assert (first.status_code, again.status_code) == (202, 202)
    assert (again.json()["id"], again.headers["idempotent-replayed"]) == (first.json()["id"], "true")
    assert (other.status_code, other.json()["code"]) == (409, "idempotency_conflict")
    async with exporting(house.world.parts.exporting.role):
        await ended(client, first.headers["location"])


async def test_cancelled_it_has_no_files_and_too_many_are_refused(
    house: House, client: httpx.AsyncClient
) -> None:
    made = [(await client.post(EXPORTS, json={})).headers["location"] for _ in range(MOST_OPEN)]
    refused = await client.post(EXPORTS, json={})
    assert (refused.status_code, refused.json()["code"]) == (409, "limit_reached")
    waiting = await client.get(f"{made[0]}/files/0")
    assert (waiting.status_code, waiting.json()["code"]) == (409, "state_conflict")
    dry = await client.delete(f"{made[0]}?dry_run=true")
    assert (dry.json()["state"], (await client.get(made[0])).json()["state"]) == ("cancelled", "waiting")
    for path in made:
        for _ in range(2):
            assert (await client.delete(path)).json()["state"] == "cancelled"
    gone = await client.get(f"{made[0]}/files/1")
    assert (gone.status_code, gone.json()["code"]) == (409, "state_conflict")
    done = await export(house.world, client)
    ended_already = await client.delete(done["links"]["self"])
    assert (ended_already.status_code, ended_already.json()["code"]) == (409, "state_conflict")


@pytest.mark.parametrize(
    "wanted",
    [
        {"format": "csv"},
        {"content": "yes"},
        {"content": 1},
        {"from": -1},
        {"from": True},
        {"from": 1.5},
        {"to": [1]},
        {"from": 9, "to": 3},
        {"to": 1_000_000},
        {"from": 1_000_000},
        {"from": "1h", "to": 5},
        {"from": 5, "to": "1h"},
        {"from": "1h", "epoch": 1},
        {"from": "1h", "to": "2h"},
        {"from": "yesterday"},
        {"epoch": 7},
        {"epoch": "1"},
        {"more": 1},
    ],
    ids=str,
)
async def test_what_cannot_be_exported_is_refused(client: httpx.AsyncClient, wanted: dict[str, Any]) -> None:
    for query in ("", "?dry_run=true"):
        answer = await client.post(f"{EXPORTS}{query}", json=wanted)
        assert (answer.status_code, answer.json()["code"]) == (400, "parameter_invalid"), answer.text


async def test_foreign_unknown_and_malformed_exports_look_alike(house: House) -> None:
    async with house.client("acme") as acme, house.client("globex") as globex:
        mine = (await export(house.world, acme))["links"]["self"]
        answers = [
            await globex.get(f"{path}{rest}")
            for path in (mine, f"{EXPORTS}/{NOBODYS}", f"{EXPORTS}/x")
            for rest in ("", "/files/0", "/files/1")
        ]
        answers.append(await globex.delete(mine))
        assert {(one.status_code, one.json()["code"]) for one in answers} == {(404, "not_found")}
        theirs = (await globex.get(EXPORTS)).json()["items"]
        assert mine not in [one["links"]["self"] for one in theirs]


async def test_pages_go_on_where_the_last_one_ended(client: httpx.AsyncClient) -> None:
    whole = (await client.get(EXPORTS)).json()["items"]
    found: list[dict[str, Any]] = []
    path = f"{EXPORTS}?limit=2"
    while path:
        page = await client.get(path)
        found += page.json()["items"]
        path = page.links["next"]["url"] if "next" in page.links else ""
    assert found == whole


async def test_a_log_of_which_nothing_is_published_is_asked_for_again(
    client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("audit.ranges.extents", lambda *_: ())
    answer = await client.post(EXPORTS, json={})
    assert (answer.status_code, answer.json()["code"]) == (409, "proof_pending")
    assert answer.headers["retry-after"]


async def test_where_pyarrow_is_missing_parquet_is_refused_in_words(
    client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    def missing() -> None:
        raise MissingLibraryError("Parquet needs pyarrow: pip install 'partner-gateway[parquet]'")

    monkeypatch.setattr(exports, "verify_installed", missing)
    answer = await client.post(EXPORTS, json={"format": "parquet"})
    assert (answer.status_code, answer.json()["code"]) == (409, "state_conflict")
    assert "partner-gateway[parquet]" in answer.json()["detail"]


async def test_a_log_that_was_damaged_since_is_not_handed_out(
    house: House, client: httpx.AsyncClient
) -> None:
    done = await export(house.world, client)
    where = col(EntryRow.index) == 2, col(EntryRow.log).endswith(house_log(house))
    database = house.world.parts.ground.database
    with database.begin() as session:
        leaf = session.execute(text('SELECT leaf FROM audit_entry WHERE "index" = 2 AND log LIKE :log'),
                               {"log": f"%{house_log(house)}"}).scalar_one()  # fmt: skip
        session.execute(update(EntryRow).where(*where).values(leaf=b"x" + leaf))
    try:
        answer = await client.get(f"{done['links']['self']}/files/1")
        assert (answer.status_code, answer.json()["code"]) == (409, "state_conflict")
        assert "not whole" in answer.json()["detail"]
    finally:
        with database.begin() as session:
            session.execute(update(EntryRow).where(*where).values(leaf=leaf))


async def test_a_suspended_partners_log_can_be_exported(house: House) -> None:
    administration = house.world.parts.administration
    await administration.move_partner("globex", Move("suspend", "a test"), by=OPERATOR)
    try:
        async with house.client("globex") as client:
            done = await export(house.world, client)
            assert done["state"] == "done"
            sent = await client.post("/v1/events/order.placed", json={"order_id": "x", "qty": 1})
            assert (sent.status_code, sent.json()["code"]) == (403, "partner_suspended")
    finally:
        await administration.move_partner("globex", Move("resume", "a test"), by=OPERATOR)
