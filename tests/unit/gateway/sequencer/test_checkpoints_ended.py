"""An epoch that is over grows no more; who signs now signs its last checkpoint, so that it can be trusted."""

import time
from collections.abc import Callable
from pathlib import Path

import pytest
from sqlalchemy import update
from sqlmodel import col
from structlog.testing import capture_logs

from audit import log as audit_log
from audit.checkpoint import read_checkpoint
from audit.epochs import Opening, members_of, open_epoch
from audit.evidence import Kind, make_evidence
from audit.note import VerifierKey
from audit.rows import HeadRow
from audit.store import LogState
from gateway.administration.key_changes import USUAL_OVERLAP_MS, Freeze, Rotation
from gateway.sequencer.published import read_shown
from tests.waiting import until
from tests.world import FIRST, OPERATOR, World, running


def acme_log(world: World) -> str:
    partner = world.parts.catalog.current.directory.partner("acme")
    assert partner is not None
    return f"{world.parts.ground.host}/log/{partner.log}"


def first_epoch(world: World, log: str) -> LogState:
    with world.parts.ground.database.begin() as session:
        return audit_log.state(session, f"{log}/1")


def signers(state: LogState) -> set[bytes]:
    """The ids of the keys that have signed what is served of it."""
    assert state.checkpoint is not None
    return {line.key_id for line in read_checkpoint(state.checkpoint.encode())[1].lines}


async def begin_second(world: World, log: str) -> None:
    """As `gateway log new-epoch` does it."""
    with world.parts.ground.database.begin() as session:
        before = audit_log.state(session, f"{log}/1")
        opening = Opening(f"{log}/2", audit_log.published_of(before)[0], "restored")
        evidence = make_evidence(
            Kind.EPOCH_OPENED,
            members_of(opening),
            iss=world.parts.ground.settings.origin,
            log=log,
            at=int(time.time() * 1000),
            salt=bytes(32),
        )
        open_epoch(session, evidence, after=before, is_behind=False)


async def signed_by(world: World, log: str, wanted: set[bytes]) -> LogState:
    """The first epoch, once what is served of it bears these keys' lines and no others."""
    await until(
        lambda: signers(first_epoch(world, log)) == wanted,
        lambda: f"{signers(first_epoch(world, log))} instead of {wanted}; {world.parts.sequencer.problem}",
    )
    return first_epoch(world, log)


async def test_an_ended_epoch_is_signed_by_who_signs_now_and_by_no_key_that_leaked(
    tmp_path: Path, database_url: str
) -> None:
    async with running(tmp_path, url=database_url) as world:
        await world.apply()
        await world.send({"order_id": "A-1", "qty": 1})
        await world.settled(FIRST + 1)
        await world.published()
        log = acme_log(world)

    async with running(tmp_path, url=database_url) as world:
        # While nobody sequences, in the life of a gateway: here before it has seen an event more.
        await begin_second(world, log)

    async with running(tmp_path, url=database_url) as world:
        parts = world.parts
        before = first_epoch(world, log)
        (old,) = parts.keys.current.trusted("checkpoint").values()
        wanted = Rotation("checkpoint", 0, USUAL_OVERLAP_MS)
        made = await parts.signing.rotate(parts.administration, wanted, None, by=OPERATOR, dry_run=False)
        assert made.made is not None
        ids = [VerifierKey(f"{log}/1", key).key_id for key in (old, made.made.public_key)]
        await signed_by(world, log, set(ids))

        await parts.signing.retire(parts.administration, made.others[0].id, by=OPERATOR, dry_run=False)
        await world.published()
        # Who has pinned the old one alone finds its line still, and the new one's beside it.
        await signed_by(world, log, set(ids))

        frozen = Freeze("checkpoint", "copied", None, made.others[0].id)
        await parts.signing.freeze(parts.administration, frozen, None, by=OPERATOR, dry_run=False)
        now = await signed_by(world, log, {ids[1]})
        assert now.checkpoint is not None
        assert before.checkpoint is not None
        assert now.checkpoint.split("\n\n")[0] == before.checkpoint.split("\n\n")[0], "the same text"
        shown = await read_shown(parts.broker, parts.ground.settings.broker.checkpoint_topic)
        assert shown.notes[f"{log}/1"] == before.checkpoint.encode(), "what the topic shows of it stays"


def other_root(note: str) -> str:
    """It says another root than the log ever had."""
    origin, size, _, rest = note.split("\n", 3)
    return f"{origin}\n{size}\n{'A' * 43}=\n{rest}"


def more_entries(note: str) -> str:
    """It says more entries than there are."""
    origin, size, rest = note.split("\n", 2)
    return f"{origin}\n{int(size) + 5}\n{rest}"


def fewer_entries(note: str) -> str:
    """It says fewer entries than were published."""
    origin, size, rest = note.split("\n", 2)
    return f"{origin}\n{int(size) - 1}\n{rest}"


def no_checkpoint(note: str) -> str:
    """A signed note, and no checkpoint."""
    return note.replace("\n", "\nword\n", 1)


@pytest.mark.parametrize("damage", [other_root, more_entries, fewer_entries, no_checkpoint])
async def test_an_ended_epoch_that_is_damaged_is_told_and_holds_up_no_other(
    tmp_path: Path, damage: Callable[[str], str]
) -> None:
    async with running(tmp_path) as world:
        await world.apply()
        await world.send({"order_id": "A-1", "qty": 1})
        await world.settled(FIRST + 1)
        await world.published()
        log, house = acme_log(world), f"{world.parts.ground.host}/log/{world.parts.ground.house_log}"
        good = first_epoch(world, log).checkpoint
        assert good is not None

    async with running(tmp_path) as world:
        for each in (log, house):
            await begin_second(world, each)
        with world.parts.ground.database.begin() as session:
            row = update(HeadRow).where(col(HeadRow.log) == log, col(HeadRow.epoch) == 1)
            session.execute(row.values(checkpoint=damage(good)))

    with capture_logs() as lines:
        async with running(tmp_path) as world:
            parts = world.parts
            (old,) = parts.keys.current.trusted("checkpoint").values()
            wanted = Rotation("checkpoint", 0, USUAL_OVERLAP_MS)
            made = await parts.signing.rotate(parts.administration, wanted, None, by=OPERATOR, dry_run=False)
            assert made.made is not None
            await signed_by(
                world, house, {VerifierKey(f"{house}/1", key).key_id for key in (old, made.made.public_key)}
            )
            await world.send({"order_id": "A-2", "qty": 1})
            await world.published()
            assert first_epoch(world, log).checkpoint == damage(good), "nothing of it is signed"
    told = [one for one in lines if one["event"] == "an ended epoch is not signed anew"]
    assert told
    assert {one["log_level"] for one in told} == {"error"}
    assert all(f"{log}/1" in one["reason"] for one in told)
