"""The doctor's round over files that hang and servers that are away: the rest is told all the same."""

import asyncio
import os
import socket
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from gateway.bootstrap.aside import aside
from gateway.bootstrap.examination import Patience, examine
from gateway.bootstrap.ground import prepare
from gateway.doctor.finding import Finding, Level
from gateway.settings import Settings
from tests.world import make_settings

LONG = Patience(area=60.0, keys=60.0, database=60.0, kafka=60.0)
SOON = 0.3
"""For what hangs; what has to answer is given as long as a slow machine may need."""
NOT_LISTENED = "127.0.0.1:1"


@contextmanager
def hanging(path: Path) -> Iterator[Path]:
    """A file whose opening ends only after the test."""
    path.unlink(missing_ok=True)
    os.mkfifo(path, 0o600)
    try:
        yield path
    finally:
        os.close(os.open(path, os.O_RDWR))
        path.unlink()


def told(settings: Settings, patience: Patience) -> Mapping[str, list[Finding]]:
    """The findings by area. As the command does, it returns only when asyncio has let go of its threads."""
    findings = asyncio.run(examine(settings, {}, patience))
    return {area: [one for one in findings if one.area == area] for area in {one.area for one in findings}}


@pytest.fixture
def ready(tmp_path: Path) -> Settings:
    settings = make_settings(tmp_path / "data")
    prepare(settings, "init").database.close()
    return settings


def test_a_master_key_that_hangs_is_a_finding_and_hides_neither_database_nor_broker(ready: Settings) -> None:
    with hanging(ready.keys.master_file):
        found = told(ready, replace(LONG, keys=SOON, kafka=SOON))
    (key,) = found["keys"]
    assert key.what == "no answer within 0.3 s"
    assert any("is sound" in one.what for one in found["database"])
    assert found["broker"]


def test_a_database_that_hangs_is_a_finding_and_hides_neither_keys_nor_broker(ready: Settings) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"postgresql://u@127.0.0.1:{silent.getsockname()[1]}/gateway"
        found = told(make_settings(ready.data, None, url), replace(LONG, database=SOON, kafka=SOON))
    assert [one.what for one in found["database"]] == ["no answer within 0.3 s"]
    assert [one.what for one in found["keys"]] == [
        "the master key can be read; what it seals is in a database that was not read"
    ]
    assert found["broker"]


def test_a_file_of_kafkas_that_hangs_is_a_finding(tmp_path: Path) -> None:
    with hanging(tmp_path / "client.properties") as file:
        settings = make_settings(
            tmp_path / "data",
            {"broker.url": f"kafka://{NOT_LISTENED}", "broker.properties_file": str(file)},
        )
        (kafka,) = told(settings, replace(LONG, kafka=SOON))["broker"]
    assert kafka.what == "no answer within 0.3 s"


def test_a_missing_master_key_is_not_made_anew_beside_a_database_that_was_not_read(tmp_path: Path) -> None:
    settings = make_settings(tmp_path / "data", None, f"postgresql://u@{NOT_LISTENED}/gateway")
    found = told(settings, LONG)
    (key,) = found["keys"]
    assert key.level is Level.NOT_ASKED
    assert "there is no master key" in key.what
    assert "not known" in key.what
    assert "init" not in key.what + key.mend


def test_a_missing_master_key_of_a_database_that_is_set_up_is_to_be_restored(ready: Settings) -> None:
    ready.keys.master_file.unlink()
    (key,) = told(ready, LONG)["keys"]
    assert key.level is Level.FAULT
    assert "restore" in key.mend
    assert "init" not in key.what + key.mend


async def test_what_work_on_a_thread_returns_and_raises_arrives() -> None:
    assert await aside(lambda: threading.current_thread().daemon)
    with pytest.raises(ZeroDivisionError):
        await aside(lambda: 1 // 0)


def test_work_that_never_ends_does_not_hold_up_the_end_of_the_loop() -> None:
    end = threading.Event()
    ended = threading.Event()

    def work() -> None:
        end.wait(60)
        ended.set()

    async def give_up() -> None:
        await asyncio.wait_for(aside(work), 0.05)

    with pytest.raises(TimeoutError):
        asyncio.run(give_up())
    assert not ended.is_set()
    end.set()
    assert ended.wait(30)
