"""How the embedded broker answers when its disk fails; the file is a fake that fails to order."""

import sqlite3
import threading
from collections.abc import Callable, Sequence
from typing import cast

import pytest

from gateway.broker.embedded_file import EmbeddedFile
from gateway.broker.embedded_writer import EmbeddedWriter
from gateway.broker.port import BrokerError, Position, Record, Refused, Stored, Unknown

RECORD = Record("t", 0, None, b"v", (), 0)


class FailingFile:
    """Stores nothing; raises what it was told to."""

    def __init__(self) -> None:
        self.error: Exception | None = None
        self.is_committing = False
        self.is_closed = False
        self.groups: list[int] = []
        self.gate = threading.Event()
        self.gate.set()

    def append(self, records: Sequence[Record], *, now: int) -> list[Stored | Refused]:
        self.gate.wait(30)
        self.groups.append(len(records))
        if self.error is not None:
            raise self.error
        return [Stored(Position("id", 0, now))] * len(records)

    def trim(self, *, now: int) -> set[tuple[str, int]]:
        assert now == 7
        return set()

    def close(self) -> None:
        self.is_closed = True


def open_writer(file: FailingFile) -> EmbeddedWriter:
    return EmbeddedWriter(cast("EmbeddedFile", file), clock=lambda: 7, notify=lambda _: None)


def sqlite_error(code: int) -> sqlite3.OperationalError:
    error = sqlite3.OperationalError("the disk")
    error.sqlite_errorcode = code
    return error


@pytest.mark.parametrize(
    ("error", "stage", "expected"),
    [
        (sqlite_error(sqlite3.SQLITE_FULL), "committing", "storage_full"),
        (sqlite_error(sqlite3.SQLITE_FULL), "writing", "storage_full"),
        (sqlite_error(sqlite3.SQLITE_IOERR_WRITE), "writing", "unavailable"),
        (sqlite_error(sqlite3.SQLITE_IOERR_FSYNC), "committing", None),
        (sqlite_error(sqlite3.SQLITE_READONLY), "writing", "unavailable"),
        (RuntimeError("a defect"), "writing", None),
    ],
)
async def test_a_failed_commit_is_never_called_certain(
    error: Exception, stage: str, expected: str | None
) -> None:
    file = FailingFile()
    file.error, file.is_committing = error, stage == "committing"
    writer = open_writer(file)
    answers = await writer.append([RECORD, RECORD], 2)
    assert [getattr(answer, "code", None) for answer in answers] == [expected] * 2
    assert all(isinstance(answer, Unknown if expected is None else Refused) for answer in answers)
    file.error = None
    assert await writer.append([RECORD], 1) == [Stored(Position("id", 0, 7))]
    writer.join()
    assert file.is_closed


async def test_too_much_that_waits_is_refused_for_certain() -> None:
    writer = open_writer(FailingFile())
    for count, cost in ((50_000, 1), (1, 10**9)):
        answers = await writer.append([RECORD] * count, cost)
        assert {getattr(answer, "code", None) for answer in answers} == {"unavailable"}
    assert isinstance((await writer.append([RECORD], 1))[0], Stored)
    writer.join()


async def test_other_work_that_fails_reaches_its_caller_and_the_thread_goes_on() -> None:
    writer = open_writer(FailingFile())

    def fail(error: Exception) -> Callable[[EmbeddedFile], None]:
        def run(_: EmbeddedFile) -> None:
            raise error

        return run

    with pytest.raises(BrokerError) as failed:
        await writer.work(fail(sqlite_error(sqlite3.SQLITE_IOERR)))
    assert failed.value.code == "broker_unavailable"
    with pytest.raises(ZeroDivisionError):
        await writer.work(fail(ZeroDivisionError()))
    assert isinstance((await writer.append([RECORD], 1))[0], Stored)
    writer.join()
