from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio
from sqlalchemy import delete, update
from sqlmodel import Session, col

from audit import log
from audit.checkpoint import verify_checkpoint
from audit.evidence import parse_evidence
from audit.merkle import hash_leaf
from audit.note import parse_verifier_key
from audit.papers import Keys
from audit.rows import EntryRow, ErasureRow, HeadRow
from audit.tile import decode_bundle
from gateway.http import log as log_routes
from tests.builders import House, open_house
from tests.unit.audit.builders import verify_growth

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def house(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[House]:
    async with open_house(tmp_path_factory.mktemp("log")) as opened:
        async with opened.client("acme") as client:
            sent = await client.post("/v1/events/order.placed", json={"order_id": "L-1", "qty": 1})
            await client.get(f"{sent.headers['location']}/proof?wait=10")
        yield opened


async def test_the_log_that_me_names_is_served_and_verifies(house: House) -> None:
    async with house.client("acme") as client:
        (log,) = (await client.get("/v1/me")).json()["logs"]
        checkpoint = await client.get(f"{log['url']}/checkpoint")
        key = parse_verifier_key(log["keys"][0])
        size = verify_checkpoint(checkpoint.content, [key]).size
        tile = await client.get(f"{log['url']}/tile/0/000.p/{size}")
        bundle = await client.get(f"{log['url']}/tile/entries/000.p/{size}")
    assert checkpoint.headers["cache-control"] == "no-store"
    assert "immutable" in tile.headers["cache-control"]
    leaves = decode_bundle(bundle.content)
    assert len(leaves) == size
    assert tile.content == b"".join(map(hash_leaf, leaves))


@pytest.mark.parametrize(
    "path",
    [
        "1/tile/0/001",
        "1/tile/0/000.p/255",
        "1/tile/0/0",
        "1/tile/64/000",
        "1/tile/entries/x000/000",
        "1/tile/",
        "2/checkpoint",
        "01/checkpoint",
        "x/checkpoint",
        "99999999999999999999/checkpoint",
    ],
)
async def test_what_the_published_log_does_not_have_is_not_found(house: House, path: str) -> None:
    partner = house.doors.catalog.current.directory.partner("acme")
    assert partner is not None
    async with house.client("acme") as client:
        answer = await client.get(f"/log/{partner.log}/{path}")
    assert answer.status_code == 404


@pytest.mark.parametrize(
    ("accepted", "coding"),
    [
        ("gzip", "gzip"),
        ("br;q=1.0, gzip; q=0.5", "gzip"),
        ("identity", None),
        ("", None),
        ("gzip;q=0", None),
        ("*;q=0", None),
    ],
)
async def test_entries_are_compressed_for_who_takes_that_and_hashes_never(
    house: House, accepted: str, coding: str | None
) -> None:
    asked = {"accept-encoding": accepted}
    async with house.client("acme") as client:
        (log,) = (await client.get("/v1/me")).json()["logs"]
        plain = await client.get(
            f"{log['url']}/tile/entries/000.p/3", headers={"accept-encoding": "identity"}
        )
        bundle = await client.get(f"{log['url']}/tile/entries/000.p/3", headers=asked)
        tile = await client.get(f"{log['url']}/tile/0/000.p/3", headers=asked)
    assert (bundle.headers.get("content-encoding"), bundle.headers["vary"]) == (coding, "Accept-Encoding")
    assert bundle.content == plain.content
    assert "content-encoding" not in tile.headers


async def test_the_evidence_of_an_entry_is_what_its_leaf_commits_to(house: House) -> None:
    async with house.client("acme") as client, house.client("operator") as operator:
        (log,) = (await client.get("/v1/me")).json()["logs"]
        leaves = decode_bundle((await client.get(f"{log['url']}/tile/entries/000.p/3")).content)
        for reader in (client, operator):
            for index, leaf in enumerate(leaves):
                raw = (await reader.get(f"{log['url']}/evidence/{index}")).content
                assert parse_evidence(raw).leaf() == leaf
        for wrong in ("9999", "00", "-1", "x", "9999999999"):
            assert (await client.get(f"{log['url']}/evidence/{wrong}")).status_code == 404


async def test_evidence_that_was_erased_is_gone_and_its_leaf_is_not(house: House) -> None:
    async with house.client("acme") as client:
        (log,) = (await client.get("/v1/me")).json()["logs"]

        def erase(session: Session) -> None:
            session.execute(update(EntryRow).where(col(EntryRow.index) == 1).values(evidence=None))

        await house.world.parts.ground.database.write(erase)
        gone = await client.get(f"{log['url']}/evidence/1")
        assert (gone.status_code, gone.json()["code"]) == (410, "content_erased")
        assert (await client.get(f"{log['url']}/tile/entries/000.p/2")).status_code == 200
        origin = log["url"].rpartition("/log/")[2].rpartition("/")[0]
        name = f"{house.doors.values.log_host}/log/{origin}"
        row = ErasureRow(log=name, epoch=1, first=1, end=2, at=9, erasure=None, basis="")
        await house.world.parts.ground.database.write(lambda session: session.add(row))
        past = await client.get(f"{log['url']}/evidence/1")
        assert (past.status_code, past.json()["code"]) == (410, "content_expired")
        assert "keep.evidence" in past.json()["detail"]


async def test_a_log_is_proved_to_have_only_grown(house: House) -> None:
    async with house.client("acme") as client, house.client("operator") as operator:
        (log,) = (await client.get("/v1/me")).json()["logs"]
        old = (await client.get(f"{log['url']}/checkpoint")).content
        pins = Keys({}, (parse_verifier_key(log["keys"][0]),))
        size = int(old.split(b"\n")[1])
        sent = await client.post("/v1/events/order.placed", json={"order_id": "L-2", "qty": 1})
        await client.get(f"{sent.headers['location']}/proof?wait=10")
        for reader, path in ((client, "/v1"), (operator, "/v1/partners/acme")):
            proof = await reader.get(f"{path}/log/consistency", params={"old": size})
            verdict = verify_growth(old, proof.content, pins)
            assert any(f"only grew from {size} to" in said for said in verdict.proved)


class OwnLog:
    """`audit.log` for whoever may read one log, however many there are."""

    def __getattr__(self, name: str) -> Any:
        assert name != "heads", "the heads of all logs are read"
        return getattr(log, name)


async def test_who_asks_for_one_log_reads_no_other(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log_routes, "log", OwnLog())
    async with house.client("acme") as client:
        (mine,) = (await client.get("/v1/me")).json()["logs"]
        for query in ("?old=1", "?old=1&epoch=1"):
            proof = await client.get(f"/v1/log/consistency{query}")
            assert proof.status_code == 200
            assert mine["origin"] in proof.text
        assert (await client.get("/v1/log/consistency?old=1&epoch=2")).status_code == 404


async def test_an_epoch_is_named_once_there_is_something_to_see_of_it(house: House) -> None:
    """Whoever watches the log would look for its first entry at once."""
    database = house.world.parts.ground.database
    async with house.client("acme") as client:
        before = (await client.get("/v1/me")).json()["logs"]
        name = before[0]["origin"].rpartition("/")[0]
        with database.begin() as session:
            log.open_log(session, f"{name}/2")
        try:
            assert (await client.get("/v1/me")).json()["logs"] == before
        finally:
            with database.begin() as session:
                session.execute(delete(HeadRow).where(col(HeadRow.log) == name, col(HeadRow.epoch) == 2))


async def test_a_size_that_was_never_published_is_a_wrong_parameter(house: House) -> None:
    async with house.client("acme") as client:
        for query in ("", "?old=-1", "?old=x", "?old=999999999"):
            answer = await client.get(f"/v1/log/consistency{query}")
            assert (answer.status_code, answer.json()["code"]) == (400, "parameter_invalid")
        assert "at most" in answer.json()["detail"]


async def test_our_own_log_is_for_operators_alone(house: House) -> None:
    async with house.client("operator") as operator, house.client("acme") as client:
        logs = (await operator.get("/v1/status")).json()["logs"]
        paths = ["/log/" + one["origin"].partition("/log/")[2] + "/checkpoint" for one in logs]
        assert len(paths) == 2
        assert [(await operator.get(path)).status_code for path in paths] == [200, 200]
        assert sorted([(await client.get(path)).status_code for path in paths]) == [200, 404]
