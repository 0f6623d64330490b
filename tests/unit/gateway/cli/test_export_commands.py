"""Exports on the command line: made, watched, saved, gone on with, verified."""

import json
import time
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
from sqlalchemy import update
from sqlmodel import col

from audit.archive import list_members
from audit.rows import EntryRow
from gateway.cli import archives
from gateway.cli.client import Client
from gateway.cli.exits import Exit
from gateway.exports import store
from tests.exporting import exporting
from tests.unit.gateway.cli.conftest import Canned, Desk, Shell

EVENTS = 9


@pytest.fixture
async def logged(desk: Desk) -> AsyncIterator[Desk]:
    """A desk whose partner's log has some entries, and files of three entries each."""
    async with desk.house.client("acme") as client:
        for number in range(EVENTS):
            sent = await client.post("/v1/events/order.placed", json={"order_id": f"X-{number}", "qty": 1})
        await client.get(f"{sent.headers['location']}/proof?wait=20")
    desk.shell.pause = lambda _: time.sleep(0.02)
    role = desk.house.world.parts.exporting.role
    role.maker.part_entries = 3
    async with exporting(role):
        yield desk


def key_told(text: str) -> str:
    """The key in the command that proves an export."""
    return text.split("--log-key '")[1].split("'", maxsplit=1)[0]


async def test_an_export_is_made_saved_and_proved(logged: Desk) -> None:
    file = logged.shell.folder / "export.tar"
    dry = await logged.run("export", "create", "--from", "2", "--to", "5", "--dry-run", by="acme")
    assert (dry.code, dry.out.splitlines()[0]) == (0, "dry run  waiting  3 entries would be exported")
    assert not file.exists()
    made = await logged.run("export", "create", "--format", "parquet", "-o", str(file), by="acme")
    assert made.code == 0, made.err
    assert "  done  " in made.out
    assert "from 0 to " in made.out
    verified = logged.shell.run("verify", str(file), "--log-key", key_told(made.err))
    assert verified.code == 0, verified.out
    assert "every entry of " in verified.out
    whole = logged.shell.run("verify", str(file), "--log-key", key_told(made.err), "--json")
    assert set(whole.document()) == {"verified", "proved", "word", "not_proved"}
    unpinned = logged.shell.run("verify", str(file))
    assert (unpinned.code, "have not pinned" in unpinned.out) == (Exit.NOT_PROVED, True)
    beside = logged.shell.run("verify", str(file), "--log-key", key_told(made.err), "--content", str(file))
    assert beside.code == Exit.USAGE
    raw = bytearray(file.read_bytes())
    raw[2_000] ^= 1
    file.write_bytes(raw)
    broken = logged.shell.run("verify", str(file), "--log-key", key_told(made.err))
    assert broken.code == Exit.NOT_PROVED


async def test_exports_are_listed_shown_and_downloaded_again(logged: Desk) -> None:
    folder = logged.shell.folder
    for number, partner in enumerate((["--partner", "acme"], ["-p", "acme", "--content"])):
        done = await logged.run("export", "create", *partner, "-o", str(folder / f"{number}.tar"))
        assert done.code == 0, done.err
    listed = await logged.run("export", "list", "-p", "acme", "--json")
    items = listed.document()["items"]
    assert [one["content"] for one in items] == [True, False]
    shown = await logged.run("export", "show", items[1]["id"], "-p", "acme")
    assert items[1]["id"] in shown.out
    again = await logged.run("export", "download", items[1]["id"], "-p", "acme", "-o", str(folder / "2.tar"))
    assert again.code == 0, again.err
    assert len((folder / "2.tar").read_bytes()) == len((folder / "0.tar").read_bytes())
    table = await logged.run("export", "list", "-p", "acme")
    assert items[0]["id"] in table.out


async def test_a_download_goes_on_where_it_broke_off(logged: Desk) -> None:
    folder = logged.shell.folder
    made = await logged.run("export", "create", "-o", str(folder / "a.tar"), "--json", by="acme")
    export_id, whole = made.document()["id"], (folder / "a.tar").read_bytes()
    with (folder / "a.tar").open("rb") as source:
        third = list_members(source)[2]
    (folder / "b.tar.part").write_bytes(whole[: third.offset + 5])
    went_on = await logged.run("export", "download", export_id, "-o", str(folder / "b.tar"), by="acme")
    assert (went_on.code, "2 files were there already" in went_on.err) == (0, True)
    (folder / "c.tar.part").write_bytes(b"something else" * 100)
    anew = await logged.run("export", "download", export_id, "-o", str(folder / "c.tar"), by="acme")
    assert (anew.code, "already" in anew.err) == (0, False)
    damaged = bytearray(whole)
    damaged[third.offset + 5] ^= 1
    (folder / "d.tar.part").write_bytes(damaged)
    mended = await logged.run("export", "download", export_id, "-o", str(folder / "d.tar"), by="acme")
    assert mended.code == 0
    for name in ("b", "c", "d"):
        verified = logged.shell.run("verify", str(folder / f"{name}.tar"), "--log-key", key_told(made.err))
        assert verified.code == 0, verified.out
        assert not (folder / f"{name}.tar.part").exists()


async def test_a_file_that_changes_while_it_is_saved_is_fetched_again(
    logged: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    database, fetch, seen = logged.house.world.parts.ground.database, archives._fetch, list[str]()

    def erasing(client: Client, path: str) -> bytes:
        raw = fetch(client, path)
        seen.append(path.rpartition("/")[2])
        if seen == ["0", "1", "2", "3"]:
            with database.begin() as session:
                session.execute(update(EntryRow).where(col(EntryRow.index) == 4).values(evidence=None))
            fetch(client, path.replace("/3", "/2"))
        return raw

    monkeypatch.setattr(archives, "_fetch", erasing)
    file = logged.shell.folder / "export.tar"
    made = await logged.run("export", "create", "-o", str(file), by="acme")
    assert made.code == 0, made.err
    assert seen.count("2") == 2
    verified = logged.shell.run("verify", str(file), "--log-key", key_told(made.err))
    assert "1 of them without evidence" in verified.out


async def test_files_that_go_on_changing_are_given_up(logged: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    fetch, turns = archives._fetch, [0]

    def changing(client: Client, path: str) -> bytes:
        raw = fetch(client, path)
        turns[0] += 1
        if path.endswith("/0"):
            return raw
        return raw + b" " * turns[0]

    monkeypatch.setattr(archives, "_fetch", changing)
    made = await logged.run("export", "create", "-o", str(logged.shell.folder / "e.tar"), by="acme")
    assert (made.code, "go on changing" in made.err) == (Exit.FAULT, True)


async def test_a_cancelled_or_failed_export_is_told(desk: Desk) -> None:
    database = desk.house.world.parts.ground.database
    async with desk.house.client("acme") as client:
        sent = await client.post("/v1/events/order.placed", json={"order_id": "X", "qty": 1})
        await client.get(f"{sent.headers['location']}/proof?wait=20")

    def cancel(_: float) -> None:
        with database.begin() as session:
            newest = store.page(session, "acme", after=(1 << 62, ""), limit=1)[0]
            store.cancel(session, newest.id, now=1)

    desk.shell.pause = cancel
    file = desk.shell.folder / "export.tar"
    ended = await desk.run("export", "create", "-o", str(file), by="acme")
    assert (ended.code, file.exists()) == (Exit.CONFLICT, False)
    assert "cancelled" in ended.out
    async with desk.house.client("acme") as client:
        made = (await client.post("/v1/exports", json={})).json()["id"]
    asked = await desk.run("export", "cancel", made, by="acme")
    done = await desk.run("export", "cancel", made, "--yes", by="acme")
    assert (asked.code, done.code) == (Exit.USAGE, 0)
    assert f"{made}  cancelled; 0 of " in done.out


def document(**members: object) -> dict[str, object]:
    known: dict[str, object] = {
        "id": "exp_a",
        "state": "running",
        "total": 3,
        "done": 0,
        "erased": 0,
        "bytes": 0,
    }
    more: dict[str, object] = {"dry_run": False, "ended_at": None, "error": None, "ranges": [], "files": None}
    return {**known, **more, **members}


def test_an_export_that_fails_ends_with_its_reason(shell: Shell) -> None:
    problem = {
        "code": "internal",
        "detail": "The log is not whole.",
        "title": "x",
        "status": 500,
        "retry": "no",
    }
    failed = document(state="failed", ended_at="2026-11-22T13:05:00.000Z", error=problem)
    shell.transport = Canned(httpx.Response(202, json=document()), httpx.Response(200, json=failed))
    ended = shell.run("export", "create", "-o", str(shell.folder / "export.tar"))
    assert (ended.code, "not whole" in ended.err) == (Exit.FAULT, True)


@pytest.mark.parametrize(
    ("content", "digest", "said"),
    [
        (b"{}", "sha-256=:AAAA:", "Content-Digest"),
        (b"{}", "sha-256=:RBNvo1WzZ4oRRq0W9+hknpT7T8If536DEMBg9hyq/4o=:", "manifest cannot be read"),
    ],
)
def test_a_file_that_is_not_what_it_should_be_is_refused(
    shell: Shell, content: bytes, digest: str, said: str
) -> None:
    done = document(state="done", ended_at="2026-11-22T13:05:00.000Z", files=2)
    file = httpx.Response(200, content=content, headers={"Content-Digest": digest})
    shell.transport = Canned(httpx.Response(202, json=done), file)
    ended = shell.run("export", "create", "-o", str(shell.folder / "export.tar"))
    assert (ended.code, said in ended.err) == (Exit.FAULT, True)


def test_nothing_is_overwritten_and_folders_must_be_there(shell: Shell) -> None:
    file = shell.write("export.tar", b"mine")
    shell.transport = Canned(httpx.Response(202, json=document()))
    for words in (["create"], ["download", "exp_a"]):
        for path in (file, Path(shell.folder / "none" / "export.tar")):
            ended = shell.run("export", *words, "-o", str(path))
            assert ended.code == Exit.USAGE
            assert "-o" in ended.err
    assert file.read_bytes() == b"mine"
    assert json.loads(json.dumps(document()))["id"] == "exp_a"


def test_where_pyarrow_is_missing_verify_says_what_to_install(
    shell: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    def missing(*_: object, **__: object) -> None:
        from audit.errors import MissingLibraryError  # noqa: PLC0415 - of this test alone

        raise MissingLibraryError("Parquet needs pyarrow: pip install 'partner-gateway[parquet]'")

    monkeypatch.setattr("gateway.cli.verify_export.verify_exports", missing)
    ended = shell.run("verify", str(shell.write("export.tar", b"x")))
    assert (ended.code, "partner-gateway[parquet]" in ended.err) == (Exit.FAULT, True)
