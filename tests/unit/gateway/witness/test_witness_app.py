"""The witness over HTTP: every answer of the specification, and what it does not let itself be made to do."""

import asyncio
import hashlib
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import httpx
import pytest

from audit.checkpoint import read_checkpoint
from audit.cosignature import verify_cosignatures
from audit.note import format_line
from gateway.witness import app as module
from gateway.witness.app import BODY_BYTES, WitnessApp
from gateway.witness.state import open_state
from tests.unit.audit.builders import ORIGIN, OTHER_SIGNER
from tests.unit.gateway.witness.submissions import (
    COSIGNER,
    FORGED,
    HONEST,
    LOGS,
    checkpoint_of,
    submission,
)

NOW = 1_700_000_000_999


@pytest.fixture
def witness(tmp_path: Path) -> Iterator[WitnessApp]:
    made = WitnessApp(open_state(tmp_path / "state"), COSIGNER, LOGS, lambda: NOW)
    yield made
    made.close()


def client(witness: WitnessApp) -> httpx.AsyncClient:
    return httpx.AsyncClient(transport=httpx.ASGITransport(witness), base_url="http://w.example")


async def add(witness: WitnessApp, body: bytes) -> httpx.Response:
    async with client(witness) as one:
        return await one.post("/add-checkpoint", content=body)


def time_of(body: bytes, answer: httpx.Response) -> int:
    checkpoint, note = read_checkpoint(body.partition(b"\n\n")[2] + answer.content)
    return verify_cosignatures(note, checkpoint, [COSIGNER.key])[COSIGNER.key]


async def test_a_log_is_cosigned_from_nothing_on(witness: WitnessApp) -> None:
    for old, size in ((0, 5), (5, 5), (5, 17), (17, 40)):
        body = submission(old, size)
        answer = await add(witness, body)
        assert answer.status_code == 200
        assert answer.headers["content-type"] == "text/plain; charset=utf-8"
        assert answer.text.count("\n") == 1
        assert time_of(body, answer) == NOW // 1_000


@pytest.mark.parametrize(
    ("body", "status"),
    [
        pytest.param(b"", 400, id="nothing"),
        pytest.param(b"old 9\n\nx", 400, id="no checkpoint"),
        pytest.param(submission(9, 5), 400, id="a log that shrinks"),
        pytest.param(submission(5, 9, signer=OTHER_SIGNER), 403, id="signed by another"),
        pytest.param(submission(5, 9).replace(ORIGIN.encode(), b"gw.example/log/z/1"), 404, id="another log"),
        pytest.param(submission(4, 9), 409, id="another old size"),
        pytest.param(submission(5, 5, FORGED[3:]), 422, id="the same size, another root"),
        pytest.param(submission(5, 9, FORGED[1:]), 422, id="a fork"),
        pytest.param(
            submission(5, 9).replace(b"old 5\n", b"old 5\n" + b"A" * 43 + b"=\n"), 422, id="a bad proof"
        ),
    ],
)
async def test_what_is_not_cosigned_has_the_answer_of_the_specification(
    witness: WitnessApp, body: bytes, status: int
) -> None:
    assert (await add(witness, submission(0, 5))).status_code == 200
    answer = await add(witness, body)
    assert answer.status_code == status
    if status == 409:
        assert answer.content == b"5\n"
        assert answer.headers["content-type"] == "text/x.tlog.size"
    async with client(witness) as one:
        shown = await one.get(f"/{hashlib.sha256(ORIGIN.encode()).hexdigest()}/checkpoint")
    assert read_checkpoint(shown.content)[0] == checkpoint_of(5)


async def test_what_was_cosigned_last_is_shown_with_the_cosignature(witness: WitnessApp) -> None:
    path = f"/{hashlib.sha256(ORIGIN.encode()).hexdigest()}/checkpoint"
    async with client(witness) as one:
        assert (await one.get(path)).status_code == 404
        await add(witness, submission(0, 5))
        shown = await one.get(path)
        checkpoint, note = read_checkpoint(shown.content)
        assert checkpoint == checkpoint_of(5)
        assert verify_cosignatures(note, checkpoint, [COSIGNER.key])
        assert (await one.get("/" + "0" * 64 + "/checkpoint")).status_code == 404
        assert (await one.get("/livez")).status_code == 200
        assert (await one.get("/")).status_code == 404
        assert (await one.get("/add-checkpoint")).status_code == 405
        assert (await one.put(path, content=b"")).status_code == 404


async def test_two_forks_at_once_are_never_both_cosigned(witness: WitnessApp) -> None:
    await add(witness, submission(0, 6))
    async with client(witness) as one, asyncio.TaskGroup() as group:
        tasks = [
            group.create_task(one.post("/add-checkpoint", content=submission(6, 20, leaves)))
            for leaves in (FORGED, HONEST, FORGED)
        ]
    statuses = sorted(task.result().status_code for task in tasks)
    assert statuses == [200, 409, 409]


async def endless() -> AsyncIterator[bytes]:
    while True:
        yield b"a" * 65_536


async def test_a_body_without_end_is_cut_off(witness: WitnessApp) -> None:
    assert (await add(witness, b"a" * (BODY_BYTES + 1))).status_code == 413
    async with client(witness) as one:
        answer = await one.post("/add-checkpoint", content=endless())
    assert (answer.status_code, answer.headers["connection"]) == (413, "close")


async def test_more_at_once_than_it_can_take_are_told_to_come_again(witness: WitnessApp) -> None:
    waits, told = asyncio.Event(), asyncio.Event()

    async def slow() -> AsyncIterator[bytes]:
        told.set()
        await waits.wait()
        yield submission(0, 5)

    async with client(witness) as one, asyncio.TaskGroup() as group:
        waiting = [
            group.create_task(one.post("/add-checkpoint", content=slow())) for _ in range(module.WAITING)
        ]
        await told.wait()
        while witness._waiting < module.WAITING:  # noqa: ASYNC110 - of the application under test, which tells nobody
            await asyncio.sleep(0)
        refused = await one.post("/add-checkpoint", content=submission(0, 5))
        waits.set()
    assert (refused.status_code, refused.headers["retry-after"]) == (503, "1")
    assert {task.result().status_code for task in waiting} == {200, 409}


async def test_a_witness_that_cannot_remember_signs_nothing(witness: WitnessApp) -> None:
    witness.state.close()
    answer = await add(witness, submission(0, 5))
    assert answer.status_code == 503
    assert "witness.example" not in answer.text


async def test_lines_of_nobody_s_beside_a_checkpoint_keep_no_later_one_from_being_cosigned(
    witness: WitnessApp,
) -> None:
    """A log's checkpoint is public: anybody may send it with as many lines as a note may have."""
    assert (await add(witness, submission(0, 5))).status_code == 200
    junk = b"".join(format_line(f"nobody{number}", b"aaaa", bytes(8)).encode() for number in range(99))
    assert (await add(witness, submission(5, 5) + junk)).status_code == 200
    async with client(witness) as one:
        shown = await one.get(f"/{hashlib.sha256(ORIGIN.encode()).hexdigest()}/checkpoint")
    names = [line.name for line in read_checkpoint(shown.content)[1].lines]
    assert names == [ORIGIN, COSIGNER.key.name]
    assert (await add(witness, submission(5, 9))).status_code == 200
