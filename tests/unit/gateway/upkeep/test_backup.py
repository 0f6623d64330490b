"""A backup is of one moment, whole or not there; a restored one goes on only once its logs are looked to."""

import asyncio
import io
import shutil
import sqlite3
import tarfile
from collections.abc import Callable
from contextlib import closing
from functools import partial
from pathlib import Path

import pytest

from gateway.bootstrap.backups import back_up
from gateway.bootstrap.belonging import verify_belongs
from gateway.bootstrap.ground import open_broker
from gateway.bootstrap.upkeep import examining, new_epochs
from gateway.database import Database
from gateway.sequencer.guard import LogBehindError, verify_not_behind
from gateway.sequencer.published import read_shown
from gateway.upkeep.backup import Sources, create_backup
from gateway.upkeep.epochs import Wish
from gateway.upkeep.manifest import BackupError, Manifest, parse_manifest
from gateway.upkeep.restore import restore_backup
from tests.world import FIRST, make_settings, running

ABOUT = Manifest("2026-11-22T13:00:00Z", "1", "0017", "https://gw.example", "house", {}, {})


def body(number: int) -> dict[str, object]:
    return {"order_id": f"A-{number}", "qty": number}


def faults(folder: Path) -> list[str]:
    with examining(make_settings(folder), ()) as found:
        assert found.unread == ""
        return [f"{one.what} {one.origin} {one.detail}" for one in found.faults(lambda _: None)]


async def test_whatever_is_backed_up_under_load_belongs_together(tmp_path: Path) -> None:
    house, loop = tmp_path / "house", asyncio.get_running_loop()
    backups = [tmp_path / f"{number}.tar" for number in range(4)]
    async with running(house) as world:
        await world.apply()
        await world.settled(FIRST)
        is_over = asyncio.Event()

        async def send() -> int:
            count = 0
            while not is_over.is_set():
                await world.send(*(body(count + number) for number in range(10)))
                count += 10
            return count

        async with asyncio.TaskGroup() as tasks:
            sending = tasks.create_task(send())
            for target in backups:
                work = partial(back_up, world.parts.ground.settings, target, with_master_key=True, told=len_)
                made = await loop.run_in_executor(None, work)
                assert made.has_master_key
            is_over.set()
        assert sending.result() > 0
        await world.settled(FIRST + sending.result())
    sizes = []
    for target in backups:
        assert target.stat().st_mode & 0o777 == 0o600
        restored = target.with_suffix("")
        made = restore_backup(target, restored, is_at_rest=True)
        sizes.append(sum(made.logs.values()))
        assert faults(restored) == []
        await verify_pair(restored)
        with closing(sqlite3.connect(restored / "gateway.db")) as sql:
            # Each event that the database knows to be stored is on the topic.
            ((claims, furthest),) = sql.execute(
                "SELECT count(*), coalesce(max(offset), -1) FROM gateway_claim WHERE state = 'confirmed'"
            )
        with closing(sqlite3.connect(restored / "broker.db")) as sql:
            ((end,),) = sql.execute(
                "SELECT next FROM topic_partition JOIN topic ON topic.id = topic_id "
                "WHERE name = 'partners.acme.inbound'"
            )
        assert claims <= end
        assert furthest < end
    assert sizes == sorted(sizes)


def len_(count: int) -> None:
    assert count >= 0


async def verify_pair(folder: Path) -> None:
    """What a start looks at: broker and database belong together, and nothing was shown that is not there."""
    settings = make_settings(folder)
    database, broker = Database(settings.database.url), open_broker(settings)
    try:
        await verify_belongs(database, broker)
        shown = await read_shown(broker, "gateway.checkpoints")
        assert shown.checkpoints
        await database.read(lambda session: verify_not_behind(session, shown.checkpoints))
    finally:
        await broker.close()
        database.close()


async def test_a_restored_pair_is_refused_until_new_epochs_have_begun(tmp_path: Path) -> None:
    house, back, target = tmp_path / "house", tmp_path / "back", tmp_path / "b.tar"
    loop = asyncio.get_running_loop()
    async with running(house) as world:
        await world.apply()
        await world.send(body(1))
        await world.settled(FIRST + 1)
        settings = world.parts.ground.settings
        await loop.run_in_executor(None, partial(back_up, settings, target, with_master_key=True, told=len_))
    made = restore_backup(target, back)
    with pytest.raises(LogBehindError, match=f"restored from a backup of {made.made_at}"):
        await verify_pair(back)
    work = partial(new_epochs, make_settings(back), Wish("restored"), is_rehearsal=False)
    begun = await loop.run_in_executor(None, work)
    # The partner's, the house's, and the anchor, which may have begun after the backup was made.
    assert len({one.origin.rpartition("/")[0] for one in begun.opened}) == 3
    assert len({one.origin.rpartition("/")[2] for one in begun.opened}) == 1
    assert any("/log/anchor/" in one.origin for one in begun.opened)
    async with running(back, flags={"lease.duration": "1s"}) as world:
        await world.send(body(2))
        await world.settled(1)
    assert faults(back) == []


@pytest.fixture
def files(tmp_path: Path) -> Sources:
    """Two small files, as an installation has them."""
    folder = tmp_path / "house"
    folder.mkdir()
    for name in ("gateway.db", "broker.db"):
        with closing(sqlite3.connect(folder / name)) as sql:
            sql.execute("PRAGMA journal_mode = WAL")
            sql.execute("CREATE TABLE audit_head (log, epoch, size)")
            sql.execute("CREATE TABLE gateway_meta (name TEXT PRIMARY KEY, value TEXT)")
            sql.execute("INSERT INTO audit_head VALUES ('gw/log/a', 1, 7)")
            sql.commit()
    (folder / "master.key").write_text("secret")
    return Sources(folder / "gateway.db", folder / "broker.db", folder / "master.key")


def names_in(folder: Path) -> list[str]:
    return sorted(one.name for one in folder.iterdir())


def whole(tmp_path: Path, sources: Sources) -> Path:
    target = tmp_path / "b.tar"
    create_backup(sources, target, ABOUT)
    return target


STEPS = ("backup.1.held", "backup.2.copied", "backup.3.packed", "backup.4.named")
RESTORE_STEPS = ("restore.1.verified", "restore.2.written", "restore.3.named")


class Trouble:
    """Fails at one step: what came before it is done, what comes after is not."""

    def __init__(self, step: str) -> None:
        self.step = step

    def __call__(self, step: str) -> None:
        if step == self.step:
            raise OSError(5, "Input/output error")


@pytest.mark.parametrize("step", STEPS)
def test_a_backup_that_fails_is_told_and_leaves_nothing_half(
    tmp_path: Path, files: Sources, step: str
) -> None:
    target = tmp_path / "b.tar"
    with pytest.raises(BackupError, match="Input/output error"):
        create_backup(files, target, ABOUT, step=Trouble(step))
    assert not (tmp_path / "b.tar.partial").exists()
    if step == STEPS[-1]:
        # It has its name, and was reported as failed: whole all the same.
        restore_backup(target, tmp_path / "back")
    else:
        assert not target.exists()
        assert create_backup(files, target, ABOUT).logs == {"gw/log/a/1": 7}


@pytest.mark.parametrize("step", RESTORE_STEPS)
def test_a_restore_that_fails_leaves_no_folder_or_all_of_it(
    tmp_path: Path, files: Sources, step: str
) -> None:
    target, back = whole(tmp_path, files), tmp_path / "back"
    with pytest.raises(BackupError, match="nothing was restored"):
        restore_backup(target, back, step=Trouble(step))
    assert not (tmp_path / ".back.restoring").exists()
    if step == RESTORE_STEPS[-1]:
        assert names_in(back) == ["broker.db", "gateway.db", "master.key"]
    else:
        assert not back.exists()
        restore_backup(target, back)


def test_what_a_killed_run_left_behind_is_no_obstacle(tmp_path: Path, files: Sources) -> None:
    (tmp_path / "b.tar.partial").mkdir()
    (tmp_path / "b.tar.partial" / "gateway.db").write_bytes(b"half")
    target = whole(tmp_path, files)
    (tmp_path / ".back.restoring").mkdir()
    (tmp_path / ".back.restoring" / "gateway.db").write_bytes(b"half")
    restore_backup(target, tmp_path / "back")
    with closing(sqlite3.connect(tmp_path / "back" / "gateway.db")) as sql:
        assert sql.execute("SELECT size FROM audit_head").fetchall() == [(7,)]
        assert sql.execute("SELECT name, value FROM gateway_meta").fetchall() == [("restored", ABOUT.made_at)]
    assert (tmp_path / "back" / "master.key").stat().st_mode & 0o777 == 0o600


def test_nothing_is_overwritten(tmp_path: Path, files: Sources) -> None:
    target = whole(tmp_path, files)
    with pytest.raises(BackupError, match="exists already"):
        create_backup(files, target, ABOUT)
    with pytest.raises(BackupError, match="new or empty folder only"):
        restore_backup(target, files.database.parent)
    empty = tmp_path / "empty"
    empty.mkdir()
    restore_backup(target, empty)
    with pytest.raises(BackupError, match="new or empty folder only"):
        restore_backup(target, empty)
    link = tmp_path / "link"
    link.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(BackupError, match="new or empty folder only"):
        restore_backup(target, link)


def test_without_its_files_there_is_no_backup(tmp_path: Path, files: Sources) -> None:
    shutil.copy(files.database, tmp_path / "only.db")
    for sources in (
        Sources(tmp_path / "none.db", None),
        Sources(tmp_path / "only.db", tmp_path / "none.db"),
        Sources(tmp_path / "only.db", None, tmp_path / "no.key"),
    ):
        with pytest.raises(BackupError):
            create_backup(sources, tmp_path / "x.tar", ABOUT)
    assert not list(tmp_path.glob("x.tar*"))
    assert not (tmp_path / "none.db").exists()


def member(
    name: str, content: bytes = b"x", kind: bytes = tarfile.REGTYPE
) -> Callable[[tarfile.TarFile], None]:
    def add(archive: tarfile.TarFile) -> None:
        header = tarfile.TarInfo(name)
        header.size, header.type = len(content), kind
        header.linkname = "/etc/passwd"
        archive.addfile(header, io.BytesIO(content))

    return add


@pytest.mark.parametrize(
    "change",
    [
        member("../outside"),
        member("/tmp/outside"),  # noqa: S108 - hostile
        member("gateway.db"),
        member("other.db"),
        member("master.key", kind=tarfile.SYMTYPE),
        member("broker.db", kind=tarfile.LNKTYPE),
        member("broker.db", kind=tarfile.FIFOTYPE),
        member("broker.db", kind=tarfile.DIRTYPE),
        member("broker.db", kind=tarfile.CHRTYPE),
        member("manifest.json", b"{"),
        member("manifest.json", b"[1]"),
        member("manifest.json", b'{"format":"gateway-backup/v2"}'),
        member(
            "manifest.json", b'{"format":"gateway-backup/v1","files":{"gateway.db":{"bytes":1,"sha256":"x"}}}'
        ),
        member("manifest.json", b"[" * 100_000),
    ],
)
def test_an_archive_that_holds_anything_else_is_refused(
    tmp_path: Path, change: Callable[[tarfile.TarFile], None]
) -> None:
    target = tmp_path / "hostile.tar"
    with tarfile.open(target, "w") as archive:
        member("gateway.db", b"database")(archive)
        change(archive)
    with pytest.raises(BackupError):
        restore_backup(target, tmp_path / "back")
    assert names_in(tmp_path) == ["hostile.tar"]


def test_every_changed_byte_and_every_cut_is_found(tmp_path: Path, files: Sources) -> None:
    target = whole(tmp_path, files)
    raw = target.read_bytes()
    places = [*range(0, len(raw), 997), *range(0, 600, 7)]
    for place in places:
        (tmp_path / "x.tar").write_bytes(raw[:place] + bytes([raw[place] ^ 1]) + raw[place + 1 :])
        try:
            restore_backup(tmp_path / "x.tar", tmp_path / "back", is_at_rest=True)
        except BackupError:
            assert not (tmp_path / "back").exists()
            continue
        # Padding, or a word of the manifest that says nothing of the files.
        for name in ("gateway.db", "broker.db", "master.key"):
            assert (tmp_path / "back" / name).read_bytes() == content(target, name)
        shutil.rmtree(tmp_path / "back")
    for place in range(0, len(raw), 4_999):
        (tmp_path / "x.tar").write_bytes(raw[:place])
        if b"gateway-backup/v1" not in raw[:place]:
            with pytest.raises(BackupError):
                restore_backup(tmp_path / "x.tar", tmp_path / "back")
            assert not (tmp_path / "back").exists()


def content(target: Path, name: str) -> bytes:
    with tarfile.open(target) as archive:
        found = archive.extractfile(name)
        assert found is not None
        return found.read()


def test_a_manifest_is_read_as_it_was_written(tmp_path: Path, files: Sources) -> None:
    made = parse_manifest(content(whole(tmp_path, files), "manifest.json"))
    assert (made.origin, made.logs, made.has_master_key) == ("https://gw.example", {"gw/log/a/1": 7}, True)
    assert sorted(made.files) == ["broker.db", "gateway.db", "master.key"]
