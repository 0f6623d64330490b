"""A producer of librdkafka that can never send again, with nobody who answers it."""

import asyncio
import logging
import os
import shutil
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from gateway.broker.kafka import KafkaBroker
from gateway.http.tls import make_dev_certificate


def move(file: Path, to: Path) -> None:
    file.rename(to)


def now() -> int:
    return time.time_ns() // 1_000_000


@pytest.fixture
def authority(tmp_path: Path) -> Path:
    made, _ = make_dev_certificate(tmp_path / "kept", now=now(), entropy=os.urandom)
    return Path(shutil.copy(made, tmp_path / "ca.pem"))


@pytest.fixture
async def broker(authority: Path) -> AsyncIterator[KafkaBroker]:
    properties = {"security.protocol": "SSL", "ssl.ca.location": str(authority)}
    opened = KafkaBroker.open("127.0.0.1:1", clock=now, properties=properties, replication=1)
    yield opened
    await opened.close()


async def test_a_file_that_moved_keeps_the_serving_thread_alive_and_is_used_once_it_is_back(
    broker: KafkaBroker, authority: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    broken = broker._producer
    move(authority, tmp_path / "away.pem")
    broker._is_fatal = True
    while not caplog.records:
        assert broker._thread.is_alive()
        await asyncio.sleep(0.02)
    move(tmp_path / "away.pem", authority)
    while broker._producer is broken:
        assert broker._thread.is_alive()
        await asyncio.sleep(0.02)
    assert not broker._is_fatal


async def test_that_no_producer_can_be_made_is_told_once_for_the_same_words(
    broker: KafkaBroker, authority: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    await broker.close()
    caplog.clear()
    broken = broker._producer
    move(authority, tmp_path / "away.pem")
    broker._renew()
    broker._renew()
    assert broker._producer is broken
    (told,) = caplog.records
    assert told.levelno == logging.ERROR
    assert "ssl.ca.location" in told.getMessage()
    move(tmp_path / "kept" / "dev-key.pem", authority)
    broker._renew()
    assert len(caplog.records) == 2
