"""The one thread that writes the embedded broker's file.

It commits together whatever arrived while it was committing. A failed transaction refuses its whole group,
unless the COMMIT itself met an I/O error: then a crash could still bring the records back, and they are
unknown. SQLITE_FULL comes from writing pages, before the commit mark is complete, and is certain.
"""

import asyncio
import queue
import sqlite3
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any, TypeVar, cast

from gateway.broker.embedded_file import EmbeddedFile
from gateway.broker.port import BrokerError, Record, Refused, Stored, Unknown

Answer = Stored | Refused | Unknown
T = TypeVar("T")

_GROUP = 2_000  # records in one commit at most: some 20 ms of writing
_WAITING = 20_000  # records that may wait; more are refused
_WAITING_BYTES = 128_000_000
_TRIM_SECONDS = 30.0
_ANSWER_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class _Append:
    records: Sequence[Record]
    cost: int
    answer: Future[list[Answer]] = field(default_factory=Future)


@dataclass(frozen=True, slots=True)
class _Work:
    run: Callable[[EmbeddedFile], Any]
    answer: Future[Any] = field(default_factory=Future)


class EmbeddedWriter:
    """Owns the file and its thread."""

    def __init__(
        self,
        file: EmbeddedFile,
        *,
        clock: Callable[[], int],
        notify: Callable[[Iterable[tuple[str, int]]], None],
    ) -> None:
        """`notify` is called on this thread after each commit, with the partitions that changed."""
        self._file = file
        self._clock = clock
        self._notify = notify
        self._queue: queue.SimpleQueue[_Append | _Work | None] = queue.SimpleQueue()
        self._count = threading.Lock()
        self._waiting = self._waiting_bytes = 0
        # A daemon: a program that ends without close() must not hang; what was answered is on the disk.
        self._thread = threading.Thread(  # noqa: TID251  (the adapter owns its writer thread)
            target=self._run, name="embedded-write", daemon=True
        )
        self._thread.start()

    async def append(self, records: Sequence[Record], cost: int) -> list[Answer]:
        """Store the records, whose size is `cost`; answers within five seconds and a commit."""
        if not self._admit(len(records), cost):
            return [Refused("unavailable", "too many records wait for the disk")] * len(records)
        append = _Append(records, cost)
        self._queue.put(append)
        future = asyncio.wrap_future(append.answer)
        await asyncio.wait({future}, timeout=_ANSWER_SECONDS)
        if future.done():
            return future.result()
        if append.answer.cancel():
            return [Refused("unavailable", "the disk is busy")] * len(records)
        return [Unknown("the disk did not answer in time")] * len(records)

    async def work(self, run: Callable[[EmbeddedFile], T]) -> T:
        """Run something else on the writer's thread.

        Raises:
            BrokerError: SQLite failed; nothing was changed.
        """
        work = _Work(run)
        self._queue.put(work)
        try:
            return cast("T", await asyncio.wrap_future(work.answer))
        except sqlite3.Error as error:
            raise BrokerError("broker_unavailable", f"the embedded broker's file failed: {error}") from error

    def trim(self, file: EmbeddedFile) -> None:
        """Delete what is beyond its retention; for `work`."""
        while touched := file.trim(now=self._clock()):
            self._notify(touched)

    def join(self) -> None:
        """Write what waits and close the file. Blocks; nothing may be submitted any more."""
        self._queue.put(None)
        self._thread.join()

    def _admit(self, count: int, cost: int) -> bool:
        with self._count:
            if self._waiting + count > _WAITING or self._waiting_bytes + cost > _WAITING_BYTES:
                return False
            self._waiting += count
            self._waiting_bytes += cost
            return True

    def _run(self) -> None:
        job: _Append | _Work | None = _Work(self.trim)
        trimmed_at = time.monotonic()
        while job is not None:
            if isinstance(job, _Append):
                group, following = self._gather(job)
                self._commit(group)
            else:
                self._perform(job)
                following = None
            if time.monotonic() - trimmed_at > _TRIM_SECONDS:
                # A failure is dropped with its future: the next append meets the same disk and reports it.
                self._perform(_Work(self.trim))
                trimmed_at = time.monotonic()
            job = following or self._next()
        self._file.close()

    def _next(self) -> _Append | _Work | None:
        try:
            return self._queue.get(timeout=_TRIM_SECONDS)
        except queue.Empty:
            return _Work(self.trim)

    def _gather(self, first: _Append) -> tuple[list[_Append], _Work | None]:
        """Take the appends that wait, up to a group's size; then perhaps a piece of work that came after."""
        group, size = [first], len(first.records)
        while size < _GROUP:
            try:
                job = self._queue.get_nowait()
            except queue.Empty:
                break
            if not isinstance(job, _Append):
                # The end of the queue is put back: it stays the last, since nothing is submitted after it.
                if job is None:
                    self._queue.put(None)
                return group, job
            group.append(job)
            size += len(job.records)
        return group, None

    def _commit(self, group: Sequence[_Append]) -> None:
        with self._count:
            self._waiting -= sum(len(append.records) for append in group)
            self._waiting_bytes -= sum(append.cost for append in group)
        live = [append for append in group if append.answer.set_running_or_notify_cancel()]
        records = [record for append in live for record in append.records]
        answers = self._store(records)
        at = 0
        for append in live:
            append.answer.set_result(answers[at : at + len(append.records)])
            at += len(append.records)
        self._notify({(record.topic, record.partition) for record in records})

    def _store(self, records: Sequence[Record]) -> list[Answer]:
        try:
            return list(self._file.append(records, now=self._clock()))
        except sqlite3.Error as error:
            return [self._fate_of(error)] * len(records)
        except Exception as error:  # noqa: BLE001  (a defect of ours: this thread must go on)
            return [Unknown(f"the embedded broker failed: {error}")] * len(records)

    def _fate_of(self, error: sqlite3.Error) -> Refused | Unknown:
        # The low byte is SQLite's primary code, the rest says more about it.
        if error.sqlite_errorcode & 0xFF == sqlite3.SQLITE_FULL:
            return Refused("storage_full", "the disk under the embedded broker is full: free some space")
        if self._file.is_committing:
            return Unknown(f"the disk failed while committing: {error}")
        return Refused("unavailable", f"the embedded broker's file cannot be written: {error}")

    def _perform(self, work: _Work) -> None:
        if not work.answer.set_running_or_notify_cancel():
            return
        try:
            work.answer.set_result(work.run(self._file))
        except Exception as error:  # noqa: BLE001  (the caller gets it; this thread must go on)
            work.answer.set_exception(error)
