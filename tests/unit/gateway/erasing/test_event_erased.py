"""An event is erased in one transaction: nothing of it is left but its ref, and what the log needs."""

import asyncio
import base64
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import delete, select, text
from sqlmodel import Session, col

from audit import log
from audit.evidence import Kind, make_evidence
from audit.ref import parse_ref
from audit.store import load_nodes
from audit.tree import root_at
from gateway.bootstrap.ground import clock
from gateway.erasing.inventory import INVENTORY
from gateway.rows import ClaimRow, DeliveryRow
from gateway.upkeep.inspection import Scope, inspect
from tests.builders import House, open_house
from tests.unit.audit.builders import members_of
from tests.unit.gateway.erasing.remains import remains
from tests.unit.gateway.erasing.stage import (
    BODY,
    MARK,
    WORDS,
    entries,
    erase,
    hold,
    lift,
    owe,
    send,
    settled,
    shown,
    worked_off,
)
from tests.waiting import until


@pytest.fixture
async def house(tmp_path: Path, database_url: str) -> AsyncIterator[House]:
    async with open_house(tmp_path, partners=("acme", "globex"), url=database_url) as opened:
        yield opened


async def test_nothing_of_it_is_left_in_any_table(house: House) -> None:
    ref = await send(house)
    owe(house, ref)
    owe(house, ref, "ep_2", state="parked")
    before = await remains(house.doors.database, *WORDS)
    assert before == {
        "audit_entry.evidence",
        "audit_entry.event_id",
        "gateway_attempt.excerpt",
        "gateway_claim.content",
        "gateway_claim.content_sha256",
        "gateway_claim.event_id",
        "gateway_claim.key",
        "gateway_claim.receipt",
        "gateway_delivery.event_id",
        "gateway_delivery.order_key",
        "gateway_delivery.payload",
        "gateway_delivery.source",
        "gateway_repeat.answer",
    }
    assert {
        one for one in before if one.split(".")[1] not in INVENTORY[one.split(".")[0]].erased.split()
    } == set()
    answer = await erase(house, refs=[ref])
    assert answer.status_code == 201, answer.text
    made = answer.json()
    assert (made["state"], made["total"], made["erased"], made["refs"]) == ("done", 1, 1, 1)
    await entries(house, "evidence.erased", 1)
    assert await remains(house.doors.database, *WORDS) == set()


async def test_the_log_says_what_was_erased_and_its_proofs_of_before_hold(house: House) -> None:
    ref = await send(house)
    path = f"/v1/history/{ref}"
    async with house.client("acme") as client:
        before = await client.get(path)
        proof = (await client.get(f"{path}/proof")).text
        place = before.json()["entries"][0]["log"]
        answer = await erase(house, refs=[ref])
        [said] = await entries(house, "evidence.erased", 1)
        assert said == {
            "partner": "acme",
            "erasure": answer.json()["id"],
            "origin": place["origin"],
            "index": place["index"],
            "leaf_sha256": said["leaf_sha256"],
            "basis": "case 17",
            "by": {"role": "operator", "credential": house.credentials["operator"].id},
        }
        after = (await client.get(path)).json()
        why = {"at": after["erased"]["at"], "erasure": answer.json()["id"], "basis": "case 17"}
        assert (after["state"], after["erased"], after["id"]) == ("erased", why, None)
        assert [(one["kind"], one["evidence"], one["erased"]) for one in after["entries"]] == [
            ("event.accepted", {}, why)
        ]
        assert "receipt" not in after
        content = await client.get(f"{path}/content")
        assert (content.status_code, content.json()["code"]) == (410, "content_erased")
        listed = (await client.get("/v1/history", params={"ref": ref})).json()["items"]
        assert [(one["erased"], one["id"]) for one in listed] == [(True, None)]
        later = (await client.get(f"{path}/proof")).text
    assert proof.split("\n")[:2] == later.split("\n")[:2]
    origin = place["origin"]
    lines = proof.partition("\n\n")[2].splitlines()
    size = int(lines[1])

    def root(session: Session) -> str:
        found = root_at(size, lambda keys: dict(load_nodes(session, origin, keys)))
        return base64.b64encode(found).decode()

    assert await house.doors.database.read(root) == lines[2]


async def test_the_same_event_is_not_taken_a_second_time(house: House) -> None:
    ref = await send(house)
    await erase(house, refs=[ref])
    await entries(house, "evidence.erased", 1)
    entered = await count(house)
    async with house.client("acme") as client:
        headers = {"Content-Type": "application/json"}
        for body in (BODY, BODY.replace(b"1}", b"2}"), BODY.replace(b"1}", b'"no"}')):
            for query in ("", "?dry_run=true"):
                again = await client.post(f"/v1/events/order.placed{query}", content=body, headers=headers)
                assert (again.status_code, again.json()["code"]) == (410, "content_erased")
                assert MARK not in again.text
        nd = {"Content-Type": "application/x-ndjson", "Prefer": "handling=lenient"}
        other = BODY.replace(MARK.encode(), b"other")
        batch = await client.post("/v1/events/order.placed", content=BODY + b"\n" + other, headers=nd)
        assert [one["status"] for one in batch.json()["results"]] == [410, 201]
        strict = await client.post(
            "/v1/events/order.placed",
            content=BODY + b"\n" + other,
            headers={"Content-Type": nd["Content-Type"]},
        )
        assert strict.status_code == 422
        twins = await client.post("/v1/events/order.placed", content=BODY + b"\n" + BODY, headers=nd)
        assert [one["status"] for one in twins.json()["results"]] == [410, 410]
    await send(house, BODY.replace(MARK.encode(), b"last"))
    # Of what was refused as erased nothing is entered.
    assert await count(house) == entered + 2
    assert await remains(house.doors.database, MARK.encode()) == set()


async def count(house: House) -> int:
    """Entries of acme's log."""
    partner = house.doors.catalog.current.directory.partner("acme")
    assert partner is not None
    origin = f"{house.doors.values.log_host}/log/{partner.log}/1"
    return (await house.doors.database.read(lambda session: log.state(session, origin))).head.size


async def test_what_waits_is_cancelled_and_says_so_by_its_ref(house: House) -> None:
    ref = await send(house)
    for endpoint, state in (("ep_1", "pending"), ("ep_2", "held"), ("ep_3", "parked"), ("ep_4", "cancelled")):
        owe(house, ref, endpoint, state=state)
    owe(house, ref, "ep_5", owner="house/acme")
    await erase(house, refs=[ref])
    said = await entries(house, "delivery.cancelled", 2)
    assert {(one["ref"], one["source"], one["id"], one["endpoint"]) for one in said} == {
        (ref, "", "", "ep_1"),
        (ref, "", "", "ep_2"),
    }
    ours = await entries(house, "delivery.cancelled", 1, slug="house")
    assert [(one["partner"], one["endpoint"]) for one in ours] == [("acme", "ep_5")]
    columns = [col(getattr(DeliveryRow, name)) for name in ("endpoint", "state", "payload", "asked_at")]
    query = select(*columns).order_by(col(DeliveryRow.endpoint))
    found = await house.doors.database.read(lambda session: session.execute(query).all())
    rows = [(endpoint, state, payload, asked_at is not None) for endpoint, state, payload, asked_at in found]
    assert rows == [
        ("ep_1", "cancelled", b"", True),
        ("ep_2", "cancelled", b"", True),
        ("ep_3", "parked", b"", False),
        ("ep_4", "cancelled", b"", False),
        ("ep_5", "cancelled", b"", True),
    ]


async def test_what_the_log_has_not_got_waits_in_the_job(house: House) -> None:
    ref = await send(house)
    await unlog(house)
    answer = await erase(house, refs=[ref])
    assert (answer.status_code, answer.json()["state"], answer.json()["pending"]) == (202, "waiting", 1)
    assert MARK.encode() in await content_of(house, ref)
    await house.doors.database.write(
        lambda session: session.execute(text("UPDATE gateway_claim SET leaf_index = 1"))
    )
    await house.doors.database.write(
        lambda session: session.execute(text("UPDATE gateway_erasure SET next_at = 0"))
    )
    await worked_off(house)
    assert (await shown(house, answer.json()["id"]))["state"] == "done"
    assert await content_of(house, ref) == b""


async def unlog(house: House) -> None:
    """As if the sequencer had not come to it yet; it does not find the claim, whose record is read."""
    await house.doors.database.write(
        lambda session: session.execute(text('UPDATE gateway_claim SET leaf_index = NULL, "offset" = NULL'))
    )


async def content_of(house: House, ref: str) -> bytes:
    def work(session: Session) -> bytes:
        row = session.get(ClaimRow, parse_ref(ref))
        assert row is not None
        return row.content or b""

    return await house.doors.database.read(work)


async def test_what_was_under_way_is_erased_when_it_has_ended(house: House) -> None:
    ref = await send(house)
    made = (await erase(house, refs=[ref])).json()
    owe(house, ref, "ep_late")
    await worked_off(house)
    assert "gateway_delivery.payload" in await remains(house.doors.database, *WORDS)
    await house.doors.database.write(
        lambda session: session.execute(text("UPDATE gateway_erasure SET again_at = 0"))
    )
    await worked_off(house)
    assert await remains(house.doors.database, *WORDS) == set()
    assert (await shown(house, made["id"]))["erased"] == 1
    assert not await house.world.parts.eraser.step()


async def test_a_partner_s_erasure_reaches_nothing_of_another_s(house: House) -> None:
    ref = await send(house)
    foreign = await erase(house, slug="globex", refs=[ref])
    assert (foreign.status_code, foreign.json()["code"]) == (404, "not_found")
    unknown = await erase(house, refs=["evt_" + "a" * 52])
    assert (unknown.status_code, unknown.json()["code"]) == (404, "not_found")
    both = await erase(house, refs=[ref, "evt_" + "a" * 52])
    assert (both.json()["erased"], both.json()["absent"]) == (1, 1)


async def test_a_refusal_with_an_id_is_erased_and_burns_no_id(house: House) -> None:
    async with house.client("acme") as client:
        refused = await client.post("/v1/events/order.placed", json={"order_id": MARK, "qty": "many"})
        assert refused.status_code == 422

        async def items() -> Any:
            return (await client.get("/v1/history", params={"id": MARK})).json()["items"]

        found = await until(items, lambda: "the refusal is in no log")
    ref = found[0]["ref"]
    answer = await erase(house, refs=[ref])
    assert answer.json()["erased"] == 1
    left = await remains(house.doors.database, MARK.encode())
    # What the gateway has told of the refusal is an event of its own, published or not.
    assert left <= {"gateway_announcement.data", "gateway_claim.content", "gateway_claim.datum"}
    assert await send(house) == ref


async def test_a_hold_refuses_all_and_names_itself(house: House) -> None:
    free, held = await send(house), await send(house, BODY.replace(b"4711", b"4712"))
    name = await hold(house, refs=[held])
    for dry_run in (True, False):
        refused = await erase(house, refs=[free, held], dry_run=dry_run)
        assert (refused.status_code, refused.json()["code"], refused.json()["holds"]) == (409, "held", [name])
    assert await content_of(house, free) != b""
    waits = await erase(house, refs=[free, held], when_held="wait")
    made = waits.json()
    assert (waits.status_code, made["state"], made["erased"], made["held"]) == (202, "held", 1, 1)
    assert (await content_of(house, free), await content_of(house, held) != b"") == (b"", True)
    assert not await house.world.parts.eraser.step()
    await lift(house, name)
    done = await settled(house, made["id"])
    assert (done["state"], done["erased"], done["held"]) == ("done", 2, 0)
    assert await content_of(house, held) == b""
    said = await entries(house, "hold.lifted", 1)
    assert (said[0]["hold"], said[0]["basis"], said[0]["scope"]["refs"]) == (name, "over", [held])


async def test_killed_before_its_commit_nothing_is_erased(house: House) -> None:
    ref = await send(house)
    before = await remains(house.doors.database, *WORDS)
    dry = await erase(house, refs=[ref], dry_run=True)
    assert (dry.status_code, dry.json()["erased"], dry.json()["dry_run"]) == (202, 1, True)
    assert await remains(house.doors.database, *WORDS) == before
    async with house.client("operator") as client:
        assert (await client.get("/v1/partners/acme/erasures")).json()["items"] == []


async def test_a_repeat_under_its_key_is_the_same_erasure(house: House) -> None:
    ref = await send(house)
    first, second = [await erase(house, refs=[ref], key="once") for _ in range(2)]
    assert (second.status_code, second.json()) == (201, first.json())
    assert second.headers["idempotent-replayed"] == "true"
    again = await erase(house, refs=[ref])
    assert (again.json()["state"], again.json()["erased"]) == ("done", 0)


async def test_a_time_is_erased_in_steps_with_refusals_that_name_no_event(house: House) -> None:
    refs = [await send(house, BODY.replace(b"4711", b"%d" % number)) for number in range(3)]
    async with house.client("acme") as client:
        await client.post("/v1/events/order.placed", json={"MARKED": MARK})

        async def refused() -> Any:
            return (await client.get("/v1/history?state=refused")).json()["items"]

        await until(refused, lambda: "the refusal is in no log")
    name = await hold(house, refs=refs[:1])
    now = {"since": "1h", "until": "0s"}
    # The gateway tells of the refusal by an event of its own, which may be in the log by then.
    dry = (await erase(house, **now, dry_run=True)).json()
    assert dry["total"] in {4, 5}
    made = await erase(house, **now)
    assert (made.status_code, made.json()["total"] in {4, 5}) == (202, True)
    found = await settled(house, made.json()["id"])
    assert (found["state"], found["held"]) == ("held", 1)
    assert found["erased"] + 1 == found["done"] in {4, 5}
    await lift(house, name)
    found = await settled(house, made.json()["id"])
    assert (found["state"], found["erased"], found["held"]) == ("done", found["total"], 0)
    await entries(house, "evidence.erased", 4)
    for _ in range(500):
        # The event that tells of the refusal is on its way: its claim has its datum until it is on the topic.
        if "gateway_claim.datum" not in await remains(house.doors.database, *WORDS):
            break
        await asyncio.sleep(0.02)
    # The gateway has told of the refusal: that is an event of its own, as docs/erasure.md says.
    assert await remains(house.doors.database, *WORDS) <= {
        "gateway_announcement.data",
        "gateway_claim.content",
    }


async def test_not_a_byte_of_it_is_left_in_the_file(tmp_path: Path) -> None:
    """Not in pages that rows have left behind as they grew and moved either."""
    large = BODY.replace(b"MARKED customer", b"MARKED" * 2_000)
    async with open_house(tmp_path) as opened:
        refs = [await send(opened, large.replace(b"4711", b"%d" % number)) for number in range(8)]
        owe(opened, refs[0])
        pressed = await opened.doors.database.read(stored)
        assert (await erase(opened, refs=refs)).json()["erased"] == 8
        await entries(opened, "evidence.erased", 8)
    # The program has stopped: the write-ahead log is gone with it.
    assert files_with(b"MARKED", tmp_path) == ["broker.db"], "which no erasure can reach"
    assert [files_with(one, tmp_path) for one in pressed] == [[]] * 8, "in whatever form it was stored"


def stored(session: Session) -> list[bytes]:
    """Evidence of events as rows hold it, without its first bytes."""
    query = text("SELECT evidence FROM audit_entry WHERE kind = 'event.accepted'")
    return [evidence[16:] for (evidence,) in session.execute(query)]


def files_with(word: bytes, folder: Path) -> list[str]:
    return sorted({one.name.split("-")[0] for one in folder.glob("*.db*") if word in one.read_bytes()})


async def test_an_event_that_went_on_is_erased_in_both_logs_and_held_by_either(house: House) -> None:
    ref = await send(house)
    await forwarded(house, ref)
    name = await hold(house, slug="globex", since="1h")
    refused = await erase(house, refs=[ref])
    assert (refused.status_code, refused.json()["holds"]) == (409, [name])
    await lift(house, name, slug="globex")
    ours = await hold(house, since="1h")
    refused = await erase(house, slug="globex", refs=[ref])
    assert (refused.status_code, refused.json().get("holds")) == (409, [ours])
    await lift(house, ours)
    # The other partner's erasure reaches what it has of it, and no more.
    theirs = await erase(house, slug="globex", refs=[ref])
    assert theirs.json()["erased"] == 1
    [said] = await entries(house, "evidence.erased", 1, slug="globex")
    assert (said["partner"], await content_of(house, ref) != b"") == ("globex", True)
    await forwarded(house, ref, number=2)
    own = await erase(house, refs=[ref])
    assert own.json()["erased"] == 1
    assert len(await entries(house, "evidence.erased", 2, slug="globex")) == 2
    assert len(await entries(house, "evidence.erased", 1)) == 1
    assert await remains(house.doors.database, *WORDS) == set()


async def test_the_tombstone_of_an_old_event_stands_for_its_acceptance(house: House) -> None:
    await send(house, BODY.replace(MARK.encode(), b"another"))
    ref = await send(house)
    await forwarded(house, ref)
    await house.doors.database.write(lambda session: session.execute(delete(ClaimRow)))
    assert (await erase(house, refs=[ref])).json()["erased"] == 1
    scope = Scope(lambda _: ())
    found = await house.doors.database.read(lambda session: list(inspect(session, scope)))
    assert [one for one in found if one.what.startswith("claim_")] == []
    row = await house.doors.database.read(lambda session: session.execute(select(ClaimRow)).scalar_one())
    assert (row.state, row.direction) == ("erased", "inbound")


async def forwarded(house: House, ref: str, number: int = 1) -> None:
    """An attempt to deliver the event to globex, in its log."""
    partner = house.doors.catalog.current.directory.partner("globex")
    assert partner is not None
    members = members_of("delivery.attempted") | {"partner": "globex", "ref": ref, "id": MARK}
    made = make_evidence(
        Kind.ATTEMPTED,
        members | {"number": number, "source": "/partners/acme"},
        iss="http://127.0.0.1:8080",
        log=f"{house.doors.values.log_host}/log/{partner.log}",
        at=clock(),
        salt=bytes([number]) * 32,
    )
    await house.doors.database.write(lambda session: log.submit(session, made, id=bytes([number]) * 16))
    for _ in range(1_000):
        if not await house.doors.database.read(log.pending_logs):
            return
        await asyncio.sleep(0.02)
    raise AssertionError(ref)
