"""What is served of a checkpoint: the note as published, and when it was the newest one."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from sqlalchemy import update
from sqlmodel import Session, col

from audit import log as audit_log
from audit.checkpoint import Checkpoint, sign_checkpoint
from audit.errors import NotInLogError
from audit.freshness import fresh_at, freshness_key
from audit.note import parse_note
from audit.proof import parse_consistency, parse_proof
from gateway import shown as module
from gateway.bootstrap.ground import clock
from gateway.database import Database
from gateway.errors import AwayError
from gateway.rows import ClaimRow, LeaseRow
from gateway.shown import AGAIN_AFTER_MS, Owner, Shown
from tests.unit.audit.builders import LOG_SIGNER, SeedSigner, append, evidence

LOG = "gw.example/log/k3v9q2"
ORIGIN = f"{LOG}/1"
SIGNER = SeedSigner(b"\x07" * 32)
KEY = freshness_key("gw.example/freshness", SIGNER.public_key)
SHARD = 5
DAY_MS = 86_400_000


@dataclass
class Stand:
    """A log, whatever waits for it, and what is shown of it. `off`: by how much our clock is ahead."""

    database: Database
    off: int = 0
    is_trusted: bool = True
    statements: list[str] = field(default_factory=list)

    def now(self) -> int:
        if not self.is_trusted:
            raise AwayError("clock_untrusted", "a test said so")
        return clock() + self.off

    def make(self, **changes: Any) -> Shown:
        owners = {"k3v9q2": Owner(SHARD, ("partners.acme.inbound", "partners.acme.outbound"))}
        given = {
            "database": self.database,
            "clock": self.now,
            "signers": lambda: (SIGNER,),
            "name": KEY.name,
            "owner_of": owners.get,
            **changes,
        }
        return Shown(**given)

    def grow(self, number: int = 1, at: int | None = None) -> None:
        with self.database.begin() as session:
            append(session, ORIGIN, [evidence(number, at=clock() if at is None else at)])

    def publish(self) -> None:
        with self.database.begin() as session:
            head = audit_log.state(session, ORIGIN).head
            note = sign_checkpoint(Checkpoint(ORIGIN, head.size, head.root()), LOG_SIGNER)
            audit_log.publish_all(session, {ORIGIN: note})

    def lease(self, ms: int) -> None:
        with self.database.begin() as session:
            until = update(LeaseRow).where(col(LeaseRow.shard) == SHARD).values(until=clock() + ms)
            session.execute(until)

    def wait(self, age_ms: int) -> None:
        """Evidence of that age waits."""
        with self.database.begin() as session:
            audit_log.submit(session, evidence(90, at=clock() - age_ms), id=b"waits")

    def claim(self, age_ms: int, state: str = "confirmed") -> None:
        """A claim of that age has no entry."""
        with self.database.begin() as session:
            session.add(claim(clock() - age_ms, state))


def claim(at: int, state: str) -> ClaimRow:
    return ClaimRow(
        ref=bytes(32),
        partner="acme",
        log=LOG,
        direction="inbound",
        source="/s",
        event_id="1",
        event_type="t",
        event_sha256=bytes(32),
        content_sha256=bytes(32),
        receipt="r",
        schema_id=1,
        framing="prefix",
        topic="partners.acme.inbound",
        topic_id="a",
        partition=0,
        offset=7,
        at=at,
        attributes="{}",
        content_type="application/json",
        content_encoding="identity",
        state=state,
        lease_until=0,
        owner="o",
    )


@pytest.fixture
def stand(database_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Stand]:
    monkeypatch.setattr(module, "_LOOK_AGAIN_SECONDS", (0.0, 0.0))
    database = Database(database_url)
    with database.begin() as session:
        audit_log.open_log(session, ORIGIN)
        session.add(LeaseRow(role="sequence", shard=SHARD, owner="o", epoch=1, until=clock() + DAY_MS))
    one = Stand(database)
    one.grow()
    one.publish()
    yield one
    database.close()


def vouched(note: bytes) -> int | None:
    return fresh_at(parse_note(note), [KEY])


async def test_a_checkpoint_says_when_it_was_the_newest(stand: Stand) -> None:
    before = clock() // 1_000
    note = await stand.make().checkpoint(ORIGIN)
    at = vouched(note)
    assert at is not None
    assert before <= at <= clock() // 1_000
    with stand.database.begin() as session:
        assert note.decode().startswith(audit_log.state(session, ORIGIN).checkpoint or "?")


async def test_proofs_carry_the_checkpoint_as_it_is_served(stand: Stand) -> None:
    shown = stand.make()
    proof, growth = (
        parse_proof(await shown.proof(ORIGIN, 0)),
        parse_consistency(await shown.consistency(ORIGIN, 1)),
    )
    assert vouched(proof.checkpoint) is not None
    assert proof.checkpoint == growth.checkpoint
    for wrong in (shown.proof(ORIGIN, 1), shown.consistency(ORIGIN, 2), shown.checkpoint(f"{LOG}/2")):
        with pytest.raises(NotInLogError):
            await wrong


async def test_a_line_is_made_anew_after_half_a_minute_and_not_before(stand: Stand) -> None:
    shown = stand.make()
    first = await shown.checkpoint(ORIGIN)
    stand.off = 4_000
    assert await shown.checkpoint(ORIGIN) == first
    later = stand.make(clock=lambda: clock() + 4_000)
    later._lines = shown._lines
    shown._lines[ORIGIN] = module._Line(
        shown._lines[ORIGIN].checkpoint, clock() - AGAIN_AFTER_MS, shown._lines[ORIGIN].text, is_fresh=True
    )
    assert await shown.checkpoint(ORIGIN) != first


async def test_a_newer_checkpoint_gets_a_line_of_its_own_at_once(stand: Stand) -> None:
    shown = stand.make()
    await shown.checkpoint(ORIGIN)
    stand.grow(2)
    stand.publish()
    note = await shown.checkpoint(ORIGIN)
    assert b"\n2\n" in note
    assert vouched(note) is not None


async def test_nothing_is_vouched_for_by_a_clock_that_is_off(stand: Stand) -> None:
    shown = stand.make()
    stand.is_trusted = False
    assert vouched(await shown.checkpoint(ORIGIN)) is None
    # By so much that no machine is slow enough for the time of asking to explain it.
    stand.is_trusted, stand.off = True, 40_000
    assert vouched(await shown.checkpoint(ORIGIN)) is None
    stand.off = -40_000
    assert vouched(await stand.make().checkpoint(ORIGIN)) is None
    stand.off = 0
    assert vouched(await stand.make().checkpoint(ORIGIN)) is not None


async def test_nothing_is_vouched_for_without_a_sequencer(stand: Stand) -> None:
    stand.lease(-1)
    shown = stand.make()
    assert vouched(await shown.checkpoint(ORIGIN)) is None
    stand.lease(10_000)
    assert vouched(await stand.make().checkpoint(ORIGIN)) is not None
    assert vouched(await stand.make(owner_of=lambda _: None).checkpoint(ORIGIN)) is None
    assert vouched(await stand.make(owner_of=lambda _: Owner(SHARD + 1)).checkpoint(ORIGIN)) is None


async def test_a_log_that_something_waits_for_too_long_does_not_look_fresh(stand: Stand) -> None:
    stand.wait(50_000)
    assert vouched(await stand.make().checkpoint(ORIGIN)) is not None
    assert vouched(await stand.make(promise_ms=40_000).checkpoint(ORIGIN)) is None


async def test_an_accepted_event_without_an_entry_counts_once_it_is_confirmed(stand: Stand) -> None:
    stand.claim(70_000, "unconfirmed")
    assert vouched(await stand.make().checkpoint(ORIGIN)) is not None
    with stand.database.begin() as session:
        session.execute(update(ClaimRow).values(state="confirmed"))
    assert vouched(await stand.make().checkpoint(ORIGIN)) is None
    assert (
        vouched(await stand.make(owner_of=lambda _: Owner(SHARD, ("other",))).checkpoint(ORIGIN)) is not None
    )


async def test_a_head_that_is_not_published_in_time_does_not_look_fresh(stand: Stand) -> None:
    stand.grow(2, at=clock() - 70_000)
    assert vouched(await stand.make().checkpoint(ORIGIN)) is None
    stand.publish()
    assert vouched(await stand.make().checkpoint(ORIGIN)) is not None


async def test_what_was_said_last_stays_where_nothing_new_can_be_said(stand: Stand) -> None:
    shown = stand.make()
    first = await shown.checkpoint(ORIGIN)
    line = shown._lines[ORIGIN]
    shown._lines[ORIGIN] = module._Line(line.checkpoint, line.at - AGAIN_AFTER_MS, line.text, is_fresh=True)
    stand.lease(-1)
    assert await shown.checkpoint(ORIGIN) == first
    assert not shown._lines[ORIGIN].is_fresh


async def test_an_epoch_that_is_over_is_shown_and_not_vouched_for(stand: Stand) -> None:
    with stand.database.begin() as session:
        audit_log.open_log(session, f"{LOG}/2")
    assert vouched(await stand.make().checkpoint(ORIGIN)) is None


async def test_each_key_that_vouches_has_a_line_and_without_one_nothing_is_vouched_for(stand: Stand) -> None:
    other = SeedSigner(b"\x08" * 32)
    note = parse_note(await stand.make(signers=lambda: (other, SIGNER)).checkpoint(ORIGIN))
    assert [line.name for line in note.lines] == [ORIGIN, KEY.name, KEY.name]
    assert fresh_at(note, [KEY]) == fresh_at(note, [freshness_key(KEY.name, other.public_key)])
    assert len(parse_note(await stand.make(signers=lambda: ()).checkpoint(ORIGIN)).lines) == 1


async def test_lines_of_others_stand_behind_ours(stand: Stand) -> None:
    def cosigned(_session: Session, state: audit_log.LogState) -> list[str]:
        return [f"\u2014 {state.head.origin} AAAAAAA=\n"]

    note = parse_note(await stand.make(cosigned=cosigned).checkpoint(ORIGIN))
    assert [line.name for line in note.lines] == [ORIGIN, KEY.name, ORIGIN]


async def test_what_is_remembered_is_bounded(stand: Stand, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_MOST_LOGS", 2)
    shown = stand.make()
    for name in ("a", "b", "c"):
        shown._lines[name] = module._Line("", 0, "", is_fresh=False)
    await shown.checkpoint(ORIGIN)
    assert len(shown._lines) <= 3
    assert ORIGIN in shown._lines
