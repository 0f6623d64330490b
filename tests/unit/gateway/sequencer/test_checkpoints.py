import asyncio
import itertools
import threading
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest

from audit import log as audit_log
from audit.checkpoint import verify_checkpoint
from audit.errors import StaleHeadError
from audit.evidence import Evidence, Kind, make_evidence
from audit.note import Signer, VerifierKey
from gateway.bootstrap.aside import aside
from gateway.broker.port import Record, Refused, Stored, TopicSpec, Unknown
from gateway.database import Database
from gateway.errors import AwayError
from gateway.keys import HeldKey, SigningKey
from gateway.sequencer.checkpoints import Checkpoints
from tests.unit.audit.builders import LOG_SIGNER, append, members_of
from tests.unit.gateway.ingress.brokers import WilfulBroker

TOPIC = "gateway.checkpoints"
LOG = "gw.example/log/k3v9q2"
ORIGIN = f"{LOG}/1"
SALTS = itertools.count(100)


class Deaf(WilfulBroker):
    """Stores what it is given, and says that it does not know; keeps what it saw."""

    def __init__(self, folder: Path) -> None:
        """Hears, to begin with."""
        super().__init__(folder)
        self.is_deaf = False
        self.seen: list[bytes | None] = []

    async def append(self, records: Sequence[Record]) -> list[Stored | Refused | Unknown]:
        """Store and, where deaf, forget."""
        self.seen += [one.value for one in records]
        answers = await super().append(records)
        return [Unknown("a test said so")] * len(records) if self.is_deaf else answers


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    one = Database(database_url)
    with one.begin() as session:
        audit_log.open_log(session, ORIGIN)
    yield one
    one.close()


def evidence(salt: int) -> Evidence:
    members = members_of("contract.changed")
    return make_evidence(
        Kind.CONTRACT_CHANGED, members, iss="https://gw.example", log=LOG, at=1, salt=bytes([salt]) * 32
    )


def grow(database: Database, salt: int) -> None:
    with database.begin() as session:
        append(session, ORIGIN, [evidence(salt)])


def served(database: Database) -> str | None:
    with database.begin() as session:
        return audit_log.state(session, ORIGIN).checkpoint


async def made(database: Database, broker: WilfulBroker, steps: list[str]) -> Checkpoints:
    await broker.ensure([TopicSpec(TOPIC, compacted=True)])
    return Checkpoints(
        database=database,
        broker=broker,
        signers=lambda: (LOG_SIGNER,),
        aside=aside,
        topic=TOPIC,
        clock=lambda: 1,
        step=steps.append,
    )


async def test_a_head_is_shown_before_it_is_served(tmp_path: Path, database: Database) -> None:
    broker, steps = Deaf(tmp_path), list[str]()
    checkpoints = await made(database, broker, steps)
    grow(database, 1)
    assert await checkpoints.unpublished([ORIGIN, "gw.example/log/other/1"]) == {ORIGIN}
    assert await checkpoints.publish([ORIGIN]) == set()
    assert steps == ["proof.4.published", "proof.4.served"]
    text = served(database)
    assert text is not None
    shown = verify_checkpoint(text.encode(), [VerifierKey(ORIGIN, LOG_SIGNER.public_key)])
    assert (shown.size, broker.seen) == (1, [text.encode()])
    assert await checkpoints.unpublished([ORIGIN]) == set()
    await broker.close()


async def test_a_head_that_was_just_committed_is_signed_as_it_was(tmp_path: Path, database: Database) -> None:
    broker = Deaf(tmp_path)
    checkpoints = await made(database, broker, [])
    with database.begin() as session:
        head = append(session, ORIGIN, [evidence(1)])
    grow(database, 2)
    assert await checkpoints.publish([ORIGIN], {ORIGIN: head, "gw.example/log/other/1": head}) == set()
    shown = verify_checkpoint((served(database) or "").encode(), [VerifierKey(ORIGIN, LOG_SIGNER.public_key)])
    assert (shown.size, shown.root) == (1, head.root())
    assert await checkpoints.unpublished([ORIGIN]) == {ORIGIN}
    await broker.close()


async def test_what_may_not_have_been_shown_is_not_served_and_shown_again_the_same(
    tmp_path: Path, database: Database
) -> None:
    broker, steps = Deaf(tmp_path), list[str]()
    checkpoints = await made(database, broker, steps)
    grow(database, 1)
    broker.is_deaf = True
    assert await checkpoints.publish([ORIGIN]) == {ORIGIN}
    assert served(database) is None
    broker.is_deaf = False
    assert await checkpoints.publish([ORIGIN]) == set()
    assert len(broker.seen) == 2
    assert broker.seen[0] == broker.seen[1] == (served(database) or "").encode()
    await broker.close()


class Sleepy(Deaf):
    """Before it stores checkpoints, another process goes on with the log and publishes: `naps` times."""

    def __init__(self, folder: Path, database: Database) -> None:
        """Wide awake, to begin with."""
        super().__init__(folder)
        self.database = database
        self.naps = 0

    async def append(self, records: Sequence[Record]) -> list[Stored | Refused | Unknown]:
        """Sleep, if it is to, for as long as another needs to publish."""
        if not self.naps:
            return await super().append(records)
        left, self.naps = self.naps - 1, 0
        grow(self.database, next(SALTS))
        await (await made(self.database, self, [])).publish([ORIGIN])
        self.naps = left
        return await super().append(records)


async def test_who_wakes_up_late_publishes_nothing_and_the_newest_stays_the_last_that_is_shown(
    tmp_path: Path, database: Database
) -> None:
    for naps in (1, 2, 3):
        folder = tmp_path / f"{naps}"
        folder.mkdir()
        broker = Sleepy(folder, database)
        checkpoints = await made(database, broker, [])
        grow(database, next(SALTS))
        broker.naps = naps
        with pytest.raises(StaleHeadError):
            await checkpoints.publish([ORIGIN])
        newest = served(database)
        assert newest is not None
        assert len(broker.seen) == 2 * naps + 1
        assert broker.seen[-1] == newest.encode()
        await broker.close()


async def test_nothing_to_show_asks_nobody(tmp_path: Path, database: Database) -> None:
    broker, steps = Deaf(tmp_path), list[str]()
    checkpoints = await made(database, broker, steps)
    assert await checkpoints.publish([]) == set()
    assert (broker.seen, steps) == ([], [])
    await broker.close()


async def test_a_topic_that_went_or_is_another_must_show_everything_again(
    tmp_path: Path, database: Database
) -> None:
    broker = WilfulBroker(tmp_path)
    checkpoints = await made(database, broker, [])
    assert [await checkpoints.is_renewed() for _ in range(2)] == [False, False]
    await broker.delete_topic(TOPIC)
    assert await checkpoints.is_renewed()
    await broker.ensure([TopicSpec(TOPIC, compacted=True)])
    assert not await checkpoints.is_renewed()
    await broker.delete_topic(TOPIC)
    await broker.ensure([TopicSpec(TOPIC, compacted=True)])
    assert [await checkpoints.is_renewed() for _ in range(2)] == [True, False]
    await broker.close()


class SlowToken:
    """Signs as a token does: on a thread of its own, and as slowly as is said."""

    def __init__(self) -> None:
        self.threads: set[int] = set()
        self.asked = 0
        self.is_asked = threading.Event()
        self.goes_on = threading.Event()

    def sign(self, _label: str, _public_key: bytes, message: bytes) -> bytes:
        self.threads.add(threading.get_ident())
        self.asked += 1
        self.is_asked.set()
        assert self.goes_on.wait(60)
        return LOG_SIGNER.sign(message)


async def test_a_slow_token_holds_up_checkpoints_and_nothing_else(
    tmp_path: Path, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.sequencer.checkpoints.TOKEN_SECONDS", 0.05)
    token, broker = SlowToken(), WilfulBroker(tmp_path)
    held = HeldKey("cp", LOG_SIGNER.public_key, "checkpoint", token.sign)
    checkpoints = replace(await made(database, broker, []), signers=lambda: (held,))
    grow(database, 1)
    with pytest.raises(AwayError) as refused:
        await checkpoints.publish([ORIGIN])
    assert refused.value.code == "key_unavailable"
    assert served(database) is None
    assert await asyncio.to_thread(token.is_asked.wait, 60), "its thread has begun"
    monkeypatch.setattr("gateway.sequencer.checkpoints.TOKEN_SECONDS", 60.0)
    # Rounds go on meanwhile: it is waited for once, and asked nothing more.
    with pytest.raises(AwayError):
        await checkpoints.publish([ORIGIN])
    assert token.asked == 1
    token.goes_on.set()
    while served(database) is None:
        with suppress(AwayError):
            assert await checkpoints.publish([ORIGIN]) == set()
    assert served(database) is not None
    assert threading.get_ident() not in token.threads
    await broker.close()


async def test_where_nobody_signs_nothing_is_published(tmp_path: Path, database: Database) -> None:
    broker = WilfulBroker(tmp_path)
    checkpoints = replace(await made(database, broker, []), signers=tuple)
    grow(database, 1)
    with pytest.raises(AwayError, match="no key signs"):
        await checkpoints.publish([ORIGIN])
    await broker.close()


async def test_other_signers_have_the_newest_checkpoint_signed_anew(
    tmp_path: Path, database: Database
) -> None:
    broker = WilfulBroker(tmp_path)
    keys: list[Signer] = [LOG_SIGNER]
    checkpoints = replace(await made(database, broker, []), signers=lambda: tuple(keys))
    grow(database, 1)
    await checkpoints.publish([ORIGIN])
    before = served(database)
    assert checkpoints.has_other_signers()
    assert not checkpoints.has_other_signers()
    assert await checkpoints.unpublished([ORIGIN]) == set()
    keys.insert(0, SigningKey(b"\x07" * 32, "checkpoint"))
    assert checkpoints.has_other_signers()
    assert await checkpoints.unpublished([ORIGIN]) == {ORIGIN}
    await checkpoints.publish([ORIGIN])
    after = served(database)
    assert before is not None
    assert after is not None
    # The same text, one line more: whoever knows the old key finds it where it was.
    assert after.count("\u2014 ") == 2
    assert before.split("\n\n")[0] == after.split("\n\n")[0]
    assert before.splitlines()[-1] in after
    assert await checkpoints.unpublished([ORIGIN]) == set()
    await broker.close()
