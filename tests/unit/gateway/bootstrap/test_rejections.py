"""What the log says of who is refused: bounded, whoever hammers, and found by the request id."""

import asyncio
import io
import json
from collections.abc import Iterator
from typing import Any

import pytest
import structlog

from gateway.bootstrap.rejections import ALL_SORTS, LINES, SORTS, Rejections
from gateway.http.rejection import Rejection
from gateway.logs import configure


class Lines:
    """What was logged since the last look."""

    def __init__(self) -> None:
        self._stream = io.StringIO()
        configure("info", "json", lambda: 0, self._stream)

    def new(self) -> list[dict[str, Any]]:
        found = [json.loads(line) for line in self._stream.getvalue().splitlines()]
        self._stream.seek(0)
        self._stream.truncate()
        return found


@pytest.fixture
def lines() -> Iterator[Lines]:
    yield Lines()
    structlog.reset_defaults()


def rejection(
    number: int = 0,
    *,
    code: str = "credential_revoked",
    credential: str = "",
    partner: str = "",
    address: str = "192.0.2.1",
) -> Rejection:
    route = "/v1/events/{type}"
    return Rejection(f"req_{number}", route, "POST", 401, code, address, credential, partner)


def test_a_line_says_what_was_refused_to_whom_and_its_request_id(lines: Lines) -> None:
    Rejections()(rejection(7, credential="crd_1", partner="acme"))
    (line,) = lines.new()
    assert {name: line[name] for name in line if name not in {"at", "logger"}} == {
        "event": "request refused",
        "level": "info",
        "request_id": "req_7",
        "status": 401,
        "code": "credential_revoked",
        "method": "POST",
        "route": "/v1/events/{type}",
        "address": "192.0.2.1",
        "credential": "crd_1",
        "partner": "acme",
    }


def test_of_who_hammers_a_few_have_lines_and_the_others_a_sum(lines: Lines) -> None:
    told = Rejections()
    for number in range(1_000):
        told(rejection(number, credential="crd_1", partner="acme"))
    assert [line["request_id"] for line in lines.new()] == [f"req_{one}" for one in range(LINES)]
    told.fold()
    (line,) = lines.new()
    assert (line["event"], line["more"], line["request_id"]) == ("requests refused", 1_000 - LINES, "req_999")
    assert (line["credential"], line["code"]) == ("crd_1", "credential_revoked")
    told.fold()
    assert lines.new() == []
    told(rejection(1_001, credential="crd_1", partner="acme"))
    assert len(lines.new()) == 1


def test_strangers_are_told_apart_by_address_as_far_as_there_is_room(lines: Lines) -> None:
    told = Rejections()
    for number in range(10_000):
        told(rejection(number, address=f"198.51.{number // 250}.{number % 250}"))
    # A partner has room of its own.
    told(rejection(10_001, credential="crd_1", partner="acme"))
    told.fold()
    seen = lines.new()
    assert len(seen) <= SORTS * (LINES + 1) + 2
    assert seen[SORTS]["request_id"] == "req_10001"
    assert (seen[-1]["more"], seen[-1]["codes"]) == (10_000 - SORTS, {"credential_revoked": 10_000 - SORTS})
    assert {line.get("credential") for line in seen} == {"unknown", "crd_1", None}


def test_the_addresses_of_one_subscriber_are_one_stranger(lines: Lines) -> None:
    told = Rejections()
    for number in range(100):
        told(rejection(number, address=f"2001:db8:1:2::{number:x}"))
        told(rejection(number, address="not an address"))
    told.fold()
    assert len(lines.new()) == 2 * (LINES + 1)


def test_no_partner_takes_the_lines_of_others(lines: Lines) -> None:
    told = Rejections()
    for number in range(ALL_SORTS):
        told(rejection(number, credential=f"crd_{number}", partner="acme"))
    assert len(lines.new()) == SORTS
    told(rejection(1, credential="crd_other", partner="globex"))
    assert [line["partner"] for line in lines.new()] == ["globex"]


def test_handshakes_have_lines_of_their_own(lines: Lines) -> None:
    told = Rejections()
    for _ in range(100):
        told.handshake("certificate", "certificate has expired", "192.0.2.1")
        told.handshake("version", "unsupported_protocol", "192.0.2.1")
    told.fold()
    seen = lines.new()
    assert len(seen) == 2 * (LINES + 1)
    first, last = seen[0], seen[-1]
    assert (first["event"], first["reason"], first["address"]) == (
        "handshake refused", "certificate", "192.0.2.1",
    )  # fmt: skip
    assert (last["event"], last["more"]) == ("handshakes refused", 100 - LINES)


async def test_sums_are_told_after_a_while_and_at_the_end(lines: Lines) -> None:
    told, stop = Rejections(window_seconds=0.01), asyncio.Event()
    late = Rejections()
    async with asyncio.TaskGroup() as tasks:
        for one in (told, late):
            for number in range(LINES + 1):
                one(rejection(number))
            tasks.create_task(one.run(stop))
        lines.new()
        async with asyncio.timeout(20):
            while not (seen := lines.new()):  # noqa: ASYNC110 - a stream, which tells nobody
                await asyncio.sleep(0.01)
        assert [line["more"] for line in seen] == [1]
        stop.set()
    assert [line["more"] for line in lines.new()] == [1]
