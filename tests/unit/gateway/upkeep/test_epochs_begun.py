"""A restored or lost database begins new epochs, and the gateway goes on with them."""

import asyncio
import shutil
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import pytest
from sqlalchemy import insert

from audit import log as audit_log
from audit.checkpoint import Checkpoint, sign_checkpoint, split_origin, verify_checkpoint
from audit.entry import draft_entry
from audit.epochs import openings
from audit.evidence import Kind
from audit.note import VerifierKey
from audit.search import find, timeline
from gateway.bootstrap.ground import open_broker, prepare
from gateway.bootstrap.parts import make_guard
from gateway.bootstrap.upkeep import _epochs, drawn, examining, new_epochs
from gateway.broker.port import Record
from gateway.database import Database
from gateway.errors import LeaseLostError, SetupError, StoreUnknownError
from gateway.ingress.outcome import Accepted
from gateway.leases import Leases, check_all
from gateway.rows import MetaRow
from gateway.sequencer.guard import RESTORED, WITNESSED, LogBehindError, NamesakeError
from gateway.sequencer.published import MOST_EPOCH, read_shown
from gateway.settings import Settings
from gateway.upkeep.epochs import Wish, _draw
from gateway.upkeep.quiet import BusyError, keep_quiet
from tests.faults.commits import CommitTrouble, Fate
from tests.kept_database import KeptDatabase
from tests.unit.audit.builders import OTHER_SIGNER, evidence
from tests.world import FIRST, World, make_settings, running

WISH = Wish("restored from a backup")
ALL = Wish("a key had leaked", is_for_all=True)


def body(number: int) -> dict[str, object]:
    return {"order_id": f"A-{number}", "qty": number}


def partner_log(world: World) -> str:
    partner = world.parts.catalog.current.directory.partner("acme")
    assert partner is not None
    return f"{world.parts.ground.host}/log/{partner.log}"


@dataclass
class Place(KeptDatabase):
    """An installation whose database can be kept and put back; its topics stay."""

    folder: Path

    @property
    def settings(self) -> Settings:
        return make_settings(self.folder, url=self.url)

    def faults(self) -> list[str]:
        with examining(self.settings, ()) as found:
            assert found.unread == ""
            return [f"{one.what} {one.origin} {one.detail}" for one in found.faults(lambda _: None)]


@pytest.fixture
def place(tmp_path: Path, database_url: str, request: pytest.FixtureRequest) -> Place:
    is_sqlite = database_url.startswith("sqlite")
    server = None if is_sqlite else request.getfixturevalue("postgres_server")
    return Place(database_url, server, tmp_path)


async def begin(place: Place, wish: Wish, *, is_rehearsal: bool = False) -> list[str]:
    loop = asyncio.get_running_loop()
    work = partial(new_epochs, place.settings, wish, is_rehearsal=is_rehearsal)
    begun = await loop.run_in_executor(None, work)
    return [*(one.origin for one in begun.opened), *(one.origin for one in begun.steps)]


async def refused(place: Place) -> str:
    """What a start is refused with."""
    ground, broker = prepare(place.settings, "up"), open_broker(place.settings)
    guard = make_guard(ground, broker)
    await guard.settle()
    await broker.close()
    ground.database.close()
    assert isinstance(guard.refusal, LogBehindError | NamesakeError)
    return guard.refusal.text


async def test_a_restored_database_goes_on_in_a_new_epoch_with_what_the_broker_still_has(
    place: Place,
) -> None:
    async with running(place.folder, url=place.url) as world:
        await world.apply()
        await world.send(body(1))
        await world.settled(FIRST + 1)
        await world.published()
        log = partner_log(world)
    place.keep()
    async with running(place.folder, url=place.url) as world:
        lost = [one for one in await world.send(body(2), body(3)) if isinstance(one, Accepted)]
        await world.settled(2)
        await world.published()
        shown = (await read_shown(world.parts.broker, "gateway.checkpoints")).checkpoints
    place.put_back()
    assert "gateway log new-epoch" in await refused(place)
    assert [one.split()[0] for one in place.faults()] == ["shown_ahead"]

    for is_rehearsal, expected in ((True, [f"{log}/2"]), (False, [f"{log}/2"]), (False, [])):
        assert await begin(place, WISH, is_rehearsal=is_rehearsal) == expected
    async with running(place.folder, url=place.url) as world:
        await world.settled(2)
        again = await world.send(body(1), body(2), body(3))
        assert [one.receipt for one in again[1:] if isinstance(one, Accepted)] == [
            one.receipt for one in lost
        ]
        assert all(isinstance(one, Accepted) and one.duplicate for one in again)
        await world.send(body(4))
        await world.settled(3)
        await world.published()
        with world.parts.ground.database.begin() as session:
            (opening,) = openings(session, log)
            assert opening.previous == shown[f"{log}/1"]
            entries = [timeline(session, log, one.ref) for one in lost]
            assert [[(one.origin, one.index) for one in some] for some in entries] == [
                [(f"{log}/2", 1)],
                [(f"{log}/2", 2)],
            ]
            assert len(find(session, log).rows) == 4
            state = audit_log.state(session, f"{log}/2")
        assert state.checkpoint is not None
        key = VerifierKey(f"{log}/2", world.parts.keys.current.checkpoints[0].public_key)
        assert verify_checkpoint(state.checkpoint.encode(), [key]).size == 4
        # The old epoch stays as it was published; nobody signs it again.
        now = (await read_shown(world.parts.broker, "gateway.checkpoints")).checkpoints
        assert now[f"{log}/1"] == shown[f"{log}/1"]
        assert now[f"{log}/2"].size == 4
    assert place.faults() == []


async def test_every_log_begins_anew_where_that_is_asked_for(place: Place) -> None:
    async with running(place.folder, url=place.url) as world:
        await world.apply()
        await world.send(body(1))
        await world.settled(FIRST + 1)
        await world.published()
        log, house = partner_log(world), f"{world.parts.ground.host}/log/{world.parts.ground.house_log}"
    assert await begin(place, WISH) == []
    assert await begin(place, replace(WISH, names=frozenset({log.rpartition("/")[2]}))) == [f"{log}/2"]
    assert sorted(await begin(place, ALL)) == sorted([f"{house}/2", f"{log}/3"])
    async with running(place.folder, url=place.url) as world:
        (one,) = await world.send(body(2))
        assert isinstance(one, Accepted)
        await world.settled(1)
        await world.published()
        with world.parts.ground.database.begin() as session:
            assert [one.previous for one in openings(session, log) if one.previous is None] == []
            assert [(e.origin, e.index) for e in timeline(session, log, one.ref)] == [(f"{log}/3", 1)]
    assert place.faults() == []
    with pytest.raises(SetupError, match="there is no log"):
        await begin(place, replace(WISH, names=frozenset({"nosuch"})))


@pytest.mark.parametrize(
    ("fact", "words"),
    [(RESTORED, "restored from a backup of monday"), (WITNESSED, "an older copy of itself: monday, signed")],
)
async def test_after_a_restore_with_its_topics_no_log_goes_on_where_it_was(
    place: Place, fact: str, words: str
) -> None:
    async with running(place.folder, url=place.url) as world:
        await world.apply()
        await world.settled(FIRST)
        await world.published()
        log, host = partner_log(world), world.parts.ground.host
        house = f"{host}/log/{world.parts.ground.house_log}"
    unbegun = f"{host}/log/unbegun"
    restored(place, fact)
    database = Database(place.url)
    with database.begin() as session:
        # Admitted when the backup was made; its first entry may have been published since.
        audit_log.submit(session, evidence(1, log=unbegun), id=bytes(16))
    database.close()

    with pytest.raises(SetupError, match="every log begins anew"):
        await begin(place, replace(WISH, names=frozenset({log})))
    assert words in await refused(place)
    # The anchor, too, has entries by itself as soon as the gateway runs, and witnesses have seen them.
    names = sorted([log, house, unbegun, f"{host}/log/anchor"])
    wish = drawn(WISH)
    planned = await begin(place, wish, is_rehearsal=True)
    assert await begin(place, wish) == planned, "what was asked about is what begins"
    assert [split_origin(one)[0] for one in planned] == names
    (number,) = {split_origin(one)[1] for one in planned}
    assert 1 < number <= MOST_EPOCH
    assert await begin(place, WISH) == []
    # From there on they go on one by one.
    assert await begin(place, ALL) == [f"{name}/{number + 1}" for name in names]


async def test_the_same_backup_restored_twice_never_signs_two_histories_of_one_origin(tmp_path: Path) -> None:
    folder, backup = tmp_path / "data", tmp_path / "backup"
    folder.mkdir()
    place = Place(f"sqlite:///{folder}/gateway.db", None, folder)
    async with running(folder, url=place.url) as world:
        await world.apply()
        await world.settled(FIRST)
        await world.published()
        log = partner_log(world)
    shutil.copytree(folder, backup)
    shown = []
    for number in (1, 2):
        shutil.rmtree(folder)
        shutil.copytree(backup, folder)
        restored(place)
        begun = await begin(place, WISH)
        (origin,) = [one for one in begun if split_origin(one)[0] == log]
        async with running(folder, url=place.url) as world:
            await world.send(body(number))
            await world.settled(1)
            await world.published()
            found = await read_shown(world.parts.broker, "gateway.checkpoints")
        shown.append(found.checkpoints[origin])
    assert shown[0].origin != shown[1].origin
    assert shown[0].root != shown[1].root


async def test_where_the_topic_does_not_know_a_log_that_was_published_no_number_is_taken_on_trust(
    tmp_path: Path,
) -> None:
    """The topics were lost, and the database restored: what was published after it is known to nobody."""
    place = Place(f"sqlite:///{tmp_path}/gateway.db", None, tmp_path)
    async with running(tmp_path) as world:
        await world.apply()
        await world.settled(FIRST)
        await world.published()
    (tmp_path / "broker.db").unlink()
    numbers = [split_origin(one)[1] for one in await begin(place, replace(ALL, chance=b"\0" * 7 + b"\x63"))]
    assert set(numbers) == {101}


def test_a_number_is_drawn_above_all_that_are_known_and_leaves_room_for_many_more() -> None:
    known = 1
    for _ in range(100):
        least, most = _draw(known, bytes(8)), _draw(known, ((MOST_EPOCH - known) // 64 - 1).to_bytes(8))
        assert least == known + 1
        assert most - known == (MOST_EPOCH - known) // 64
        known = most
    assert MOST_EPOCH - known > 200_000_000, "after a hundred draws of the worst luck"
    assert _draw(MOST_EPOCH - 1, b"\xff" * 8) == MOST_EPOCH
    assert _draw(1, bytes(8), frozenset({2, 3, 5})) == 4


async def test_there_is_no_epoch_behind_the_last_one(tmp_path: Path) -> None:
    place = Place(f"sqlite:///{tmp_path}/gateway.db", None, tmp_path)
    async with running(tmp_path) as world:
        await world.apply()
    database = Database(place.url)
    with database.begin() as session:
        audit_log.open_log(session, f"gw.example/log/full/{MOST_EPOCH}")
        audit_log.append_all(
            session,
            {f"gw.example/log/full/{MOST_EPOCH}": [draft_entry(evidence(1, log="gw.example/log/full"))]},
        )
    database.close()
    with pytest.raises(SetupError, match="no number left"):
        await begin(place, ALL)


def restored(place: Place, fact: str = RESTORED) -> None:
    """As `gateway backup restore` leaves a database."""
    database = Database(place.url)
    with database.begin() as session:
        session.execute(insert(MetaRow), [{"name": fact, "value": "monday"}])
    database.close()


async def test_what_is_shown_of_an_epoch_that_is_long_over_is_faced_once(place: Place) -> None:
    """Whoever goes on with the first epoch while the third is in force did not hear of the second."""
    async with running(place.folder, url=place.url) as world:
        await world.apply()
        await world.settled(FIRST)
        await world.published()
        log, keys = partner_log(world), world.parts.keys.current
    only = replace(WISH, names=frozenset({log.rpartition("/")[2]}))
    assert [await begin(place, only) for _ in range(2)] == [[f"{log}/2"], [f"{log}/3"]]
    for size, following in ((90, f"{log}/4"), (91, f"{log}/5")):
        broker = open_broker(place.settings)
        note = sign_checkpoint(Checkpoint(f"{log}/1", size, b"x" * 32), keys.checkpoints[0])
        await broker.append([Record("gateway.checkpoints", 0, f"{log}/1".encode(), note, (), 1)])
        await broker.close()
        assert f"{log}/1" in await refused(place)
        assert await begin(place, WISH) == [following]
        async with running(place.folder, url=place.url) as world:
            await world.published()


async def test_while_the_gateway_runs_nothing_begins(place: Place) -> None:
    async with running(place.folder, url=place.url) as world:
        await world.apply()
        with pytest.raises(SetupError, match=r"locked|in use"):
            await begin(place, ALL)


async def test_a_lease_that_lives_stands_in_the_way_and_its_owner_writes_nothing_afterwards(
    database_url: str,
) -> None:
    database = Database(database_url)
    leases = Leases(database, "sequence", owner="me", shards=2, duration_ms=60_000)
    held = await leases.hold()
    with database.begin() as session, pytest.raises(BusyError, match="a sequencer is at work"):
        keep_quiet(session, is_alone=False)
    await leases.release()
    with database.begin() as session:
        keep_quiet(session, is_alone=False)
    with database.begin() as session, pytest.raises(LeaseLostError):
        check_all(session, sorted(held, key=lambda one: one.shard))
    database.close()


async def test_a_database_that_was_lost_is_followed_by_a_new_one(place: Place) -> None:
    async with running(place.folder, url=place.url) as world:
        await world.apply()
        await world.send(body(1))
        await world.settled(FIRST + 1)
        await world.published()
        log, old_house = partner_log(world), world.parts.ground.house_log
        host = world.parts.ground.host
    empty = f"sqlite:///{place.folder}/new.db"
    new = Place(empty, None, place.folder)
    (place.folder / "operator.key").unlink()
    prepare(new.settings, "up").database.close()
    assert "gateway log new-epoch --all" in await refused(new)
    with pytest.raises(NamesakeError):
        await begin(new, WISH)
    with pytest.raises(SetupError, match="signed by no key of this database"):
        await begin(new, ALL)
    wish = replace(ALL, takes_unsigned=True)
    assert sorted(await begin(new, wish)) == sorted([f"{log}/2", f"{host}/log/{old_house}/2"])
    async with running(new.folder, url=new.url) as world:
        assert world.parts.ground.house_log == old_house
        await world.apply()
        await world.send(body(5))
        await world.settled(FIRST + 1)
        await world.published()
        with world.parts.ground.database.begin() as session:
            first = audit_log.entry(session, f"{host}/log/{old_house}/2", 0)
            assert first.kind is Kind.EPOCH_OPENED
            assert audit_log.state(session, f"{log}/2").head.size == 1
    assert [one for one in new.faults() if not one.startswith("shown_unsigned")] == []


async def test_a_checkpoint_that_somebody_else_put_there_is_not_followed(place: Place) -> None:
    async with running(place.folder, url=place.url) as world:
        await world.apply()
        await world.settled(FIRST)
        await world.published()
        log = partner_log(world)
    broker = open_broker(place.settings)
    note = sign_checkpoint(Checkpoint(f"{log}/1", 10_000, b"x" * 32), OTHER_SIGNER)
    await broker.append([Record("gateway.checkpoints", 0, f"{log}/1".encode(), note, (), 1)])
    await broker.close()
    with pytest.raises(SetupError, match="signed by no key of this database"):
        await begin(place, WISH)


async def test_what_is_disowned_is_not_followed_and_stops_no_start_any_more(place: Place) -> None:
    """The logs begin anew all the same: whoever errs has no second history under an origin that was shown."""
    async with running(place.folder, url=place.url) as world:
        await world.apply()
        await world.settled(FIRST)
        await world.published()
        log, host = partner_log(world), world.parts.ground.host
        with world.parts.ground.database.begin() as session:
            head = audit_log.state(session, f"{log}/1").head
    strange = [f"{log}/7", f"{host}/log/nobodys/1"]
    broker = open_broker(place.settings)
    for origin in strange:
        note = sign_checkpoint(Checkpoint(origin, 10_000, b"x" * 32), OTHER_SIGNER)
        await broker.append([Record("gateway.checkpoints", 0, origin.encode(), note, (), 1)])
    await broker.close()
    assert "which this database does not know" in await refused(place)

    # What may be ours is behind it, and more of that may be: the number is drawn, and is not that one.
    disown = replace(WISH, disowns=True, chance=bytes(7) + b"\x05")
    for is_rehearsal, expected in ((True, [f"{log}/8"]), (False, [f"{log}/8"]), (False, [])):
        assert await begin(place, disown, is_rehearsal=is_rehearsal) == expected
    async with running(place.folder, url=place.url) as world:
        await world.published()
        with world.parts.ground.database.begin() as session:
            (opening,) = openings(session, log)
    assert opening.previous == Checkpoint(f"{log}/1", head.size, head.root())
    assert {one.split()[0] for one in place.faults()} == {"shown_unsigned"}


async def test_what_a_stranger_signed_uses_up_no_numbers(place: Place) -> None:
    """The last epoch that there can be, under a key that nobody knows."""
    async with running(place.folder, url=place.url) as world:
        await world.apply()
        await world.settled(FIRST)
        await world.published()
        log, host = partner_log(world), world.parts.ground.host
        house = f"{host}/log/{world.parts.ground.house_log}"
    broker = open_broker(place.settings)
    for origin in (f"{log}/{MOST_EPOCH}", f"{host}/log/nobodys/{MOST_EPOCH}"):
        note = sign_checkpoint(Checkpoint(origin, 10_000, b"x" * 32), OTHER_SIGNER)
        await broker.append([Record("gateway.checkpoints", 0, origin.encode(), note, (), 1)])
    await broker.close()
    with pytest.raises(SetupError, match="signed by no key of this database"):
        await begin(place, WISH)
    with pytest.raises(SetupError, match="no number left"):
        await begin(place, replace(WISH, takes_unsigned=True))

    (origin,) = await begin(place, replace(WISH, disowns=True, chance=bytes(8)))
    assert origin == f"{log}/2"
    assert await begin(place, ALL) == sorted([f"{house}/2", f"{log}/3"]), "nor later, when all is known"
    restored(place)
    again = await begin(place, replace(WISH, chance=bytes(7) + b"\x05"))
    assert {split_origin(one)[1] for one in again} == {9}
    assert f"{host}/log/nobodys" not in {split_origin(one)[0] for one in again}
    async with running(place.folder, url=place.url) as world:
        await world.published()


@pytest.mark.parametrize("fate", ["lost", "stored"])
async def test_a_failed_commit_of_new_epochs_begins_none_or_all_and_is_repeated(
    tmp_path: Path, fate: Fate
) -> None:
    async with running(tmp_path) as world:
        await world.apply()
        await world.settled(FIRST)
        await world.published()
        log, house = partner_log(world), f"{world.parts.ground.host}/log/{world.parts.ground.house_log}"
    place = Place(f"sqlite:///{tmp_path}/gateway.db", None, tmp_path)
    ground, broker = prepare(place.settings, "up"), open_broker(place.settings)
    shown = await read_shown(broker, "gateway.checkpoints")
    epochs = _epochs(ground, broker)
    trouble = CommitTrouble(ground.database, "INSERT INTO audit_entry", fate)
    with pytest.raises(StoreUnknownError):
        await epochs.begin(shown, ALL)
    assert trouble.left == 0
    wanted = {f"{log}/2", f"{house}/2"}
    with ground.database.begin() as session:
        there = {one.head.origin for one in audit_log.heads(session)}
    assert there & wanted == (set() if fate == "lost" else wanted)
    if fate == "lost":
        assert {one.origin for one in await epochs.begin(shown, ALL)} == wanted
    await broker.close()
    ground.database.close()
    # What was stored and not shown is shown by the sequencer; nothing of it is begun twice.
    async with running(tmp_path) as world:
        await world.published()
        now = (await read_shown(world.parts.broker, "gateway.checkpoints")).checkpoints
        assert {origin: one.size for origin, one in now.items() if origin in wanted} == dict.fromkeys(
            wanted, 1
        )
    assert place.faults() == []
