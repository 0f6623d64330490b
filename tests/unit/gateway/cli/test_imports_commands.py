import gzip
import json
import os
import time
from collections.abc import AsyncIterator

import httpx
import pytest

from gateway.cli.exits import Exit
from gateway.imports import store
from tests.importing import lines, working
from tests.unit.gateway.cli.conftest import Canned, Desk, Shell

BAD = b'{"order_id": "bad"}\n'


@pytest.fixture
async def desk_at_work(desk: Desk) -> AsyncIterator[Desk]:
    desk.shell.pause = lambda _: time.sleep(0.02)
    async with working(desk.house.world.parts.importer):
        yield desk


async def test_a_file_is_sent_watched_and_told_of_and_found_again(desk_at_work: Desk) -> None:
    desk = desk_at_work
    file = desk.shell.write("orders.ndjson", lines(range(30)) + BAD)
    dry = await desk.run("import", str(file), "order.placed", "--dry-run", by="acme")
    assert (dry.code, dry.out) == (Exit.REFUSED, "done  30 would be accepted, 0 sent before, 1 refused\n")
    first = await desk.run("import", str(file), "order.placed", by="acme")
    assert (first.code, first.out) == (Exit.REFUSED, "done  30 accepted, 0 sent before, 1 refused\n")
    assert "event 31:\n  event_invalid: 1 fault against order.placed version 1." in first.err
    again = await desk.run("import", f"@{file}", "order.placed", by="acme")
    assert again.out == first.out
    other = await desk.run("import", str(file), by="acme")
    assert other.out == "done  0 accepted, 0 sent before, 31 refused\n"
    found = await desk.run("imports", "list", "--json", by="acme")
    ids = [one["id"] for one in found.document()["items"]]
    assert len(ids) == 3
    shown = await desk.run("imports", "show", ids[1], by="acme")
    assert (shown.code, shown.out) == (first.code, first.out)
    whole = await desk.run("imports", "show", ids[1], "--json", by="acme")
    assert [json.loads(one).get("index") for one in whole.out.splitlines()] == [None, 30]


async def test_a_file_with_refusals_is_taken_anew_where_that_is_asked(desk_at_work: Desk) -> None:
    desk = desk_at_work
    file = desk.shell.write("orders.ndjson", lines(range(3)) + BAD)
    await desk.run("import", str(file), "order.placed", by="acme")
    found = await desk.run("import", str(file), "order.placed", by="acme")
    assert found.out == "done  3 accepted, 0 sent before, 1 refused\n"
    assert "--again takes it anew" in found.err
    anew = await desk.run("import", str(file), "order.placed", "--again", by="acme")
    assert anew.out == "done  0 accepted, 3 sent before, 1 refused\n"
    assert "--again" not in anew.err


async def test_a_compressed_file_goes_as_it_is_and_our_side_names_the_partner(desk_at_work: Desk) -> None:
    desk = desk_at_work
    file = desk.shell.write("accepted.jsonl.gz", gzip.compress(lines(range(3))))
    done = await desk.run("import", str(file), "order.accepted", "--partner", "acme")
    assert (done.code, done.out) == (Exit.DONE, "done  3 accepted, 0 sent before, 0 refused\n")
    unnamed = await desk.run("import", str(file), "order.accepted")
    assert unnamed.code == Exit.CREDENTIAL
    assert "--partner" in unnamed.err


async def test_a_cancelled_import_is_told_and_the_same_file_begins_another(desk: Desk) -> None:
    file = desk.shell.write("orders.ndjson", lines(range(3)))
    database = desk.house.world.parts.ground.database

    def cancel(_: float) -> None:
        with database.begin() as session:
            newest = store.page(session, "acme", ("inbound",), after=None, limit=1)[0]
            store.cancel(session, newest.id, now=1)

    desk.shell.pause = cancel
    first = await desk.run("import", str(file), "order.placed", by="acme")
    second = await desk.run("import", str(file), "order.placed", by="acme")
    assert [(one.code, one.out) for one in (first, second)] == [
        (Exit.CONFLICT, "cancelled  0 accepted, 0 sent before, 0 refused\n")
    ] * 2
    listed = await desk.run("imports", "list", "--json", by="acme")
    assert [one["state"] for one in listed.document()["items"]] == ["cancelled"] * 2


async def test_an_import_is_cancelled_once_that_was_asked(desk: Desk) -> None:
    async with desk.house.client("acme") as client:
        headers = {"Content-Type": "application/x-ndjson"}
        made = await client.post("/v1/imports?type=order.placed", content=lines([1]), headers=headers)
    import_id = made.json()["id"]
    dry = await desk.run("imports", "cancel", import_id, "--dry-run", by="acme")
    asked = await desk.run("imports", "cancel", import_id, by="acme")
    done = await desk.run("imports", "cancel", import_id, "--yes", "--json", by="acme")
    assert "would be cancelled" in dry.out
    assert asked.code == Exit.USAGE
    assert done.document()["state"] == "cancelled"


@pytest.mark.parametrize("name", ["none.ndjson", "."])
def test_a_file_that_cannot_be_read_is_told(shell: Shell, name: str) -> None:
    ended = shell.run("import", str(shell.folder / name), "order.placed")
    assert ended.code == Exit.USAGE
    assert "cannot be read" in ended.err


def test_a_pipe_is_refused_and_nobody_waits_for_it(shell: Shell) -> None:
    pipe = shell.folder / "orders.ndjson"
    os.mkfifo(pipe)
    ended = shell.run("import", str(pipe), "order.placed")
    assert ended.code == Exit.USAGE
    assert "cannot be read twice" in ended.err


def item(**members: object) -> httpx.Response:
    counts = {"done": 0, "accepted": 0, "duplicates": 0, "refused": 0}
    known = {"id": "imp_a", "state": "running", "total": 3, "dry_run": False, "ended_at": None, "error": None}
    return httpx.Response(202, json={**known, **counts, **members})


def test_a_gateway_that_restarts_meanwhile_is_waited_for(shell: Shell) -> None:
    file = shell.write("o.avro", b"Obj")
    error = {"code": "partner_suspended", "detail": "The partner is suspended.", "hint": "Ask."}
    failed = item(state="failed", ended_at="2026-11-22T13:00:00.000Z", error=error, accepted=2, done=2)
    gone = httpx.ConnectError("gone")
    shell.transport = transport = Canned(item(), gone, gone, item(), failed)
    ended = shell.run("import", str(file), "order.placed", "--url", "http://gw.example", "--quiet")
    assert (ended.code, ended.out) == (Exit.CREDENTIAL, "failed  2 accepted, 0 sent before, 0 refused\n")
    assert ended.err.startswith("partner_suspended: The partner is suspended.")
    sent = transport.asked[0]
    assert sent.headers["content-type"] == "application/vnd.apache.avro"
    assert (sent.headers["content-length"], sent.content) == ("3", b"Obj")
    assert "transfer-encoding" not in sent.headers
