"""Who is refused before its body was read hears it at once: a gigabyte is not read to be thrown away."""

import asyncio
import json
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from gateway.http.app import make_apps
from gateway.http.framing import UNREAD_BYTES
from gateway.http.server import Server
from gateway.units import Address
from tests.builders import House, open_house
from tests.importing import lines
from tests.serving import serving

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def house(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[House]:
    async with open_house(tmp_path_factory.mktemp("early"), partners=("acme",)) as opened:
        yield opened


async def begun(
    house: House, path: str, length: int | None, begin: bytes, *fields: str
) -> tuple[int, str, dict[str, object]]:
    """Send a header and the beginning of a body, and wait: status, Connection, document."""
    async with serving(Server(make_apps(house.doors)[0], Address("127.0.0.1", 0))) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        framing = "Transfer-Encoding: chunked" if length is None else f"Content-Length: {length}"
        head = (
            f"POST {path} HTTP/1.1\r\nHost: gw.example\r\nAuthorization: Bearer {house.keys['acme']}\r\n"
            f"Content-Type: application/x-ndjson\r\n{framing}\r\n"
        )
        head += "".join(f"{field}\r\n" for field in (*fields, ""))
        try:
            writer.write(head.encode() + begin)
            status = int((await reader.readline()).split()[1])
            headers: dict[str, str] = {}
            while line := (await reader.readline()).strip():
                name, _, value = line.decode().partition(":")
                headers[name.lower()] = value.strip()
            document = json.loads(await reader.readexactly(int(headers["content-length"])))
            if headers.get("connection") == "close":
                assert await reader.read() == b""
            return status, headers.get("connection", ""), document
        finally:
            writer.close()


@pytest.mark.parametrize(
    ("length", "begin"), [(2**29, b"{}"), (None, b"2\r\n{}\r\n"), (UNREAD_BYTES + 1, b"")]
)
async def test_an_import_too_many_is_refused_before_its_body_came(
    house: House, length: int | None, begin: bytes
) -> None:
    async with house.client("acme") as client:
        headers = {"Content-Type": "application/x-ndjson"}
        made = [
            (await client.post("/v1/imports?type=order.placed", content=lines([1]), headers=headers)).headers
            for _ in range(3)
        ]
        status, connection, document = await begun(house, "/v1/imports?type=order.placed", length, begin)
        for one in made:
            await client.delete(one["location"])
    assert (status, connection, document["code"]) == (409, "close", "limit_reached")


async def test_a_small_body_is_read_to_its_end_and_the_connection_kept(house: House) -> None:
    status, connection, _ = await begun(house, "/v1/nothing", 2, b"")
    assert (status, connection) == (404, "")


async def test_who_waits_to_be_told_to_go_on_may_send_no_body_at_all(house: House) -> None:
    status, connection, _ = await begun(house, "/v1/nothing", 2, b"", "Expect: 100-continue")
    assert (status, connection) == (404, "close")
    status, connection, _ = await begun(house, "/v1/nothing", 2, b"{}", "Expect: 100-continue")
    assert (status, connection) == (404, "")
