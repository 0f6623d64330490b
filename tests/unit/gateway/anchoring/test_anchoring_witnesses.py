"""Witnesses asked: honest ones of this repository, and ones that mean harm or are away."""

import asyncio
import base64
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass, replace
from pathlib import Path

import httpx
import pytest

from audit import log as audit_log
from audit.checkpoint import Checkpoint, format_checkpoint, read_checkpoint, sign_checkpoint
from audit.cosignature import cosign
from audit.note import VerifierKey, sign_note
from gateway.address import AddressPolicy
from gateway.anchoring.opening import served_anchor
from gateway.anchoring.store import Standing, find_cosigned, standings
from gateway.anchoring.witnesses import ANSWER_BYTES, Outcome, Witnessing, name_of
from gateway.database import Database
from gateway.dialler import Dialler, Fetched, Outgoing
from gateway.errors import AwayError, StoreError
from gateway.sequencer.guard import LogBehindError, verify_not_behind
from gateway.witness.app import WitnessApp
from gateway.witness.state import open_state
from tests.unit.audit.anchors import ANCHOR, ANCHOR_SIGNER, WITNESSES, policy
from tests.unit.audit.builders import OTHER_SIGNER
from tests.unit.gateway.anchoring.ledgers import HOST, NAMED, Ledger, Routed, event

NOW = 1_700_000_000_000
URLS = ("https://one.example/", "https://two.example/w", "https://three.example")
LOGS = {ANCHOR: [VerifierKey(ANCHOR, ANCHOR_SIGNER.public_key)]}
Answers = Callable[[httpx.Request], httpx.Response]


@contextmanager
def witness_of(folder: Path, number: int) -> Iterator[WitnessApp]:
    app = WitnessApp(open_state(folder / f"state{number}"), WITNESSES[number], LOGS, lambda: NOW)
    yield app
    app.close()


class Prefixed(httpx.AsyncBaseTransport):
    """An application below a path, as behind a proxy."""

    def __init__(self, app: WitnessApp, prefix: str) -> None:
        self.inner, self.prefix = httpx.ASGITransport(app), prefix

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        path = request.url.path.removeprefix(self.prefix)
        request.url = request.url.copy_with(path=path)
        return await self.inner.handle_async_request(request)


def witnessing(
    ledger: Ledger, sender: Routed, outcomes: list[Outcome], quorum: str = "2 w1 w2 w3"
) -> Witnessing:
    return Witnessing(
        database=ledger.database,
        sender=sender,
        policy=policy(quorum, URLS),
        host=HOST,
        is_ours=lambda: True,
        clock=lambda: NOW,
        observe=outcomes.append,
        keys=lambda: [ANCHOR_SIGNER.public_key],
    )


def standing(ledger: Ledger, number: int) -> Standing:
    with ledger.database.begin() as session:
        return standings(session)[name_of(WITNESSES[number].key)]


async def anchored(ledger: Ledger, *numbers: int) -> None:
    """A round over a log that has grown."""
    for number in numbers:
        ledger.grow(event(number))
        if ledger.lease is None:
            await ledger.hold()
        assert await ledger.anchor()


async def test_two_of_three_cosign_and_the_third_is_away(ledger: Ledger, tmp_path: Path) -> None:
    await anchored(ledger, 1)
    outcomes: list[Outcome] = []
    with witness_of(tmp_path, 0) as one, witness_of(tmp_path, 1) as two:
        sender = Routed({"one.example": one, "two.example": Prefixed(two, "/w")})
        asking = witnessing(ledger, sender, outcomes)
        await asking.turn()
        assert sorted(outcomes) == ["away", "cosigned", "cosigned"]
        assert {one.url for one in sender.asked} == {
            "https://one.example/add-checkpoint",
            "https://two.example/w/add-checkpoint",
            "https://three.example/add-checkpoint",
        }
        with ledger.database.begin() as session:
            kept = find_cosigned(session, ANCHOR, 1)
            served = served_anchor(session, HOST)
        assert kept is not None
        assert kept.is_enough
        assert served == kept.text()
        assert len(read_checkpoint(kept.text().encode())[1].lines) == 3
        assert standing(ledger, 0) == Standing(name_of(WITNESSES[0].key), ANCHOR, 1, NOW, NOW)
        assert standing(ledger, 2).problem == "connect_failed"
        # Those that cosigned are not asked again, and the one that is away is left alone for a while.
        asked = len(sender.asked)
        await asking.turn()
        assert len(sender.asked) == asked
        await anchored(ledger, 2)
        await asking.turn()
        assert (standing(ledger, 0).size, standing(ledger, 1).size) == (2, 2)


async def test_a_new_process_learns_what_a_witness_holds(ledger: Ledger, tmp_path: Path) -> None:
    await anchored(ledger, 1, 2)
    with witness_of(tmp_path, 0) as one:
        await witnessing(ledger, Routed({"one.example": one}), []).turn()
        await anchored(ledger, 3)
        sender, outcomes = Routed({"one.example": one}), list[Outcome]()
        await witnessing(ledger, sender, outcomes).turn()
        assert "cosigned" in outcomes
        assert [one.body[:6] for one in sender.asked if "one" in one.url] == [b"old 2\n"]
    # Another database that never heard of the witness: it says 0, and is told better.
    with witness_of(tmp_path, 0) as one:
        sender, outcomes = Routed({"one.example": one}), list[Outcome]()
        asking = witnessing(ledger, sender, outcomes)
        with ledger.database.begin() as session:
            session.connection().exec_driver_sql("DELETE FROM gateway_witness")
        await anchored(ledger, 4)
        await asking.turn()
        assert [one.body[:6] for one in sender.asked if "one" in one.url] == [b"old 0\n", b"old 3\n"]
        assert standing(ledger, 0).size == 4


async def test_a_line_that_was_lost_is_asked_for_again(ledger: Ledger, tmp_path: Path) -> None:
    """Killed after the witness answered and before its line was stored: it signs the same once more."""
    await anchored(ledger, 1)
    with witness_of(tmp_path, 0) as one:
        sender = Routed({"one.example": one})
        await witnessing(ledger, sender, []).turn()
        with ledger.database.begin() as session:
            session.connection().exec_driver_sql("DELETE FROM gateway_anchor_note")
        await witnessing(ledger, sender, []).turn()
        with ledger.database.begin() as session:
            assert find_cosigned(session, ANCHOR, 1) is not None


async def test_a_forked_gateway_is_refused_by_an_honest_witness(
    ledger: Ledger, fork: Ledger, tmp_path: Path
) -> None:
    """The same key, the same origin, another history in another database."""
    await anchored(ledger, 1, 2)
    await anchored(fork, 7, 8)
    with witness_of(tmp_path, 0) as one:
        honest, forked = list[Outcome](), list[Outcome]()
        await witnessing(ledger, Routed({"one.example": one}), honest).turn()
        with pytest.raises(LogBehindError, match="the witness w1 holds 2 entries"):
            await witnessing(fork, Routed({"one.example": one}), forked).turn()
        assert ("cosigned" in honest, "cosigned" in forked) == (True, False)
        assert "422" in standing(fork, 0).problem
        # Nor when it has outgrown the honest one.
        await anchored(fork, 9)
        with pytest.raises(LogBehindError):
            await witnessing(fork, Routed({"one.example": one}), forked).turn()
        assert "cosigned" not in forked
        with fork.database.begin() as session:
            assert find_cosigned(session, ANCHOR, 3) is None


async def test_an_older_copy_of_a_database_signs_nothing_once_a_witness_shows_what_it_lacks(
    fork: Ledger, tmp_path: Path
) -> None:
    """A data folder of before was put back: a new process asks before it anchors, and stops for good."""
    await anchored(fork, 1)
    with witness_of(tmp_path, 0) as one:
        sender = Routed({"one.example": one})
        await witnessing(fork, sender, []).turn()
        with sqlite3.connect(tmp_path / "fork.db") as now, sqlite3.connect(tmp_path / "old.db") as copy:
            now.backup(copy)
        await anchored(fork, 2)
        await witnessing(fork, sender, []).turn()
        old = Database(f"sqlite:///{tmp_path}/old.db")
        asking = witnessing(Ledger(old), sender, [])
        with pytest.raises(LogBehindError, match=r"w1 holds 2 entries of .*anchor/1.*gateway log new-epoch"):
            await asking.turn()
        with pytest.raises(LogBehindError, match="an older copy of itself"):
            await old.read(lambda session: verify_not_behind(session, {}))
        await fork.database.read(lambda session: verify_not_behind(session, {}))
        old.close()


async def older_copy(ledger: Ledger, sender: Routed, folder: Path) -> Ledger:
    """A copy in which the newest checkpoint is cosigned, as a witness knows no more than one later."""
    await anchored(ledger, 1)
    await witnessing(ledger, sender, []).turn()
    with sqlite3.connect(folder / "fork.db") as now, sqlite3.connect(folder / "old.db") as copy:
        now.backup(copy)
    await anchored(ledger, 2)
    await witnessing(ledger, sender, []).turn()
    return Ledger(Database(f"sqlite:///{folder}/old.db"))


def be_patient(asking: Witnessing) -> None:
    """All waits are over."""
    for one in asking._patience.values():
        one.due_at = 0.0


async def test_a_witness_that_was_away_at_the_start_is_asked_until_it_has_answered(
    fork: Ledger, tmp_path: Path
) -> None:
    """Its line for the newest checkpoint is here; the network comes up after the gateway."""
    with witness_of(tmp_path, 0) as one:
        old = await older_copy(fork, Routed({"one.example": one}), tmp_path)
        sender = Routed({})
        asking = witnessing(old, sender, [])
        for _ in range(2):
            await asking.turn()
            be_patient(asking)
        sender.apps = {"one.example": one}
        with pytest.raises(LogBehindError, match=r"w1 holds 2 entries"):
            await asking.turn()
        old.database.close()


async def test_what_was_answered_once_is_not_asked_again(ledger: Ledger, tmp_path: Path) -> None:
    await anchored(ledger, 1)
    with witness_of(tmp_path, 0) as one:
        await witnessing(ledger, Routed({"one.example": one}), []).turn()
        sender = Routed({"one.example": one})
        asking = witnessing(ledger, sender, [])
        for _ in range(3):
            await asking.turn()
            be_patient(asking)
        assert [asked.body[:6] for asked in sender.asked if "one" in asked.url] == [b"old 1\n"]


@dataclass
class Faint(Routed):
    """The first read of it is lost, or the database is away just then; if `is_deaf`, writes are lost too."""

    trouble: AwayError | None = None
    is_deaf: bool = False
    reads: int = 0

    async def fetch(self, url: str, *, most: int) -> Fetched:
        self.reads += 1
        if self.reads > 1:
            return await super().fetch(url, most=most)
        if self.trouble is not None:
            raise self.trouble
        return Fetched(0, "timed_out", b"")

    async def ask(self, outgoing: Outgoing, *, most: int, told: frozenset[int] = frozenset()) -> Fetched:
        answer = await super().ask(outgoing, most=most, told=told)
        return Fetched(0, "timed_out", b"") if self.is_deaf else answer


@pytest.mark.parametrize("trouble", [None, StoreError("store_unavailable", "away")])
async def test_a_doubt_stays_until_the_witness_has_shown_what_it_holds(
    fork: Ledger, tmp_path: Path, trouble: AwayError | None
) -> None:
    with witness_of(tmp_path, 0) as one:
        old = await older_copy(fork, Routed({"one.example": one}), tmp_path)
        sender = Faint({"one.example": one}, trouble=trouble)
        asking = witnessing(old, sender, [])
        with nullcontext() if trouble is None else pytest.raises(AwayError):
            await asking.turn()
        be_patient(asking)
        sender.is_deaf = True
        with pytest.raises(LogBehindError, match=r"w1 holds 2 entries"):
            await asking.turn()
        old.database.close()


async def test_what_no_key_of_ours_signed_stops_nothing(ledger: Ledger) -> None:
    await anchored(ledger, 1)
    note = sign_checkpoint(Checkpoint(ANCHOR, 17, bytes(32)), OTHER_SIGNER)

    def answer(request: httpx.Request) -> httpx.Response:
        if request.method == "GET":
            return httpx.Response(200, content=note)
        return httpx.Response(409, content=b"17\n")

    await witnessing(ledger, Routed({"one.example": answering(answer)}), []).turn()
    await ledger.database.read(lambda session: verify_not_behind(session, {}))
    assert "17 entries" in standing(ledger, 0).problem


async def test_an_older_copy_that_lacks_the_key_of_today_is_an_alarm_that_says_so(
    fork: Ledger, tmp_path: Path
) -> None:
    """A stop would let every witness stop us by a key that it has made."""
    newer = VerifierKey(ANCHOR, OTHER_SIGNER.public_key)
    logs = {ANCHOR: [*LOGS[ANCHOR], newer]}
    app = WitnessApp(open_state(tmp_path / "state"), WITNESSES[0], logs, lambda: NOW)
    sender = Routed({"one.example": app})
    old = await older_copy(fork, sender, tmp_path)
    await anchored(fork, 3)
    with fork.database.begin() as session:
        head = audit_log.state(session, ANCHOR).head
        note = sign_checkpoint(Checkpoint(ANCHOR, head.size, head.root()), OTHER_SIGNER)
        audit_log.publish_all(session, {ANCHOR: note})
    after = witnessing(fork, sender, [])
    after.keys = lambda: [ANCHOR_SIGNER.public_key, OTHER_SIGNER.public_key]
    await after.turn()
    assert standing(fork, 0).problem == ""
    asking, outcomes = witnessing(old, sender, []), list[Outcome]()
    asking.observe = outcomes.append
    for _ in range(2):
        await asking.turn()
        be_patient(asking)
        problem = standing(old, 0).problem
        assert f"shows 3 entries of {ANCHOR} that this database does not have" in problem
        assert f"signed by the key {newer.key_id.hex()}, which" in problem
        assert "older copy" in problem
        assert "gateway log new-epoch --all" in problem
    assert outcomes.count("conflict") == 2
    await old.database.read(lambda session: verify_not_behind(session, {}))
    # It stays while the witness is away, and goes once it cosigns.
    sender.apps = {}
    await asking.turn()
    assert standing(old, 0).problem == problem
    be_patient(asking)
    sender.apps = {"one.example": answering(line_by(0))}
    await asking.turn()
    assert standing(old, 0).problem == ""
    old.database.close()
    app.close()


@pytest.mark.parametrize("size", [1, 17])
async def test_what_a_stranger_signed_is_told_only_where_it_is_not_here(ledger: Ledger, size: int) -> None:
    await anchored(ledger, 1)
    with ledger.database.begin() as session:
        root = audit_log.state(session, ANCHOR).head.root() if size == 1 else bytes(32)
    one = Checkpoint(ANCHOR, size, root)
    ours, other = sign_checkpoint(one, ANCHOR_SIGNER), sign_checkpoint(replace(one, size=99), ANCHOR_SIGNER)
    shown = {
        "by a stranger": sign_checkpoint(one, OTHER_SIGNER),
        "of another": sign_checkpoint(replace(one, origin=f"{NAMED}/2"), OTHER_SIGNER),
        "forged": ours.partition(b"\n\n")[0] + b"\n\n" + other.partition(b"\n\n")[2],
        "in another name": sign_note(format_checkpoint(one), "somebody", OTHER_SIGNER),
    }
    alarms = []
    for name, note in shown.items():

        def answer(request: httpx.Request, note: bytes = note) -> httpx.Response:
            return httpx.Response(200 if request.method == "GET" else 404, content=note)

        await witnessing(ledger, Routed({"one.example": answering(answer)}), []).turn()
        if "older copy" in standing(ledger, 0).problem:
            alarms.append(name)
    assert alarms == (["by a stranger"] if size == 17 else [])
    await ledger.database.read(lambda session: verify_not_behind(session, {}))


async def test_a_witness_that_is_ahead_of_us_raises_the_alarm(ledger: Ledger) -> None:
    """This database was restored from a backup, or somebody else has our key."""
    await anchored(ledger, 1)
    sender = Routed({"one.example": answering(lambda _: httpx.Response(409, content=b"17\n"))})
    await witnessing(ledger, sender, []).turn()
    assert "it cosigned 17 entries" in standing(ledger, 0).problem
    assert "restored from a backup" in standing(ledger, 0).problem


def answering(answers: Answers) -> httpx.MockTransport:
    return httpx.MockTransport(answers)


def line_by(number: int, *, seconds: int = NOW // 1_000, size: int | None = None) -> Answers:
    """A cosignature of what was sent, in the name of a witness."""

    def answer(request: httpx.Request) -> httpx.Response:
        checkpoint, _ = read_checkpoint(request.content.partition(b"\n\n")[2])
        shown = checkpoint if size is None else Checkpoint(checkpoint.origin, size, checkpoint.root)
        return httpx.Response(200, text=cosign(shown, WITNESSES[number], seconds))

    return answer


def spoilt(request: httpx.Request) -> httpx.Response:
    name, blob = line_by(0)(request).text.removeprefix("\u2014 ").split(" ")
    raw = bytearray(base64.b64decode(blob))
    raw[-1] ^= 1
    return httpx.Response(200, text=f"\u2014 {name} {base64.b64encode(bytes(raw)).decode()}\n")


sizes = iter(range(10_000))

HOSTILE: dict[str, tuple[Answers, str, str]] = {
    "nothing": (lambda _: httpx.Response(200), "invalid", "no cosignature"),
    "garbage": (lambda _: httpx.Response(200, content=b"\xff\x00" * 50), "invalid", "not right"),
    "a page": (lambda _: httpx.Response(200, text="<html>ok</html>"), "invalid", "not right"),
    "a body without end": (
        lambda _: httpx.Response(200, content=b"a" * (ANSWER_BYTES + 1)),
        "refused",
        "response_invalid",
    ),
    "another's key": (line_by(1), "invalid", "no cosignature by the key"),
    "a wrong signature": (spoilt, "invalid", "is wrong"),
    "a cosignature of another size": (line_by(0, size=99), "invalid", "is wrong"),
    "a time of next year": (line_by(0, seconds=NOW // 1_000 + 31_536_000), "invalid", "has not come yet"),
    "no time": (line_by(0, seconds=0), "invalid", "states no time"),
    "101 lines": (lambda _: httpx.Response(200, text="\u2014 x AAAAAAA=\n" * 101), "invalid", "not right"),
    "another size each time": (
        lambda _: httpx.Response(409, content=b"%d\n" % (next(sizes) % 2)),
        "conflict",
        "another size",
    ),
    "a conflict without a size": (lambda _: httpx.Response(409), "invalid", "and not which"),
    "a conflict with nonsense": (
        lambda _: httpx.Response(409, content=b"0x10\n"),
        "invalid",
        "and not which",
    ),
    "a size beyond all": (
        lambda _: httpx.Response(409, content=b"9223372036854775807\n"),
        "conflict",
        "cosigned 9223372036854775807",
    ),
    "an unknown log": (
        lambda _: httpx.Response(404, text="unknown\x1b[31m\nlog"),
        "refused",
        "HTTP 404 (unknown?[31m)",
    ),
    "a bad proof": (lambda _: httpx.Response(422, text="no"), "refused", "HTTP 422 (no)"),
    "its own fault": (lambda _: httpx.Response(500, text="stack"), "away", "HTTP 500"),
    "a redirect": (
        lambda _: httpx.Response(302, headers={"Location": "http://127.0.0.1/"}),
        "refused",
        "HTTP 302",
    ),
}


@pytest.mark.parametrize("case", HOSTILE)
async def test_an_answer_that_is_not_right_is_told_and_never_stored(ledger: Ledger, case: str) -> None:
    answers, outcome, words = HOSTILE[case]
    await anchored(ledger, 1)
    sender, outcomes = Routed({"one.example": answering(answers)}), list[Outcome]()
    await witnessing(ledger, sender, outcomes).turn()
    assert outcomes.count(outcome) >= 1  # type: ignore[arg-type]  # a text of the table
    assert words in standing(ledger, 0).problem
    assert sum("one" in one.url for one in sender.asked) <= 3
    with ledger.database.begin() as session:
        assert find_cosigned(session, ANCHOR, 1) is None


async def test_a_hostile_one_spoils_nothing_for_the_others(ledger: Ledger, tmp_path: Path) -> None:
    await anchored(ledger, 1)
    with witness_of(tmp_path, 1) as two, witness_of(tmp_path, 2) as three:
        hostile = answering(HOSTILE["a wrong signature"][0])
        sender = Routed({"one.example": hostile, "two.example": Prefixed(two, "/w"), "three.example": three})
        await witnessing(ledger, sender, []).turn()
    with ledger.database.begin() as session:
        kept = find_cosigned(session, ANCHOR, 1)
    assert kept is not None
    assert (kept.is_enough, kept.lines.count("\n")) == (True, 2)


async def test_strangers_lines_in_an_answer_are_not_kept(ledger: Ledger) -> None:
    await anchored(ledger, 1)

    def answer(request: httpx.Request) -> httpx.Response:
        mine, others = line_by(0)(request).text, line_by(1)(request).text
        return httpx.Response(200, text=others + mine + mine)

    await witnessing(ledger, Routed({"one.example": answering(answer)}), []).turn()
    with ledger.database.begin() as session:
        kept = find_cosigned(session, ANCHOR, 1)
    assert kept is not None
    assert kept.lines.count("\n") == 1
    assert not kept.is_enough


async def test_without_an_anchor_nobody_is_asked(ledger: Ledger) -> None:
    sender = Routed({})
    await witnessing(ledger, sender, []).turn()
    with ledger.database.begin() as session:
        audit_log.open_log(session, f"{NAMED}/1")
    await witnessing(ledger, sender, []).turn()
    assert sender.asked == []


async def test_the_role_asks_only_where_the_anchor_is_ours(ledger: Ledger, tmp_path: Path) -> None:
    await anchored(ledger, 1)
    with witness_of(tmp_path, 0) as one:
        sender = Routed({"one.example": one})
        asking, stop = witnessing(ledger, sender, []), asyncio.Event()
        asking.is_ours = lambda: False
        async with asyncio.TaskGroup() as group:
            task = group.create_task(asking.run(stop))
            await asyncio.sleep(0.02)
            assert sender.asked == []
            stop.set()
            await task


async def test_a_witness_that_never_ends_its_answer_is_left_when_the_cap_is_reached(ledger: Ledger) -> None:
    """Over a real connection, by the dialler that the gateway has."""
    await anchored(ledger, 1)
    sent = 0

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal sent
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        with suppress(ConnectionError):
            while True:
                writer.write(b"400\r\n" + b"a" * 1_024 + b"\r\n")
                await writer.drain()
                sent += 1_024
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    async with server, Dialler(AddressPolicy(loopback=True), timeout_ms=20_000) as dialler:
        asking = witnessing(ledger, Routed({}), [])
        asking.sender, asking.policy = dialler, policy("1 w1", (url, "", ""))
        await asking.turn()
    assert standing(ledger, 0).problem == "response_invalid"
    assert sent < 64 * 2**20
